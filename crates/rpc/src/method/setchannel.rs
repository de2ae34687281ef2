//! `setchannel`: the terms on which others pay through a channel.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{ChannelsRef, Hash32, Msat, NodeId, Scid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the terms before still hold, in seconds: LDK's own time, which cannot be chosen.
pub const ENFORCE_DELAY: u32 = 300;

params! {
    /// Sets the fees for forwarding through a channel and tells the network of them. For five
    /// minutes HTLCs that pay what was asked before are forwarded too, as others may not have
    /// heard yet.
    pub struct SetChannel {
        /// The channel: its short_channel_id or channel_id; the id of a node, for all channels
        /// with it; or `all`.
        required id: ChannelsRef,
        /// The base fee for each payment, up to 4294967295msat. Stays as it is if not given.
        optional feebase: Msat,
        /// The fee in millionths of the amount. Stays as it is if not given.
        optional feeppm: u32,
        /// The least amount to forward. LDK takes the other end's least: refused.
        optional htlcmin: Msat,
        /// The greatest amount to forward. LDK takes what the channel holds: refused.
        optional htlcmax: Msat,
        /// How many seconds the terms before hold as well. Anything but 300 is refused.
        default(ENFORCE_DELAY) enforcedelay: u32,
        /// Whether the other end may set any fee rate for commitment transactions. Never here:
        /// `true` is refused.
        default(false) ignorefeelimits: bool,
    }
}

/// One channel, with its terms as they are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelTerms {
    /// The node at the other end.
    pub peer_id: NodeId,
    /// The id of the channel.
    pub channel_id: Hash32,
    /// The short_channel_id, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_channel_id: Option<Scid>,
    /// The base fee.
    pub fee_base_msat: Msat,
    /// The fee in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// The least amount that is forwarded.
    pub minimum_htlc_out_msat: Msat,
    /// The greatest amount that is forwarded.
    pub maximum_htlc_out_msat: Msat,
    /// Whether the other end may set any fee rate. Always false.
    pub ignore_fee_limits: bool,
}

/// The result of `setchannel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SetChannelResult {
    /// The channels.
    pub channels: Vec<ChannelTerms>,
}

impl Method for SetChannel {
    const NAME: &'static str = "setchannel";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "set the fees for forwarding through a channel";
    type Result = SetChannelResult;
    const ERRORS: &'static [(Code, &'static str)] = &[(
        Code::Lightningd,
        "The node has no channel that can be used, or *htlcmax* is less than *htlcmin*.",
    )];
    const SEE_ALSO: &'static [&'static str] = &["listpeerchannels", "listchannels"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "103x1x0 1000 100",
        shows: "Asks for a satoshi and 0.01 percent.",
    }];
}
