//! What a `pay` comes to: the proof, or what was tried and why it ended.

use std::fmt;
use std::sync::Arc;

use sendpay_ledger::{
    BeginError, Closed, Hop, Msat, NodeId, Payment, PaymentHash, Preimage, ReadError, Status,
};
use thiserror::Error;

use crate::bolt11::Bolt11Error;

/// A payment that is complete.
#[derive(Clone, Debug)]
pub struct PaidInvoice {
    /// The proof.
    pub preimage: Preimage,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// Who was paid.
    pub destination: Option<NodeId>,
    /// What was delivered, over complete and pending parts.
    pub amount_msat: Msat,
    /// What left us for it.
    pub amount_sent_msat: Msat,
    /// How many parts those are.
    pub parts: u64,
    /// The try that paid it.
    pub groupid: u64,
    /// Whether it was paid before it was asked for now.
    pub before: bool,
    /// How many parts of the same try failed.
    pub failed_parts: u64,
    /// When the first part was begun, in ms since 1970.
    pub created_at_ms: u64,
    /// When the first part was complete, in ms since 1970.
    pub completed_at_ms: Option<u64>,
}

/// Why no more is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The destination refused it for good.
    Refused,
    /// No way for what is missing; the router's words.
    NoRoute(String),
    /// Every way costs more, or locks for longer, than allowed.
    TooExpensive {
        /// The bound on fees.
        fee_max_msat: u64,
        /// The bound on blocks.
        delay_max: u32,
    },
    /// The time allowed for tries is over.
    TimeOver,
    /// The invoice lapsed meanwhile, so many seconds ago.
    Expired(u64),
    /// Somebody asked for it to end.
    Cancelled,
    /// More tries than one payment may have.
    TriesMax(usize),
    /// The request with the same key has ended so; a request with a key is not tried anew.
    Before,
}

/// A route that was found and could not even be begun: there is no record of it.
#[derive(Clone, Debug)]
pub struct Unsent {
    /// The route.
    pub route: Vec<Hop>,
    /// Why.
    pub reason: String,
}

/// A `pay` that ended without a proof: everything it tried, as the ledger has it now.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Why no more is tried.
    pub why: Why,
    /// Every part, in the order of the tries. Those that are pending may still complete.
    pub parts: Vec<Payment>,
    /// Routes that were found and never begun.
    pub unsent: Vec<Unsent>,
}

impl Tried {
    /// The parts whose HTLCs are out: they may still complete.
    pub fn pending(&self) -> impl Iterator<Item = &Payment> {
        self.parts
            .iter()
            .filter(|part| part.status == Status::Pending)
    }

    /// How many parts were tried, with those that could not be begun.
    pub fn attempts(&self) -> usize {
        self.parts.len() + self.unsent.len()
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = self.attempts();
        match &self.why {
            Why::Refused => write!(f, "Failed: the destination refused the payment"),
            Why::NoRoute(cause) if attempts == 0 => {
                write!(f, "Failed: could not find a route: {cause}")
            }
            Why::NoRoute(cause) => {
                write!(
                    f,
                    "Ran out of routes to try after {attempts} attempts: {cause}"
                )
            }
            Why::TooExpensive {
                fee_max_msat,
                delay_max,
            } => {
                let which = if attempts == 0 { "" } else { " other" };
                write!(
                    f,
                    "Failed: every{which} route costs more than {fee_max_msat}msat or takes more \
                     than {delay_max} blocks"
                )
            }
            Why::TimeOver if self.pending().next().is_some() => write!(f, "Timed out"),
            Why::TimeOver => write!(f, "Timed out after {attempts} attempts"),
            Why::Expired(ago) => write!(f, "Invoice expired {ago} seconds ago"),
            Why::Cancelled => write!(f, "Cancelled after {attempts} attempts"),
            Why::TriesMax(most) => write!(f, "Gave up after {most} attempts"),
            Why::Before => write!(
                f,
                "Failed after {attempts} attempts, when it was first asked for with this key"
            ),
        }?;
        match self.pending().next() {
            Some(_) => write!(f, ". Parts are still in progress and may complete later"),
            None => Ok(()),
        }
    }
}

/// Why an invoice is not paid (yet).
#[derive(Clone, Debug, Error)]
pub enum PayError {
    /// The invoice cannot be read.
    #[error("Invalid bolt11: {0}")]
    Bolt11(#[from] Bolt11Error),
    /// The invoice names the amount.
    #[error("amount_msat: parameter unnecessary, the invoice is for {0}")]
    AmountNamed(Msat),
    /// It does not, and no amount was given.
    #[error("amount_msat: parameter required, the invoice names no amount")]
    AmountMissing,
    /// A part of more than there is.
    #[error("partial_msat: must be less or equal to total amount {0}")]
    PartialAmount(Msat),
    /// A part of an invoice of our own.
    #[error("partial_msat: an invoice of this node itself cannot be paid in part")]
    PartialToOurselves,
    /// A keysend to this node itself; CLN's words.
    #[error("We are the destination. Keysend cannot be used to send funds to yourself")]
    KeysendToOurselves,
    /// 33 bytes that are no node.
    #[error("{0} is no node id: it is no point of the curve")]
    NoNode(NodeId),
    /// The description is not what the invoice has a hash of.
    #[error("description: does not match the description hash of the invoice")]
    Description,
    /// The invoice lapsed before anything was tried.
    #[error("Invoice expired {0} seconds ago")]
    Expired(u64),
    /// It is being paid with another amount.
    #[error("Already pending with amount {had} (not {asked})")]
    OtherAmount {
        /// What is under way.
        had: Msat,
        /// What is asked.
        asked: Msat,
    },
    /// The key of the request stands for another one.
    #[error("idempotency_key: was given for another request before")]
    OtherRequest,
    /// The ledger's repeat rules refuse it.
    #[error("{0}")]
    Repeat(Arc<BeginError>),
    /// Tried, and not paid; parts of it may still complete.
    #[error("{0}")]
    Tried(Arc<Tried>),
    /// The node is stopping.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// An error that concerns this node only.
    #[error("{0}")]
    Internal(String),
}

impl From<ReadError> for PayError {
    fn from(cause: ReadError) -> Self {
        PayError::Internal(format!("the ledger could not be read: {cause}"))
    }
}

impl From<Tried> for PayError {
    fn from(tried: Tried) -> Self {
        PayError::Tried(Arc::new(tried))
    }
}
