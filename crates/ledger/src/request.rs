//! Requests with a key of the caller's own: asked for again, before or after a crash, the first one is
//! the answer (L7).
//!
//! A key is kept in the commit that makes the first record of its request, so there is never one
//! without the other. A request that recorded nothing sent nothing, and leaves its key free. Keys are
//! kept for good, as tombstones are.

use rusqlite::{Connection, OptionalExtension as _};
use sendpay_store::Ticket;

use crate::read::from_read_error;
use crate::row::{deleted_payment, live_payment, sql};
use crate::{BeginError, Begun, Ledger, NewPayment, PaymentHash, ReadError, Status, Violation};

/// Longest key, in bytes: room for any kind of id with a name before it, and none for documents.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// A caller's key, and what it was given for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The key, of at most [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub key: String,
    /// SHA256 of the request, in a form that is the same for the same request.
    pub request_hash: [u8; 32],
}

/// What is kept of a request with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRequest {
    /// As in [`RequestKey`].
    pub request_hash: [u8; 32],
    /// What it pays.
    pub payment_hash: PaymentHash,
    /// The try that it began, or was answered with.
    pub groupid: u64,
    /// When, in ms since 1970.
    pub created_at_ms: u64,
}

/// Why a request's key was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepRequestError {
    /// It stands for another request (-32602).
    #[error("idempotency_key: was given for another request before")]
    OtherRequest,
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A row that cannot be was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

from_read_error!(KeepRequestError);

impl Ledger {
    /// What this key stands for; None while it is free.
    pub fn request(&self, key: &str) -> Result<Option<KeptRequest>, ReadError> {
        self.store.read(|connection| find(connection, key))
    }

    /// Keeps the key of a request that was answered with an earlier try and recorded nothing.
    pub fn keep_request(
        &self,
        request: RequestKey,
        payment_hash: PaymentHash,
        groupid: u64,
        now_ms: u64,
    ) -> Ticket<Result<(), KeepRequestError>> {
        let bytes = size_of::<RequestKey>() + request.key.len();
        self.store.enqueue(bytes, move |connection| {
            match find(connection, &request.key)? {
                None => Ok(keep(connection, &request, payment_hash, groupid, now_ms)?),
                Some(kept) if kept.request_hash == request.request_hash => Ok(()),
                Some(_) => Err(KeepRequestError::OtherRequest),
            }
        })
    }
}

fn find(connection: &Connection, key: &str) -> Result<Option<KeptRequest>, ReadError> {
    let row = connection
        .prepare_cached(
            "SELECT request_hash, payment_hash, groupid, created_at FROM request
             WHERE idempotency_key = ?1",
        )?
        .query_row([key], |row| {
            Ok(KeptRequest {
                request_hash: row.get(0)?,
                payment_hash: PaymentHash(row.get(1)?),
                groupid: row.get::<_, i64>(2)?.cast_unsigned(),
                created_at_ms: row.get::<_, i64>(3)?.cast_unsigned(),
            })
        })
        .optional()?;
    Ok(row)
}

/// Keeps a key that is free, inside a call.
pub(crate) fn keep(
    connection: &Connection,
    request: &RequestKey,
    payment_hash: PaymentHash,
    groupid: u64,
    now_ms: u64,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO request (idempotency_key, request_hash, payment_hash, groupid, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            &request.key,
            request.request_hash,
            payment_hash.as_bytes(),
            sql(groupid),
            sql(now_ms),
        ))?;
    Ok(())
}

/// The part that was begun with the same key, as it stands now; None while the key is free.
pub(crate) fn begun_with_key(
    connection: &Connection,
    new: &NewPayment,
) -> Result<Option<Begun>, BeginError> {
    let Some(request) = &new.request else {
        return Ok(None);
    };
    let Some(kept) = find(connection, &request.key)? else {
        return Ok(None);
    };
    if kept.request_hash != request.request_hash {
        return Err(BeginError::OtherRequest);
    }
    let of_another = BeginError::KeyTaken {
        payment_hash: kept.payment_hash,
        groupid: kept.groupid,
    };
    if kept.payment_hash != new.payment_hash {
        return Err(of_another);
    }
    let part = (
        kept.payment_hash.as_bytes(),
        sql(kept.groupid),
        sql(new.partid),
    );
    let number = |table: &str| {
        connection
            .prepare_cached(&format!(
                "SELECT created_index FROM {table}
                 WHERE payment_hash = ?1 AND groupid = ?2 AND partid = ?3"
            ))?
            .query_row(part, |row| row.get::<_, i64>(0))
            .optional()
    };
    let payment = match number("payment")? {
        Some(number) => live_payment(connection, number)?,
        None => match number("deleted")? {
            Some(number) => deleted_payment(connection, number)?,
            None => None,
        },
    };
    match payment {
        Some(payment) => Ok(Some(match payment.status {
            Status::Pending => Begun::Pending(payment),
            Status::Complete => Begun::Complete(payment),
            Status::Failed => Begun::Failed(payment),
        })),
        None => Err(of_another),
    }
}
