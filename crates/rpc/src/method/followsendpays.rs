//! `followsendpays`: every change of every payment, in order, on this connection.

use super::{Category, Example, Followed, Method};
use crate::error::Code;
use crate::params;
use crate::payment::Payment;
use crate::value::ChangeKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The method of the notifications that tell of changes.
pub const SENDPAY_CHANGED: &str = "sendpay_changed";

params! {
    /// Tells of every creation, change and deletion of what *listsendpays* shows: first those since
    /// change number *from*, then each new one once it is on disk. The answer comes at once; after
    /// it, until the connection closes, comes a notification for each change, in the order of their
    /// numbers:
    ///
    /// `{"jsonrpc":"2.0","method":"sendpay_changed","params":{"change":7,"kind":"updated","payment":{…}}}`
    ///
    /// *change* is the number of the change. It goes up by one from each to the next. *kind* is `created`, `updated` (it completed or failed)
    /// or `deleted`. *payment* is the part as *listsendpays* shows it, as it was right after the
    /// change: a part that was created is *pending* in this message, whatever became of it by now.
    ///
    /// Keep the number of the last change that you have dealt with, and ask again with it when the
    /// connection was cut: nothing after it is missed, and nothing up to it is told again, whatever
    /// happened to you or to the daemon. Of a part that was removed meanwhile each change since *from*
    /// is told as well, its creation, its end and its deletion; *payment* then has what is kept of it,
    /// without label, invoice, description and reason of failure.
    ///
    /// A follower that reads slowly, or not at all, holds up nobody but itself: what it has not read
    /// yet is read from the disk when it goes on. Other requests may be made on the same connection;
    /// notifications come between their replies, never inside one.
    pub struct FollowSendPays {
        /// The number of the last change that you know; 0 to be told of all there were. The default
        /// is the last change there was: only new ones are told.
        optional from: u64,
    }
}

/// The result of `followsendpays`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FollowSendPaysResult {
    /// Changes after this number are told.
    pub from: u64,
    /// The last change there was when the request came.
    pub last: u64,
}

/// The parameters of a notification `sendpay_changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SendpayChanged {
    /// The number of the change.
    pub change: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The part as it was right after it.
    pub payment: Payment,
}

impl Method for FollowSendPays {
    const NAME: &'static str = "followsendpays";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "be told of every change of what sendpay has sent";
    type Result = FollowSendPaysResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::InvalidParams,
            "There was no change with the number *from* yet: it is another node's, or of another \
             time.",
        ),
        (
            Code::Lightningd,
            "This connection follows already, or too many others do.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["listsendpays", "wait", "waitsendpay", "delpay"];
    const FOLLOWED_BY: Option<Followed> = Some(Followed::by::<SendpayChanged>(SENDPAY_CHANGED));
    const EXAMPLES: &'static [Example] = &[
        Example {
            params: "0",
            shows: "From the first change on. `sendpay-cli` shows each change as it comes, until \
                    it is stopped; in a pipe *params* of each is a line of JSON.",
        },
        Example {
            params: "from=1200",
            shows: "Goes on after change 1200.",
        },
    ];
}
