//! `invoice`: something for others to pay.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{AmountOrAny, EscapedText, ExposedChannels, Hash32, Label, Secret, TextList};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long an invoice can be paid, in seconds: a week.
pub const EXPIRY_SECONDS: u64 = 604_800;

params! {
    /// Makes an invoice. It counts as paid when the money is ours for good, never before; see
    /// *listinvoices*.
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
        /// On-chain addresses that can be paid instead, the preferred one first. What is paid to
        /// them is not looked for: the invoice stays unpaid.
        optional fallbacks: TextList,
        /// The preimage, 64 hex digits. The default is a random one. Never use one twice.
        optional preimage: Secret,
        /// Which channels go into the invoice as route hints: with `true` unannounced ones, with
        /// `false` none, or only those named here (short_channel_id or alias), announced or not.
        /// Without it, unannounced ones if there is no announced one that can be used.
        optional exposeprivatechannels: ExposedChannels,
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
    /// There if they could, but some of them are offline and needed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_offline: Option<String>,
    /// There if they could, but only with unannounced channels that *exposeprivatechannels* leaves
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_private_unused: Option<String>,
    /// There if no channel could receive this amount by itself: it must come in parts.
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
        (
            Code::InvoiceHintsGaveNoRoutes,
            "None of the channels that *exposeprivatechannels* names can be a route hint.",
        ),
        (
            Code::Lightningd,
            "One of *fallbacks* is no address, or one of another network.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["listinvoices", "holdinvoice", "decode"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "10000msat order-17 'A cup of coffee'",
        shows: "Asks for 10 sat.",
    }];
}
