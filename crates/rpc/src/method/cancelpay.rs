//! `cancelpay`: no further tries of a payment that is under way.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::OutgoingHtlc;
use crate::value::Hash32;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Ends the tries of a *pay* or *xpay* that is running: it sends nothing more, and its caller
    /// gets an error at once. An HTLC that is out cannot be called back: it stays until it is settled,
    /// and the payment can still complete by it; *listpays* shows what became of it.
    ///
    /// Core Lightning has no such method.
    pub struct CancelPay {
        /// The payment_hash of the payment.
        required payment_hash: Hash32,
    }
}

/// The result of `cancelpay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CancelPayResult {
    /// The payment_hash of the payment.
    pub payment_hash: Hash32,
    /// What is out, and may still be claimed.
    pub htlcs: Vec<OutgoingHtlc>,
}

impl Method for CancelPay {
    const NAME: &'static str = "cancelpay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "end further tries of a running payment";
    type Result = CancelPayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[(
        Code::PayNoSuchPayment,
        "No *pay* or *xpay* of this payment_hash is running.",
    )];
    const SEE_ALSO: &'static [&'static str] = &["pay", "xpay", "listpays"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "payment_hash=…",
        shows: "Ends the tries, and shows what is out.",
    }];
}
