//! The repeat rules (L7): what asking again for a payment hash may do. CLN's `check_progress`
//! to the letter, with deleted records and late preimages besides.

use crate::{Msat, NodeId, PaymentHash, Violation};

/// Why a payment was not begun. `Display` is CLN's text.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// This part was paid with another amount (201).
    #[error("Already succeeded with amount {had} (not {asked})")]
    AlreadySucceededAmount {
        /// What was paid.
        had: Msat,
        /// What is asked now.
        asked: Msat,
    },
    /// This part was paid to another node (201).
    #[error("Already succeeded to {0}")]
    AlreadySucceededTo(NodeId),
    /// The hash is paid, by other parts (201).
    #[error("Already succeeded other parts")]
    AlreadySucceededOtherParts,
    /// Another try at this hash is pending (200).
    #[error(
        "Payment with groupid={groupid} still in progress, cannot retry before that completes."
    )]
    OtherGroupInProgress {
        /// The pending group.
        groupid: u64,
    },
    /// Part 0 is asked for while numbered parts are pending (200).
    #[error("Already have parallel payment in progress")]
    ParallelInProgress,
    /// A numbered part is asked for while part 0 is pending (200).
    #[error("Already have non-parallel payment in progress")]
    NonParallelInProgress,
    /// This part is pending with another amount (201).
    #[error("Already pending with amount {had} (not {asked})")]
    PendingAmount {
        /// What is pending.
        had: Msat,
        /// What is asked now.
        asked: Msat,
    },
    /// This part is pending to another node (201).
    #[error("Already pending to {0}")]
    PendingTo(NodeId),
    /// The group has parts with another total (-32602).
    #[error("msatoshi was previously {was}, now {now}")]
    TotalChanged {
        /// The total of the parts that are pending.
        was: Msat,
        /// The total asked now.
        now: Msat,
    },
    /// This part of this group has failed, or was deleted (201).
    #[error(
        "There already is a payment with payment_hash={payment_hash}, groupid={groupid}, \
         partid={partid}. Either change the partid, or wait for the payment to complete and start \
         a new group."
    )]
    GroupPartFailed {
        /// What is paid.
        payment_hash: PaymentHash,
        /// The group asked for.
        groupid: u64,
        /// The part asked for.
        partid: u64,
    },
    /// What is pending makes up the total already (200).
    #[error("Already have {have} of {of} payments in progress")]
    PartsInProgress {
        /// What is pending.
        have: Msat,
        /// The total.
        of: Msat,
    },
    /// What is pending and this part are together more than the total (200); only when asked to
    /// check.
    #[error("Already have {have} of {of} payments in progress, {adding} more would exceed it")]
    WouldExceedTotal {
        /// What is pending.
        have: Msat,
        /// What this part would add.
        adding: Msat,
        /// The total.
        of: Msat,
    },
    /// A record of this hash was called failed, and was claimed after all (201): the hash is
    /// paid, and is never sent again.
    #[error("Already succeeded: payment_hash={0} was claimed after its record had failed")]
    LatePreimage(PaymentHash),
    /// A groupid above 2^63-1, or no larger one left to give (-32602).
    #[error("groupid {0} is too large: at most 9223372036854775807")]
    GroupidTooLarge(u64),
    /// A partid above 2^63-1 (-32602).
    #[error("partid {0} is too large: at most 9223372036854775807")]
    PartidTooLarge(u64),
    /// A route that cannot be recorded (-32602).
    #[error("the route cannot be recorded")]
    Route(#[from] crate::RouteError),
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}
