//! How invoices end that were not paid, and how they go: lapsing, `delinvoice`, and the removal of a
//! description. Each is numbered like every change of an invoice (L5).
//!
//! Whether a payment of the invoice is being claimed is not known here: the caller sees to it that
//! none is.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use sendpay_store::Ticket;

use crate::invoice_book::{gone, invoice_by_hash, invoice_by_label};
use crate::number::{next_invoice_deleted, next_invoice_updated};
use crate::read::from_read_error;
use crate::row::sql;
use crate::{
    Indexed, Invoice, InvoiceState, InvoiceStatus, Ledger, PaymentHash, ReadError, Violation,
};

/// What is kept of an invoice that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedInvoice {
    /// Its number in the order of creation.
    pub created_index: u64,
    /// What was, or would have been, paid.
    pub payment_hash: PaymentHash,
    /// The name it was asked for by; another may have it now.
    pub label: String,
    /// Where it stood.
    pub status: InvoiceStatus,
    /// When it was deleted, in ms since 1970.
    pub deleted_at_ms: u64,
}

/// Why an invoice, or its description, was not removed. `Display` is CLN's text where CLN has one.
#[derive(Debug, thiserror::Error)]
pub enum DeleteInvoiceError {
    /// There is no such invoice (905).
    #[error("Unknown invoice")]
    Unknown,
    /// It stands elsewhere (906).
    #[error("Invoice status is {current} not {expected}")]
    Status {
        /// Where it stands.
        current: InvoiceStatus,
        /// The word that was given.
        expected: String,
    },
    /// A payment of it is held (906).
    #[error("a payment of the invoice is held: settle or cancel it first")]
    Held,
    /// It has no description any more (908).
    #[error("Invoice description already removed")]
    NoDescription,
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// An invoice that cannot be was found.
    #[error("the ledger holds an invoice that cannot be")]
    Damaged(#[from] Violation),
}

from_read_error!(DeleteInvoiceError);

impl Ledger {
    /// Removes the invoice of this label, if its status is the given word, and returns it as it was.
    /// One that is held is never removed.
    pub fn delete_invoice(
        &self,
        label: String,
        expected: String,
        now_ms: u64,
    ) -> Ticket<Result<Invoice, DeleteInvoiceError>> {
        self.end_invoice(label.len(), move |connection| {
            let invoice = with_status(connection, &label, &expected, now_ms)?;
            if invoice.state == InvoiceState::Held {
                return Err(DeleteInvoiceError::Held);
            }
            delete(connection, &invoice, now_ms)?;
            Ok(invoice)
        })
    }

    /// Removes the description of the invoice of this label, if its status is the given word, and
    /// returns the invoice without it.
    pub fn forget_description(
        &self,
        label: String,
        expected: String,
        now_ms: u64,
    ) -> Ticket<Result<Invoice, DeleteInvoiceError>> {
        self.end_invoice(label.len(), move |connection| {
            let invoice = with_status(connection, &label, &expected, now_ms)?;
            if invoice.description.is_none() {
                return Err(DeleteInvoiceError::NoDescription);
            }
            connection
                .prepare_cached(
                    "UPDATE invoice SET description = NULL, updated_index = ?2
                     WHERE payment_hash = ?1",
                )?
                .execute((
                    invoice.payment_hash.as_bytes(),
                    next_invoice_updated(connection)?,
                ))?;
            Ok(invoice_by_hash(connection, &invoice.payment_hash)?.ok_or_else(gone)?)
        })
    }

    fn end_invoice(
        &self,
        bytes: usize,
        call: impl FnOnce(&Connection) -> Result<Invoice, DeleteInvoiceError> + Send + 'static,
    ) -> Ticket<Result<Invoice, DeleteInvoiceError>> {
        let changed = Arc::clone(&self.invoices_changed);
        self.store
            .enqueue_then(size_of::<Invoice>() + bytes, call, move |outcome| {
                if let Ok(invoice) = outcome {
                    changed.wake(&invoice.payment_hash);
                }
            })
    }

    /// Open becomes expired, if its time is over. Says whether it did.
    pub fn invoice_expired(
        &self,
        payment_hash: PaymentHash,
        now_ms: u64,
    ) -> Ticket<Result<bool, ReadError>> {
        let changed = Arc::clone(&self.invoices_changed);
        self.store.enqueue_then(
            size_of::<PaymentHash>(),
            move |connection| expire(connection, &payment_hash, now_ms),
            move |outcome| {
                if let Ok(true) = outcome {
                    changed.wake(&payment_hash);
                }
            },
        )
    }

    /// The open invoices of this node that lapse first from that time on, and when each does, in ms
    /// since 1970; at most `rows_max`.
    pub fn lapsing_invoices(
        &self,
        from_ms: u64,
        rows_max: usize,
    ) -> Result<Vec<(PaymentHash, u64)>, ReadError> {
        let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
        self.store.read(|connection| {
            let found = connection
                .prepare_cached(
                    "SELECT payment_hash, expires_at FROM invoice
                     WHERE state = 0 AND origin = 0 AND expires_at >= ?1
                     ORDER BY expires_at LIMIT ?2",
                )?
                .query_map([sql(from_ms), rows_max], |row| {
                    let expires_at_ms = row.get::<_, i64>(1)?.cast_unsigned();
                    Ok((PaymentHash(row.get(0)?), expires_at_ms))
                })?
                .collect::<Result<_, _>>()?;
            Ok(found)
        })
    }

    /// The first deletion of an invoice at or after this index.
    pub fn first_deleted_invoice(
        &self,
        from: u64,
    ) -> Result<Option<Indexed<DeletedInvoice>>, ReadError> {
        self.store.read(|connection| {
            let found = connection
                .prepare_cached(
                    "SELECT deleted_index, created_index, payment_hash, label, status, deleted_at
                     FROM deleted_invoice WHERE deleted_index >= ?1 ORDER BY deleted_index LIMIT 1",
                )?
                .query_row([sql(from)], |row| {
                    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
                    let index = number(0)?;
                    let created_index = number(1)?;
                    let status = InvoiceStatus::from_code(row.get(4)?).ok_or(Violation::Value {
                        created_index,
                        column: "status",
                    });
                    let kept = DeletedInvoice {
                        created_index,
                        payment_hash: PaymentHash(row.get(2)?),
                        label: row.get(3)?,
                        status: InvoiceStatus::Unpaid,
                        deleted_at_ms: number(5)?,
                    };
                    Ok(status.map(|status| Indexed {
                        index,
                        record: DeletedInvoice { status, ..kept },
                    }))
                })
                .optional()?;
            Ok(found.transpose()?)
        })
    }
}

fn with_status(
    connection: &Connection,
    label: &str,
    expected: &str,
    now_ms: u64,
) -> Result<Invoice, DeleteInvoiceError> {
    let invoice = invoice_by_label(connection, label)?.ok_or(DeleteInvoiceError::Unknown)?;
    let current = invoice.status(now_ms);
    if current.as_str() != expected {
        let expected = expected.to_owned();
        return Err(DeleteInvoiceError::Status { current, expected });
    }
    Ok(invoice)
}

/// Writes the log of the deletion first: the schema lets no invoice go without (L5).
fn delete(connection: &Connection, invoice: &Invoice, now_ms: u64) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO deleted_invoice (deleted_index, created_index, payment_hash, label, status,
                 deleted_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            next_invoice_deleted(connection)?,
            sql(invoice.created_index),
            invoice.payment_hash.as_bytes(),
            &invoice.label,
            invoice.status(now_ms).code(),
            sql(now_ms),
        ))?;
    connection
        .prepare_cached("DELETE FROM invoice WHERE created_index = ?1")?
        .execute([sql(invoice.created_index)])?;
    Ok(())
}

fn expire(
    connection: &Connection,
    payment_hash: &PaymentHash,
    now_ms: u64,
) -> Result<bool, ReadError> {
    let due = invoice_by_hash(connection, payment_hash)?.filter(|invoice| {
        invoice.own && invoice.state == InvoiceState::Open && invoice.expired(now_ms)
    });
    if due.is_none() {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "UPDATE invoice SET state = 4, updated_index = ?2
             WHERE payment_hash = ?1 AND state = 0",
        )?
        .execute((payment_hash.as_bytes(), next_invoice_updated(connection)?))?;
    Ok(true)
}
