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
    /// The wallet makes version 0 witness addresses (BIP 84) only, so far: of Core Lightning's kinds
    /// `p2tr` and `all` are refused, and the default is `bech32`.
    pub struct NewAddr {
        /// The kind of address: `bech32`. `p2tr`, and `all` for one of each, are refused.
        default(AddressType::Bech32) addresstype: AddressType,
    }
}

/// The result of `newaddr`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewAddrResult {
    /// The version 0 witness address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bech32: Option<String>,
    /// The taproot address. This daemon leaves it out.
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
