//! `listpays`: payments as a whole, each one try (group) of all its parts.

use super::{Category, Example, Method};
use crate::params;
use crate::payment::{Attempt, OutgoingHtlc};
use crate::value::{
    EscapedText, FailureCode, Hash32, InvoiceString, ListIndex, ListOrder, Msat, NodeId, Number63,
    PaymentMsat, PaymentStatus, Secret, Subsystem,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows payments, each as the sum of the parts that belong to one try (*groupid*). The
    /// parts are shown by *listsendpays*. A try is *complete* as soon as one part is, *pending* if
    /// a part may still complete, else *failed*.
    ///
    /// All filters, *start* and *limit* choose whole tries, by what is shown of them: none is ever
    /// shown with parts missing. A listing has each try once that was there when it began, at the
    /// place it had then.
    ///
    /// All filters given must hold. A range includes both ends, and one end of it can be left out;
    /// its ends the wrong way round are an error. What has not got a field is not in a range of it.
    pub struct ListPays {
        /// Only tries at this invoice.
        optional bolt11: InvoiceString,
        /// Only tries at this payment_hash.
        optional payment_hash: Hash32,
        /// Only tries with this status. By *pending* those are found that have a part out: not one that a
        /// `pay` is just making its next part of, which is shown as pending otherwise.
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
        /// Which way to list: `asc`, the oldest first, or `desc`, the newest first. By `desc`, *start*
        /// is the greatest index to list, with 0 for the newest, and what never changed comes
        /// last by `updated`. The default is `asc`.
        optional order: ListOrder,
        /// Only tries to this node.
        optional destination: NodeId,
        /// Only tries with this label, to the letter.
        optional label: EscapedText,
        /// Only tries with this groupid.
        optional groupid: Number63,
        /// Only tries created at this time or later, in seconds since 1970 (UNIX time).
        optional created_from: u64,
        /// Only tries created at this time or earlier, in seconds since 1970.
        optional created_to: u64,
        /// Only tries with a completed_at of this time or later, in seconds since 1970.
        optional completed_from: u64,
        /// Only tries with a completed_at of this time or earlier, in seconds since 1970.
        optional completed_to: u64,
        /// Only tries with an amount_msat of at least this; one that failed has none.
        optional amount_from_msat: Msat,
        /// Only tries with an amount_msat of at most this.
        optional amount_to_msat: Msat,
        /// Only tries that failed, of which a part failed with this error code, 202 to 209.
        optional code: FailureCode,
        /// Only tries that failed, of which a part failed with this failure code of BOLT 4.
        optional failcode: u16,
        /// Whether to show the parts of each try too, with the way that each took and why it failed.
        default(false) attempts: bool,
    }
}

/// One try at a payment, all its parts together.
// A long listing borrows its texts from the records; all else owns them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PaymentGroup")]
pub struct PaymentGroup<Text = String> {
    /// The bolt11 invoice, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<Text>,
    /// The bolt12 invoice, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt12: Option<Text>,
    /// The description, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
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
    pub label: Option<Text>,
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
    /// The HTLCs that are out. There if status is *pending*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub htlcs: Option<Vec<OutgoingHtlc>>,
    /// Whether what this was to pay can be paid in another way and is not paid twice: *false* while
    /// any part of the payment_hash may still complete, or if one has, and while a `pay` of it is under
    /// way, which may send another. This daemon itself never pays a payment_hash twice.
    pub safe_to_retry: bool,
    /// Why, in a line.
    pub safe_to_retry_reason: Text,
    /// The parts, with the way that each took and why it failed. There if *attempts* is *true*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Vec<Attempt>>,
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
    const LISTS: Option<Subsystem> = Some(Subsystem::Sendpays);
    const EXAMPLES: &'static [Example] = &[Example {
        params: "status=pending",
        shows: "Payments that are under way.",
    }];
}
