//! `listpeers`: who is connected, and who has a channel with us.

use super::{Category, Method};
use crate::params;
use crate::value::{HexBytes, NodeId, PlainText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the nodes that are connected, and those that are not but have a channel with us. The
    /// channels themselves are shown by *listpeerchannels*.
    pub struct ListPeers {
        /// Only this node. An unknown one gives an empty list.
        optional id: NodeId,
        /// The level of log entries to show with each. Not supported: refused. The log is one for
        /// all.
        optional level: PlainText,
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeerInfo {
    /// The node.
    pub id: NodeId,
    /// Whether it is connected.
    pub connected: bool,
    /// How many channels it has with us.
    pub num_channels: u32,
    /// Its address, if it is connected: an array of one, or empty if the address is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netaddr: Option<Vec<String>>,
    /// The feature bits (BOLT 9) that it offers, if it is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<HexBytes>,
}

/// The result of `listpeers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListPeersResult {
    /// The nodes, by id.
    pub peers: Vec<PeerInfo>,
}

impl Method for ListPeers {
    const NAME: &'static str = "listpeers";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "show the nodes that are connected or have a channel with us";
    type Result = ListPeersResult;
    const SEE_ALSO: &'static [&'static str] = &["connect", "disconnect", "listpeerchannels"];
}
