//! Routes as a client gives them to `sendpay`, and what a client wants left out of a route.
//!
//! Whether a route adds up is not checked here: that needs the channels.

use super::{Msat, NodeId, Scid, ScidDir};
use crate::json::Token;
use crate::param::{BadParam, Param};
use serde_json::{Value, json};

/// One hop of a route: the channel it takes, the node it ends at, and what that node is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteHop {
    /// The channel.
    pub scid: Scid,
    /// The direction through it, if the client gave one.
    pub direction: Option<u8>,
    /// The node at the end of this hop.
    pub node_id: NodeId,
    /// What that node is to get.
    pub amount_msat: Msat,
    /// The blocks from now until the HTLC to that node ends.
    pub delay: u32,
}

/// The hops of a route, from us to the destination. Empty for a payment to ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHops(pub Vec<RouteHop>);

/// The member under its name, or under its old one.
fn either<'a>(hop: Token<'a>, name: &str, old: &str) -> Result<Token<'a>, BadParam> {
    hop.member(name)
        .or_else(|| hop.member(old))
        .ok_or_else(|| BadParam::new(format!("must have either {name} or {old}"), hop))
}

fn route_hop(hop: Token<'_>) -> Result<RouteHop, BadParam> {
    let channel = either(hop, "short_channel_id_dir", "channel")?;
    let (scid, direction) = match channel.text().parse::<ScidDir>() {
        Ok(with_direction) => (with_direction.scid, Some(with_direction.direction)),
        Err(_) => match channel.text().parse() {
            Ok(scid) => (scid, None),
            Err(_) => return Err(BadParam::new("bad short_channel_id", channel)),
        },
    };
    let node_id = either(hop, "node_id_out", "id")?;
    let amount = either(hop, "amount_out_msat", "amount_msat")?;
    let delay = either(hop, "cltv_out", "delay")?;
    Ok(RouteHop {
        scid,
        direction,
        node_id: node_id
            .text()
            .parse()
            .map_err(|_| BadParam::new("bad node_id", node_id))?,
        // Zero is no amount: no channel carries it, and no record may say it.
        amount_msat: match Msat::parse(amount) {
            Ok(amount_msat) if amount_msat.0 > 0 => amount_msat,
            _ => return Err(BadParam::new("bad amount", amount)),
        },
        delay: u32::parse(delay).map_err(|_| BadParam::new("bad cltv_out/delay", delay))?,
    })
}

impl Param for RouteHops {
    const TYPE: &'static str = "array of hops";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let hops = token
            .elements()
            .ok_or_else(|| BadParam::new("must be an array", token))?;
        hops.into_iter()
            .map(route_hop)
            .collect::<Result<_, _>>()
            .map(RouteHops)
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "type": "object", "properties": {
            "short_channel_id_dir": { "type": "string" },
            "channel": { "type": "string" },
            "node_id_out": { "type": "string" },
            "id": { "type": "string" },
            "amount_out_msat": Msat::schema(),
            "amount_msat": Msat::schema(),
            "cltv_out": { "type": "integer" },
            "delay": { "type": "integer" },
        } } })
    }
}

/// A channel in one direction, or a node, that a route must not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclude {
    /// A channel in one direction.
    Channel(ScidDir),
    /// A node.
    Node(NodeId),
}

/// Everything that a route must not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excludes(pub Vec<Exclude>);

fn exclude(token: Token<'_>) -> Result<Exclude, BadParam> {
    if let Ok(channel) = token.text().parse() {
        return Ok(Exclude::Channel(channel));
    }
    match token.text().parse() {
        Ok(node_id) => Ok(Exclude::Node(node_id)),
        Err(_) => Err(BadParam::new(
            "should be short_channel_id_dir or node_id",
            token,
        )),
    }
}

impl Param for Excludes {
    const TYPE: &'static str = "array";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let elements = token
            .elements()
            .ok_or_else(|| BadParam::new("should be an array", token))?;
        elements
            .into_iter()
            .map(exclude)
            .collect::<Result<_, _>>()
            .map(Excludes)
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "type": "string" } })
    }
}
