//! `getroute`: a route as sendpay takes it.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{Excludes, Millionths, Msat, NodeId, NonzeroMsat, Scid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The blocks that the destination is given at least: LDK's recipients refuse less.
pub const FINAL_CLTV_BLOCKS: u32 = 42;
/// The channels that a route may have (CLN's default).
pub const MAXHOPS: u32 = 20;

params! {
    /// Finds the route with the best prospects by what is known of the network, in the form that
    /// *sendpay* takes.
    ///
    /// The default of *cltv* is 42 blocks where Core Lightning has 9: with less, many destinations
    /// refuse the payment. A route from a node to itself has no hops, as there.
    pub struct GetRoute {
        /// Where to.
        required id: NodeId,
        /// What the destination is to get.
        required amount_msat: NonzeroMsat,
        /// Read for compatibility; routes are weighed by what earlier payments taught.
        required riskfactor: Millionths,
        /// How many blocks the destination is given.
        default(FINAL_CLTV_BLOCKS) cltv: u32,
        /// Where from. The default is this node.
        optional fromid: NodeId,
        /// Read for compatibility, and ignored.
        optional fuzzpercent: Millionths,
        /// Channels (`103x1x0/1`) and nodes that the route may not use. A channel is left out in
        /// both directions.
        optional exclude: Excludes,
        /// How many channels the route may have. Never more than 27.
        default(MAXHOPS) maxhops: u32,
    }
}

/// One hop of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The node at the end of this hop.
    pub id: NodeId,
    /// The channel.
    pub channel: Scid,
    /// 0 if the channel is taken from the lesser to the greater node id, else 1.
    pub direction: u8,
    /// What the node at the end of this hop gets.
    pub amount_msat: Msat,
    /// The blocks from now until the HTLC to that node ends.
    pub delay: u32,
    /// Always `tlv`.
    pub style: String,
}

/// The result of `getroute`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GetRouteResult {
    /// The hops, from the first channel to the destination.
    pub route: Vec<Hop>,
}

impl Method for GetRoute {
    const NAME: &'static str = "getroute";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "find a route";
    type Result = GetRouteResult;
    const ERRORS: &'static [(Code, &'static str)] =
        &[(Code::PayRouteNotFound, "There is no route.")];
    const SEE_ALSO: &'static [&'static str] = &["sendpay", "pay"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "02… 1000msat 1",
        shows: "A route for 1000 msat.",
    }];
}
