//! `decode`: what an invoice says.

use super::{Category, Example, Method};
use crate::params;
use crate::value::{Hash32, HexBytes, InvoiceString, Msat, NodeId, Scid, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows what is in a bolt11 invoice, of whatever network. Its signature is checked. Other
    /// strings that Core Lightning decodes are refused.
    pub struct Decode {
        /// The invoice.
        required string: InvoiceString,
    }
}

/// An on-chain address to fall back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fallback {
    /// The kind of address: P2PKH, P2SH, P2WPKH, P2WSH or P2TR.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// The script.
    pub hex: HexBytes,
}

/// One hop of a route hint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteHint {
    /// The node at the start of the channel.
    pub pubkey: NodeId,
    /// The channel.
    pub short_channel_id: Scid,
    /// The base fee.
    pub fee_base_msat: Msat,
    /// The fee in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// The blocks that the hop takes.
    pub cltv_expiry_delta: u32,
}

/// The result of `decode`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecodeResult {
    /// What it is: `bolt11 invoice`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Always true: an invoice that cannot be used is an error.
    pub valid: bool,
    /// The network, as its BIP 173 name: `bc`, `tb`, `tbs` or `bcrt`.
    pub currency: String,
    /// When it was made, in seconds since 1970 (UNIX time).
    pub created_at: u64,
    /// How many seconds after created_at it can be paid.
    pub expiry: u64,
    /// The node that is paid.
    pub payee: NodeId,
    /// What it asks for. Not there if the payer chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<Msat>,
    /// The hash of the preimage.
    pub payment_hash: Hash32,
    /// The signature of the payee.
    pub signature: HexBytes,
    /// What is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The hash of what is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_hash: Option<Hash32>,
    /// The blocks that the last hop must leave the payee.
    pub min_final_cltv_expiry: u64,
    /// The secret to send along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_secret: Option<Secret>,
    /// The feature bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<HexBytes>,
    /// The payment_metadata to send along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_metadata: Option<HexBytes>,
    /// On-chain addresses to fall back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Vec<Fallback>>,
    /// Hints of routes to the payee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<Vec<RouteHint>>>,
}

impl Method for Decode {
    const NAME: &'static str = "decode";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "show what an invoice says";
    type Result = DecodeResult;
    const SEE_ALSO: &'static [&'static str] = &["pay", "invoice"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "lnbcrt1…",
        shows: "An invoice.",
    }];
}
