//! `sendpay`: one part of a payment along a given route.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::Payment;
use crate::value::{
    EscapedText, Hash32, HexBytes, IdempotencyKey, InvoiceString, NonzeroMsat, Number63, RouteHops,
    Secret,
};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

params! {
    /// Sends one part of a payment along *route*, and answers as soon as it is recorded, before
    /// it has arrived anywhere. *waitsendpay* waits for the outcome; *listsendpays* shows it at any
    /// time. The record is on disk before anything is sent.
    ///
    /// What is under way or paid is never sent again. A part is known by *payment_hash*, *groupid*
    /// and *partid*: asked for again with the same amount and destination, a pending or completed
    /// part is the answer, and a failed one is refused (201), since each try is a group of its own.
    /// Without *groupid* a new group is asked for: it is refused (200) while another group of the
    /// payment is pending, answered with the old part once that has completed, and sent if all
    /// others failed. A caller that may ask twice for one try, after a crash of its own for example,
    /// gives a *groupid*. Route, label, invoice and secret are not compared.
    ///
    /// A route is refused (-32602), and nothing recorded, if a hop forwards more than it gets or
    /// has a smaller delay than the hop after it, if it uses a channel twice or comes back to this
    /// node, if it has more than 27 hops, and if its last delay is below 9 blocks or its first
    /// above 2016.
    ///
    /// With an empty *route* an invoice of this node is paid by this node: record and invoice change
    /// in one commit. A hold invoice cannot be paid so.
    ///
    /// Of Core Lightning's parameters *localinvreqid* is refused (212).
    pub struct SendPay {
        /// The hops, from the first channel to the destination, as *getroute* gives them. Each has
        /// `short_channel_id_dir` (or `channel`), `node_id_out` (or `id`), `amount_out_msat` (or
        /// `amount_msat`) and `cltv_out` (or `delay`): the channel, the node at its end, what that
        /// node gets, and how many blocks from now the HTLC to it lasts. Other members are ignored.
        required route: RouteHops,
        /// The hash of the preimage that the destination gives in exchange.
        required payment_hash: Hash32,
        /// A text of your own, kept with the record.
        optional label: EscapedText,
        /// What the destination is to get in all parts together. Needed if *partid* is not 0, or if
        /// *route* is empty; else it must equal the amount of the last hop.
        optional amount_msat: NonzeroMsat,
        /// The invoice that is paid, kept with the record as it is given: it is not read.
        optional bolt11: InvoiceString,
        /// The payment_secret of the invoice. Needed if *partid* is not 0 or *route* is empty, and
        /// most destinations refuse a payment without it.
        optional payment_secret: Secret,
        /// Which part of the payment this is, if it has more than one.
        default(Number63::ZERO) partid: Number63,
        /// The id of an invoice_request of this node. Not supported yet: refused.
        optional localinvreqid: Hash32,
        /// Which try at this payment the part belongs to. The default is a new one: one more than
        /// the greatest there is of this *payment_hash*.
        optional groupid: Number63,
        /// The payment_metadata of the invoice.
        optional payment_metadata: HexBytes,
        /// The description that the invoice has a hash of, kept with the record.
        optional description: EscapedText,
        /// A name of your own for this request, of at most 128 bytes, never used for another. Asked
        /// for again, also after a crash, the answer is the part that the first request began, as
        /// it is now; if it has failed, its failure.
        optional idempotency_key: IdempotencyKey,
    }
}

/// The result of `sendpay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = describe_message)]
pub struct SendPayResult {
    /// What to do next. Not there if the payment had already completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The part.
    #[serde(flatten)]
    pub payment: Payment,
}

impl SendPayResult {
    /// The message of a part that is under way.
    pub const MONITOR: &'static str = "Monitor status with listpays or waitsendpay";
    /// What the schema says of it.
    const MESSAGE: &'static str =
        "What to do next. Not there if the payment had already completed.";
}

/// The message of a failed part has the same name and would describe it: no part is failed here.
fn describe_message(schema: &mut Schema) {
    let message = schema.pointer_mut("/properties/message");
    if let Some(message) = message.and_then(Value::as_object_mut) {
        message.insert("description".into(), SendPayResult::MESSAGE.into());
    }
}

impl Method for SendPay {
    const NAME: &'static str = "sendpay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "send one part of a payment along a route";
    type Result = SendPayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::PayInProgress,
            "Another group of this payment, or all of its amount, is under way.",
        ),
        (
            Code::PayRhashAlreadyUsed,
            "This payment_hash was paid, or this part is under way, with another amount or \
             destination; or this part of this group failed.",
        ),
        (
            Code::PayDestinationPermFail,
            "A payment to ourselves was refused; the data is the failed part.",
        ),
        (
            Code::PayTryOtherRoute,
            "The first channel cannot be used. Nothing was recorded; the data says what failed.",
        ),
        (
            Code::PayInvoiceRequestInvalid,
            "*localinvreqid* was given, which is not supported yet.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] =
        &["waitsendpay", "listsendpays", "getroute", "pay", "delpay"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "route='[{\"id\":\"02…\",\"channel\":\"103x1x0\",\"amount_msat\":1000,\
                 \"delay\":42}]' payment_hash=… payment_secret=…",
        shows: "Sends 1000 msat to a neighbour.",
    }];
}
