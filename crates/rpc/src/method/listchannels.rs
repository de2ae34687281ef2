//! `listchannels`: the channels of the network, as gossip tells of them.

use super::{Category, Example, Method};
use crate::params;
use crate::value::{HexBytes, Msat, NodeId, Scid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the channels of the network that this node knows of: one object for each direction of
    /// which the terms are known. Only one of the filters can be given. Our own channels that are not
    /// announced are shown by *listpeerchannels* alone.
    ///
    /// The listing is written as it is read, by short_channel_id. It has the channels that were
    /// known when it began, but for those that were forgotten meanwhile.
    pub struct ListChannels {
        /// Only this channel.
        optional short_channel_id: Scid,
        /// Only channels from this node.
        optional source: NodeId,
        /// Only channels to this node.
        optional destination: NodeId,
    }
}

/// One direction of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkChannel {
    /// The node it leads from.
    pub source: NodeId,
    /// The node it leads to.
    pub destination: NodeId,
    /// The channel.
    pub short_channel_id: Scid,
    /// 0 if the source has the lesser id, else 1.
    pub direction: u32,
    /// Whether it is announced. Always true: others are not listed.
    pub public: bool,
    /// What it holds. If the chain was not asked, the most that one HTLC may carry.
    pub amount_msat: Msat,
    /// The flags of the update (BOLT 7).
    pub message_flags: u8,
    /// The flags of the channel (BOLT 7): 1 the direction, 2 disabled.
    pub channel_flags: u8,
    /// Whether the source lets it be used.
    pub active: bool,
    /// When the source told of these terms, in seconds since 1970.
    pub last_update: u32,
    /// The source's base fee, in millisatoshi.
    pub base_fee_millisatoshi: u32,
    /// The source's fee in millionths of the amount.
    pub fee_per_millionth: u32,
    /// The blocks that the source asks for.
    pub delay: u32,
    /// The least amount.
    pub htlc_minimum_msat: Msat,
    /// The greatest amount.
    pub htlc_maximum_msat: Msat,
    /// The feature bits (BOLT 9) of the channel.
    pub features: HexBytes,
}

/// The result of `listchannels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListChannelsResult {
    /// The directions of the channels.
    pub channels: Vec<NetworkChannel>,
}

impl Method for ListChannels {
    const NAME: &'static str = "listchannels";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "show the channels of the network";
    type Result = ListChannelsResult;
    const SEE_ALSO: &'static [&'static str] = &["listnodes", "listpeerchannels", "getroute"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "source=02…",
        shows: "The channels that lead from a node, with its terms.",
    }];
}
