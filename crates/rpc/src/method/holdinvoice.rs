//! `holdinvoice`: an invoice whose payment is held until we decide.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{AmountOrAny, EscapedText, Hash32, Label, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Makes an invoice whose payment is not taken when it arrives but held, until
    /// *holdinvoicesettle* takes it or *holdinvoicecancel* gives it back. The payer sees a pending
    /// payment meanwhile. If nothing is decided by the block height *claim_deadline*, it is given
    /// back by itself.
    ///
    /// With *payment_hash* the preimage need not be known to this node before it is settled. With
    /// neither *payment_hash* nor *preimage* this node makes one, and tells it in the answer.
    pub struct HoldInvoice {
        /// What to ask for, or `any` to leave it to the payer.
        required amount_msat: AmountOrAny,
        /// A name of your own for the invoice, unique on this node and never shown to others, at
        /// most 128 bytes.
        required label: Label,
        /// What is paid for, at most 639 bytes. It stands in the invoice and is shown to the payer.
        required description: EscapedText,
        /// The hash of a preimage that is kept elsewhere. If *preimage* is given too, this must be
        /// its hash.
        optional payment_hash: Hash32,
        /// The preimage, 64 hex digits. The default, without *payment_hash*, is a random one.
        optional preimage: Secret,
        /// How many seconds the invoice can be paid.
        default(super::invoice::EXPIRY_SECONDS) expiry: u64,
        /// How many blocks the last hop is to leave us, from 42 to 2016. The default is 186, which
        /// allows to hold for a day.
        optional cltv: u32,
    }
}

/// The state of a hold invoice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldInvoiceResult {
    /// The hash of the preimage.
    pub payment_hash: Hash32,
    /// One of *open*, *held*, *settled*, *cancelled* or *expired*.
    pub state: String,
    /// The label given when it was made.
    pub label: String,
    /// Until when it can be paid, in seconds since 1970 (UNIX time).
    pub expires_at: u64,
    /// The invoice to give to the payer.
    pub bolt11: String,
    /// The payment_secret in the invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_secret: Option<Secret>,
    /// Number of the invoice in the order of creation, from 1.
    pub created_index: u64,
    /// What was received. There if state is *settled*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_received_msat: Option<crate::value::Msat>,
    /// The block height by which it must be settled: from there on it is given back. There once a
    /// payment was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_deadline: Option<u32>,
    /// The payer's proof of payment. There if state is *settled*, and in the answer of
    /// *holdinvoice* if this node made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_preimage: Option<Secret>,
}

impl Method for HoldInvoice {
    const NAME: &'static str = "holdinvoice";
    const CATEGORY: Category = Category::Payment;
    const SUMMARY: &'static str = "make an invoice whose payment is held until you decide";
    type Result = HoldInvoiceResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (Code::InvoiceLabelAlreadyExists, "The label is taken."),
        (
            Code::InvoicePreimageAlreadyExists,
            "The preimage or the payment_hash is taken.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &[
        "holdinvoicesettle",
        "holdinvoicecancel",
        "listinvoices",
        "invoice",
    ];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "10000msat order-18 'A cup of coffee'",
        shows: "Asks for 10 sat.",
    }];
}
