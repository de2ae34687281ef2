//! `getroute`.

use std::sync::Arc;

use sendpay_ledger::Msat as LedgerMsat;
use sendpay_node::{GetRoute as Wanted, TOTAL_DELAY_MAX};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::getroute::{GetRoute, GetRouteResult, Hop};
use sendpay_rpc::value::{Exclude, Msat, Scid};

use crate::convert::node_id;
use crate::daemon::{Daemon, public_key};
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: GetRoute,
) -> Result<GetRouteResult, RpcError> {
    let bad = |name: &str| RpcError::bad_param(name, "should be a node id");
    let destination = public_key(params.id).ok_or_else(|| bad("id"))?;
    let from = match params.fromid {
        Some(id) => Some(public_key(id).ok_or_else(|| bad("fromid"))?),
        None => None,
    };
    let amount_msat = LedgerMsat::new(params.amount_msat.msat().0)
        .ok_or_else(|| RpcError::bad_param("amount_msat", "should be a millisatoshi amount"))?;
    let mut wanted = Wanted {
        from,
        destination,
        amount_msat,
        final_delay: params.cltv,
        hops_max: usize::try_from(params.maxhops).unwrap_or(usize::MAX),
        without_channels: Vec::new(),
        without_nodes: Vec::new(),
        fee_max_msat: None,
        delay_max: TOTAL_DELAY_MAX,
    };
    for exclude in params.exclude.iter().flat_map(|excludes| &excludes.0) {
        match exclude {
            Exclude::Channel(channel) => {
                wanted
                    .without_channels
                    .push((channel.scid.0, Some(channel.direction)));
            }
            Exclude::Node(id) => {
                wanted
                    .without_nodes
                    .push(public_key(*id).ok_or_else(|| bad("exclude"))?);
            }
        }
    }
    let hops = daemon
        .node()
        .getroute(&wanted)
        .map_err(|cause| error::getroute(&cause))?;
    let route = hops.iter().map(|hop| Hop {
        id: node_id(hop.node_id),
        channel: Scid(hop.short_channel_id),
        direction: hop.direction,
        amount_msat: Msat(hop.amount_msat.msat()),
        delay: hop.delay,
        style: "tlv".to_owned(),
    });
    Ok(GetRouteResult {
        route: route.collect(),
    })
}
