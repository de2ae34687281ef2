//! `pay`: an invoice, by whatever routes it takes.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{
    EscapedText, Excludes, Hash32, InvoiceString, Millionths, Msat, NodeId, NonzeroMsat,
    PaymentMsat, PaymentStatus, Secret,
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
    /// Of Core Lightning's parameters *localinvreqid* and *partial_msat* are refused, and
    /// *riskfactor* is read and has no effect.
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
        /// Pay only this part of the invoice. Not supported yet: refused.
        optional partial_msat: NonzeroMsat,
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

impl Method for Pay {
    const NAME: &'static str = "pay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "pay an invoice";
    type Result = PayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::PayInProgress,
            "A part may still complete; see *listpays*.",
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
            "What was tried failed, and no time or no route is left. The data has the failed parts \
             as *attempts*.",
        ),
        (
            Code::PayInvoiceRequestInvalid,
            "*localinvreqid* was given, which is not supported yet.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["listpays", "listsendpays", "decode", "sendpay"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "bolt11=lnbcrt1… maxfee=1000msat",
        shows: "Pays an invoice for at most 1000 msat of fees.",
    }];
}
