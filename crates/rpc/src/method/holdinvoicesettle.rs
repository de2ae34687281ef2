//! `holdinvoicesettle`: a held payment is taken.

use super::holdinvoice::HoldInvoiceResult;
use super::{Category, Method};
use crate::error::Code;
use crate::params;
use crate::value::Secret;

params! {
    /// Takes the payment that is held for an invoice of *holdinvoice*. It answers when the money is
    /// ours for good. From the block height *claim_deadline* on it refuses: the payment may be on
    /// its way back. An invoice that is settled already is answered as it stands.
    pub struct HoldInvoiceSettle {
        /// The preimage of the invoice, 64 hex digits.
        required preimage: Secret,
    }
}

impl Method for HoldInvoiceSettle {
    const NAME: &'static str = "holdinvoicesettle";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "take the payment that is held for an invoice";
    type Result = HoldInvoiceResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (Code::InvoiceNotFound, "No hold invoice has this preimage."),
        (
            Code::InvoiceStatusUnexpected,
            "Nothing is held for it, it was cancelled, or the deadline has passed.",
        ),
        (
            Code::WaitTimeout,
            "It is being taken, and that is not on disk after a minute; *listinvoices* shows when \
             it is.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["holdinvoice", "holdinvoicecancel", "listinvoices"];
}
