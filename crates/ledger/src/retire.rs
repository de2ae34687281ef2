//! Removing old records: which are old enough, and their removal, a few to a commit.
//!
//! What decides is the caller's word: times before which records are old. A record stays while a
//! part of its group is pending, and while its hash has a late preimage (L4 was broken: the record
//! is evidence). A removal is a deletion like any other: numbered (L5), and what L7 needs is kept
//! (`delete.rs`).

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use sendpay_store::Ticket;

use crate::delete::bury;
use crate::row::{COLUMNS, decode_payment, sql};
use crate::{Ledger, Payment, PaymentHash, ReadError, Status};

/// Most records removed by one commit: a millisecond or two of the writer, which is the longest
/// that a payment waits behind it.
pub const RETIRED_A_COMMIT_MAX: usize = 16;

/// Most rows looked at by one read: some milliseconds of a reader.
const ROWS_LOOKED_AT_MAX: usize = 1024;

/// Which records are old: those settled before these times, in ms since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged {
    /// Complete ones; `None` for none of them.
    pub complete_before_ms: Option<u64>,
    /// Failed ones; `None` for none of them.
    pub failed_before_ms: Option<u64>,
}

/// Old records, and where to look for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgedPage {
    /// The records, by `updated_index`.
    pub payments: Vec<Payment>,
    /// The `updated_index` to look on after; `None` when there are no more.
    pub next: Option<u64>,
}

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A commit is to stay small.
    #[error("{0} records are more than the {RETIRED_A_COMMIT_MAX} of one commit")]
    TooMany(usize),
}

impl Aged {
    /// The time before which records with this status are old.
    fn before_ms(&self, status: Status) -> Option<u64> {
        match status {
            Status::Pending => None,
            Status::Complete => self.complete_before_ms,
            Status::Failed => self.failed_before_ms,
        }
    }
}

/// What a look at a record says.
enum Look {
    Old,
    /// Old, and must stay.
    Held,
    Young,
    /// Its status is kept for good.
    Kept,
}

impl Ledger {
    /// The next old records in the order of their settlement, at most `rows_max`, after that
    /// `updated_index`. A page may have fewer, even none, and not be the last (L6).
    ///
    /// It ends at the first stretch of a thousand records that has only younger ones: what settled
    /// after them is younger, but for clocks that went back. Such records are found once those
    /// before them have gone.
    pub fn aged(&self, aged: &Aged, after: u64, rows_max: usize) -> Result<AgedPage, ReadError> {
        self.aged_looking_at(ROWS_LOOKED_AT_MAX, aged, after, rows_max)
    }

    /// As [`Ledger::aged`], with that bound on the rows looked at.
    pub(crate) fn aged_looking_at(
        &self,
        looked_at_max: usize,
        aged: &Aged,
        after: u64,
        rows_max: usize,
    ) -> Result<AgedPage, ReadError> {
        let limit = i64::try_from(looked_at_max).unwrap_or(i64::MAX);
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(&aged_statement(aged))?;
            let mut rows = statement.query((sql(after), limit))?;
            let mut payments = Vec::new();
            let (mut looked_at, mut old, mut young, mut last) = (0, 0, 0, None);
            while payments.len() < rows_max
                && let Some(row) = rows.next()?
            {
                looked_at += 1;
                let payment = decode_payment(row)?;
                last = payment.updated_index;
                match look(connection, aged, &payment)? {
                    Look::Old => payments.push(payment),
                    Look::Held => old += 1,
                    Look::Young => young += 1,
                    Look::Kept => {}
                }
            }
            let full = payments.len() >= rows_max;
            let only_young = payments.is_empty() && old == 0 && young > 0;
            let more = full || (looked_at >= looked_at_max && !only_young);
            Ok(AgedPage {
                payments,
                next: last.filter(|_| more),
            })
        })
    }

    /// Removes these records in one commit, at most [`RETIRED_A_COMMIT_MAX`]. What is gone, pending
    /// or must stay is left alone. Resolves to how many were removed.
    pub fn retire(
        &self,
        created_indexes: Vec<u64>,
        now_ms: u64,
    ) -> Ticket<Result<usize, RetireError>> {
        let changed = Arc::clone(&self.payments_changed);
        self.store.enqueue_finish(
            size_of_val(created_indexes.as_slice()),
            move |connection| retire(connection, &created_indexes, now_ms),
            move |outcome: Result<Vec<PaymentHash>, RetireError>| {
                let hashes = outcome?;
                hashes.iter().for_each(|hash| changed.wake(hash));
                Ok(hashes.len())
            },
        )
    }
}

/// The statement of a page: ?1 is the `updated_index` it begins after, ?2 the limit. Where only
/// failed ones can be old, it walks only those.
pub(crate) fn aged_statement(aged: &Aged) -> String {
    let (index, status) = match aged.complete_before_ms {
        None => ("INDEXED BY payment_failed_updated", "AND status = 2"),
        Some(_) => ("", ""),
    };
    format!(
        "SELECT {COLUMNS} FROM payment {index} WHERE updated_index > ?1 {status}
         ORDER BY updated_index LIMIT ?2"
    )
}

fn look(connection: &Connection, aged: &Aged, payment: &Payment) -> Result<Look, ReadError> {
    let (Some(before_ms), Some(at_ms)) = (aged.before_ms(payment.status), payment.completed_at_ms)
    else {
        return Ok(Look::Kept);
    };
    if at_ms >= before_ms {
        return Ok(Look::Young);
    }
    let removable = removable(connection, sql(payment.created_index))?;
    Ok(removable.map_or(Look::Held, |_| Look::Old))
}

/// The hash of the record if it may be removed.
fn removable(
    connection: &Connection,
    created_index: i64,
) -> Result<Option<PaymentHash>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT payment_hash FROM payment WHERE created_index = ?1 AND status <> 0
                 AND NOT EXISTS (SELECT 1 FROM payment AS part
                     WHERE part.payment_hash = payment.payment_hash
                         AND part.groupid = payment.groupid AND part.status = 0)
                 AND NOT EXISTS (SELECT 1 FROM late_preimage
                     WHERE late_preimage.payment_hash = payment.payment_hash)",
        )?
        .query_row([created_index], |row| row.get(0).map(PaymentHash))
        .optional()
}

fn retire(
    connection: &Connection,
    created_indexes: &[u64],
    now_ms: u64,
) -> Result<Vec<PaymentHash>, RetireError> {
    if created_indexes.len() > RETIRED_A_COMMIT_MAX {
        return Err(RetireError::TooMany(created_indexes.len()));
    }
    let mut hashes = Vec::with_capacity(created_indexes.len());
    for created_index in created_indexes {
        let created_index = sql(*created_index);
        if let Some(hash) = removable(connection, created_index)? {
            bury(connection, created_index, now_ms)?;
            hashes.push(hash);
        }
    }
    Ok(hashes)
}
