//! `sendpay`: one part of a payment along a given route.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::Payment;
use crate::value::{
    EscapedText, Hash32, HexBytes, InvoiceString, NonzeroMsat, Number63, RouteHops, Secret,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Sends one part of a payment along *route*, and answers as soon as it is recorded, before
    /// it has arrived anywhere. *waitsendpay* waits for the outcome; *listsendpays* shows it at any
    /// time. The record is on disk before anything is sent.
    ///
    /// The same request made again never sends twice: while the part is under way, or once it has
    /// completed, it answers with the part there is. To be safe across a crash of the caller as
    /// well, give a *groupid*: without one a new group is started, which is refused as long as
    /// another group of the payment is pending.
    ///
    /// With an empty *route* an invoice of this node is paid by this node.
    pub struct SendPay {
        /// The hops, from the first channel to the destination, as *getroute* gives them. Each has
        /// `short_channel_id_dir` (or `channel`), `node_id_out` (or `id`), `amount_out_msat` (or
        /// `amount_msat`) and `cltv_out` (or `delay`): the channel, the node at its end, what that
        /// node gets, and the blocks until it must have passed it on. Other members are ignored.
        required route: RouteHops,
        /// The hash of the preimage that the destination gives in exchange.
        required payment_hash: Hash32,
        /// A text of your own, kept with the record.
        optional label: EscapedText,
        /// What the destination is to get in all parts together. Needed if *partid* is not 0, or if
        /// *route* is empty; else it must equal the amount of the last hop.
        optional amount_msat: NonzeroMsat,
        /// The invoice that is paid, kept with the record.
        optional bolt11: InvoiceString,
        /// The payment_secret of the invoice. Needed if *partid* is not 0.
        optional payment_secret: Secret,
        /// Which part of the payment this is, if it has more than one.
        default(Number63::ZERO) partid: Number63,
        /// The id of an invoice_request of this node. Not supported yet.
        optional localinvreqid: Hash32,
        /// Which try at this payment the part belongs to. The default is a new one.
        optional groupid: Number63,
        /// The payment_metadata of the invoice.
        optional payment_metadata: HexBytes,
        /// The description that the invoice has a hash of, kept with the record.
        optional description: EscapedText,
    }
}

/// The result of `sendpay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
}

impl Method for SendPay {
    const NAME: &'static str = "sendpay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "send one part of a payment along a route";
    type Result = SendPayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::PayInProgress,
            "Another try at this payment, or all of its amount, is under way.",
        ),
        (
            Code::PayRhashAlreadyUsed,
            "This payment_hash was paid, or this part was sent, with other details.",
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
            "*localinvreqid* cannot be paid with.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] =
        &["waitsendpay", "listsendpays", "getroute", "pay", "delpay"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "-k route='[{\"id\":\"02…\",\"channel\":\"103x1x0\",\"amount_msat\":1000,\
                 \"delay\":42}]' payment_hash=… payment_secret=…",
        shows: "Sends 1000 msat to a neighbour.",
    }];
}
