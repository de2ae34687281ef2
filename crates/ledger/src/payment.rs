//! One record: one part of a payment, one HTLC. Its shape, and what must always hold of it.
//!
//! How records are read from rows is in `row.rs`; which may be begun is in `repeat.rs`.

use std::fmt;
use std::str::FromStr;

use crate::route::{self, RouteError};
use crate::{Hop, Msat, NodeId, PaymentHash, PaymentId, Preimage, RequestKey, payment_id};

/// Largest groupid and partid: 2^63-1, the largest integer of SQLite.
pub const GROUPID_MAX: u64 = i64::MAX as u64;

/// Where a part stands. It goes from pending to one of the others, once (L2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Its HTLC may be out.
    Pending,
    /// Proved by a preimage (L3).
    Complete,
    /// No HTLC of it can still be claimed (L4).
    Failed,
}

impl Status {
    /// CLN's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Complete => "complete",
            Status::Failed => "failed",
        }
    }

    pub(crate) const fn from_code(code: i64) -> Option<Status> {
        match code {
            0 => Some(Status::Pending),
            1 => Some(Status::Complete),
            2 => Some(Status::Failed),
            _ => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("should be pending, complete or failed")]
pub struct NotAStatus;

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(word: &str) -> Result<Status, NotAStatus> {
        [Status::Pending, Status::Complete, Status::Failed]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or(NotAStatus)
    }
}

/// Why a part failed. Each field where known, never guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<Text = String> {
    /// The RPC error code, 202 to 209.
    pub code: i32,
    /// BOLT 4's failure code.
    pub failcode: Option<u16>,
    /// Which hop reported it: 0 is ourselves, n the nth node of the route.
    pub erring_index: Option<u32>,
    /// The node that reported it.
    pub erring_node: Option<NodeId>,
    /// The channel it is about.
    pub erring_channel: Option<u64>,
    /// The direction over that channel, 0 or 1.
    pub erring_direction: Option<u8>,
    /// In words.
    pub message: Text,
}

impl<Text> Failure<Text> {
    /// The same with another text.
    pub(crate) fn map<'a, To>(&'a self, text: impl FnOnce(&'a Text) -> To) -> Failure<To> {
        Failure {
            code: self.code,
            failcode: self.failcode,
            erring_index: self.erring_index,
            erring_node: self.erring_node,
            erring_channel: self.erring_channel,
            erring_direction: self.erring_direction,
            message: text(&self.message),
        }
    }
}

/// A part that someone asks to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPayment {
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// One try at paying the hash; `None` for one more than the largest there was.
    pub groupid: Option<u64>,
    /// One part of that try; 0 when it has only one.
    pub partid: u64,
    /// The final node, where known.
    pub destination: Option<NodeId>,
    /// What this part delivers, in msat.
    pub amount_msat: Msat,
    /// What leaves us for it, fees included, in msat.
    pub amount_sent_msat: Msat,
    /// All parts together: the `amount_msat` parameter of `sendpay`. The amount of this part
    /// when `None`.
    pub total_msat: Option<Msat>,
    /// The sender's own words for it.
    pub label: Option<String>,
    /// The invoice it pays.
    pub bolt11: Option<String>,
    /// The description whose hash the invoice has.
    pub description: Option<String>,
    /// The way it takes; empty for a payment to ourselves.
    pub route: Vec<Hop>,
    /// The height from which the first HTLC can be taken back.
    pub cltv_expiry: Option<u32>,
    /// Refuse when what is pending and this part are together more than this (the loop of `pay`
    /// asks for it; CLN's `sendpay` allows it). The total, or less where others pay the rest.
    pub cap_msat: Option<Msat>,
    /// The key of the request, if it has one: asked for again, the first one is the answer.
    pub request: Option<RequestKey>,
}

impl NewPayment {
    /// The amount of all parts together, in msat.
    pub fn effective_total_msat(&self) -> Msat {
        self.total_msat.unwrap_or(self.amount_msat)
    }
}

/// One record of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its number in the order of creation, from 1.
    pub created_index: u64,
    /// The number of its last change; `None` while it never changed.
    pub updated_index: Option<u64>,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// The try it belongs to.
    pub groupid: u64,
    /// The part of that try.
    pub partid: u64,
    /// The final node, where known.
    pub destination: Option<NodeId>,
    /// What this part delivers, in msat.
    pub amount_msat: Msat,
    /// What left us for it, fees included, in msat.
    pub amount_sent_msat: Msat,
    /// All parts of the try together, in msat.
    pub total_msat: Msat,
    /// When it was begun, in ms since 1970.
    pub created_at_ms: u64,
    /// When it was settled, in ms since 1970; never before `created_at_ms`.
    pub completed_at_ms: Option<u64>,
    /// Where it stands.
    pub status: Status,
    /// The proof; there if and only if it is complete (L3).
    pub preimage: Option<Preimage>,
    /// The sender's own words for it.
    pub label: Option<String>,
    /// The invoice it pays.
    pub bolt11: Option<String>,
    /// The description whose hash the invoice has.
    pub description: Option<String>,
    /// The height from which the first HTLC can be taken back.
    pub cltv_expiry: Option<u32>,
    /// The channel of the first hop.
    pub first_channel: Option<u64>,
    /// Why it failed; only of a failed one, and there for every one of our own.
    pub failure: Option<Failure>,
    /// Sent by this node; otherwise imported.
    pub own: bool,
    pub(crate) route: Vec<u8>,
}

/// Something that must hold of every record, and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// L3: complete without a preimage, or with one that does not prove the hash, or a preimage
    /// without being complete.
    #[error("L3 broken by record {0}: complete if and only if a preimage proves it")]
    Proof(u64),
    /// L2: settled without a time or pending with one, or settled before it began.
    #[error("L2 broken by record {0}: settled if and only if it has a time of settlement")]
    Settled(u64),
    /// A reason for a failure that is none.
    #[error("record {0} has a reason for failing and has not failed")]
    Failure(u64),
    /// A stored value that no record can have.
    #[error("record {created_index} has an impossible {column}")]
    Value {
        /// The record.
        created_index: u64,
        /// Which of its columns.
        column: &'static str,
    },
}

impl Payment {
    /// The name of this part at LDK.
    pub fn payment_id(&self) -> PaymentId {
        payment_id(
            &self.payment_hash,
            self.groupid,
            self.partid,
            self.created_index,
        )
    }

    /// The way it took; empty for a payment to ourselves.
    pub fn route(&self) -> Result<Vec<Hop>, RouteError> {
        route::decode(&self.route)
    }

    /// What must hold of every record at every time.
    pub fn invariants(&self) -> Result<(), Violation> {
        self.listed().invariants()
    }
}
