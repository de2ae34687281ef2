//! `listpeers`.

use std::collections::BTreeMap;
use std::sync::Arc;

use sendpay_rpc::RpcError;
use sendpay_rpc::method::listpeers::{ListPeers, ListPeersResult, PeerInfo};
use sendpay_rpc::value::{HexBytes, NodeId};

use super::listpeerchannels::peer_id;
use crate::daemon::Daemon;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: ListPeers,
) -> Result<ListPeersResult, RpcError> {
    if params.level.is_some() {
        let text = "level: not supported: the log of this daemon is not kept by peer";
        return Err(RpcError::invalid_params(text));
    }
    let node = daemon.node();
    let mut peers: BTreeMap<NodeId, PeerInfo> = BTreeMap::new();
    for peer in node.peers() {
        let id = NodeId::from_bytes(peer.node_id.serialize());
        let address = peer.address.map(|address| address.to_string());
        let info = PeerInfo {
            id,
            connected: true,
            num_channels: 0,
            netaddr: Some(address.into_iter().collect()),
            features: Some(HexBytes(peer.features)),
        };
        peers.insert(id, info);
    }
    for channel in node.channels() {
        let id = peer_id(&channel);
        let info = peers.entry(id).or_insert(PeerInfo {
            id,
            connected: false,
            num_channels: 0,
            netaddr: None,
            features: None,
        });
        info.num_channels = info.num_channels.saturating_add(1);
    }
    let wanted = |info: &PeerInfo| params.id.is_none_or(|id| id == info.id);
    Ok(ListPeersResult {
        peers: peers.into_values().filter(wanted).collect(),
    })
}
