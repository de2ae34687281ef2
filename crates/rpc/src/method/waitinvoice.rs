//! `waitinvoice`: until a certain invoice is paid.

use super::listinvoices::InvoiceRecord;
use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::Label;

params! {
    /// Answers when the invoice with this *label* is paid, at once if it is already, and shows it as
    /// *listinvoices* does. Any number of callers may wait; going away changes nothing.
    pub struct WaitInvoice {
        /// The label of the invoice.
        required label: Label,
    }
}

impl Method for WaitInvoice {
    const NAME: &'static str = "waitinvoice";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "wait until a certain invoice is paid";
    type Result = InvoiceRecord;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::Lightningd,
            "No invoice has this label, or it is deleted while it is waited for.",
        ),
        (
            Code::InvoiceExpiredDuringWait,
            "It has expired, or does while it is waited for; or it is a hold invoice that was \
             cancelled. The data is the invoice.",
        ),
        (
            Code::Shutdown,
            "The daemon is told to stop before it is paid.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["waitanyinvoice", "listinvoices", "invoice"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "order-17",
        shows: "Waits for the payment of that order.",
    }];
}
