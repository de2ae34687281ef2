//! `connect`.

use std::sync::Arc;

use sendpay_rpc::RpcError;
use sendpay_rpc::method::connect::{Connect, ConnectResult};
use sendpay_rpc::method::getinfo::Address;
use sendpay_rpc::value::{HexBytes, NodeId};

use crate::daemon::{Daemon, public_key};
use crate::error;

/// Where nodes listen unless they say otherwise.
const PORT: u16 = 9735;

pub(super) async fn run(daemon: &Arc<Daemon>, params: Connect) -> Result<ConnectResult, RpcError> {
    let (id, in_id) = match params.id.as_str().split_once('@') {
        Some((id, address)) => (id, Some(address.to_owned())),
        None => (params.id.as_str(), None),
    };
    let bad_id = || RpcError::bad_param("id", "should be a node id");
    let id: NodeId = id.parse().map_err(|_| bad_id())?;
    let key = public_key(id).ok_or_else(bad_id)?;
    if in_id.is_some() && params.host.is_some() {
        return Err(RpcError::invalid_params(
            "Can't specify host as both xxx@yyy and separate",
        ));
    }
    if params.port.is_some() && params.host.is_none() && in_id.is_none() {
        return Err(RpcError::invalid_params("Can't specify port without host"));
    }
    let host = in_id.or_else(|| params.host.map(|host| host.into_string()));
    let address = host.map(|host| with_port(host, params.port));
    let peer = daemon
        .node()
        .connect(key, address)
        .await
        .map_err(|cause| error::connect(&cause))?;
    let socket = peer.address;
    Ok(ConnectResult {
        id,
        features: HexBytes(peer.features),
        direction: if peer.inbound { "in" } else { "out" }.to_owned(),
        address: Address {
            kind: if socket.is_some_and(|socket| socket.is_ipv6()) {
                "ipv6"
            } else {
                "ipv4"
            }
            .to_owned(),
            address: socket
                .map(|socket| socket.ip().to_string())
                .unwrap_or_default(),
            port: socket.map_or(0, |socket| socket.port()),
        },
    })
}

/// `host`, `host:port` or `[v6]:port`, with the port that was given apart or the usual one.
fn with_port(host: String, port: Option<u16>) -> String {
    if let Some(port) = port {
        return format!("{host}:{port}");
    }
    let bare_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    if bare_v6 {
        return format!("[{host}]:{PORT}");
    }
    match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => host,
        _ => format!("{host}:{PORT}"),
    }
}
