//! What names a peer or a channel in a request: a node id, a channel_id or a short_channel_id. Whether
//! there is such a one is the daemon's to say.

use super::{Hash32, NodeId, Scid};
use crate::json::Token;
use crate::param::{BadParam, Param};
use serde_json::{Value, json};

/// The id of a peer, refused in CLN's other words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerId(pub NodeId);

impl Param for PeerId {
    const TYPE: &'static str = "pubkey";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let id = token.text().parse();
        id.map(PeerId)
            .map_err(|_| BadParam::new("invalid peer id", token))
    }

    fn schema() -> Value {
        NodeId::schema()
    }
}

/// One channel, by any of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelRef {
    /// The one channel with this node.
    Peer(NodeId),
    /// By its channel_id (BOLT 2).
    Id(Hash32),
    /// By its short_channel_id (BOLT 7) or an alias of it.
    Scid(Scid),
}

impl Param for ChannelRef {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let text = token.text();
        let peer = text.parse().map(ChannelRef::Peer);
        peer.or_else(|_| text.parse().map(ChannelRef::Id))
            .or_else(|_| text.parse().map(ChannelRef::Scid))
            .map_err(|_| BadParam::new("should be a channel ID or short channel ID", token))
    }
}

/// Some channels: one of them, those with a peer, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelsRef {
    /// Every channel.
    All,
    /// This channel, or all with this node.
    These(ChannelRef),
}

impl Param for ChannelsRef {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        match token.text() {
            "all" => Ok(ChannelsRef::All),
            _ => ChannelRef::parse(token).map(ChannelsRef::These),
        }
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}
