//! A payment to ourselves: record and invoice in one commit, nothing on the wire.

use sendpay_store::Ticket;

use crate::{BeginError, Begun, Ledger, NewPayment, Payment};

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
    /// the invoice paid in one commit. When the invoice is not ours, not open, expired, of
    /// another amount or of another secret, the record is made all the same and has failed (203).
    ///
    /// `payment_secret` is what the payer gave; it must be the invoice's.
    pub fn self_pay(
        &self,
        new: NewPayment,
        payment_secret: Option<[u8; 32]>,
        now_ms: u64,
    ) -> Ticket<Result<Begun, SelfPayError>> {
        todo!()
    }
}
