//! A payment to ourselves: record and invoice in one commit, nothing on the wire.

use std::sync::Arc;

use rusqlite::Connection;
use sendpay_store::Ticket;

use crate::begin::{begin, bytes};
use crate::invoice_book::{invoice_by_hash, pay_row};
use crate::row::{live_payment, sql};
use crate::settle::{complete_row, fail_row};
use crate::{
    BeginError, Begun, Failure, InvoiceState, Ledger, NewPayment, Payment, Preimage, ReadError,
};

/// CLN's code: the destination refused for good.
const PAY_DESTINATION_PERM_FAIL: i32 = 203;

/// BOLT 4's code for it.
const INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS: u16 = 0x400f;

/// Why a payment to ourselves did not come about.
#[derive(Debug, thiserror::Error)]
pub enum SelfPayError {
    /// The repeat rules refuse it; no record was made.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The invoice refuses it (203): the record was made, and has failed; its failure says why.
    #[error("{}", .0.failure.as_ref().map_or("refused", |failure| failure.message.as_str()))]
    Refused(Box<Payment>),
}

impl Ledger {
    /// Pays an invoice of our own: applies the repeat rules, then makes the record complete and
    /// the invoice paid in one commit ([`Begun::New`] with a complete record). When the invoice
    /// is not ours, not open, expired, held by its maker, of another amount or of another secret,
    /// the record is made all the same and has failed (203).
    ///
    /// `payment_secret` is what the payer gave; it must be the invoice's.
    pub fn self_pay(
        &self,
        new: NewPayment,
        payment_secret: Option<[u8; 32]>,
        now_ms: u64,
    ) -> Ticket<Result<Begun, SelfPayError>> {
        let payments_changed = Arc::clone(&self.payments_changed);
        let invoices_changed = Arc::clone(&self.invoices_changed);
        self.store.enqueue_finish(
            bytes(&new),
            move |connection| self_pay(connection, new, payment_secret.as_ref(), now_ms),
            move |outcome: Result<SelfPaid, BeginError>| match outcome? {
                SelfPaid::Before(begun) => Ok(begun),
                SelfPaid::Paid(payment) => {
                    payments_changed.wake(&payment.payment_hash);
                    invoices_changed.wake(&payment.payment_hash);
                    Ok(Begun::New(payment))
                }
                SelfPaid::Refused(payment) => {
                    payments_changed.wake(&payment.payment_hash);
                    Err(SelfPayError::Refused(Box::new(payment)))
                }
            },
        )
    }
}

/// What stays of the call, an error to the caller or not.
enum SelfPaid {
    Before(Begun),
    Paid(Payment),
    Refused(Payment),
}

fn self_pay(
    connection: &Connection,
    new: NewPayment,
    payment_secret: Option<&[u8; 32]>,
    now_ms: u64,
) -> Result<SelfPaid, BeginError> {
    let payment = match begin(connection, new, now_ms)? {
        Begun::New(payment) => payment,
        before => return Ok(SelfPaid::Before(before)),
    };
    let created_index = sql(payment.created_index);
    let gone = || ReadError::Store(rusqlite::Error::QueryReturnedNoRows);
    match proof(connection, &payment, payment_secret, now_ms)? {
        Ok(preimage) => {
            complete_row(connection, created_index, &preimage, now_ms)?;
            pay_row(
                connection,
                &payment.payment_hash,
                &preimage,
                payment.amount_msat,
                now_ms,
            )?;
            let complete = live_payment(connection, created_index)?;
            Ok(SelfPaid::Paid(complete.ok_or_else(gone)?))
        }
        Err(message) => {
            let failure = Failure {
                code: PAY_DESTINATION_PERM_FAIL,
                failcode: Some(INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS),
                erring_index: Some(0),
                erring_node: payment.destination,
                erring_channel: None,
                erring_direction: None,
                message: message.to_owned(),
            };
            fail_row(connection, created_index, &failure, now_ms)?;
            let failed = live_payment(connection, created_index)?;
            Ok(SelfPaid::Refused(failed.ok_or_else(gone)?))
        }
    }
}

/// The preimage if our invoice takes the payment, else why not.
fn proof(
    connection: &Connection,
    payment: &Payment,
    payment_secret: Option<&[u8; 32]>,
    now_ms: u64,
) -> Result<Result<Preimage, &'static str>, ReadError> {
    let invoice = invoice_by_hash(connection, &payment.payment_hash)?;
    // An imported one is another node's.
    let Some(invoice) = invoice.filter(|invoice| invoice.own) else {
        return Ok(Err("Unknown invoice"));
    };
    let too_little = invoice
        .amount_msat
        .is_some_and(|asked| payment.amount_msat < asked);
    // BOLT 4 lets the final node refuse more than twice what it asked for.
    let too_much = invoice
        .amount_msat
        .is_some_and(|asked| payment.amount_msat.msat() / 2 > asked.msat());
    Ok(match invoice.preimage {
        _ if invoice.state != InvoiceState::Open => Err(match invoice.state {
            InvoiceState::Paid => "Invoice already paid",
            InvoiceState::Cancelled => "Invoice cancelled",
            InvoiceState::Expired => "Invoice expired",
            InvoiceState::Held | InvoiceState::Open => "Invoice already held",
        }),
        _ if invoice.expired(now_ms) => Err("Invoice expired"),
        _ if invoice.payment_secret.as_ref() != payment_secret => Err("Wrong payment_secret"),
        _ if too_little => Err("Amount below that of the invoice"),
        _ if too_much => Err("Amount more than twice that of the invoice"),
        Some(preimage) if !invoice.hold => Ok(preimage),
        _ => Err("A hold invoice cannot be paid by its own node"),
    })
}
