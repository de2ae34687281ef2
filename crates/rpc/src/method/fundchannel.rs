//! `fundchannel`: a new channel, paid for from the on-chain wallet.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{
    Feerate, Hash32, HexBytes, Msat, NodeId, Outpoints, PlainText, Sat, SatOrAll, TextList,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Opens a channel with a connected node and broadcasts the transaction that funds it. It
    /// answers then; the channel can be used after some confirmations, see *listpeerchannels*.
    ///
    /// Of Core Lightning's parameters *request_amt*, *compact_lease* and *channel_type* are refused: LDK
    /// leases no liquidity, and chooses the type by what both ends can do.
    ///
    /// A client that asked for *notifications* is told when the other end is asked, when it agreed and
    /// the transaction is made, and when both have signed.
    pub struct FundChannel {
        /// The node at the other end. It must be connected.
        required id: NodeId,
        /// How much to put into the channel, in satoshi, or `all`. What is kept for channels with anchors
        /// is left in the wallet (*emergency_msat* of *listfunds*), and for this one, too, if the other
        /// end has them.
        required amount: SatOrAll,
        /// The fee rate of the transaction: satoshi for 1000 virtual bytes (a number, or one with
        /// `perkb`), for 1000 weight units (with `perkw`), or a word or a number of blocks as in
        /// *withdraw*. The default is `opening`.
        optional feerate: Feerate,
        /// Whether others are told of the channel.
        default(true) announce: bool,
        /// How many confirmations the spent outputs need. The default is one, but for change of our
        /// own transactions, which needs none.
        optional minconf: u32,
        /// The outputs to spend, as `txid:output`: all of these and no others.
        optional utxos: Outpoints,
        /// How much of it to give to the other end. This is a present.
        optional push_msat: Msat,
        /// The segwit address that a mutual close pays what is ours to. It is fixed for good, also by
        /// the other end, if that end knows `option_upfront_shutdown_script`; else it is not kept, and
        /// the result has no *close_to*. A unilateral close pays to the wallet.
        optional close_to: PlainText,
        /// Liquidity to lease. LDK leases none: refused.
        optional request_amt: PlainText,
        /// Terms of a lease. LDK leases none: refused.
        optional compact_lease: PlainText,
        /// How many confirmations the channel needs at least, up to 144. If the other end asks for more, it
        /// needs as many as that; the result says how many.
        optional mindepth: u32,
        /// What the other end must keep in the channel, at least 1000sat. LDK counts it in millionths of
        /// the channel, of which so many are taken as come to at least as much. The default is a
        /// hundredth.
        optional reserve: Sat,
        /// The feature bits of the channel's type. LDK chooses them: refused.
        optional channel_type: TextList,
    }
}

/// The type of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelType {
    /// The feature bits that are set.
    pub bits: Vec<u32>,
    /// Their names.
    pub names: Vec<String>,
}

/// The result of `fundchannel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FundChannelResult {
    /// The funding transaction.
    pub tx: HexBytes,
    /// Its id.
    pub txid: Hash32,
    /// Which output of it is the channel.
    pub outnum: u32,
    /// The id of the channel.
    pub channel_id: Hash32,
    /// The type of the channel.
    pub channel_type: ChannelType,
    /// The script that a mutual close pays to, if *close_to* was given and the other end holds us to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_to: Option<HexBytes>,
    /// How many confirmations the channel needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mindepth: Option<u32>,
}

impl Method for FundChannel {
    const NAME: &'static str = "fundchannel";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "open a channel";
    type Result = FundChannelResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::InvalidParams,
            "A parameter is not what it should be or is refused, or the amount is more or less than \
             a channel may hold.",
        ),
        (Code::FundCannotAfford, "The wallet does not hold enough."),
        (
            Code::FundCannotAffordWithEmergency,
            "The wallet would not have left what it keeps for channels with anchors.",
        ),
        (
            Code::FundingBroadcastFail,
            "The transaction could not be broadcast.",
        ),
        (Code::FundingPeerNotConnected, "The node is not connected."),
        (
            Code::Lightningd,
            "The other end refused the channel, or did not answer within a minute; or *close_to* is no \
             address.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["connect", "listfunds", "listpeerchannels"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "02… 100000",
        shows: "Opens a channel of 100000 sat.",
    }];
}
