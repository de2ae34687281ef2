//! `waitsendpay`: the outcome of a part, when it is there.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::Payment;
use crate::value::{Hash32, Number63};

params! {
    /// Waits until a part that *sendpay* has sent completes or fails. If it already has, the answer
    /// comes at once. A failure is an error, whose data is the failed part as *listsendpays* shows
    /// it. Any number of callers may wait for the same part; going away changes nothing.
    pub struct WaitSendPay {
        /// Which payment to wait for.
        required payment_hash: Hash32,
        /// Wait at most so many seconds; 0 only looks. The default is to wait as long as it takes.
        optional timeout: u32,
        /// Which part to wait for. The default is 0, and in a group that has no such part, every
        /// part of the group: once none of them is pending, the answer is the one that completed
        /// last, or if none did, the failure of the one with the greatest partid.
        optional partid: Number63,
        /// Which group to wait for. The default is the one with the greatest number.
        optional groupid: Number63,
    }
}

impl Method for WaitSendPay {
    const NAME: &'static str = "waitsendpay";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "wait for the outcome of a part that sendpay has sent";
    type Result = Payment;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::PayInProgress,
            "The time is over and the part is still pending.",
        ),
        (
            Code::PayUnparseableOnion,
            "It failed, and nobody could decode why, or a node could not read what we sent.",
        ),
        (
            Code::PayDestinationPermFail,
            "The destination refused it for good.",
        ),
        (
            Code::PayTryOtherRoute,
            "It failed on this route; another may work.",
        ),
        (
            Code::PayNoSuchPayment,
            "No such part was ever sent, or its record was removed.",
        ),
        (
            Code::PayUnspecifiedError,
            "It failed, and the reason is not known, or it never left this node.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["sendpay", "listsendpays", "pay"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "payment_hash=… timeout=30",
        shows: "Waits for half a minute.",
    }];
}
