//! `delpay`: removing settled records, numbered like every change (L5), without ever making a
//! hash payable twice (L7): what L7 needs to know stays in `deleted`.

use std::sync::Arc;

use rusqlite::Connection;
use sendpay_store::Ticket;

use crate::number::next_deleted;
use crate::read::from_read_error;
use crate::row::{COLUMNS, find_payments, sql};
use crate::{Ledger, Payment, PaymentHash, Status, Violation};

/// Why nothing was deleted. `Display` is CLN's text.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// Pending records are never deleted (-32602).
    #[error("status: Cannot delete pending status")]
    Pending,
    /// No record of this hash (208).
    #[error("Unknown payment with payment_hash: {0}")]
    UnknownHash(PaymentHash),
    /// There are records, none with that status (208).
    #[error(
        "Payment with hash {payment_hash} has {has} status but it different from the one provided {asked}"
    )]
    OtherStatus {
        /// The hash.
        payment_hash: PaymentHash,
        /// The status of the last of them.
        has: Status,
        /// The status asked for.
        asked: Status,
    },
    /// There are records, none for that part of that group (208).
    #[error("No payment for that payment_hash with that partid and groupid")]
    UnknownPart,
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

from_read_error!(DeleteError);

impl Ledger {
    /// Deletes the records of this hash with this status, or the one with this
    /// `(groupid, partid)`, and returns them in the order of creation.
    pub fn delete(
        &self,
        payment_hash: PaymentHash,
        status: Status,
        part: Option<(u64, u64)>,
        now_ms: u64,
    ) -> Ticket<Result<Vec<Payment>, DeleteError>> {
        let changed = Arc::clone(&self.payments_changed);
        self.store.enqueue_then(
            size_of::<PaymentHash>(),
            move |connection| delete(connection, &payment_hash, status, part, now_ms),
            move |outcome| {
                if outcome.is_ok() {
                    changed.wake(&payment_hash);
                }
            },
        )
    }
}

fn delete(
    connection: &Connection,
    payment_hash: &PaymentHash,
    status: Status,
    part: Option<(u64, u64)>,
    now_ms: u64,
) -> Result<Vec<Payment>, DeleteError> {
    if status == Status::Pending {
        return Err(DeleteError::Pending);
    }
    let mut payments = find_payments(
        connection,
        &format!("SELECT {COLUMNS} FROM payment WHERE payment_hash = ?1 ORDER BY +created_index"),
        [payment_hash.as_bytes()],
    )?;
    if payments.is_empty() {
        return Err(DeleteError::UnknownHash(*payment_hash));
    }
    payments.retain(|payment| part.is_none_or(|part| part == (payment.groupid, payment.partid)));
    // CLN names the last one that does not match.
    let other = payments.iter().rfind(|payment| payment.status != status);
    let other = other.map(|payment| payment.status);
    payments.retain(|payment| payment.status == status);
    match (payments.is_empty(), other) {
        (true, Some(has)) => {
            return Err(DeleteError::OtherStatus {
                payment_hash: *payment_hash,
                has,
                asked: status,
            });
        }
        (true, None) => return Err(DeleteError::UnknownPart),
        (false, _) => {}
    }
    for payment in &payments {
        bury(connection, sql(payment.created_index), now_ms)?;
    }
    Ok(payments)
}

/// Writes the log of the deletion first: the schema lets no record go without (L5, L7).
pub(crate) fn bury(
    connection: &Connection,
    created_index: i64,
    now_ms: u64,
) -> Result<(), rusqlite::Error> {
    let numbers = next_deleted(connection)?;
    connection
        .prepare_cached(
            "INSERT INTO deleted (change, deleted_index, created_index, created_change,
                 updated_index, settled_change, payment_hash, groupid, partid, status, amount_msat,
                 amount_sent_msat, total_msat, destination, created_at, completed_at, deleted_at,
                 preimage, origin)
             SELECT ?1, ?2, created_index, created_change, updated_index, settled_change,
                 payment_hash, groupid, partid, status, amount_msat, amount_sent_msat, total_msat,
                 destination, created_at, completed_at, ?3, preimage, origin
             FROM payment WHERE created_index = ?4",
        )?
        .execute((numbers.change, numbers.index, sql(now_ms), created_index))?;
    connection
        .prepare_cached("DELETE FROM payment WHERE created_index = ?1")?
        .execute([created_index])?;
    Ok(())
}
