//! `pay`: an invoice, by whatever routes it takes.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::{Attempt, OutgoingHtlc, RouteStep};
use crate::value::{
    EscapedText, Excludes, Hash32, IdempotencyKey, InvoiceString, Millionths, Msat, NodeId,
    NonzeroMsat, PaymentMsat, PaymentStatus, Secret,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long `pay` goes on trying, in seconds.
pub const RETRY_FOR_SECONDS: u16 = 60;
/// The blocks that a payment may be held up, all hops together.
pub const MAXDELAY_BLOCKS: u16 = 2016;
/// Fees up to this are always allowed.
pub const EXEMPTFEE: Msat = Msat(5_000);
/// The fee allowed above that, in millionths of a percent: half a percent.
pub const MAXFEEPERCENT: Millionths = Millionths(500_000);

params! {
    /// Pays an invoice and answers when it is paid. It looks for routes, tries them one after
    /// another and divides the amount where one route cannot carry it. Each part it sends is a
    /// *sendpay* and stands in *listsendpays*. Never is more under way than the invoice asks for.
    ///
    /// An invoice that is already paid is not paid again: the answer is the old result. A second
    /// *pay* of an invoice while the first is under way waits with the first, whose bounds count.
    /// Parts that an earlier *pay* or *sendpay* of the same payment_hash left out, before a restart
    /// for example, are waited for before anything is sent.
    ///
    /// If the time is over while a part may still complete, the error says so; the payment can
    /// complete later, and *listpays* shows whether it did.
    ///
    /// A channel that cannot carry an amount is tried with less of it before it is left out. Fees and
    /// delays are never above what is allowed, whatever the number of parts. A part that is stuck binds
    /// what it carries and nothing else: the rest is tried on, and when nothing more can be tried the
    /// error comes within seconds, with what is still out.
    ///
    /// With *idempotency_key* a request asked for again, also after a crash, is answered with the
    /// outcome of the first and sends nothing. It is compared with the first in all parameters. A
    /// request that recorded no part sent none, and leaves its key free. A key that was used stays
    /// used, also when the records are deleted.
    ///
    /// Of Core Lightning's parameters *localinvreqid* is refused, and *riskfactor* is read and has no
    /// effect.
    pub struct Pay {
        /// The invoice.
        required bolt11 as invstring: InvoiceString,
        /// What to pay. Needed if the invoice names no amount, else not allowed.
        optional amount_msat: NonzeroMsat,
        /// A text of your own, kept with each part.
        optional label: EscapedText,
        /// Read for compatibility; routes are weighed by what earlier payments taught.
        optional riskfactor: Millionths,
        /// The fee allowed, in percent of the amount. The default is 0.5. Not together with
        /// *maxfee*.
        optional maxfeepercent: Millionths,
        /// How many seconds to go on trying. No part is sent after that.
        default(RETRY_FOR_SECONDS) retry_for: u16,
        /// How many blocks the payment may be held up, all hops together. Never more than 2016.
        default(MAXDELAY_BLOCKS) maxdelay: u16,
        /// A fee up to this is allowed whatever *maxfeepercent* says. The default is 5000 msat. Not
        /// together with *maxfee*.
        optional exemptfee: Msat,
        /// The id of an invoice_request of this node. Not supported yet: refused.
        optional localinvreqid: Hash32,
        /// Channels (`103x1x0/1`) and nodes that no route may use. A channel is left out in both
        /// directions.
        optional exclude: Excludes,
        /// The fee allowed, in place of *maxfeepercent* and *exemptfee*.
        optional maxfee: Msat,
        /// The description, kept with each part. If the invoice has a hash of its description,
        /// this must be what it is the hash of.
        optional description: EscapedText,
        /// Pay only this much of the invoice, which others pay the rest of. The destination holds it
        /// until all is there, and refuses it after a while if that does not come. Not for an
        /// invoice of this node itself.
        optional partial_msat: NonzeroMsat,
        /// A name of your own for this request, of at most 128 bytes, never used for another.
        optional idempotency_key: IdempotencyKey,
    }
}

/// The result of `pay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PayResult {
    /// Proves that the payment was received.
    pub payment_preimage: Secret,
    /// What the destination receives with the parts that are complete or pending.
    pub amount_msat: PaymentMsat,
    /// What leaves us with these parts, fees included.
    pub amount_sent_msat: PaymentMsat,
    /// How many parts are complete or pending.
    pub parts: u32,
    /// The final destination of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<NodeId>,
    /// The hash of payment_preimage.
    pub payment_hash: Hash32,
    /// Always *complete*.
    pub status: PaymentStatus,
    /// When the payment was initiated, in seconds since 1970 (UNIX time), with decimals.
    pub created_at: f64,
    /// Core Lightning's warning of a part that has not completed. This daemon leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_partial_completion: Option<String>,
}

/// A route that was found and never begun, since our channel could not take it: there is no record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnsentRoute {
    /// The way.
    pub route: Vec<RouteStep>,
    /// Why it was not begun.
    pub reason: String,
}

/// The data of an error of `pay` and `xpay` after which something was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PayErrorData {
    /// The hash of the preimage that would prove payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_hash: Option<Hash32>,
    /// Every part that was begun, in order, with its way and why it failed.
    pub attempts: Vec<Attempt>,
    /// Ways that were found and not begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsent: Vec<UnsentRoute>,
    /// What is still out.
    pub htlcs: Vec<OutgoingHtlc>,
    /// Whether the invoice can be paid again without paying it twice. This daemon never pays it
    /// twice by itself; this is for those who would pay in another way.
    pub safe_to_retry: bool,
    /// Why, in a line.
    pub safe_to_retry_reason: String,
}

impl Method for Pay {
    const NAME: &'static str = "pay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "pay an invoice";
    type Result = PayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::PayInProgress,
            "A part may still complete. The data has what was tried as *attempts* and what is out as \
             *htlcs*.",
        ),
        (
            Code::PayRhashAlreadyUsed,
            "The invoice is being paid with another amount, or a part of it was claimed after its \
             record had failed.",
        ),
        (
            Code::PayDestinationPermFail,
            "The destination refused it for good.",
        ),
        (Code::PayRouteNotFound, "There is no route."),
        (
            Code::PayRouteTooExpensive,
            "Every route costs more, or takes longer, than allowed.",
        ),
        (Code::PayInvoiceExpired, "The invoice has expired."),
        (
            Code::PayStoppedRetrying,
            "What was tried failed, and no time or no route is left. The data has what was tried, \
             with its routes and why each part failed, as *attempts*.",
        ),
        (
            Code::PayInvoiceRequestInvalid,
            "*localinvreqid* was given, which is not supported yet.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &[
        "xpay",
        "cancelpay",
        "listpays",
        "listsendpays",
        "paystatus",
        "decode",
        "sendpay",
    ];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "bolt11=lnbcrt1… maxfee=1000msat",
        shows: "Pays an invoice for at most 1000 msat of fees.",
    }];
}
