//! `wait`: until something was created, changed or deleted.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{Hash32, IndexName, Subsystem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Answers once the index *indexname* of *subsystem* has reached *nextvalue*. Each index is 0
    /// before anything has happened, goes up with each creation, change or deletion, and never goes
    /// back; so 0 as *nextvalue* asks for its value now. An index may go up by more than one. Any
    /// number of callers may wait; going away changes nothing.
    ///
    /// To miss nothing, list what there is with *index* and *start*, then wait for the greatest
    /// index seen and one more. *followsendpays* does that without asking again and again, and tells
    /// of creations, changes and deletions in one order.
    pub struct Wait {
        /// What to wait for: `sendpays` or `invoices`. The other subsystems of Core Lightning are
        /// not kept here, and refused.
        required subsystem: Subsystem,
        /// Which index: `created`, `updated` or `deleted`. An invoice changes when it is paid, held,
        /// cancelled or expires, and when its description is removed.
        required indexname: IndexName,
        /// The value to wait for.
        required nextvalue: u64,
    }
}

/// The result of `wait`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitResult {
    /// The subsystem that was asked for.
    pub subsystem: Subsystem,
    /// The index, if it is *created* that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// The index, if it is *updated* that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<u64>,
    /// The index, if it is *deleted* that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// What has this index, as it is now. There if the answer had to be waited for, and if what has
    /// the index is not gone. Of a deleted invoice its label and its last status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The same as *details*, under its new name. There if *subsystem* is `sendpays`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sendpays: Option<Details>,
    /// The same as *details*, under its new name. There if *subsystem* is `invoices`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoices: Option<Details>,
}

/// A few members of a payment or an invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Details {
    /// Of a payment *pending*, *complete* or *failed*; of an invoice *unpaid*, *paid* or *expired*.
    pub status: String,
    /// Which part of its group it is. There if it is a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partid: Option<u64>,
    /// Which try at its payment_hash it belongs to. There if it is a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groupid: Option<u64>,
    /// The hash of the payment_preimage. There if it is a payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_hash: Option<Hash32>,
    /// Its label. There if it is an invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is for. There if it is an invoice that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The invoice itself. There if it is an invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<String>,
}

impl Method for Wait {
    const NAME: &'static str = "wait";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "wait until something is created, changed or deleted";
    type Result = WaitResult;
    const ERRORS: &'static [(Code, &'static str)] = &[(
        Code::Shutdown,
        "The daemon is told to stop before it has happened.",
    )];
    const SEE_ALSO: &'static [&'static str] = &[
        "followsendpays",
        "listsendpays",
        "listinvoices",
        "waitsendpay",
    ];
    const EXAMPLES: &'static [Example] = &[
        Example {
            params: "sendpays updated 0",
            shows: "How many changes of payments there were.",
        },
        Example {
            params: "sendpays updated 1201",
            shows: "Waits for the change after number 1200.",
        },
    ];
}
