//! `keysend`: a payment to a node that has made no invoice.

use super::pay::{MAXDELAY_BLOCKS, PayResult, RETRY_FOR_SECONDS};
use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{
    EscapedText, ExtraTlvs, IdempotencyKey, Millionths, Msat, NodeId, NonzeroMsat, PrivateRoutes,
};

params! {
    /// Pays a node that has made no invoice, and answers when it is paid. We make the preimage and
    /// send it along, so the preimage proves nothing to anybody: whoever needs a proof wants an
    /// invoice. Not every node takes such payments.
    ///
    /// What is said at *pay* of tries, and of parts that may still complete, holds here too; but each
    /// try is one part, and each *keysend* is a payment of its own. Asked for again it pays again,
    /// unless both requests have the same *idempotency_key*.
    pub struct KeySend {
        /// The node to pay.
        required destination: NodeId,
        /// What to pay.
        required amount_msat: NonzeroMsat,
        /// A text of your own, kept with each part and never shown to others.
        optional label: EscapedText,
        /// The fee allowed, in percent of the amount. The default is 0.5. Not together with
        /// *maxfee*.
        optional maxfeepercent: Millionths,
        /// How many seconds to go on trying. No part is sent after that.
        default(u32::from(RETRY_FOR_SECONDS)) retry_for: u32,
        /// How many blocks the payment may be held up, all hops together. Never more than 2016.
        default(u32::from(MAXDELAY_BLOCKS)) maxdelay: u32,
        /// A fee up to this is allowed whatever *maxfeepercent* says. The default is 5000 msat. Not
        /// together with *maxfee*.
        optional exemptfee: Msat,
        /// More for the destination, such as `{"7629169": "7b7d"}`: numbers from 65536 and hex.
        optional extratlvs: ExtraTlvs,
        /// Private ways to the destination: arrays of hops with *id*, *scid*, *feebase*, *feeprop*
        /// and *expirydelta*.
        optional routehints: PrivateRoutes,
        /// The fee allowed, in place of *maxfeepercent* and *exemptfee*.
        optional maxfee: Msat,
        /// A name of your own for this request, of at most 128 bytes, never used for another: the
        /// same request with the same key is answered from the first, and nothing is paid again.
        optional idempotency_key: IdempotencyKey,
    }
}

/// The errors of `keysend` and `xkeysend`.
const ERRORS: &[(Code, &str)] = &[
    (
        Code::PayInProgress,
        "A part may still complete; see *listpays*. The data is that of *pay*.",
    ),
    (
        Code::PayDestinationPermFail,
        "The destination refused it for good: perhaps it takes no payments without an invoice.",
    ),
    (Code::PayRouteNotFound, "There is no route."),
    (
        Code::PayRouteTooExpensive,
        "Every route costs more, or takes longer, than allowed.",
    ),
    (
        Code::PayStoppedRetrying,
        "What was tried failed, and no time or no route is left. The data is that of *pay*.",
    ),
];

impl Method for KeySend {
    const NAME: &'static str = "keysend";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "pay a node that has made no invoice";
    type Result = PayResult;
    const ERRORS: &'static [(Code, &'static str)] = ERRORS;
    const SEE_ALSO: &'static [&'static str] = &["xkeysend", "pay", "listpays", "listsendpays"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "02… 10000msat label=thanks",
        shows: "Gives a node 10 sat.",
    }];
}
