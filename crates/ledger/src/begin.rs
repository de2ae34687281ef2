//! The pending record, made before anything is sent (L1), if the repeat rules allow it (L7).

use sendpay_store::Ticket;

use crate::{BeginError, Ledger, NewPayment, Payment};

/// What asking for a payment came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A new record, durable: it may be sent now.
    New(Payment),
    /// The same part is out already: nothing was recorded, send nothing.
    Pending(Payment),
    /// The same part was paid already: nothing was recorded, send nothing.
    Complete(Payment),
}

impl Ledger {
    /// Applies the repeat rules and makes the pending record, in one commit (L1, L7).
    pub fn begin(&self, new: NewPayment, now_ms: u64) -> Ticket<Result<Begun, BeginError>> {
        todo!()
    }

    /// What [`Ledger::begin`] would say now; `None` for a new record. Writes nothing, promises
    /// nothing: another may begin it in between.
    pub fn peek(&self, new: &NewPayment) -> Result<Option<Begun>, BeginError> {
        todo!()
    }
}
