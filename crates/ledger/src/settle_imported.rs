//! `settleimported`: what the operator knows of imported records that are pending. Nothing else ends
//! them: the node that sent them is not this one, and no event of ours is about them.

use std::sync::Arc;

use rusqlite::Connection;
use sendpay_store::Ticket;

use crate::read::from_read_error;
use crate::row::{COLUMNS, find_payments, sql};
use crate::settle::{complete_row, fail_row, keep_late_preimage};
use crate::{
    Failure, ImportedEnd, Ledger, Payment, PaymentHash, Preimage, ReadError, Status, Violation,
};

/// CLN's `PAY_UNSPECIFIED_ERROR`.
const UNSPECIFIED: i32 = 209;

/// Why an imported record was not settled. L2, L3 and L4 hold for them as for all others.
#[derive(Debug, thiserror::Error)]
pub enum SettleImportedError {
    /// L3: the preimage is not this hash's (-32602).
    #[error("payment_preimage does not prove payment_hash {0}")]
    NoProof(PaymentHash),
    /// No record of this hash was imported (208).
    #[error("No imported payment with payment_hash: {0}")]
    Unknown(PaymentHash),
    /// None of them is pending, and none ended so (211). A preimage that came is kept: the hash
    /// takes no new send.
    #[error("payment_hash={payment_hash} is {status} already")]
    Settled {
        /// The hash.
        payment_hash: PaymentHash,
        /// How it ended.
        status: Status,
    },
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

from_read_error!(SettleImportedError);

impl Ledger {
    /// Settles all imported records of this hash that are pending, and returns them: complete with
    /// the preimage, or failed for this reason. If none is pending, those that ended so before are
    /// returned, unchanged.
    pub fn settle_imported(
        &self,
        payment_hash: PaymentHash,
        outcome: Result<Preimage, Failure>,
        now_ms: u64,
    ) -> Ticket<Result<Vec<Payment>, SettleImportedError>> {
        let changed = Arc::clone(&self.payments_changed);
        let bytes = outcome.as_ref().map_or_else(|why| why.message.len(), |_| 0);
        self.store.enqueue_finish(
            size_of::<Failure>() + bytes,
            move |connection| settle(connection, &payment_hash, &outcome, now_ms),
            move |done: Result<_, SettleImportedError>| match done? {
                Done::Now(payments) => {
                    changed.wake(&payment_hash);
                    Ok(payments)
                }
                Done::Before(payments) => Ok(payments),
                Done::Otherwise(status) => Err(SettleImportedError::Settled {
                    payment_hash,
                    status,
                }),
            },
        )
    }
}

/// An imported record that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedPending {
    /// Its number here.
    pub created_index: u64,
    /// Its number at the node it comes from.
    pub origin_id: i64,
    /// What is paid.
    pub payment_hash: PaymentHash,
}

impl Ledger {
    /// What was imported of this node and is pending: as many as HTLCs were out there.
    pub fn imported_pending(&self, origin: &str) -> Result<Vec<ImportedPending>, ReadError> {
        self.store.read(|connection| {
            let pending = connection
                .prepare_cached(
                    "SELECT created_index, origin_id, payment_hash FROM payment
                     WHERE status = 0 AND origin = (SELECT id FROM origin WHERE name = ?1)
                         AND origin <> 0",
                )?
                .query_map([origin], |row| {
                    Ok(ImportedPending {
                        created_index: row.get::<_, i64>(0)?.cast_unsigned(),
                        origin_id: row.get(1)?,
                        payment_hash: PaymentHash(row.get(2)?),
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(pending)
        })
    }

    /// The node that a pending record was imported from has settled it since. True if that was
    /// recorded now; false if it says pending still, or the record is settled already (L2).
    pub fn end_imported(
        &self,
        record: ImportedPending,
        end: ImportedEnd,
    ) -> Ticket<Result<bool, SettleImportedError>> {
        let changed = Arc::clone(&self.payments_changed);
        self.store.enqueue_then(
            size_of::<ImportedEnd>(),
            move |connection| end_one(connection, &record, &end),
            move |outcome| {
                if let Ok(true) = outcome {
                    changed.wake(&record.payment_hash);
                }
            },
        )
    }
}

fn end_one(
    connection: &Connection,
    record: &ImportedPending,
    end: &ImportedEnd,
) -> Result<bool, SettleImportedError> {
    let created_index = sql(record.created_index);
    let is_pending = connection
        .prepare_cached(
            "SELECT 1 FROM payment WHERE created_index = ?1 AND payment_hash = ?2
                 AND status = 0 AND origin <> 0",
        )?
        .exists((created_index, record.payment_hash.as_bytes()))?;
    match end {
        _ if !is_pending => Ok(false),
        ImportedEnd::Pending => Ok(false),
        ImportedEnd::Complete { preimage, at_ms } => {
            if preimage.payment_hash() != record.payment_hash {
                return Err(SettleImportedError::NoProof(record.payment_hash));
            }
            Ok(complete_row(connection, created_index, preimage, *at_ms)?.is_some())
        }
        ImportedEnd::Failed { failure, at_ms, .. } => {
            let unknown = || Failure {
                code: UNSPECIFIED,
                failcode: None,
                erring_index: None,
                erring_node: None,
                erring_channel: None,
                erring_direction: None,
                message: "Payment failure reason unknown".to_owned(),
            };
            let failure = failure.clone().unwrap_or_else(unknown);
            Ok(fail_row(connection, created_index, &failure, *at_ms)?.is_some())
        }
    }
}

/// What stays of the call, an error to the caller or not.
enum Done {
    Now(Vec<Payment>),
    Before(Vec<Payment>),
    Otherwise(Status),
}

fn settle(
    connection: &Connection,
    payment_hash: &PaymentHash,
    outcome: &Result<Preimage, Failure>,
    now_ms: u64,
) -> Result<Done, SettleImportedError> {
    if let Ok(preimage) = outcome
        && preimage.payment_hash() != *payment_hash
    {
        return Err(SettleImportedError::NoProof(*payment_hash));
    }
    let mut payments = find_payments(
        connection,
        &format!(
            "SELECT {COLUMNS} FROM payment WHERE payment_hash = ?1 AND origin <> 0
             ORDER BY +created_index"
        ),
        [payment_hash.as_bytes()],
    )?;
    let Some(last) = payments.last() else {
        return Err(SettleImportedError::Unknown(*payment_hash));
    };
    let last = (last.created_index, last.status);
    if payments
        .iter()
        .any(|payment| payment.status == Status::Pending)
    {
        payments.retain(|payment| payment.status == Status::Pending);
        return end(connection, &payments, outcome, now_ms).map(Done::Now);
    }
    let is_complete = |payment: &Payment| payment.status == Status::Complete;
    match (payments.iter().any(is_complete), outcome) {
        (true, Ok(_)) => {
            payments.retain(is_complete);
            Ok(Done::Before(payments))
        }
        (false, Err(_)) => Ok(Done::Before(payments)),
        (true, Err(_)) => Ok(Done::Otherwise(Status::Complete)),
        (false, Ok(preimage)) => {
            keep_late_preimage(connection, sql(last.0), payment_hash, preimage, now_ms)?;
            Ok(Done::Otherwise(last.1))
        }
    }
}

fn end(
    connection: &Connection,
    pending: &[Payment],
    outcome: &Result<Preimage, Failure>,
    now_ms: u64,
) -> Result<Vec<Payment>, SettleImportedError> {
    let mut ended = Vec::with_capacity(pending.len());
    for payment in pending {
        let created_index = sql(payment.created_index);
        let payment = match outcome {
            Ok(preimage) => complete_row(connection, created_index, preimage, now_ms)?,
            Err(failure) => fail_row(connection, created_index, failure, now_ms)?,
        };
        let gone = || ReadError::Store(rusqlite::Error::QueryReturnedNoRows);
        ended.push(payment.ok_or_else(gone)?);
    }
    Ok(ended)
}
