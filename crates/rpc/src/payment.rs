//! The payment object: one part of a payment (one HTLC), as every method shows it.
//!
//! One type for sendpay, waitsendpay, listsendpays and delpay, so that a field appears in all of
//! them with the same name. It is built from a record by the daemon; nothing is decided here.

use crate::value::{Hash32, HexBytes, NodeId, PaymentMsat, PaymentStatus, Scid, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One part of a payment. Fields are written in this order; those that are not known are left out.
// A long listing borrows its texts from the records; all else owns them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Payment")]
pub struct Payment<Text = String> {
    /// Number of the record in the order of creation, from 1. No number is used twice.
    pub created_index: u64,
    /// The same as created_index, under its old name: the unique internal value assigned at
    /// creation.
    pub id: u64,
    /// The hash of the payment_preimage, which will prove payment.
    pub payment_hash: Hash32,
    /// Which try at this payment_hash the part belongs to.
    pub groupid: u64,
    /// Number of the last change in the order of changes. Not there if the record is as it was
    /// created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_index: Option<u64>,
    /// Which part of the group this is. Not there if it is 0, as it is of a payment in one part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partid: Option<u64>,
    /// The final destination of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<NodeId>,
    /// The amount the destination receives with this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<PaymentMsat>,
    /// The amount that leaves us with this part: amount_msat and the fees.
    pub amount_sent_msat: PaymentMsat,
    /// When the payment was initiated, in seconds since 1970 (UNIX time).
    pub created_at: u64,
    /// When the payment completed or failed, in seconds since 1970 (UNIX time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// One of *complete*, *failed* or *pending*.
    pub status: PaymentStatus,
    /// Proves that the payment was received. There if status is *complete*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_preimage: Option<Secret>,
    /// The label given to *sendpay* or *pay*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Text>,
    /// The bolt11 invoice given to *pay* or *sendpay*, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<Text>,
    /// The bolt12 invoice given to *sendpay*, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt12: Option<Text>,
    /// The description given to *pay* or *sendpay*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The failure as it came, if nobody could decode it. This daemon does not learn it, so it
    /// leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erroronion: Option<HexBytes>,
    /// The block height from which we can take the first HTLC back. It is not a height by which
    /// the payment has ended: until the HTLC is taken back, the payment can complete. There if
    /// status is *pending*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cltv_expiry: Option<u32>,
    /// Why it failed, each field where known.
    #[serde(flatten)]
    pub failure: Failure,
}

impl Payment<&str> {
    /// The same with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Payment {
        Payment {
            created_index: self.created_index,
            id: self.id,
            payment_hash: self.payment_hash,
            groupid: self.groupid,
            updated_index: self.updated_index,
            partid: self.partid,
            destination: self.destination,
            amount_msat: self.amount_msat,
            amount_sent_msat: self.amount_sent_msat,
            created_at: self.created_at,
            completed_at: self.completed_at,
            status: self.status,
            payment_preimage: self.payment_preimage,
            label: self.label.map(str::to_owned),
            bolt11: self.bolt11.map(str::to_owned),
            bolt12: self.bolt12.map(str::to_owned),
            description: self.description.map(str::to_owned),
            erroronion: self.erroronion,
            cltv_expiry: self.cltv_expiry,
            failure: self.failure,
        }
    }
}

/// Why a payment failed. There if status is *failed*, each field where known and never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The error code that *waitsendpay* gives for this failure: 202, 203, 204 or 209. There if
    /// status is *failed*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Which node of the route reported the failure: 0 is us, 1 the node after the first channel.
    /// There if status is *failed* and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_index: Option<u32>,
    /// The failure code of BOLT 4. There if status is *failed* and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failcode: Option<u16>,
    /// The name of failcode. There if failcode is one of BOLT 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failcodename: Option<String>,
    /// The node that reported the failure. There if status is *failed* and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_node: Option<NodeId>,
    /// The channel that failed. There if status is *failed* and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_channel: Option<Scid>,
    /// The direction through erring_channel, 0 or 1. There if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erring_direction: Option<u8>,
    /// The failure message as it came, in hex. This daemon does not learn it, so it leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_message: Option<HexBytes>,
    /// The reason in words, for people. There if status is *failed*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One hop of the way that a part took or was to take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteStep {
    /// The node at the end of this hop.
    pub id: NodeId,
    /// The channel.
    pub channel: Scid,
    /// 0 if the channel is taken from the lesser to the greater node id, else 1.
    pub direction: u8,
    /// What the node at the end of this hop gets.
    pub amount_msat: PaymentMsat,
    /// How many blocks the HTLC to that node lasts, from when it was sent.
    pub delay: u32,
}

/// One part of a payment with the way it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The part.
    #[serde(flatten)]
    pub payment: Payment,
    /// The way, from our channel on. Empty if it is not known, or if it was a payment to ourselves.
    pub route: Vec<RouteStep>,
}

/// An HTLC that is out: what it binds may still be claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutgoingHtlc {
    /// The part of the payment that it is.
    pub partid: u64,
    /// Our channel that it went out by. Not there for a part of another node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_channel_id: Option<Scid>,
    /// What it binds in that channel, fees included.
    pub amount_sent_msat: PaymentMsat,
    /// The block height from which we can take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cltv_expiry: Option<u32>,
    /// How many blocks are left until that height; 0 if it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_left: Option<u32>,
}

/// Puts an invoice string in the member it belongs to: `lni…` is bolt12, all else bolt11.
#[must_use]
pub fn invoice_members<Text: AsRef<str>>(invoice: Option<Text>) -> (Option<Text>, Option<Text>) {
    match invoice {
        Some(invoice) if invoice.as_ref().starts_with("lni") => (None, Some(invoice)),
        bolt11 => (bolt11, None),
    }
}
