//! `disconnect`.

use std::sync::Arc;

use sendpay_rpc::method::disconnect::{Disconnect, DisconnectResult};
use sendpay_rpc::{Code, RpcError};

use super::listpeerchannels::{peer_id, state};
use crate::daemon::Daemon;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: Disconnect,
) -> Result<DisconnectResult, RpcError> {
    let node = daemon.node();
    let id = params.id.0;
    let mut peers = node.peers().into_iter();
    let peer = peers.find(|peer| peer.node_id.serialize() == id.to_bytes());
    let mut channels = node.channels().into_iter();
    let channel = channels.find(|channel| peer_id(channel) == id);
    let refused = |text: String| Err(RpcError::new(Code::Lightningd, text));
    match (peer, channel) {
        (None, None) => Err(RpcError::invalid_params(format!("Unknown peer '{id}'"))),
        (None, Some(_)) => refused("Peer not connected".to_owned()),
        (Some(_), Some(channel)) if !params.force => refused(format!(
            "Peer has (at least one) channel in state {}",
            state(&channel)
        )),
        (Some(peer), _) => {
            node.disconnect(peer.node_id);
            Ok(DisconnectResult {})
        }
    }
}
