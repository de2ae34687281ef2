//! `countsendpays`: how many parts were sent, their amounts and fees, by status.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{
    EscapedText, FailureCode, Hash32, InvoiceString, Msat, NodeId, Number63, PaymentStatus, SumMsat,
};
use schemars::JsonSchema;
use serde::Serialize;

params! {
    /// Shows how many parts *sendpay* has sent, also on behalf of *pay*, and the sums of their
    /// amounts, by status. The parameters choose the parts as those of *listsendpays* do.
    ///
    /// Without a filter, or with *status* alone, the answer is at hand at any number of parts: the
    /// sums are kept with the records. With other filters the parts are counted, each once; a
    /// part that settles meanwhile counts with one status or the other.
    pub struct CountSendPays {
        /// Only the parts of the payment of this invoice.
        optional bolt11: InvoiceString,
        /// Only the parts of the payment with this payment_hash.
        optional payment_hash: Hash32,
        /// Only parts with this status. The others are then shown as none.
        optional status: PaymentStatus,
        /// Only parts to this node.
        optional destination: NodeId,
        /// Only parts with this label, to the letter.
        optional label: EscapedText,
        /// Only parts with this groupid.
        optional groupid: Number63,
        /// Only parts created at this time or later, in seconds since 1970 (UNIX time).
        optional created_from: u64,
        /// Only parts created at this time or earlier, in seconds since 1970.
        optional created_to: u64,
        /// Only parts with a completed_at of this time or later, in seconds since 1970.
        optional completed_from: u64,
        /// Only parts with a completed_at of this time or earlier, in seconds since 1970.
        optional completed_to: u64,
        /// Only parts with an amount_msat of at least this.
        optional amount_from_msat: Msat,
        /// Only parts with an amount_msat of at most this.
        optional amount_to_msat: Msat,
        /// Only parts that failed with this error code, 202 to 209.
        optional code: FailureCode,
        /// Only parts that failed with this failure code of BOLT 4.
        optional failcode: u16,
    }
}

/// The parts of one status.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StatusCount {
    /// How many parts.
    pub count: u64,
    /// What the destinations receive with them.
    pub amount_msat: SumMsat,
    /// What leaves us with them: amount_msat and the fees.
    pub amount_sent_msat: SumMsat,
    /// The fees: amount_sent_msat less amount_msat, of the parts whose amount is known. Not there for
    /// those that *failed*, which paid none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fees_msat: Option<SumMsat>,
}

/// The result of `countsendpays`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CountSendPaysResult {
    /// How many parts in all.
    pub count: u64,
    /// The parts that are *pending*.
    pub pending: StatusCount,
    /// The parts that are *complete*.
    pub complete: StatusCount,
    /// The parts that *failed*.
    pub failed: StatusCount,
}

impl Method for CountSendPays {
    const NAME: &'static str = "countsendpays";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "count what sendpay has sent, by status";
    type Result = CountSendPaysResult;
    const ERRORS: &'static [(Code, &'static str)] = &[(Code::InvalidParams, "As of listsendpays.")];
    const SEE_ALSO: &'static [&'static str] = &["listsendpays", "listpays"];
    const EXAMPLES: &'static [Example] = &[
        Example {
            params: "",
            shows: "How many parts are pending, complete and failed, and what was paid in fees.",
        },
        Example {
            params: "label=rent created_from=1767225600",
            shows: "The parts with the label *rent* since the beginning of 2026.",
        },
    ];
}
