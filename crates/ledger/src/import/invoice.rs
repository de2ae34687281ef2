//! An imported invoice: recorded as it was, beside the row it came from.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::{ImportError, ImportedInvoice};
use crate::cln::{self, ClnInvoice};
use crate::number::Block;
use crate::row::sql;
use crate::{InvoiceState, Preimage};

/// False if the hash has an invoice already: the row is kept, and points to that one.
pub(super) fn insert_invoice(
    connection: &Connection,
    origin: i64,
    new: &ImportedInvoice,
    numbers: &mut Block,
) -> Result<bool, ImportError> {
    let before: Option<i64> = connection
        .prepare_cached("SELECT created_index FROM invoice WHERE payment_hash = ?1")?
        .query_row([new.payment_hash.as_bytes()], |row| row.get(0))
        .optional()?;
    if let Some(created_index) = before {
        let row = cln::Row {
            origin,
            id: new.origin_id,
            created_index,
        };
        cln::keep_invoice(connection, &row, &whole(new))?;
        return Ok(false);
    }
    let label = free_label(connection, new)?;
    let preimage = new
        .preimage
        .filter(|preimage| preimage.payment_hash() == new.payment_hash);
    let created_index = numbers.invoice_created();
    let (state, paid) = match new.state {
        InvoiceState::Paid => (2, true),
        InvoiceState::Cancelled => (3, false),
        InvoiceState::Expired => (4, false),
        InvoiceState::Open | InvoiceState::Held => (0, false),
    };
    connection
        .prepare_cached(
            "INSERT INTO invoice (created_index, updated_index, label, payment_hash, preimage,
                 bolt11, description, amount_msat, created_at, expires_at, cltv, hold, state,
                 pay_index, amount_received_msat, paid_at, origin, origin_id)
             VALUES (:created_index, :updated_index, :label, :payment_hash, :preimage, :bolt11,
                 :description, :amount_msat, :created_at, :expires_at, :cltv, 0, :state,
                 :pay_index, :amount_received_msat, max(:created_at, :paid_at), :origin,
                 :origin_id)",
        )?
        .execute(named_params! {
            ":created_index": created_index,
            ":updated_index": (state != 0).then(|| numbers.invoice_updated()),
            ":label": label,
            ":payment_hash": new.payment_hash.as_bytes(),
            ":preimage": preimage.as_ref().map(Preimage::as_bytes),
            ":bolt11": new.bolt11,
            ":description": new.description,
            ":amount_msat": new.amount_msat.map(|amount| sql(amount.msat())),
            ":created_at": sql(new.created_at_ms),
            ":expires_at": sql(new.expires_at_ms),
            ":cltv": new.cltv,
            ":state": state,
            ":pay_index": paid.then(|| numbers.pay_index()),
            ":amount_received_msat": paid.then(|| sql(new.amount_received_msat.msat())),
            ":paid_at": paid.then(|| sql(new.paid_at_ms)),
            ":origin": origin,
            ":origin_id": new.origin_id,
        })?;
    let row = cln::Row {
        origin,
        id: new.origin_id,
        created_index,
    };
    match label == new.label {
        true => cln::keep_invoice(connection, &row, &new.cln)?,
        false => cln::keep_invoice(connection, &row, &whole(new))?,
    }
    Ok(true)
}

/// The row with what the record was to hold unchanged, for one whose record holds something else.
fn whole(new: &ImportedInvoice) -> ClnInvoice {
    let mut cln = new.cln.clone();
    let text = |text: &String| Value::Text(text.clone());
    cln.label = cln.label.or_else(|| Some(text(&new.label)));
    cln.bolt11 = cln.bolt11.or_else(|| Some(text(&new.bolt11)));
    cln.description = cln
        .description
        .or_else(|| new.description.as_ref().map(text));
    cln.payment_key = cln
        .payment_key
        .or_else(|| Some(Value::Blob(new.preimage?.as_bytes().to_vec())));
    cln
}

/// The label, with as many signs of where it comes from as make it unique.
fn free_label(connection: &Connection, new: &ImportedInvoice) -> Result<String, rusqlite::Error> {
    let mut label = new.label.clone();
    let mut statement = connection.prepare_cached("SELECT 1 FROM invoice WHERE label = ?1")?;
    while statement.exists([&label])? {
        label = format!("{label} (imported {})", new.origin_id);
    }
    Ok(label)
}
