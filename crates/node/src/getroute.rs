//! Finding a route: LDK's path finding with CLN's questions and answers.

use std::sync::PoisonError;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::NodeId as GossipId;
use lightning::routing::router::{PaymentParameters, RouteParameters, find_route};
use lightning::routing::scoring::ProbabilisticScoringFeeParameters;
use lightning::sign::EntropySource;
use sendpay_ledger::{Hop, Msat, NodeId};
use thiserror::Error;

use crate::Inner;
use crate::route::{HOPS_MAX, TOTAL_DELAY_MAX, direction, to_hops};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct GetRoute {
    /// From here; None is this node, with its own channels as first hops.
    pub from: Option<PublicKey>,
    /// To there.
    pub destination: PublicKey,
    /// How much it shall receive.
    pub amount_msat: Msat,
    /// Blocks the last hop shall have.
    pub final_delay: u32,
    /// Most hops.
    pub hops_max: usize,
    /// Channels not to use, in one direction or, with None, in both.
    pub without_channels: Vec<(u64, Option<u8>)>,
    /// Nodes not to use.
    pub without_nodes: Vec<PublicKey>,
    /// Most fees in msat; None for any.
    pub fee_max_msat: Option<u64>,
    /// Most delay of the whole route, in blocks.
    pub delay_max: u32,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GetRouteError {
    /// LDK found none.
    #[error("Could not find a route: {0}")]
    NotFound(String),
    /// Nobody has told of the node from which it is asked for.
    #[error("{0}: unknown source node_id (no public channels?)")]
    UnknownSource(PublicKey),
    /// Nobody has told of the destination, and no channel of ours leads to it.
    #[error("{0}: unknown destination node_id (no public channels?)")]
    UnknownDestination(PublicKey),
}

/// The hops, from the first channel to the destination; none if it begins there.
pub(crate) fn find(inner: &Inner, wanted: &GetRoute) -> Result<Vec<Hop>, GetRouteError> {
    let from = wanted.from.unwrap_or(inner.node_id);
    let channels = inner.manager.list_usable_channels();
    let known = |node: &PublicKey| {
        let mut ours = channels.iter();
        let graph = inner.graph.read_only();
        *node == inner.node_id
            || ours.any(|channel| channel.counterparty.node_id == *node)
            || graph.node(&GossipId::from_pubkey(node)).is_some()
    };
    if !known(&from) {
        return Err(GetRouteError::UnknownSource(from));
    }
    if !known(&wanted.destination) {
        return Err(GetRouteError::UnknownDestination(wanted.destination));
    }
    if wanted.destination == from {
        return Ok(Vec::new());
    }
    let us = NodeId(from.serialize());
    let usable: Vec<&ChannelDetails> = channels
        .iter()
        .filter(|channel| !left_out(wanted, &us, channel))
        .collect();
    let first_hops = (from == inner.node_id).then_some(usable.as_slice());
    let delay_max = wanted.delay_max.min(TOTAL_DELAY_MAX);
    let hops_max = wanted.hops_max.min(HOPS_MAX);
    let mut payment = PaymentParameters::from_node_id(wanted.destination, wanted.final_delay)
        .with_max_total_cltv_expiry_delta(delay_max)
        .with_max_path_count(1);
    payment.max_path_length = u8::try_from(hops_max).unwrap_or(u8::MAX);
    // LDK leaves a channel out in both directions; more than asked for, never less.
    payment.previously_failed_channels = wanted
        .without_channels
        .iter()
        .map(|(scid, _)| *scid)
        .collect();
    let mut parameters =
        RouteParameters::from_payment_params_and_value(payment, wanted.amount_msat.msat());
    parameters.max_total_routing_fee_msat = wanted.fee_max_msat;
    let mut fee_parameters = ProbabilisticScoringFeeParameters::default();
    for node in &wanted.without_nodes {
        fee_parameters.add_banned(&GossipId::from_pubkey(node));
    }
    let route = find_route(
        &from,
        &parameters,
        &inner.graph,
        first_hops,
        inner.logger.clone(),
        &*inner.scorer.read().unwrap_or_else(PoisonError::into_inner),
        &fee_parameters,
        &inner.keys.get_secure_random_bytes(),
    )
    .map_err(|cause| GetRouteError::NotFound(cause.to_owned()))?;
    let path = route.paths.first();
    let mut hops = path
        .and_then(|path| to_hops(path, us))
        .ok_or_else(|| GetRouteError::NotFound("the route cannot be expressed".into()))?;
    without_offset(&mut hops, wanted.final_delay);
    Ok(hops)
}

/// LDK adds a random number of blocks to the last hop, for privacy; CLN's `getroute` gives what
/// was asked for.
fn without_offset(hops: &mut [Hop], final_delay: u32) {
    let added = hops
        .last()
        .map_or(0, |last| last.delay.saturating_sub(final_delay));
    for hop in hops {
        hop.delay = hop.delay.saturating_sub(added);
    }
}

/// `previously_failed_channels` and banned nodes speak of the graph; our own first hops are left
/// out here.
fn left_out(wanted: &GetRoute, us: &NodeId, channel: &ChannelDetails) -> bool {
    if wanted.without_nodes.contains(&channel.counterparty.node_id) {
        return true;
    }
    let to = NodeId(channel.counterparty.node_id.serialize());
    let ours = direction(us, &to);
    wanted.without_channels.iter().any(|(scid, direction)| {
        (channel.short_channel_id == Some(*scid) || channel.outbound_scid_alias == Some(*scid))
            && direction.is_none_or(|direction| direction == ours)
    })
}
