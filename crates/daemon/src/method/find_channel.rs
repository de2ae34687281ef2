//! The channel that a request names, with CLN's words where there is none or more than one.

use sendpay_node::{Channel, ChannelStage};
use sendpay_rpc::value::{ChannelRef, NodeId};
use sendpay_rpc::{Code, RpcError};

use super::listpeerchannels::{peer_id, state};
use crate::daemon::Daemon;

/// Channels by the parameter *id*: one by its own name, or those with a node that are in one of these
/// stages. Never empty.
pub(super) fn find(
    daemon: &Daemon,
    wanted: ChannelRef,
    stages: &[ChannelStage],
    none_with_peer: &str,
) -> Result<Vec<Channel>, RpcError> {
    let channels = daemon.node().channels();
    let bad = |should: &str| RpcError::bad_param("id", should);
    let one = |found: Option<Channel>, should: &str| {
        let channel = found.ok_or_else(|| bad(should))?;
        if !stages.contains(&channel.stage) {
            let text = format!("Channel in state {}", state(&channel));
            return Err(bad(&text));
        }
        Ok(vec![channel])
    };
    match wanted {
        ChannelRef::Id(id) => one(
            channels
                .into_iter()
                .find(|channel| channel.channel_id == id.to_bytes()),
            "Channel id not found",
        ),
        ChannelRef::Scid(scid) => one(
            channels.into_iter().find(|channel| {
                [channel.short_channel_id, channel.alias_local].contains(&Some(scid.0))
            }),
            "Short channel id not found",
        ),
        ChannelRef::Peer(id) => {
            let with_peer: Vec<Channel> = channels
                .into_iter()
                .filter(|channel| peer_id(channel) == id)
                .collect();
            if with_peer.is_empty() && !is_connected(daemon, id) {
                return Err(bad("should be a channel ID or short channel ID"));
            }
            let usable: Vec<Channel> = with_peer
                .into_iter()
                .filter(|channel| stages.contains(&channel.stage))
                .collect();
            match usable.is_empty() {
                true => Err(RpcError::new(Code::Lightningd, none_with_peer)),
                false => Ok(usable),
            }
        }
    }
}

fn is_connected(daemon: &Daemon, id: NodeId) -> bool {
    let mut peers = daemon.node().peers().into_iter();
    peers.any(|peer| peer.node_id.serialize() == id.to_bytes())
}
