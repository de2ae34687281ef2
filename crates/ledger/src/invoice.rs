//! Invoices: what others may pay us. Their shape; how they are kept is in `invoice_book.rs`.

use crate::read::from_read_error;
use crate::{Msat, Order, PaymentHash, Preimage};

/// An invoice to keep.
#[derive(Clone, PartialEq, Eq)]
pub struct NewInvoice {
    /// The name it is asked for by; unique.
    pub label: String,
    /// What is paid; unique.
    pub payment_hash: PaymentHash,
    /// What proves it; a hold invoice may have none.
    pub preimage: Option<Preimage>,
    /// The secret in the invoice; a payment to ourselves must give it.
    pub payment_secret: Option<[u8; 32]>,
    /// The invoice itself.
    pub bolt11: String,
    /// What it is for.
    pub description: Option<String>,
    /// How much; `None` for any amount.
    pub amount_msat: Option<Msat>,
    /// When it lapses, in ms since 1970.
    pub expires_at_ms: u64,
    /// Its `min_final_cltv_expiry_delta`, in blocks.
    pub cltv: u32,
    /// The HTLC is held until the operator settles or cancels.
    pub hold: bool,
}

/// Where an invoice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvoiceState {
    /// May be paid; or has lapsed, see [`Invoice::expired`].
    Open,
    /// An HTLC for it is held.
    Held,
    /// `PaymentClaimed` came.
    Paid,
    /// Never payable again.
    Cancelled,
    /// Its time was over before it was paid.
    Expired,
}

/// CLN's three words for where an invoice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvoiceStatus {
    /// May be paid, or is held.
    Unpaid,
    /// Paid.
    Paid,
    /// Can never be paid: lapsed, or cancelled.
    Expired,
}

impl InvoiceStatus {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            InvoiceStatus::Unpaid => "unpaid",
            InvoiceStatus::Paid => "paid",
            InvoiceStatus::Expired => "expired",
        }
    }

    pub(crate) const fn code(self) -> i64 {
        match self {
            InvoiceStatus::Unpaid => 0,
            InvoiceStatus::Paid => 1,
            InvoiceStatus::Expired => 2,
        }
    }

    pub(crate) const fn from_code(code: i64) -> Option<InvoiceStatus> {
        match code {
            0 => Some(InvoiceStatus::Unpaid),
            1 => Some(InvoiceStatus::Paid),
            2 => Some(InvoiceStatus::Expired),
            _ => None,
        }
    }
}

impl std::fmt::Display for InvoiceStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An invoice.
#[derive(Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Its number in the order of creation, from 1.
    pub created_index: u64,
    /// The number of its last change; `None` while it never changed.
    pub updated_index: Option<u64>,
    /// The name it is asked for by.
    pub label: String,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// What proves it, where known. A secret until the invoice is paid.
    pub preimage: Option<Preimage>,
    /// The secret in the invoice.
    pub payment_secret: Option<[u8; 32]>,
    /// The invoice itself; empty if it was imported without.
    pub bolt11: String,
    /// What it is for.
    pub description: Option<String>,
    /// How much; `None` for any amount.
    pub amount_msat: Option<Msat>,
    /// When it was made, in ms since 1970.
    pub created_at_ms: u64,
    /// When it lapses, in ms since 1970.
    pub expires_at_ms: u64,
    /// Its `min_final_cltv_expiry_delta`, in blocks.
    pub cltv: u32,
    /// A hold invoice.
    pub hold: bool,
    /// Where it stands.
    pub state: InvoiceState,
    /// Held: the height from which it can no longer be claimed.
    pub claim_deadline: Option<u32>,
    /// Held: how much, in msat.
    pub amount_held_msat: Option<Msat>,
    /// A claim of its payment has begun. Of one that is held this says too that the operator has given the
    /// preimage.
    pub claiming: bool,
    /// Paid: its number in the order of payment.
    pub pay_index: Option<u64>,
    /// Paid: how much came, in msat.
    pub amount_received_msat: Option<Msat>,
    /// Paid: when, in ms since 1970.
    pub paid_at_ms: Option<u64>,
    /// Made by this node; otherwise imported, and history: it is never payable here.
    pub own: bool,
}

impl std::fmt::Debug for Invoice {
    /// Without the secrets: `payment_secret`, the invoice string that holds it, the preimage.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invoice")
            .field("created_index", &self.created_index)
            .field("label", &self.label)
            .field("payment_hash", &self.payment_hash)
            .field("amount_msat", &self.amount_msat)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Invoice {
    /// Whether it has lapsed at that time: its time is over, recorded as such or not yet.
    pub fn expired(&self, now_ms: u64) -> bool {
        match self.state {
            InvoiceState::Expired => true,
            InvoiceState::Open => now_ms >= self.expires_at_ms,
            InvoiceState::Held | InvoiceState::Paid | InvoiceState::Cancelled => false,
        }
    }

    /// CLN's word for where it stands at that time.
    pub fn status(&self, now_ms: u64) -> InvoiceStatus {
        match self.state {
            InvoiceState::Paid => InvoiceStatus::Paid,
            InvoiceState::Cancelled => InvoiceStatus::Expired,
            _ if self.expired(now_ms) => InvoiceStatus::Expired,
            InvoiceState::Open | InvoiceState::Held | InvoiceState::Expired => {
                InvoiceStatus::Unpaid
            }
        }
    }
}

/// How an invoice is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvoiceKey {
    /// By its label.
    Label(String),
    /// By its payment hash.
    Hash(PaymentHash),
}

/// Which invoices to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvoiceFilter {
    /// Only the one with this label.
    pub label: Option<String>,
    /// Only the one with this hash.
    pub payment_hash: Option<PaymentHash>,
    /// Only those held.
    pub held_only: bool,
    /// In which order.
    pub order: Order,
    /// The first index to list, in that order's numbers.
    pub start: u64,
}

/// Why an invoice was not kept.
#[derive(Debug, thiserror::Error)]
pub enum AddInvoiceError {
    /// There is one with that label (900).
    #[error("Duplicate label '{0}'")]
    DuplicateLabel(String),
    /// There is one with that hash (901).
    #[error("preimage already used")]
    DuplicateHash(PaymentHash),
    /// The preimage is not that hash's.
    #[error("the preimage does not prove payment_hash {0}")]
    NoProof(PaymentHash),
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// An invoice that cannot be was found.
    #[error("the ledger holds an invoice that cannot be")]
    Damaged(#[from] crate::Violation),
}

/// What holding came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It was open and is held now.
    Held(Invoice),
    /// It was held before. Nothing changed.
    AlreadyHeld(Invoice),
}

/// Why an invoice was not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// There is no such invoice.
    #[error("Unknown invoice with payment_hash: {0}")]
    Unknown(PaymentHash),
    /// It is not open any more.
    #[error("invoice is {}", .0.as_str())]
    NotOpen(InvoiceState),
    /// Its time is over.
    #[error("invoice expired")]
    Expired,
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// An invoice that cannot be was found.
    #[error("the ledger holds an invoice that cannot be")]
    Damaged(#[from] crate::Violation),
}

/// What a payment of an invoice came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paid {
    /// It is paid now.
    Now(Invoice),
    /// It was paid before: an event that came again. Nothing changed.
    Already(Invoice),
}

/// Why an invoice was not made paid.
#[derive(Debug, thiserror::Error)]
pub enum PaidError {
    /// There is no such invoice.
    #[error("Unknown invoice with payment_hash: {0}")]
    Unknown(PaymentHash),
    /// The preimage is not this hash's.
    #[error("the preimage does not prove payment_hash {0}")]
    NoProof(PaymentHash),
    /// No claim of it was begun: what was claimed is the payment of another invoice of this hash, which is
    /// deleted.
    #[error("no payment of the invoice with payment_hash {0} is being claimed")]
    NotClaimed(PaymentHash),
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// An invoice that cannot be was found.
    #[error("the ledger holds an invoice that cannot be")]
    Damaged(#[from] crate::Violation),
}

/// What cancelling came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled now.
    Now(Invoice),
    /// It was cancelled before. Nothing changed.
    Already(Invoice),
}

/// Why an invoice was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such invoice.
    #[error("Unknown invoice with payment_hash: {0}")]
    Unknown(PaymentHash),
    /// It is paid.
    #[error("invoice is already paid")]
    Paid,
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// An invoice that cannot be was found.
    #[error("the ledger holds an invoice that cannot be")]
    Damaged(#[from] crate::Violation),
}

from_read_error!(AddInvoiceError);
from_read_error!(HoldError);
from_read_error!(PaidError);
from_read_error!(CancelError);

impl InvoiceState {
    pub(crate) const fn from_code(code: i64) -> Option<InvoiceState> {
        match code {
            0 => Some(InvoiceState::Open),
            1 => Some(InvoiceState::Held),
            2 => Some(InvoiceState::Paid),
            3 => Some(InvoiceState::Cancelled),
            4 => Some(InvoiceState::Expired),
            _ => None,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            InvoiceState::Open => "open",
            InvoiceState::Held => "held",
            InvoiceState::Paid => "paid",
            InvoiceState::Cancelled => "cancelled",
            InvoiceState::Expired => "expired",
        }
    }
}
