//! How a record ends: once (L2), complete only with proof (L3), failed only when certain (L4).

use std::sync::Arc;

use rusqlite::{Connection, named_params};
use sendpay_store::Ticket;

use crate::number::next_updated;
use crate::read::from_read_error;
use crate::row::sql;
use crate::text::{optional_node_row, text_row};
use crate::{
    Failure, Ledger, PaymentHash, PaymentId, Preimage, ReadError, Status, Violation, payment_id,
};

/// Which record an outcome settled. The record itself is not read back: few callers want it, and
/// it would cost as much again as the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledRecord {
    /// Its hash.
    pub payment_hash: PaymentHash,
    /// Its number.
    pub created_index: u64,
}

/// What an outcome did to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The record was pending and is settled now.
    Changed(SettledRecord),
    /// The record was settled the same way before: an event that came again. Nothing changed.
    AlreadySo,
    /// There is no such record, or none any more. Nothing changed.
    Unknown,
    /// A failure after completion: ignored (L2), and logged.
    CompleteStays,
    /// A preimage for a failed record: L4 is broken. The preimage is kept, [`Ledger::warnings`]
    /// tells, and the hash takes no new send. The record stays failed (L2).
    PreimageKept,
}

/// Why an outcome was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// L3: the preimage is not this hash's.
    #[error("the preimage does not prove payment_hash {0}")]
    NoProof(PaymentHash),
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

from_read_error!(SettleError);

impl Ledger {
    /// Makes the record complete (L2, L3). For LDK's `PaymentSent`, as often as it comes.
    pub fn complete(
        &self,
        id: PaymentId,
        payment_hash: PaymentHash,
        preimage: Preimage,
        now_ms: u64,
    ) -> Ticket<Result<Settled, SettleError>> {
        self.settle(size_of::<Preimage>(), move |connection| {
            complete(connection, &id, &payment_hash, &preimage, now_ms)
        })
    }

    /// Makes the record failed (L2). For LDK's `PaymentFailed` only, as often as it comes.
    /// Without a hash only pending records are looked through.
    pub fn fail(
        &self,
        id: PaymentId,
        payment_hash: Option<PaymentHash>,
        failure: Failure,
        now_ms: u64,
    ) -> Ticket<Result<Settled, SettleError>> {
        let bytes = size_of::<Failure>() + failure.message.len();
        self.settle(bytes, move |connection| {
            fail(connection, &id, payment_hash.as_ref(), &failure, now_ms)
        })
    }

    fn settle(
        &self,
        bytes: usize,
        call: impl FnOnce(&Connection) -> Result<Settled, SettleError> + Send + 'static,
    ) -> Ticket<Result<Settled, SettleError>> {
        let changed = Arc::clone(&self.payments_changed);
        self.store.enqueue_then(bytes, call, move |outcome| {
            if let Ok(Settled::Changed(record)) = outcome {
                changed.wake(&record.payment_hash);
            }
        })
    }
}

fn complete(
    connection: &Connection,
    id: &PaymentId,
    payment_hash: &PaymentHash,
    preimage: &Preimage,
    now_ms: u64,
) -> Result<Settled, SettleError> {
    // L3: also where the record is failed or gone.
    if preimage.payment_hash() != *payment_hash {
        return Err(SettleError::NoProof(*payment_hash));
    }
    let Some(found) = find(connection, id, payment_hash)? else {
        return Ok(Settled::Unknown);
    };
    match (found.status, found.deleted) {
        (Status::Pending, _) => {
            let changed = complete_row(connection, found.created_index, preimage, now_ms)?;
            Ok(found.settled(changed))
        }
        (Status::Complete, false) => Ok(Settled::AlreadySo),
        (Status::Complete, true) => Ok(Settled::Unknown),
        // A deleted one too: the money has left us, and nothing else remembers it (L7).
        (Status::Failed, _) => {
            keep_late_preimage(
                connection,
                found.created_index,
                payment_hash,
                preimage,
                now_ms,
            )?;
            Ok(Settled::PreimageKept)
        }
    }
}

fn fail(
    connection: &Connection,
    id: &PaymentId,
    payment_hash: Option<&PaymentHash>,
    failure: &Failure,
    now_ms: u64,
) -> Result<Settled, SettleError> {
    let found = match payment_hash {
        Some(payment_hash) => find(connection, id, payment_hash)?,
        None => find_pending(connection, id)?,
    };
    let Some(found) = found.filter(|found| !found.deleted) else {
        return Ok(Settled::Unknown);
    };
    match found.status {
        Status::Pending => {
            let changed = fail_row(connection, found.created_index, failure, now_ms)?;
            Ok(found.settled(changed))
        }
        Status::Failed => Ok(Settled::AlreadySo),
        Status::Complete => {
            tracing::warn!(
                created_index = found.created_index,
                "a failure came for a complete payment; it stays complete"
            );
            Ok(Settled::CompleteStays)
        }
    }
}

/// A record that an event is about.
struct Found {
    created_index: i64,
    payment_hash: PaymentHash,
    status: Status,
    deleted: bool,
}

impl Found {
    fn settled(&self, changed: bool) -> Settled {
        match changed {
            true => Settled::Changed(SettledRecord {
                payment_hash: self.payment_hash,
                created_index: self.created_index.cast_unsigned(),
            }),
            false => Settled::AlreadySo,
        }
    }
}

/// The record of our own with this id. The id is not stored: the records of the hash are few, and
/// comparing keeps an event of a deleted record from ever meeting a later one.
fn find(
    connection: &Connection,
    id: &PaymentId,
    payment_hash: &PaymentHash,
) -> Result<Option<Found>, ReadError> {
    // In no order: the id says which of them it is.
    let live = "SELECT created_index, groupid, partid, status, payment_hash FROM payment
        WHERE payment_hash = ?1 AND origin = 0";
    let deleted = "SELECT created_index, groupid, partid, status, payment_hash FROM deleted
        WHERE payment_hash = ?1 AND origin = 0";
    let hash = [payment_hash.as_bytes()];
    if let Some(found) = find_by_id(connection, live, hash, id)? {
        return Ok(Some(found));
    }
    let found = find_by_id(connection, deleted, hash, id)?;
    Ok(found.map(|found| Found {
        deleted: true,
        ..found
    }))
}

fn find_pending(connection: &Connection, id: &PaymentId) -> Result<Option<Found>, ReadError> {
    let pending = "SELECT created_index, groupid, partid, status, payment_hash FROM payment
        WHERE status = 0 AND origin = 0";
    find_by_id(connection, pending, [], id)
}

fn find_by_id(
    connection: &Connection,
    statement: &str,
    params: impl rusqlite::Params,
    id: &PaymentId,
) -> Result<Option<Found>, ReadError> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let created_index: i64 = row.get(0)?;
        let (groupid, partid): (i64, i64) = (row.get(1)?, row.get(2)?);
        let payment_hash = PaymentHash(row.get(4)?);
        let its_id = payment_id(
            &payment_hash,
            groupid.cast_unsigned(),
            partid.cast_unsigned(),
            created_index.cast_unsigned(),
        );
        if its_id == *id {
            let status = Status::from_code(row.get(3)?).ok_or(Violation::Value {
                created_index: created_index.cast_unsigned(),
                column: "status",
            })?;
            return Ok(Some(Found {
                created_index,
                payment_hash,
                status,
                deleted: false,
            }));
        }
    }
    Ok(None)
}

/// Makes a pending record complete; false if it is not pending (L2). The caller has proved the
/// preimage (L3).
pub(crate) fn complete_row(
    connection: &Connection,
    created_index: i64,
    preimage: &Preimage,
    now_ms: u64,
) -> Result<bool, rusqlite::Error> {
    let numbers = next_updated(connection)?;
    let changed = connection
        .prepare_cached(
            "UPDATE payment SET status = 1, preimage = ?2, completed_at = max(created_at, ?3),
                 updated_index = ?4, settled_change = ?5
             WHERE created_index = ?1 AND status = 0",
        )?
        .execute((
            created_index,
            preimage.as_bytes(),
            sql(now_ms),
            numbers.index,
            numbers.change,
        ))?;
    Ok(changed > 0)
}

/// Makes a pending record failed; false if it is not pending (L2).
pub(crate) fn fail_row(
    connection: &Connection,
    created_index: i64,
    failure: &Failure,
    now_ms: u64,
) -> Result<bool, rusqlite::Error> {
    let erring_node = optional_node_row(connection, failure.erring_node.as_ref())?;
    let message = text_row(connection, &failure.message)?;
    let numbers = next_updated(connection)?;
    let changed = connection
        .prepare_cached(
            "UPDATE payment SET status = 2, completed_at = max(created_at, :now),
                 updated_index = :updated_index, settled_change = :settled_change, code = :code,
                 failcode = :failcode, erring_index = :erring_index, erring_node = :erring_node,
                 erring_channel = :erring_channel, erring_direction = :erring_direction,
                 message = :message
             WHERE created_index = :created_index AND status = 0",
        )?
        .execute(named_params! {
            ":created_index": created_index,
            ":now": sql(now_ms),
            ":updated_index": numbers.index,
            ":settled_change": numbers.change,
            ":code": failure.code,
            ":failcode": failure.failcode,
            ":erring_index": failure.erring_index,
            ":erring_node": erring_node,
            ":erring_channel": failure.erring_channel.map(u64::cast_signed),
            ":erring_direction": failure.erring_direction,
            ":message": message,
        })?;
    Ok(changed > 0)
}

/// L4 was broken: the proof is kept, and the hash takes no new send.
pub(crate) fn keep_late_preimage(
    connection: &Connection,
    created_index: i64,
    payment_hash: &PaymentHash,
    preimage: &Preimage,
    now_ms: u64,
) -> Result<(), rusqlite::Error> {
    let new = connection
        .prepare_cached(
            "INSERT INTO late_preimage (payment_hash, preimage, created_index, seen_at)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute((
            payment_hash.as_bytes(),
            preimage.as_bytes(),
            created_index,
            sql(now_ms),
        ))?;
    if new > 0 {
        tracing::error!(
            %payment_hash,
            created_index,
            "L4 broken: a failed payment was claimed; its preimage is kept and its hash takes no new send"
        );
    }
    Ok(())
}
