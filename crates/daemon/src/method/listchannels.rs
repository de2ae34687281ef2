//! `listchannels`.

use std::sync::Arc;

use sendpay_node::{NetworkFilter, NetworkListing};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::listchannels::{ListChannels, NetworkChannel};
use sendpay_rpc::value::{HexBytes, Msat, NodeId, Scid};

use crate::convert::node_id;
use crate::daemon::Daemon;
use crate::pages::{self, ROWS_A_PAGE};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListChannels, reply: Reply) {
    let ledger_id = |id: NodeId| sendpay_ledger::NodeId(id.to_bytes());
    let filter = match (params.short_channel_id, params.source, params.destination) {
        (None, None, None) => NetworkFilter::All,
        (Some(scid), None, None) => NetworkFilter::Scid(scid.0),
        (None, Some(source), None) => NetworkFilter::From(ledger_id(source)),
        (None, None, Some(destination)) => NetworkFilter::To(ledger_id(destination)),
        _ => {
            let text = "Can only specify one of `short_channel_id`, `source` or `destination`";
            return reply.error(&RpcError::invalid_params(text));
        }
    };
    let node = daemon.node();
    let listing: NetworkListing = node.network_listing(filter);
    let mut place = 0;
    pages::stream(reply, "channels", |each| {
        let end = listing.len().min(place + ROWS_A_PAGE);
        node.network_channels(&listing, place..end, &mut |channel| each(&show(channel)));
        place = end;
        Ok(place < listing.len())
    })
    .await;
}

fn show(channel: &sendpay_node::NetworkChannel) -> NetworkChannel {
    NetworkChannel {
        source: node_id(channel.source),
        destination: node_id(channel.destination),
        short_channel_id: Scid(channel.short_channel_id),
        direction: u32::from(channel.direction),
        public: true,
        amount_msat: Msat(channel.capacity_msat),
        message_flags: channel.message_flags,
        channel_flags: channel.channel_flags,
        active: channel.active,
        last_update: channel.updated_at,
        base_fee_millisatoshi: channel.fee_base_msat,
        fee_per_millionth: channel.fee_proportional_millionths,
        delay: u32::from(channel.cltv_expiry_delta),
        htlc_minimum_msat: Msat(channel.htlc_minimum_msat),
        htlc_maximum_msat: Msat(channel.htlc_maximum_msat),
        features: HexBytes(channel.features.clone()),
    }
}
