//! `settleimported`: what the operator knows of payments that were imported as pending.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::Payment;
use crate::value::{DeletableStatus, Hash32, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Records how payments ended that `sendpayd import` found pending, or that were pending in what
    /// `sendpayd recover` restored, and that this node can know nothing of by itself. Until then their
    /// payment_hash takes no new *sendpay* or *pay*: it may have been paid. All imported parts of the payment that are pending are
    /// settled at once. If none is pending, those that ended the same way are shown, unchanged.
    ///
    /// *failed* is the operator's word that none of them can be claimed any more: look at the old
    /// node's channels, or wait until they are closed and swept.
    pub struct SettleImported {
        /// Which payment.
        required payment_hash: Hash32,
        /// How it ended: *complete* or *failed*.
        required status: DeletableStatus,
        /// The proof, whose SHA256 is the payment_hash. Needed if and only if it is *complete*.
        optional payment_preimage: Secret,
    }
}

/// The result of `settleimported`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettleImportedResult {
    /// The parts, by created_index.
    pub payments: Vec<Payment>,
}

impl Method for SettleImported {
    const NAME: &'static str = "settleimported";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "tell how an imported payment ended";
    type Result = SettleImportedResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::PayNoSuchPayment,
            "No imported record has this payment_hash.",
        ),
        (
            Code::PayStatusUnexpected,
            "None of them is pending, and none ended so. A preimage that was given is kept, and the \
             payment_hash takes no new payment.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["listsendpays", "sendpay", "delpay"];
    const EXAMPLES: &'static [Example] = &[
        Example {
            params: "payment_hash=… status=complete payment_preimage=…",
            shows: "It was paid, and this proves it.",
        },
        Example {
            params: "payment_hash=… status=failed",
            shows: "It can never be claimed.",
        },
    ];
}
