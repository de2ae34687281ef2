//! `newaddr`: where to send bitcoin to this node's wallet.

use super::{Category, Method};
use crate::params;
use crate::value::AddressType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Gives a new on-chain address of this node's wallet. What arrives there can be used to open
    /// channels.
    ///
    /// Without *addresstype* it gives one address of each kind, as Core Lightning v26.06 does, whose page
    /// says `p2tr`. There both are made from one key and count as one; here each kind counts for itself
    /// (BIP 84 and BIP 86).
    pub struct NewAddr {
        /// The kind of address: `p2tr`, `bech32`, or `all` for one of each, which is the default.
        default(AddressType::All) addresstype: AddressType,
    }
}

/// The result of `newaddr`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewAddrResult {
    /// The version 0 witness address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bech32: Option<String>,
    /// The taproot address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p2tr: Option<String>,
}

impl Method for NewAddr {
    const NAME: &'static str = "newaddr";
    const CATEGORY: Category = Category::Bitcoin;
    const SUMMARY: &'static str = "give a new on-chain address";
    type Result = NewAddrResult;
    const SEE_ALSO: &'static [&'static str] = &["listfunds", "fundchannel"];
}
