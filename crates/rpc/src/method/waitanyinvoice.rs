//! `waitanyinvoice`: until any invoice is paid.

use super::listinvoices::InvoiceRecord;
use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;

params! {
    /// Answers with the first invoice that was paid after number *lastpay_index* in the order of
    /// payment, at once if there is one, and shows it as *listinvoices* does. To miss none, call it
    /// again with the *pay_index* of the answer.
    ///
    /// If nothing was paid after that number, it waits for the next payment, whatever its number:
    /// with a number beyond all, the payments until now are passed over. Any number of callers may
    /// wait; going away changes nothing.
    pub struct WaitAnyInvoice {
        /// Pass over what was paid up to this number.
        default(0) lastpay_index: u64,
        /// How many seconds to wait at most; 0 only looks. Without it there is no limit.
        optional timeout: u64,
    }
}

impl Method for WaitAnyInvoice {
    const NAME: &'static str = "waitanyinvoice";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "wait until any invoice is paid";
    type Result = InvoiceRecord;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::InvoiceWaitTimedOut,
            "The time is over and no invoice was paid.",
        ),
        (
            Code::Shutdown,
            "The daemon is told to stop before one is paid.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["waitinvoice", "listinvoices", "wait"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "lastpay_index=17 timeout=60",
        shows: "The first payment after number 17, if there is one within a minute.",
    }];
}
