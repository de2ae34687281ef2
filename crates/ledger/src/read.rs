//! Reading records by name, and the sums and numbers that the commits keep. Listings are `page.rs` and
//! `groups.rs`.

use crate::count::decode_sum;
use crate::row::{COLUMNS, DELETED_COLUMNS, find_payment, find_payments};
use crate::text::find_invoice_row;
use crate::{Ledger, Payment, PaymentHash, Status, Violation};

/// Most warnings told at once: each is a breach that should never happen, so the first tell all.
const WARNINGS_MAX: i64 = 100;

/// The sums by status, in one snapshot: of what is settled as the commits keep them, of what is
/// pending from its index.
pub(crate) const TOTALS: &str = "\
    SELECT status, count, amount_hi, amount_lo, sent_hi, sent_lo, unknown_hi, unknown_lo \
    FROM total \
    UNION ALL \
    SELECT status, count(*), sum(amount_msat / 1000000000), sum(amount_msat % 1000000000), \
        sum(amount_sent_msat / 1000000000), sum(amount_sent_msat % 1000000000), \
        sum((amount_msat = 0) * amount_sent_msat / 1000000000), \
        sum((amount_msat = 0) * amount_sent_msat % 1000000000) \
    FROM payment WHERE status = 0 GROUP BY status";

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

/// The records of one status, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Their amounts together, in msat (may be above 21 million bitcoin).
    pub amount_msat: u128,
    /// What left us for them together, in msat.
    pub amount_sent_msat: u128,
    /// Of that, what left for those whose amount is unknown, which imported ones may be.
    pub sent_for_unknown_msat: u128,
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
    /// Of deletions of invoices.
    pub invoice_deleted: u64,
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

/// The errors of every operation have the two causes of [`ReadError`].
macro_rules! from_read_error {
    ($error:ident) => {
        impl From<$crate::ReadError> for $error {
            fn from(error: $crate::ReadError) -> $error {
                match error {
                    $crate::ReadError::Store(error) => $error::Store(error),
                    $crate::ReadError::Damaged(violation) => $error::Damaged(violation),
                }
            }
        }
    };
}
pub(crate) use from_read_error;

impl Ledger {
    /// The record of this part, if there is one.
    pub fn payment(
        &self,
        payment_hash: PaymentHash,
        groupid: u64,
        partid: u64,
    ) -> Result<Option<Payment>, ReadError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM payment WHERE payment_hash = ?1 AND groupid = ?2 AND partid = ?3"
        );
        let (Ok(groupid), Ok(partid)) = (i64::try_from(groupid), i64::try_from(partid)) else {
            return Ok(None);
        };
        self.store.read(|connection| {
            find_payment(
                connection,
                &statement,
                (payment_hash.as_bytes(), groupid, partid),
            )
        })
    }

    /// The largest groupid of the records of this hash (deleted ones not counted, as in CLN).
    pub fn last_groupid(&self, payment_hash: PaymentHash) -> Result<Option<u64>, ReadError> {
        self.store.read(|connection| {
            let groupid: Option<i64> = connection
                .prepare_cached("SELECT max(groupid) FROM payment WHERE payment_hash = ?1")?
                .query_row([payment_hash.as_bytes()], |row| row.get(0))?;
            Ok(groupid.map(i64::cast_unsigned))
        })
    }

    /// Whether a record of this hash was begun for this very invoice.
    pub fn knows_invoice(
        &self,
        payment_hash: PaymentHash,
        bolt11: &str,
    ) -> Result<bool, ReadError> {
        self.store.read(|connection| {
            let row = find_invoice_row(connection, &payment_hash, bolt11)?;
            Ok(row.is_some())
        })
    }

    /// All parts of one group, by partid: as many as were sent in one try.
    pub fn group(
        &self,
        payment_hash: PaymentHash,
        groupid: u64,
    ) -> Result<Vec<Payment>, ReadError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM payment WHERE payment_hash = ?1 AND groupid = ?2 ORDER BY partid"
        );
        let Ok(groupid) = i64::try_from(groupid) else {
            return Ok(Vec::new());
        };
        self.store.read(|connection| {
            find_payments(connection, &statement, (payment_hash.as_bytes(), groupid))
        })
    }

    /// The pending records of the hash, imported ones too, by `created_index`.
    pub fn pending_of(&self, payment_hash: PaymentHash) -> Result<Vec<Payment>, ReadError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM payment
             WHERE payment_hash = ?1 AND status = 0 ORDER BY created_index"
        );
        self.store
            .read(|connection| find_payments(connection, &statement, [payment_hash.as_bytes()]))
    }

    /// What is kept of deleted complete records of the hash, by `created_index`: it stays paid.
    pub fn deleted_complete(&self, payment_hash: PaymentHash) -> Result<Vec<Payment>, ReadError> {
        let statement = format!(
            "SELECT {DELETED_COLUMNS} FROM deleted
             WHERE payment_hash = ?1 AND status = 1 ORDER BY created_index"
        );
        self.store
            .read(|connection| find_payments(connection, &statement, [payment_hash.as_bytes()]))
    }

    /// Our own records that are pending, for the start check: as many as HTLCs were out.
    pub fn pending_own(&self) -> Result<Vec<Payment>, ReadError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM payment WHERE status = 0 AND origin = 0 ORDER BY created_index"
        );
        self.store
            .read(|connection| find_payments(connection, &statement, []))
    }

    /// All records summed up, by status; of what is settled kept up to date by the commits
    /// themselves.
    pub fn totals(&self) -> Result<Totals, ReadError> {
        self.store.read(|connection| {
            let mut totals = Totals::default();
            let mut statement = connection.prepare_cached(TOTALS)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Some(status) = Status::from_code(row.get(0)?) {
                    *totals.of_mut(status) = decode_sum(row)?;
                }
            }
            Ok(totals)
        })
    }

    /// The last number given of each kind (L5).
    pub fn counters(&self) -> Result<Counters, ReadError> {
        self.store.read(|connection| {
            let counters = connection
                .prepare_cached(
                    "SELECT created, updated, deleted, change, invoice_created, invoice_updated,
                         invoice_deleted, pay_index
                     FROM counter",
                )?
                .query_row([], |row| {
                    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
                    Ok(Counters {
                        created: number(0)?,
                        updated: number(1)?,
                        deleted: number(2)?,
                        change: number(3)?,
                        invoice_created: number(4)?,
                        invoice_updated: number(5)?,
                        invoice_deleted: number(6)?,
                        pay_index: number(7)?,
                    })
                })?;
            Ok(counters)
        })
    }

    /// What the operator must know. The first 100.
    pub fn warnings(&self) -> Result<Vec<Warning>, ReadError> {
        self.store.read(|connection| {
            let warnings = connection
                .prepare_cached(
                    "SELECT payment_hash, created_index, seen_at FROM late_preimage
                     ORDER BY created_index LIMIT ?1",
                )?
                .query_map([WARNINGS_MAX], |row| {
                    Ok(Warning::LatePreimage {
                        payment_hash: PaymentHash(row.get(0)?),
                        created_index: row.get::<_, i64>(1)?.cast_unsigned(),
                        seen_at_ms: row.get::<_, i64>(2)?.cast_unsigned(),
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(warnings)
        })
    }
}
