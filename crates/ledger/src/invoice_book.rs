//! Keeping invoices: open, held, paid, cancelled. Paid at LDK's `PaymentClaimed`, never before. How
//! they lapse and are deleted is in `invoice_end.rs`, listings are in `invoice_list.rs`.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use sendpay_store::Ticket;

use crate::number::{next_invoice_created, next_invoice_updated, next_pay_index};
use crate::row::sql;
use crate::{
    AddInvoiceError, CancelError, Cancelled, Hold, HoldError, Invoice, InvoiceKey, InvoiceState,
    Ledger, Msat, NewInvoice, Paid, PaidError, PaymentHash, Preimage, ReadError, Violation,
};

pub(crate) const COLUMNS: &str = "created_index, updated_index, label, payment_hash, preimage, \
    payment_secret, bolt11, description, amount_msat, created_at, expires_at, cltv, hold, state, \
    claim_deadline, amount_held_msat, pay_index, amount_received_msat, paid_at, claiming, \
    origin";

impl Ledger {
    /// Keeps a new invoice, open.
    pub fn add_invoice(
        &self,
        new: NewInvoice,
        now_ms: u64,
    ) -> Ticket<Result<Invoice, AddInvoiceError>> {
        let text =
            new.label.len() + new.bolt11.len() + new.description.as_ref().map_or(0, String::len);
        let changed = Arc::clone(&self.invoices_changed);
        self.store.enqueue_then(
            size_of::<NewInvoice>() + text,
            move |connection| add(connection, &new, now_ms),
            move |outcome| {
                if let Ok(invoice) = outcome {
                    changed.wake(&invoice.payment_hash);
                }
            },
        )
    }

    /// The invoice of this name, if there is one.
    pub fn invoice(&self, by: InvoiceKey) -> Result<Option<Invoice>, ReadError> {
        self.store.read(|connection| match &by {
            InvoiceKey::Label(label) => invoice_by_label(connection, label),
            InvoiceKey::Hash(hash) => invoice_by_hash(connection, hash),
        })
    }

    /// The first invoice in the order of payment after this `pay_index`, if one is paid.
    pub fn paid_after(&self, pay_index: u64) -> Result<Option<Invoice>, ReadError> {
        self.store.read(|connection| {
            let condition = "pay_index > ?1 ORDER BY pay_index LIMIT 1";
            find(connection, condition, [sql(pay_index)])
        })
    }

    /// An HTLC for a hold invoice has arrived: open becomes held. As often as it comes.
    pub fn invoice_held(
        &self,
        payment_hash: PaymentHash,
        amount_msat: Msat,
        claim_deadline: Option<u32>,
        now_ms: u64,
    ) -> Ticket<Result<Hold, HoldError>> {
        let changed = Arc::clone(&self.invoices_changed);
        self.store.enqueue_then(
            size_of::<PaymentHash>(),
            move |connection| {
                hold(
                    connection,
                    &payment_hash,
                    amount_msat,
                    claim_deadline,
                    now_ms,
                )
            },
            move |outcome| {
                if let Ok(Hold::Held(_)) = outcome {
                    changed.wake(&payment_hash);
                }
            },
        )
    }

    /// A claim is to begin, of an open invoice or a held one: only then can it be paid. Of one that is held
    /// the preimage is kept with that, so that a claim which a crash cut short can be made again.
    pub fn invoice_claiming(
        &self,
        payment_hash: PaymentHash,
        preimage: Preimage,
    ) -> Ticket<Result<Invoice, PaidError>> {
        self.store
            .enqueue(size_of::<Preimage>(), move |connection| {
                claiming(connection, &payment_hash, &preimage)
            })
    }

    /// `PaymentClaimed` came: the invoice is paid, with the next pay_index. As often as it comes, and only if
    /// a claim of this invoice has begun: LDK tells again of claims of long ago, and the hash may be of
    /// another invoice by now. One that had lapsed or was cancelled is paid too: the money has come. The
    /// preimage is the one that is kept, unless given.
    pub fn invoice_paid(
        &self,
        payment_hash: PaymentHash,
        preimage: impl Into<Option<Preimage>>,
        amount_received_msat: Msat,
        now_ms: u64,
    ) -> Ticket<Result<Paid, PaidError>> {
        let changed = Arc::clone(&self.invoices_changed);
        let preimage = preimage.into();
        self.store.enqueue_then(
            size_of::<Preimage>(),
            move |connection| {
                pay(
                    connection,
                    &payment_hash,
                    preimage,
                    amount_received_msat,
                    now_ms,
                )
            },
            move |outcome| {
                if let Ok(Paid::Now(_)) = outcome {
                    changed.wake(&payment_hash);
                }
            },
        )
    }

    /// Open or held becomes cancelled. A paid one cannot. The time is that of the request; an
    /// invoice that has lapsed can still be cancelled.
    pub fn invoice_cancelled(
        &self,
        payment_hash: PaymentHash,
        _now_ms: u64,
    ) -> Ticket<Result<Cancelled, CancelError>> {
        let changed = Arc::clone(&self.invoices_changed);
        self.store.enqueue_then(
            size_of::<PaymentHash>(),
            move |connection| cancel(connection, &payment_hash),
            move |outcome| {
                if let Ok(Cancelled::Now(_)) = outcome {
                    changed.wake(&payment_hash);
                }
            },
        )
    }
}

pub(crate) fn find(
    connection: &Connection,
    condition: &str,
    params: impl rusqlite::Params,
) -> Result<Option<Invoice>, ReadError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM invoice WHERE {condition}"))?
        .query_row(params, |row| Ok(decode(row)))
        .optional()?
        .transpose()
}

pub(crate) fn invoice_by_label(
    connection: &Connection,
    label: &str,
) -> Result<Option<Invoice>, ReadError> {
    find(connection, "label = ?1", [label])
}

pub(crate) fn invoice_by_hash(
    connection: &Connection,
    payment_hash: &PaymentHash,
) -> Result<Option<Invoice>, ReadError> {
    find(connection, "payment_hash = ?1", [payment_hash.as_bytes()])
}

pub(crate) fn decode(row: &Row<'_>) -> Result<Invoice, ReadError> {
    let created_index = row.get::<_, i64>(0)?.cast_unsigned();
    let impossible = |column| Violation::Value {
        created_index,
        column,
    };
    let optional = |index| -> Result<Option<u64>, rusqlite::Error> {
        Ok(row.get::<_, Option<i64>>(index)?.map(i64::cast_unsigned))
    };
    let amount = |index, column| -> Result<Option<Msat>, ReadError> {
        let msat = optional(index)?;
        let amount = msat.map(|msat| Msat::new(msat).ok_or(impossible(column)));
        Ok(amount.transpose()?)
    };
    Ok(Invoice {
        created_index,
        updated_index: optional(1)?,
        label: row.get(2)?,
        payment_hash: PaymentHash(row.get(3)?),
        preimage: row.get::<_, Option<_>>(4)?.map(Preimage),
        payment_secret: row.get(5)?,
        bolt11: row.get(6)?,
        description: row.get(7)?,
        amount_msat: amount(8, "amount_msat")?,
        created_at_ms: row.get::<_, i64>(9)?.cast_unsigned(),
        expires_at_ms: row.get::<_, i64>(10)?.cast_unsigned(),
        cltv: row.get(11)?,
        hold: row.get(12)?,
        state: InvoiceState::from_code(row.get(13)?).ok_or(impossible("state"))?,
        claim_deadline: row.get(14)?,
        amount_held_msat: amount(15, "amount_held_msat")?,
        pay_index: optional(16)?,
        amount_received_msat: amount(17, "amount_received_msat")?,
        paid_at_ms: optional(18)?,
        claiming: row.get(19)?,
        own: row.get::<_, i64>(20)? == 0,
    })
}

pub(crate) fn gone() -> ReadError {
    ReadError::Store(rusqlite::Error::QueryReturnedNoRows)
}

fn add(connection: &Connection, new: &NewInvoice, now_ms: u64) -> Result<Invoice, AddInvoiceError> {
    if let Some(preimage) = new.preimage
        && preimage.payment_hash() != new.payment_hash
    {
        return Err(AddInvoiceError::NoProof(new.payment_hash));
    }
    if invoice_by_label(connection, &new.label)?.is_some() {
        return Err(AddInvoiceError::DuplicateLabel(new.label.clone()));
    }
    if invoice_by_hash(connection, &new.payment_hash)?.is_some() {
        return Err(AddInvoiceError::DuplicateHash(new.payment_hash));
    }
    connection
        .prepare_cached(
            "INSERT INTO invoice (created_index, label, payment_hash, preimage, payment_secret,
                 bolt11, description, amount_msat, created_at, expires_at, cltv, hold)
             VALUES (:created_index, :label, :payment_hash, :preimage, :payment_secret,
                 :bolt11, :description, :amount_msat, :created_at, :expires_at, :cltv, :hold)",
        )?
        .execute(named_params! {
            ":created_index": next_invoice_created(connection)?,
            ":label": new.label,
            ":payment_hash": new.payment_hash.as_bytes(),
            ":preimage": new.preimage.as_ref().map(Preimage::as_bytes),
            ":payment_secret": new.payment_secret,
            ":bolt11": new.bolt11,
            ":description": new.description,
            ":amount_msat": new.amount_msat.map(|amount| sql(amount.msat())),
            ":created_at": sql(now_ms),
            ":expires_at": sql(new.expires_at_ms),
            ":cltv": new.cltv,
            ":hold": new.hold,
        })?;
    Ok(invoice_by_hash(connection, &new.payment_hash)?.ok_or_else(gone)?)
}

fn hold(
    connection: &Connection,
    payment_hash: &PaymentHash,
    amount_msat: Msat,
    claim_deadline: Option<u32>,
    now_ms: u64,
) -> Result<Hold, HoldError> {
    let invoice =
        invoice_by_hash(connection, payment_hash)?.ok_or(HoldError::Unknown(*payment_hash))?;
    match invoice.state {
        InvoiceState::Held => return Ok(Hold::AlreadyHeld(invoice)),
        InvoiceState::Paid | InvoiceState::Cancelled => {
            return Err(HoldError::NotOpen(invoice.state));
        }
        InvoiceState::Expired => return Err(HoldError::Expired),
        InvoiceState::Open if invoice.expired(now_ms) => return Err(HoldError::Expired),
        InvoiceState::Open => {}
    }
    connection
        .prepare_cached(
            "UPDATE invoice SET state = 1, amount_held_msat = ?2, claim_deadline = ?3,
                 updated_index = ?4
             WHERE payment_hash = ?1 AND state = 0",
        )?
        .execute((
            payment_hash.as_bytes(),
            sql(amount_msat.msat()),
            claim_deadline,
            next_invoice_updated(connection)?,
        ))?;
    Ok(Hold::Held(
        invoice_by_hash(connection, payment_hash)?.ok_or_else(gone)?,
    ))
}

fn claiming(
    connection: &Connection,
    payment_hash: &PaymentHash,
    preimage: &Preimage,
) -> Result<Invoice, PaidError> {
    if preimage.payment_hash() != *payment_hash {
        return Err(PaidError::NoProof(*payment_hash));
    }
    connection
        .prepare_cached(
            "UPDATE invoice SET preimage = ?2, claiming = 1
             WHERE payment_hash = ?1 AND state = hold AND state IN (0, 1) AND origin = 0",
        )?
        .execute((payment_hash.as_bytes(), preimage.as_bytes()))?;
    invoice_by_hash(connection, payment_hash)?.ok_or(PaidError::Unknown(*payment_hash))
}

fn pay(
    connection: &Connection,
    payment_hash: &PaymentHash,
    preimage: Option<Preimage>,
    amount_received_msat: Msat,
    now_ms: u64,
) -> Result<Paid, PaidError> {
    let invoice =
        invoice_by_hash(connection, payment_hash)?.ok_or(PaidError::Unknown(*payment_hash))?;
    let preimage = preimage
        .or(invoice.preimage)
        .filter(|preimage| preimage.payment_hash() == *payment_hash)
        .ok_or(PaidError::NoProof(*payment_hash))?;
    if invoice.state == InvoiceState::Paid {
        return Ok(Paid::Already(invoice));
    }
    if !invoice.claiming {
        return Err(PaidError::NotClaimed(*payment_hash));
    }
    let paid = pay_row(
        connection,
        payment_hash,
        &preimage,
        amount_received_msat,
        now_ms,
    )?;
    Ok(Paid::Now(paid))
}

/// Makes an invoice paid that is not. The caller has proved the preimage.
pub(crate) fn pay_row(
    connection: &Connection,
    payment_hash: &PaymentHash,
    preimage: &Preimage,
    amount_received_msat: Msat,
    now_ms: u64,
) -> Result<Invoice, ReadError> {
    connection
        .prepare_cached(
            "UPDATE invoice SET state = 2, preimage = ?2, amount_received_msat = ?3,
                 paid_at = max(created_at, ?4), updated_index = ?5, pay_index = ?6
             WHERE payment_hash = ?1 AND state <> 2",
        )?
        .execute((
            payment_hash.as_bytes(),
            preimage.as_bytes(),
            sql(amount_received_msat.msat()),
            sql(now_ms),
            next_invoice_updated(connection)?,
            next_pay_index(connection)?,
        ))?;
    invoice_by_hash(connection, payment_hash)?.ok_or_else(gone)
}

fn cancel(connection: &Connection, payment_hash: &PaymentHash) -> Result<Cancelled, CancelError> {
    let invoice =
        invoice_by_hash(connection, payment_hash)?.ok_or(CancelError::Unknown(*payment_hash))?;
    match invoice.state {
        InvoiceState::Cancelled => return Ok(Cancelled::Already(invoice)),
        InvoiceState::Paid => return Err(CancelError::Paid),
        InvoiceState::Open | InvoiceState::Held | InvoiceState::Expired => {}
    }
    connection
        .prepare_cached(
            "UPDATE invoice SET state = 3, updated_index = ?2
             WHERE payment_hash = ?1 AND state IN (0, 1, 4)",
        )?
        .execute((payment_hash.as_bytes(), next_invoice_updated(connection)?))?;
    Ok(Cancelled::Now(
        invoice_by_hash(connection, payment_hash)?.ok_or_else(gone)?,
    ))
}
