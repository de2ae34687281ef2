//! `invoice`: something for others to pay.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{AmountOrAny, EscapedText, Hash32, Label, PlainText, Secret, TextList};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long an invoice can be paid, in seconds: a week.
pub const EXPIRY_SECONDS: u64 = 604_800;

params! {
    /// Makes an invoice. It counts as paid when the money is ours for good, never before; see
    /// *listinvoices*.
    ///
    /// Of Core Lightning's parameters *fallbacks* is refused, and so is *exposeprivatechannels*
    /// unless it is `true`.
    pub struct Invoice {
        /// What to ask for, or `any` to leave it to the payer.
        required amount_msat: AmountOrAny,
        /// A name of your own for the invoice, unique on this node and never shown to others, at
        /// most 128 bytes.
        required label: Label,
        /// What is paid for. It stands in the invoice and is shown to the payer. At most 639 bytes,
        /// unless *deschashonly* is `true`.
        required description: EscapedText,
        /// How many seconds the invoice can be paid.
        default(EXPIRY_SECONDS) expiry: u64,
        /// On-chain addresses to fall back to. Not supported yet: refused.
        optional fallbacks: TextList,
        /// The preimage, 64 hex digits. The default is a random one. Never use one twice.
        optional preimage: Secret,
        /// Whether unannounced channels go into the invoice as route hints. They do where no
        /// announced one can be used, and only `true`, which says the same, is taken; `false` and
        /// names of channels are refused.
        optional exposeprivatechannels: PlainText,
        /// How many blocks the last hop is to leave us, from 42 to 2016. The default is 42.
        optional cltv: u32,
        /// Whether the invoice has only a hash of the description.
        default(false) deschashonly: bool,
    }
}

/// The result of `invoice`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceResult {
    /// The hash of the preimage.
    pub payment_hash: Hash32,
    /// Until when it can be paid, in seconds since 1970 (UNIX time).
    pub expires_at: u64,
    /// The invoice to give to the payer.
    pub bolt11: String,
    /// The payment_secret in the invoice.
    pub payment_secret: Secret,
    /// Number of the invoice in the order of creation, from 1.
    pub created_index: u64,
    /// There if all our channels together could not receive this amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_capacity: Option<String>,
    /// Core Lightning's warning that no channel could receive this amount by itself. This daemon
    /// leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_mpp: Option<String>,
}

impl Method for Invoice {
    const NAME: &'static str = "invoice";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "make an invoice";
    type Result = InvoiceResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (Code::InvoiceLabelAlreadyExists, "The label is taken."),
        (Code::InvoicePreimageAlreadyExists, "The preimage is taken."),
    ];
    const SEE_ALSO: &'static [&'static str] = &["listinvoices", "holdinvoice", "decode"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "10000msat order-17 'A cup of coffee'",
        shows: "Asks for 10 sat.",
    }];
}
