//! Reading records: by name, and page by page in constant memory (L6).

use crate::{Ledger, Payment, PaymentHash, Status, Violation};

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store refused.
    #[error("the ledger could not be read")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

/// In which order records are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By `created_index`.
    #[default]
    Created,
    /// By `updated_index`; with a start of 0, what never changed comes first, by `created_index`.
    Updated,
}

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only records of this hash.
    pub payment_hash: Option<PaymentHash>,
    /// Only records with this status.
    pub status: Option<Status>,
    /// In which order.
    pub order: Order,
    /// The first index to list, in that order's numbers.
    pub start: u64,
}

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub(crate) Position);

/// The last row of a page, in the numbers of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// By `created_index`.
    Created(u64),
    /// Among what never changed, by `created_index`.
    NeverUpdated(u64),
    /// By `updated_index`.
    Updated(u64),
}

/// The records of one status, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Their amounts together, in msat (may be above 21 million bitcoin).
    pub amount_msat: u128,
    /// What left us for them together, in msat.
    pub amount_sent_msat: u128,
}

/// All records, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Those pending.
    pub pending: Sum,
    /// Those complete.
    pub complete: Sum,
    /// Those failed.
    pub failed: Sum,
}

/// The last number given of each kind (L5); 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of creations of payments.
    pub created: u64,
    /// Of updates of payments.
    pub updated: u64,
    /// Of deletions of payments.
    pub deleted: u64,
    /// Of all three together, in commit order.
    pub change: u64,
    /// Of creations of invoices.
    pub invoice_created: u64,
    /// Of updates of invoices.
    pub invoice_updated: u64,
    /// Of payments of invoices.
    pub pay_index: u64,
}

/// Something the operator must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// L4 was broken: a record was called failed, and was claimed at that time all the same.
    LatePreimage {
        /// The hash; it takes no new send.
        payment_hash: PaymentHash,
        /// The record.
        created_index: u64,
        /// When the preimage came, in ms since 1970.
        seen_at_ms: u64,
    },
}

impl Ledger {
    /// The record of this part, if there is one.
    pub fn payment(
        &self,
        payment_hash: PaymentHash,
        groupid: u64,
        partid: u64,
    ) -> Result<Option<Payment>, ReadError> {
        todo!()
    }

    /// The largest groupid of the records of this hash (deleted ones not counted, as in CLN).
    pub fn last_groupid(&self, payment_hash: PaymentHash) -> Result<Option<u64>, ReadError> {
        todo!()
    }

    /// All parts of one group, by partid. At most [`Ledger::GROUP_PARTS_MAX`].
    pub fn group(
        &self,
        payment_hash: PaymentHash,
        groupid: u64,
    ) -> Result<Vec<Payment>, ReadError> {
        todo!()
    }

    /// Our own records that are pending, for the start check: as many as HTLCs were out.
    pub fn pending_own(&self) -> Result<Vec<Payment>, ReadError> {
        todo!()
    }

    /// Visits the next records, at most `rows_max`, in one statement. `visit` must not block:
    /// a snapshot of the database is held while it runs (L6). Returns where to go on; `None` at
    /// the end.
    pub fn page(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        rows_max: usize,
        visit: &mut dyn FnMut(&Payment),
    ) -> Result<Option<Cursor>, ReadError> {
        todo!()
    }

    /// All records summed up, by status; kept up to date by the commits themselves.
    pub fn totals(&self) -> Result<Totals, ReadError> {
        todo!()
    }

    /// The last number given of each kind (L5).
    pub fn counters(&self) -> Result<Counters, ReadError> {
        todo!()
    }

    /// What the operator must know.
    pub fn warnings(&self) -> Result<Vec<Warning>, ReadError> {
        todo!()
    }
}
