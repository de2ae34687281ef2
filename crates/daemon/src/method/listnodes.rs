//! `listnodes`.

use std::sync::Arc;

use sendpay_rpc::method::listnodes::{ListNodes, NetworkNode, NodeAddress};
use sendpay_rpc::value::HexBytes;

use crate::convert::node_id;
use crate::daemon::Daemon;
use crate::pages::{self, ROWS_A_PAGE};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListNodes, reply: Reply) {
    let node = daemon.node();
    let only = params.id.map(|id| sendpay_ledger::NodeId(id.to_bytes()));
    let ids = node.network_node_ids(only);
    let mut pages = ids.chunks(ROWS_A_PAGE).peekable();
    pages::stream(reply, "nodes", |each| {
        let page = pages.next().unwrap_or_default();
        node.network_nodes(page, &mut |node| each(&show(node)));
        Ok(pages.peek().is_some())
    })
    .await;
}

fn show(node: &sendpay_node::NetworkNode) -> NetworkNode {
    let announced = node.announced.as_ref();
    NetworkNode {
        nodeid: node_id(node.node_id),
        alias: announced.map(|announced| announced.alias.clone()),
        color: announced.map(|announced| HexBytes(announced.color.to_vec())),
        last_timestamp: announced.map(|announced| announced.at),
        features: announced.map(|announced| HexBytes(announced.features.clone())),
        addresses: announced.map(|announced| {
            let addresses = announced.addresses.iter();
            let shown = addresses.map(|(kind, address, port)| NodeAddress {
                kind: (*kind).to_owned(),
                address: address.clone(),
                port: *port,
            });
            shown.collect()
        }),
    }
}
