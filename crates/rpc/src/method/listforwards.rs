//! `listforwards`: HTLCs of others that went, or should have gone, through this node.

use super::{Category, Example, Method};
use crate::params;
use crate::value::{ForwardStatus, ListIndex, Msat, Scid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the HTLCs of others that this node forwarded, or was asked to forward and did not: one
    /// object for each, oldest first. All filters given must hold.
    ///
    /// A forward is recorded when it is resolved, and never changes after that. LDK tells less of those
    /// that failed than Core Lightning knows: what is not known is left out, or 0 where it must be
    /// there. The listing is written as it is read, a page at a time.
    pub struct ListForwards {
        /// Only forwards with this status. `offered` finds none: those under way are not recorded
        /// yet, and are HTLCs of *listpeerchannels*.
        optional status: ForwardStatus,
        /// Only forwards that came in by this channel.
        optional in_channel: Scid,
        /// Only forwards that went out by this channel, or should have.
        optional out_channel: Scid,
        /// The order to list in: `created`, or `updated`. As nothing ever changes, both are the
        /// same, but that `updated` finds nothing if *start* is more than 0.
        optional index: ListIndex,
        /// List from this index on. Needs *index*.
        default(0) start: u64,
        /// List at most so many. Needs *index*.
        optional limit: u32,
    }
}

/// One forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forward {
    /// Its place among all, from 1.
    pub created_index: u64,
    /// The channel it came in by. `0x0x0` if it is not known.
    pub in_channel: Scid,
    /// Its number in that channel. Of one that failed it is known if no other one there can be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_htlc_id: Option<u64>,
    /// What came in; 0 if it is not known.
    pub in_msat: Msat,
    /// One of *settled*; *local_failed*, if this node failed it; *failed*, if another one did.
    pub status: ForwardStatus,
    /// When it came, in seconds since 1970. Always 0: LDK does not tell.
    pub received_time: u64,
    /// The channel it went out by, or should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_channel: Option<Scid>,
    /// What this node earned, if it settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_msat: Option<Msat>,
    /// What went out, if it settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_msat: Option<Msat>,
    /// When it was resolved, in seconds since 1970.
    pub resolved_time: u64,
    /// The failure code (BOLT 4) that this node failed it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failcode: Option<u16>,
    /// The name of that code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failreason: Option<String>,
}

/// The result of `listforwards`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListForwardsResult {
    /// The forwards.
    pub forwards: Vec<Forward>,
}

impl Method for ListForwards {
    const NAME: &'static str = "listforwards";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "show the payments of others that went through this node";
    type Result = ListForwardsResult;
    const SEE_ALSO: &'static [&'static str] = &["getinfo", "setchannel", "listpeerchannels"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "status=settled",
        shows: "What this node has earned with.",
    }];
}
