//! `listfunds`: what this node owns, on chain and in channels.

use super::{Category, Method};
use crate::params;
use crate::value::{Hash32, HexBytes, Msat, NodeId, Scid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the outputs of the on-chain wallet and the channels with what is ours in them. A channel
    /// that was closed is shown as long as in *listpeerchannels*, with what was ours when it closed.
    pub struct ListFunds {
        /// Whether to show spent outputs too.
        default(false) spent: bool,
    }
}

/// One output of the wallet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The id of the transaction.
    pub txid: Hash32,
    /// Which output of it.
    pub output: u32,
    /// The amount.
    pub amount_msat: Msat,
    /// The script that it is locked with.
    pub scriptpubkey: HexBytes,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// One of *unconfirmed*, *confirmed*, *spent*, or *immature*: the output of a coinbase that cannot
    /// be spent yet.
    pub status: String,
    /// The block it was confirmed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockheight: Option<u32>,
    /// Whether it is set aside to raise the fee of a channel's transaction that waits for a block.
    /// Nothing else spends it then. An output that another transaction is being made with is left out.
    pub reserved: bool,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FundsChannel {
    /// The node at the other end.
    pub peer_id: NodeId,
    /// Whether it is connected.
    pub connected: bool,
    /// The channel's state in Core Lightning's words; CHANNELD_NORMAL can be used.
    pub state: String,
    /// The id of the channel.
    pub channel_id: Hash32,
    /// The short_channel_id, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_channel_id: Option<Scid>,
    /// What is ours.
    pub our_amount_msat: Msat,
    /// What is in it.
    pub amount_msat: Msat,
    /// The id of the funding transaction.
    pub funding_txid: Hash32,
    /// Which output of it.
    pub funding_output: u32,
}

/// The result of `listfunds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListFundsResult {
    /// The outputs of the wallet.
    pub outputs: Vec<Output>,
    /// The channels.
    pub channels: Vec<FundsChannel>,
    /// What the wallet keeps to raise the fees of channels with anchors: *min_emergency_msat* of the
    /// configuration for each.
    pub emergency_msat: Msat,
}

impl Method for ListFunds {
    const NAME: &'static str = "listfunds";
    const CATEGORY: Category = Category::Bitcoin;
    const SUMMARY: &'static str = "show what this node owns";
    type Result = ListFundsResult;
    const SEE_ALSO: &'static [&'static str] =
        &["newaddr", "fundchannel", "withdraw", "listpeerchannels"];
}
