//! `delpay`: removing settled records, numbered like every change (L5), without ever making a
//! hash payable twice (L7): what L7 needs to know stays in `deleted`.

use sendpay_store::Ticket;

use crate::{Ledger, Payment, PaymentHash, Status, Violation};

/// Why nothing was deleted. `Display` is CLN's text.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// Pending records are never deleted (-32602).
    #[error("status: Cannot delete pending status")]
    Pending,
    /// No record of this hash (208).
    #[error("Unknown payment with payment_hash: {0}")]
    UnknownHash(PaymentHash),
    /// There are records, none with that status (208).
    #[error(
        "Payment with hash {payment_hash} has {has} status but it different from the one provided {asked}"
    )]
    OtherStatus {
        /// The hash.
        payment_hash: PaymentHash,
        /// The status of the first record there is.
        has: Status,
        /// The status asked for.
        asked: Status,
    },
    /// There are records, none for that part of that group (208).
    #[error("No payment for that payment_hash with that partid and groupid")]
    UnknownPart,
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

impl Ledger {
    /// Deletes the records of this hash with this status, or the one with this
    /// `(groupid, partid)`, and returns them in the order of creation.
    pub fn delete(
        &self,
        payment_hash: PaymentHash,
        status: Status,
        part: Option<(u64, u64)>,
        now_ms: u64,
    ) -> Ticket<Result<Vec<Payment>, DeleteError>> {
        todo!()
    }
}
