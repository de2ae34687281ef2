//! `delpay`: the removal of settled records.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::Payment;
use crate::value::{DeletableStatus, Hash32, Number63};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Removes the records of a payment that have the given status, and shows them once more. A
    /// pending record is never removed. Of a completed payment the proof is kept, so that paying it
    /// again still answers that it is paid.
    pub struct DelPay {
        /// Which payment.
        required payment_hash: Hash32,
        /// Remove the parts with this status: *complete* or *failed*.
        required status: DeletableStatus,
        /// Remove only this part. Needs *groupid*.
        optional partid: Number63,
        /// Remove only from this group. Needs *partid*.
        optional groupid: Number63,
    }
}

/// The result of `delpay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DelPayResult {
    /// The parts that were removed, by created_index.
    pub payments: Vec<Payment>,
}

impl Method for DelPay {
    const NAME: &'static str = "delpay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "remove the records of a payment that is settled";
    type Result = DelPayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[(
        Code::PayNoSuchPayment,
        "No record has this payment_hash, status and part.",
    )];
    const SEE_ALSO: &'static [&'static str] = &["listsendpays", "listpays"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "payment_hash=… status=failed",
        shows: "Forgets the failed parts of a payment.",
    }];
}
