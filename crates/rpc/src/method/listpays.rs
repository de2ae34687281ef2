//! `listpays`: payments as a whole, each one try (group) of all its parts.

use super::{Category, Example, Method};
use crate::params;
use crate::value::{Hash32, InvoiceString, ListIndex, NodeId, PaymentMsat, PaymentStatus, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows payments, each as the sum of the parts that belong to one try (*groupid*). The
    /// parts are shown by *listsendpays*. A try is *complete* as soon as one part is, *pending* if
    /// a part may still complete, else *failed*.
    ///
    /// *status*, *start* and *limit* choose whole tries: none is ever shown with parts missing. By
    /// `updated`, a try that changes while a long listing is under way can be in it twice.
    pub struct ListPays {
        /// Only tries at this invoice.
        optional bolt11: InvoiceString,
        /// Only tries at this payment_hash.
        optional payment_hash: Hash32,
        /// Only tries with this status.
        optional status: PaymentStatus,
        /// The order to list in: `created` by the first part's created_index, `updated` by the
        /// greatest updated_index of a part. Tries that never changed come first by `updated`, and
        /// only if *start* is 0. The default is `created`.
        optional index: ListIndex,
        /// List from this index on. Needs *index*, and cannot be used with *bolt11* or
        /// *payment_hash*.
        default(0) start: u64,
        /// List at most so many tries. Needs *index*.
        optional limit: u32,
    }
}

/// One try at a payment, all its parts together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentGroup {
    /// The bolt11 invoice, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<String>,
    /// The bolt12 invoice, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt12: Option<String>,
    /// The description, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The final destination of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<NodeId>,
    /// The hash of the preimage, which will prove payment.
    pub payment_hash: Hash32,
    /// One of *complete*, *failed* or *pending*.
    pub status: PaymentStatus,
    /// When the first part was initiated, in seconds since 1970 (UNIX time).
    pub created_at: u64,
    /// When the first part completed, in seconds since 1970 (UNIX time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// The label, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Proves that the payment was received. There if status is *complete*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preimage: Option<Secret>,
    /// What the destination receives with the parts that are complete or pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<PaymentMsat>,
    /// What leaves us with the parts that are complete or pending, fees included.
    pub amount_sent_msat: PaymentMsat,
    /// How many parts are complete or pending, if more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_parts: Option<u64>,
    /// The smallest created_index of a part.
    pub created_index: u64,
    /// The greatest updated_index of a part, if one has changed since it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_index: Option<u64>,
}

/// The result of `listpays`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListPaysResult {
    /// The tries, in the order of their first part unless *index* says otherwise.
    pub pays: Vec<PaymentGroup>,
}

impl Method for ListPays {
    const NAME: &'static str = "listpays";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "show payments and what became of them";
    type Result = ListPaysResult;
    const SEE_ALSO: &'static [&'static str] = &["pay", "listsendpays", "sendpay", "delpay"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "status=pending",
        shows: "Payments that are under way.",
    }];
}
