//! `xkeysend`: a payment to a node that has made no invoice, in fewer words than `keysend`.

use super::xpay::{MAXDELAY_BLOCKS, RETRY_FOR_SECONDS, XPayResult};
use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{EscapedText, ExtraTlvs, IdempotencyKey, Msat, NodeId, NonzeroMsat, TextList};

params! {
    /// Pays a node that has made no invoice, and answers when it is paid. It is *keysend* with other
    /// defaults and the answer of *xpay*; what is said there holds here.
    ///
    /// Of Core Lightning's parameters *layers* is refused unless it is empty: there are no layers
    /// here.
    pub struct XKeySend {
        /// The node to pay.
        required destination: NodeId,
        /// What to pay.
        required amount_msat: NonzeroMsat,
        /// A text of your own, kept with each part and never shown to others.
        optional label: EscapedText,
        /// The fee allowed. The default is 5000 msat or a hundredth of the amount, whichever is
        /// more.
        optional maxfee: Msat,
        /// Names of layers, which this daemon does not have: refused unless empty.
        optional layers: TextList,
        /// How many seconds to go on trying. No part is sent after that.
        default(RETRY_FOR_SECONDS) retry_for: u32,
        /// How many blocks the payment may be held up, all hops together. Never more than 2016.
        default(MAXDELAY_BLOCKS) maxdelay: u32,
        /// More for the destination, such as `{"7629169": "7b7d"}`: numbers from 65536 and hex.
        optional extratlvs: ExtraTlvs,
        /// A name of your own for this request, of at most 128 bytes, never used for another: the
        /// same request with the same key is answered from the first, and nothing is paid again.
        optional idempotency_key: IdempotencyKey,
    }
}

impl Method for XKeySend {
    const NAME: &'static str = "xkeysend";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str =
        "pay a node that has made no invoice, with Core Lightning's newer words";
    type Result = XPayResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
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
            Code::PayUnspecifiedError,
            "What was tried failed, and no time or no route is left. The data is that of *pay*.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["keysend", "xpay", "listpays", "listsendpays"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "02… 10000msat null 100msat",
        shows: "Gives a node 10 sat for at most 100 msat of fees, as BTCPay does.",
    }];
}
