//! `getinfo`: who this node is and how it is doing.

use super::{Category, Method};
use crate::params;
use crate::value::{HexBytes, Msat, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the node's id, its addresses, counts of peers and channels, and the block height it
    /// has reached, with warnings where something needs attention.
    pub struct GetInfo {}
}

/// An address of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// The kind of address: dns, ipv4, ipv6, torv2 or torv3.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
}

/// Feature bits (BOLT 9) by where they are used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Features {
    /// In the init message.
    pub init: HexBytes,
    /// In the node announcement.
    pub node: HexBytes,
    /// In the channel announcement.
    pub channel: HexBytes,
    /// In invoices.
    pub invoice: HexBytes,
}

/// The result of `getinfo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GetInfoResult {
    /// The public key that is this node's name.
    pub id: NodeId,
    /// A name for people, chosen by the operator.
    pub alias: String,
    /// A colour for people, as six hex digits.
    pub color: String,
    /// How many peers are connected.
    pub num_peers: u32,
    /// How many channels are being opened.
    pub num_pending_channels: u32,
    /// How many channels can be used.
    pub num_active_channels: u32,
    /// How many channels are closing.
    pub num_inactive_channels: u32,
    /// The addresses that are announced.
    pub address: Vec<Address>,
    /// The addresses that are listened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Vec<Address>>,
    /// The version of the daemon.
    pub version: String,
    /// The greatest block height that is known.
    pub blockheight: u32,
    /// The network: bitcoin, testnet, testnet4, signet or regtest.
    pub network: String,
    /// What was earned by forwarding: the fees of all of *listforwards*.
    pub fees_collected_msat: Msat,
    /// Where the files of this node on this network are.
    #[serde(rename = "lightning-dir")]
    pub lightning_dir: String,
    /// The feature bits that are offered. This daemon leaves them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub our_features: Option<Features>,
    /// There if the source of blocks is behind the network or behind what this node has seen of it,
    /// cannot be reached, or gives what is no block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_bitcoind_sync: Option<String>,
    /// There while blocks are still being read. At a start no peer is connected until they have
    /// been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_lightningd_sync: Option<String>,
    /// There if six blocks or more were taken back since the start. What ended on chain in them had
    /// counted as final: look at the payments that failed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_reorganisation: Option<String>,
    /// There while a transaction of a closing channel should have a higher fee, and the wallet has no
    /// coins in blocks to pay it with: for how much. It goes on by itself when there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_fee_bump: Option<String>,
    /// There while channels that were lost are not closed by their peers, or what closes paid us is not
    /// in the wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_recovery: Option<String>,
    /// There while payments are pending of which this node cannot know the end, since it lost the state
    /// of their channels. Each ends by *settleimported*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_unknown_payments: Option<String>,
    /// There while the list of channels cannot be written to the file of *backup.channels_file*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_backup: Option<String>,
    /// There if a preimage came for a payment that was recorded as failed: it was claimed after
    /// all. The payment_hash takes no new payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_late_preimage: Option<String>,
}

impl Method for GetInfo {
    const NAME: &'static str = "getinfo";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "show who this node is and how it is doing";
    type Result = GetInfoResult;
    const SEE_ALSO: &'static [&'static str] = &["listfunds", "listpeerchannels"];
}
