//! `listsendpays`: every part of a payment ever sent, with a status that is always true.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::payment::Payment;
use crate::value::{
    EscapedText, FailureCode, Hash32, InvoiceString, ListIndex, ListOrder, Msat, NodeId, Number63,
    PaymentStatus, Subsystem,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the status of everything that *sendpay* has sent, also on behalf of *pay*: one object
    /// for each part of a payment, oldest first. With *bolt11* or *payment_hash* only the parts of
    /// that payment are shown; the two cannot be given together. A payment may be made of many
    /// parts, and of many tries (*groupid*): the payment as a whole is shown by *listpays*.
    ///
    /// A status changes once, from *pending* to *complete* or to *failed*, and never again. A
    /// record says *complete* only if the preimage is known, and *failed* only if the part can no
    /// longer be claimed by anyone. In doubt it says *pending*. Nothing removes a record but
    /// *delpay*, and *autoclean* if it is configured.
    ///
    /// All filters given must hold. A range includes both ends, and one end of it can be left out;
    /// its ends the wrong way round are an error. What has not got a field is not in a range of it.
    ///
    /// The listing is written as it is read, a page at a time. It has each part once that was there
    /// when it began, at the place it had then, and none that is sent later; each record was true
    /// when it was read.
    pub struct ListSendPays {
        /// Only the parts of the payment of this invoice. They are found by the payment_hash of the
        /// invoice, so parts that were sent without naming the invoice are shown too.
        optional bolt11: InvoiceString,
        /// Only the parts of the payment with this payment_hash.
        optional payment_hash: Hash32,
        /// Only parts with this status.
        optional status: PaymentStatus,
        /// The order to list in: `created` by created_index, `updated` by updated_index. Parts that
        /// never changed since they were created come first by `updated`, and only if *start* is 0.
        /// The default is `created`.
        optional index: ListIndex,
        /// List from this index on. Needs *index*, and cannot be used with *bolt11* or
        /// *payment_hash*.
        default(0) start: u64,
        /// List at most so many parts. Needs *index*.
        optional limit: u32,
        /// Which way to list: `asc`, the oldest first, or `desc`, the newest first. By `desc`, *start*
        /// is the greatest index to list, with 0 for the newest, and what never changed comes
        /// last by `updated`. The default is `asc`.
        optional order: ListOrder,
        /// Only parts to this node.
        optional destination: NodeId,
        /// Only parts with this label, to the letter.
        optional label: EscapedText,
        /// Only parts with this groupid.
        optional groupid: Number63,
        /// Only parts created at this time or later, in seconds since 1970 (UNIX time).
        optional created_from: u64,
        /// Only parts created at this time or earlier, in seconds since 1970.
        optional created_to: u64,
        /// Only parts with a completed_at of this time or later, in seconds since 1970.
        optional completed_from: u64,
        /// Only parts with a completed_at of this time or earlier, in seconds since 1970.
        optional completed_to: u64,
        /// Only parts with an amount_msat of at least this.
        optional amount_from_msat: Msat,
        /// Only parts with an amount_msat of at most this.
        optional amount_to_msat: Msat,
        /// Only parts that failed with this error code, 202 to 209.
        optional code: FailureCode,
        /// Only parts that failed with this failure code of BOLT 4.
        optional failcode: u16,
    }
}

/// The result of `listsendpays`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListSendPaysResult {
    /// The parts, by created_index unless *index* says otherwise.
    pub payments: Vec<Payment>,
}

impl Method for ListSendPays {
    const NAME: &'static str = "listsendpays";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "show what sendpay has sent and what became of it";
    type Result = ListSendPaysResult;
    const ERRORS: &'static [(Code, &'static str)] = &[(
        Code::InvalidParams,
        "A parameter is not what it should be, the invoice cannot be read, or two parameters \
         exclude each other. An unknown payment_hash is no error: the list is empty.",
    )];
    const SEE_ALSO: &'static [&'static str] = &[
        "listpays",
        "countsendpays",
        "sendpay",
        "waitsendpay",
        "delpay",
        "listinvoices",
    ];
    const LISTS: Option<Subsystem> = Some(Subsystem::Sendpays);
    const EXAMPLES: &'static [Example] = &[
        Example {
            params: "",
            shows: "All parts of all payments.",
        },
        Example {
            params: "status=pending",
            shows: "What is under way.",
        },
        Example {
            params: "index=updated start=1201 limit=100",
            shows: "The parts that settled after update 1200, at most a hundred.",
        },
        Example {
            params: "index=created order=desc limit=20 code=204",
            shows: "The twenty newest parts that failed with code 204.",
        },
    ];
}
