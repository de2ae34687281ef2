//! Rows of `invoices` as records. They are history: nobody can pay them to this node.

use rusqlite::Row;
use rusqlite::types::Value;
use sendpay_ledger::{ClnInvoice, ImportedInvoice, InvoiceState, PaymentHash, Preimage};

use crate::cell::{Cells, RowError, millis};
use crate::version::INVOICES;

/// CLN's numbers of the state.
const UNPAID: i64 = 0;
const PAID: i64 = 1;
const EXPIRED: i64 = 2;

/// What only the invoice itself says, and no column of CLN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvoiceFacts {
    /// When it was made, in ms since 1970.
    pub created_at_ms: u64,
    /// Its `min_final_cltv_expiry_delta`, in blocks.
    pub cltv: u32,
}

/// The record of a row of [`INVOICES`], and about how many bytes it holds.
pub(crate) fn read(
    row: &Row<'_>,
    facts: &dyn Fn(&str) -> Option<InvoiceFacts>,
) -> Result<(ImportedInvoice, usize), RowError> {
    let cells = Cells::of("invoices", INVOICES, row)?;
    let payment_hash = cells
        .bytes("payment_hash")?
        .map(PaymentHash)
        .ok_or_else(|| cells.wrong("payment_hash"))?;
    let mut cln = verbatim(&cells)?;
    let state = match cln.state {
        UNPAID => InvoiceState::Open,
        PAID => InvoiceState::Paid,
        EXPIRED => InvoiceState::Expired,
        _ => return Err(cells.wrong("state")),
    };
    let preimage = cells
        .bytes("payment_key")?
        .map(Preimage)
        .filter(|preimage| preimage.payment_hash() == payment_hash);
    if preimage.is_none() {
        cln.payment_key = cells.any("payment_key")?;
    }
    let label = label(&cells, &mut cln)?;
    let (bolt11, description) = (cells.words("bolt11")?, cells.words("description")?);
    (cln.bolt11, cln.description) = (bolt11.1, description.1);
    let bolt11 = bolt11.0.unwrap_or_default();
    let facts = facts(&bolt11).unwrap_or(InvoiceFacts {
        created_at_ms: 0,
        cltv: 0,
    });
    let invoice = ImportedInvoice {
        origin_id: cells.id,
        label,
        payment_hash,
        preimage,
        bolt11,
        description: description.0,
        amount_msat: cells.amount("msatoshi")?,
        created_at_ms: facts.created_at_ms,
        expires_at_ms: millis(cln.expiry_time),
        cltv: facts.cltv,
        state,
        amount_received_msat: cells.amount("msatoshi_received")?.unwrap_or_default(),
        paid_at_ms: millis(cln.paid_timestamp),
        cln,
    };
    Ok((invoice, cells.size()))
}

fn verbatim(cells: &Cells<'_>) -> Result<ClnInvoice, RowError> {
    Ok(ClnInvoice {
        state: cells.required("state")?,
        msatoshi: cells.integer("msatoshi")?,
        expiry_time: cells.integer("expiry_time")?,
        pay_index: cells.integer("pay_index")?,
        msatoshi_received: cells.integer("msatoshi_received")?,
        paid_timestamp: cells.integer("paid_timestamp")?,
        updated_index: cells.integer("updated_index")?,
        features: cells.blob("features")?,
        local_offer_id: cells.blob("local_offer_id")?,
        paid_txid: cells.blob("paid_txid")?,
        paid_outnum: cells.integer("paid_outnum")?,
        ..ClnInvoice::default()
    })
}

/// CLN keeps labels with JSON's escapes in them. One that is no JSON is taken as it stands, one that
/// is missing has the row's number.
fn label(cells: &Cells<'_>, cln: &mut ClnInvoice) -> Result<String, RowError> {
    let (text, value) = cells.words("label")?;
    let Some(text) = text else {
        return Ok(format!("(imported {})", cells.id));
    };
    let label = match value.is_none() {
        true => serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.clone()),
        false => text.clone(),
    };
    cln.label = value.or((label != text).then_some(Value::Text(text)));
    Ok(label)
}
