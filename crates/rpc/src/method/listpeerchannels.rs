//! `listpeerchannels`: the channels of this node in detail.

use super::fundchannel::ChannelType;
use super::{Category, Method};
use crate::params;
use crate::value::{Hash32, Msat, NodeId, Scid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows our channels: with whom, in what state, how much is on each side and what is under
    /// way in them. Only one of the filters can be given.
    ///
    /// A channel that was closed stays as long as something of it is still to come to us from the
    /// chain. Of such a one *to_us_msat* is what was ours when it closed, and its terms and HTLCs are
    /// not told any more.
    pub struct ListPeerChannels {
        /// Only channels with this node.
        optional id: NodeId,
        /// Only this channel.
        optional short_channel_id: Scid,
        /// Only this channel.
        optional channel_id: Hash32,
    }
}

/// The names of a channel that is not, or not only, known by its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alias {
    /// Our name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Scid>,
    /// The other end's name for it, to be used in route hints, once it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Scid>,
}

/// Who put how much into the channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Funding {
    /// What we put in.
    pub local_funds_msat: Msat,
    /// What they put in.
    pub remote_funds_msat: Msat,
}

/// The terms of one end for forwarding through the channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardTerms {
    /// The least amount.
    pub htlc_minimum_msat: Msat,
    /// The greatest amount.
    pub htlc_maximum_msat: Msat,
    /// The blocks that are asked for.
    pub cltv_expiry_delta: u32,
    /// The base fee.
    pub fee_base_msat: Msat,
    /// The fee in millionths of the amount.
    pub fee_proportional_millionths: u32,
}

/// The terms of both ends, as far as they are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Updates {
    /// Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<ForwardTerms>,
    /// Theirs, once they told. The amounts are those that the channel allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<ForwardTerms>,
}

/// The fee rate of a channel's commitment transaction, in both units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelFeerate {
    /// In satoshi for 1000 weight units.
    pub perkw: u32,
    /// In satoshi for 1000 virtual bytes.
    pub perkb: u32,
}

/// An HTLC that is under way in the channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Htlc {
    /// `in` if it comes to us, `out` if it goes from us.
    pub direction: String,
    /// Its number in the channel and direction.
    pub id: u64,
    /// The amount.
    pub amount_msat: Msat,
    /// The block height from which it can be taken back.
    pub expiry: u32,
    /// The hash of the preimage.
    pub payment_hash: Hash32,
    /// Core Lightning's word for how far it is: out `SENT_ADD_HTLC` (queued), `SENT_ADD_COMMIT`,
    /// `SENT_ADD_ACK_REVOCATION` (in both commitments), `SENT_REMOVE_ACK_COMMIT`; in
    /// `SENT_ADD_ACK_COMMIT`, `RCVD_ADD_ACK_REVOCATION` (in both), `SENT_REMOVE_COMMIT`. The
    /// stages between these are not told apart.
    pub state: String,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeerChannel {
    /// The node at the other end.
    pub peer_id: NodeId,
    /// Whether it is connected.
    pub peer_connected: bool,
    /// The channel's state in Core Lightning's words: CHANNELD_AWAITING_LOCKIN, CHANNELD_NORMAL
    /// (it can be used), CHANNELD_SHUTTING_DOWN, CLOSINGD_SIGEXCHANGE (the fee is being agreed on); of
    /// a closed one CLOSINGD_COMPLETE (both signed its end, which is in no block yet),
    /// AWAITING_UNILATERAL (one end closed it, in no block yet) or ONCHAIN.
    pub state: String,
    /// Whether the channel is deep enough and the two ends have agreed, since they connected, on
    /// where it stands, so that it can carry HTLCs now.
    pub reestablished: bool,
    /// The type of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_type: Option<ChannelType>,
    /// The rate of the commitment transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feerate: Option<ChannelFeerate>,
    /// The terms for forwarding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updates>,
    /// The short_channel_id, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_channel_id: Option<Scid>,
    /// 0 if our id is the lesser one, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<u8>,
    /// The id of the channel.
    pub channel_id: Hash32,
    /// The id of the funding transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding_txid: Option<Hash32>,
    /// Which output of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding_outnum: Option<u32>,
    /// Whether others are not told of the channel.
    pub private: bool,
    /// `local` if we opened it, `remote` if they did.
    pub opener: String,
    /// `local` or `remote`, of a channel that is closed: who closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closer: Option<String>,
    /// What the channel's type has, in BOLT 9's names.
    pub features: Vec<String>,
    /// Who put how much into it. This daemon leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding: Option<Funding>,
    /// What is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_us_msat: Option<Msat>,
    /// What is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_msat: Option<Msat>,
    /// Our base fee for forwarding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_base_msat: Option<Msat>,
    /// Our fee for forwarding in millionths of the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_proportional_millionths: Option<u32>,
    /// What they must keep in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub their_reserve_msat: Option<Msat>,
    /// What we must keep in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub our_reserve_msat: Option<Msat>,
    /// The most that one HTLC can carry through it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spendable_msat: Option<Msat>,
    /// About how much we can receive through it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receivable_msat: Option<Msat>,
    /// The least amount that we take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_htlc_in_msat: Option<Msat>,
    /// The least amount that we send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_htlc_out_msat: Option<Msat>,
    /// The greatest amount that we send at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_htlc_out_msat: Option<Msat>,
    /// The blocks they wait for their money after closing by themselves. This daemon leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub their_to_self_delay: Option<u32>,
    /// The blocks we wait for our money after closing by ourselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub our_to_self_delay: Option<u32>,
    /// The names of the channel besides its place in the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    /// The HTLCs that are under way in it.
    pub htlcs: Vec<Htlc>,
    /// Remarks for people. Always empty.
    pub status: Vec<String>,
}

/// The result of `listpeerchannels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListPeerChannelsResult {
    /// The channels.
    pub channels: Vec<PeerChannel>,
}

impl Method for ListPeerChannels {
    const NAME: &'static str = "listpeerchannels";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "show the channels of this node";
    type Result = ListPeerChannelsResult;
    const SEE_ALSO: &'static [&'static str] = &[
        "fundchannel",
        "close",
        "setchannel",
        "listfunds",
        "listpeers",
    ];
}
