//! `delinvoice`: the removal of an invoice, or of its description.

use super::listinvoices::InvoiceRecord;
use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{Label, PlainText};

params! {
    /// Removes an invoice, whatever became of it, and shows it once more as it was. Its label can be
    /// used again. Give the *status* that you believe it has: if it has another by now, because it
    /// was paid just before for example, nothing is removed. An invoice that is being paid at this
    /// moment is waited for, and is *paid* then. One whose payment is held cannot be removed.
    ///
    /// A payment that arrives for an invoice that is gone is refused.
    pub struct DelInvoice {
        /// The label of the invoice.
        required label: Label,
        /// The status it must have: `paid`, `expired` or `unpaid`.
        required status: PlainText,
        /// Whether only the description is removed, to save space, and the invoice stays.
        default(false) desconly: bool,
    }
}

impl Method for DelInvoice {
    const NAME: &'static str = "delinvoice";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "remove an invoice, or its description";
    type Result = InvoiceRecord;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (Code::InvoiceNotFound, "No invoice has this label."),
        (
            Code::InvoiceStatusUnexpected,
            "The invoice has another status. The data has it as *current_status*, and the one given \
             as *expected_status*. Or a payment of it is held.",
        ),
        (
            Code::InvoiceNoDescription,
            "The description is gone already, and *desconly* was given.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["listinvoices", "waitinvoice", "invoice"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "order-17 unpaid",
        shows: "Takes back an invoice that nobody has paid yet.",
    }];
}
