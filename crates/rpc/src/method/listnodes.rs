//! `listnodes`: the nodes of the network, as gossip tells of them.

use super::{Category, Method};
use crate::params;
use crate::value::{HexBytes, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the nodes of the network that this node knows of. What a node tells of itself is
    /// there once it has announced it.
    ///
    /// The listing is written as it is read, by id. It has the nodes that were known when it
    /// began, but for those that were forgotten meanwhile.
    pub struct ListNodes {
        /// Only this node. An unknown one gives an empty list.
        optional id: NodeId,
    }
}

/// An address that a node announced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeAddress {
    /// The kind of address: dns, ipv4, ipv6, torv2 or torv3.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkNode {
    /// The node.
    pub nodeid: NodeId,
    /// The name for people that it announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The colour that it announced, as six hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<HexBytes>,
    /// When it announced all this, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_timestamp: Option<u32>,
    /// The feature bits (BOLT 9) that it announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<HexBytes>,
    /// The addresses that it announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<NodeAddress>>,
}

/// The result of `listnodes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListNodesResult {
    /// The nodes.
    pub nodes: Vec<NetworkNode>,
}

impl Method for ListNodes {
    const NAME: &'static str = "listnodes";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "show the nodes of the network";
    type Result = ListNodesResult;
    const SEE_ALSO: &'static [&'static str] = &["listchannels", "listpeers"];
}
