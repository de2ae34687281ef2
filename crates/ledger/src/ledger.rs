//! The ledger itself: a store with the ledger's tables, and those who wait for changes.

use std::path::Path;
use std::sync::Arc;

use sendpay_store::{OpenError, Options, Store, kv};

use crate::changed::Registry;
use crate::nodes::Nodes;
use crate::{PaymentHash, Waiter, schema};

/// Read connections. Each costs its page cache at most (`sendpay_store`); a listing holds two, for a
/// page each.
const READERS: usize = 8;

/// Above this many queued bytes RPC work waits before it begins: a few of the largest
/// channel manager writes (some MB each), far below what a small machine has.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// The write-ahead log is reset when it passes this: small beside any disk, large beside the
/// group of calls that one commit writes.
const WAL_BYTES_MAX: u64 = 64 << 20;

/// The schema, as it grew.
const MIGRATIONS: &[&str] = &[kv::SCHEMA, schema::LEDGER_1, schema::FORWARDS_1];

/// The record of every payment sent. Clones are the same ledger.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) store: Store,
    pub(crate) payments_changed: Arc<Registry>,
    pub(crate) invoices_changed: Arc<Registry>,
    pub(crate) nodes: Nodes,
}

impl Ledger {
    /// Opens or makes the file at `path`. The store is returned for the other state that lives
    /// in it (LDK's and the wallet's, through its key-value part).
    pub fn open(path: &Path) -> Result<(Store, Ledger), OpenError> {
        let store = Store::open(Options {
            path: path.to_owned(),
            migrations: MIGRATIONS,
            application_id: schema::APPLICATION_ID,
            readers: READERS,
            queue_bytes_max: QUEUE_BYTES_MAX,
            wal_bytes_max: WAL_BYTES_MAX,
        })?;
        let ledger = Ledger::over(store.clone());
        Ok((store, ledger))
    }

    /// How many scripts have made the schema: what SQLite calls the `user_version` of the file.
    pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

    /// What SQLite calls the `application_id` of the file.
    pub const APPLICATION_ID: i32 = schema::APPLICATION_ID;

    /// The schema as it was when it had so many scripts, with nothing in it but their own rows; none
    /// if it never had so many. For who brings back what an earlier version kept.
    pub fn schema(version: usize) -> Option<&'static [&'static str]> {
        MIGRATIONS.get(..version)
    }

    /// The ledger over a store that was opened with its tables.
    fn over(store: Store) -> Ledger {
        Ledger {
            store,
            payments_changed: Arc::default(),
            invoices_changed: Arc::default(),
            nodes: Nodes::default(),
        }
    }

    /// Resolves at the next commit that changes any record of this hash after this call. Call
    /// this first, then read, then await: then no change is missed. Dropping it unregisters.
    ///
    /// The number of waiters has no limit of its own: each belongs to one request, and the
    /// caller limits those.
    pub fn changed(&self, hash: PaymentHash) -> Waiter {
        self.payments_changed.wait_for(Some(hash))
    }

    /// Resolves at the next commit that changes the invoice of this hash; else as
    /// [`Ledger::changed`].
    pub fn invoice_changed(&self, hash: PaymentHash) -> Waiter {
        self.invoices_changed.wait_for(Some(hash))
    }

    /// Resolves at the next commit that changes any record; else as [`Ledger::changed`].
    pub fn any_changed(&self) -> Waiter {
        self.payments_changed.wait_for(None)
    }

    /// Resolves at the next commit that changes any invoice; else as [`Ledger::changed`].
    pub fn any_invoice_changed(&self) -> Waiter {
        self.invoices_changed.wait_for(None)
    }
}
