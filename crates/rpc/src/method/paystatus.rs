//! `paystatus`: what was tried for payments, under Core Lightning's old words.

use super::{Category, Example, Method};
use crate::params;
use crate::value::{Hash32, InvoiceString, Msat, NodeId, Scid, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows each try at paying an invoice with all its parts, as the ledger has them. Core
    /// Lightning forgets them when it stops, and shows nothing of *xpay*; both are here.
    ///
    /// *listpays* and *listsendpays* say more.
    pub struct PayStatus {
        /// Only tries at this invoice.
        optional bolt11 as invstring: InvoiceString,
    }
}

/// How one part ended well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartSuccess {
    /// The created_index of its record.
    pub id: u64,
    /// Proves that the payment was received.
    pub payment_preimage: Secret,
}

/// More about a failure, each field where known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartFailureData {
    /// The created_index of its record.
    pub id: u64,
    /// The failure code of BOLT 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failcode: Option<u16>,
    /// The name of failcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failcodename: Option<String>,
    /// Which node of the route reported the failure: 0 is us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_index: Option<u32>,
    /// The node that reported the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_node: Option<NodeId>,
    /// The channel that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_channel: Option<Scid>,
    /// The direction through erring_channel, 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_direction: Option<u8>,
}

/// How one part failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartFailure {
    /// In words.
    pub message: String,
    /// The error code that *waitsendpay* gives.
    pub code: i32,
    /// More about it.
    pub data: PartFailureData,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartStatus {
    /// When it was begun, as `2026-01-31T23:59:59.999Z`.
    pub start_time: String,
    /// How many seconds ago that was.
    pub age_in_seconds: u64,
    /// When it ended, in the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    /// `pending`, or `completed` if it has ended, well or not.
    pub state: String,
    /// Which part of the try it is.
    pub partid: u64,
    /// What it delivers.
    pub amount_msat: Msat,
    /// There if it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<PartSuccess>,
    /// There if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<PartFailure>,
}

/// One try at paying an invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TryStatus {
    /// The label, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The invoice, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<String>,
    /// The bolt12 invoice, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt12: Option<String>,
    /// The hash of the preimage.
    pub payment_hash: Hash32,
    /// What the destination is to receive in all parts together.
    pub amount_msat: Msat,
    /// The final destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<NodeId>,
    /// The parts, in order.
    pub attempts: Vec<PartStatus>,
}

/// The result of `paystatus`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PayStatusResult {
    /// The tries, the oldest first.
    pub pay: Vec<TryStatus>,
}

impl Method for PayStatus {
    const NAME: &'static str = "paystatus";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "show what was tried for payments";
    type Result = PayStatusResult;
    const SEE_ALSO: &'static [&'static str] = &["pay", "listpays", "listsendpays"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "lnbcrt1…",
        shows: "What was tried to pay that invoice.",
    }];
}
