//! `xpay`: an invoice, by whatever routes it takes, in fewer words than `pay`.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{
    EscapedText, Hash32, IdempotencyKey, InvoiceString, Msat, NonzeroMsat, PaymentMsat, PlainText,
    Secret, TextList,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long `xpay` goes on trying, in seconds.
pub const RETRY_FOR_SECONDS: u32 = 60;
/// The blocks that a payment may be held up, all hops together.
pub const MAXDELAY_BLOCKS: u32 = 2016;
/// Fees up to this are always allowed.
pub const MAXFEE_LEAST: Msat = Msat(5_000);
/// The share of the amount that fees may be above that: a hundredth.
pub const MAXFEE_SHARE: u64 = 100;

params! {
    /// Pays an invoice and answers when it is paid. It is *pay* with other defaults and another
    /// answer; what is said there of tries, of parts and of *idempotency_key* holds here.
    ///
    /// Where *pay* answers with the old result of an invoice that is already paid, *xpay* refuses
    /// (219), and the error's data is the old result.
    ///
    /// Of Core Lightning's parameters *payer_note* and *localinvreqid* are refused, and *layers*
    /// unless it is empty: there are no layers here. Offers and BIP 353 names cannot be paid yet.
    pub struct XPay {
        /// The invoice (bolt11).
        required invstring: InvoiceString,
        /// What to pay. Needed if the invoice names no amount, else not allowed.
        optional amount_msat: NonzeroMsat,
        /// The fee allowed. The default is 5000 msat or a hundredth of the amount, whichever is
        /// more.
        optional maxfee: Msat,
        /// Names of layers, which this daemon does not have: refused unless empty.
        optional layers: TextList,
        /// How many seconds to go on trying. No part is sent after that.
        default(RETRY_FOR_SECONDS) retry_for: u32,
        /// Pay only this much of the invoice, which others pay the rest of.
        optional partial_msat: NonzeroMsat,
        /// How many blocks the payment may be held up, all hops together. Never more than 2016.
        default(MAXDELAY_BLOCKS) maxdelay: u32,
        /// A message to the payee of an offer. Not supported yet: refused.
        optional payer_note: PlainText,
        /// A text of your own, kept with each part.
        optional label: EscapedText,
        /// The id of an invoice_request of this node. Not supported yet: refused.
        optional localinvreqid: Hash32,
        /// A name of your own for this request, of at most 128 bytes, never used for another.
        optional idempotency_key: IdempotencyKey,
    }
}

/// The result of `xpay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct XPayResult {
    /// Proves that the payment was received.
    pub payment_preimage: Secret,
    /// How many parts failed.
    pub failed_parts: u64,
    /// How many parts are complete, or will be.
    pub successful_parts: u64,
    /// What the destination receives with these parts.
    pub amount_msat: PaymentMsat,
    /// What leaves us with these parts, fees included.
    pub amount_sent_msat: PaymentMsat,
}

impl Method for XPay {
    const NAME: &'static str = "xpay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "pay an invoice, with Core Lightning's newer words";
    type Result = XPayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::PayInProgress,
            "A part may still complete. The data is that of *pay*.",
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
            Code::PayUnspecifiedError,
            "What was tried failed, and no time or no route is left. The data is that of *pay*.",
        ),
        (
            Code::PayAlreadyPaid,
            "The invoice is already paid. The data is the old result.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["pay", "cancelpay", "listpays", "decode"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "lnbcrt1…",
        shows: "Pays an invoice.",
    }];
}
