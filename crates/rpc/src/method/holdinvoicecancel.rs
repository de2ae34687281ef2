//! `holdinvoicecancel`: a held payment is given back.

use super::holdinvoice::HoldInvoiceResult;
use super::{Category, Method};
use crate::error::Code;
use crate::params;
use crate::value::Hash32;

params! {
    /// Gives back the payment that is held for an invoice of *holdinvoice*. If nothing is held yet,
    /// the invoice can no longer be paid. An invoice that is cancelled already is answered as it
    /// stands.
    pub struct HoldInvoiceCancel {
        /// The payment_hash of the invoice.
        required payment_hash: Hash32,
    }
}

impl Method for HoldInvoiceCancel {
    const NAME: &'static str = "holdinvoicecancel";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "give back the payment that is held for an invoice";
    type Result = HoldInvoiceResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::InvoiceNotFound,
            "No hold invoice has this payment_hash.",
        ),
        (
            Code::InvoiceStatusUnexpected,
            "It was settled, or is about to be.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["holdinvoice", "holdinvoicesettle", "listinvoices"];
}
