//! How a record ends: once (L2), complete only with proof (L3), failed only when certain (L4).

use sendpay_store::Ticket;

use crate::{Failure, Ledger, Payment, PaymentHash, PaymentId, Preimage, Violation};

/// What an outcome did to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The record was pending and is settled now.
    Changed(Payment),
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

impl Ledger {
    /// Makes the record complete (L2, L3). For LDK's `PaymentSent`, as often as it comes.
    pub fn complete(
        &self,
        id: PaymentId,
        payment_hash: PaymentHash,
        preimage: Preimage,
        now_ms: u64,
    ) -> Ticket<Result<Settled, SettleError>> {
        todo!()
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
        todo!()
    }
}
