//! The network as gossip tells of it: channels and nodes, for the listings.
//!
//! A listing takes the names first, eight bytes for a channel and 33 for a node, and reads the rest
//! a page at a time, so that LDK's graph is never held for longer than a page. Finding routes is
//! `getroute.rs`'s and LDK's.

use std::collections::HashMap;

use lightning::ln::msgs::SocketAddress;
use lightning::routing::gossip::{
    ChannelInfo, ChannelUpdateInfo, NodeAnnouncementInfo, NodeId as GossipId, ReadOnlyNetworkGraph,
};
use sendpay_ledger::NodeId;

use crate::Inner;

const MSAT_PER_SAT: u64 = 1_000;

/// BOLT 7: *htlc_maximum_msat* is there.
const HAS_MAXIMUM: u8 = 1;
/// BOLT 7: the direction may not be used now.
const DISABLED: u8 = 2;

/// Which channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFilter {
    /// Every channel, in both directions.
    All,
    /// This one.
    Scid(u64),
    /// Those from this node, in the direction from it.
    From(NodeId),
    /// Those to this node, in the direction to it.
    To(NodeId),
}

/// One direction of a channel, with the terms of the node it leads from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkChannel {
    /// BOLT 7's id.
    pub short_channel_id: u64,
    /// The node it leads from.
    pub source: NodeId,
    /// The node it leads to.
    pub destination: NodeId,
    /// 0 if the source has the lesser id.
    pub direction: u8,
    /// What the channel holds; if nobody knows, the most that one HTLC may carry.
    pub capacity_msat: u64,
    /// BOLT 7's flags.
    pub message_flags: u8,
    /// BOLT 7's flags: the direction, and whether it is disabled.
    pub channel_flags: u8,
    /// Not disabled.
    pub active: bool,
    /// When the source told of the terms, in seconds since 1970.
    pub updated_at: u32,
    /// In millisatoshi.
    pub fee_base_msat: u32,
    /// Of the amount.
    pub fee_proportional_millionths: u32,
    /// In blocks.
    pub cltv_expiry_delta: u16,
    /// Least HTLC.
    pub htlc_minimum_msat: u64,
    /// Greatest HTLC.
    pub htlc_maximum_msat: u64,
    /// Feature bits (BOLT 9), big endian.
    pub features: Vec<u8>,
}

/// A node, with what it announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkNode {
    /// The node.
    pub node_id: NodeId,
    /// What it announced, if it did.
    pub announced: Option<Announced>,
}

/// What a node announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its name for people; what cannot be printed is replaced.
    pub alias: String,
    /// Its colour.
    pub color: [u8; 3],
    /// When, in seconds since 1970.
    pub at: u32,
    /// Feature bits (BOLT 9), big endian.
    pub features: Vec<u8>,
    /// Where it is: kind in CLN's words, address, port.
    pub addresses: Vec<(&'static str, String, u16)>,
}

/// What a listing of channels keeps between its pages.
#[derive(Clone, Debug)]
pub struct NetworkListing {
    filter: NetworkFilter,
    /// In order.
    scids: Vec<u64>,
    /// Of our own channels, whose size we know, in msat.
    own: HashMap<u64, u64>,
}

impl NetworkListing {
    pub(crate) fn channels(inner: &Inner, filter: NetworkFilter) -> NetworkListing {
        let own = inner.manager.list_channels().into_iter();
        let own = own.filter_map(|channel| {
            let sat = channel.channel_value_satoshis;
            Some((channel.short_channel_id?, sat * MSAT_PER_SAT))
        });
        let own = own.collect();
        let graph = inner.graph.read_only();
        let mut scids = match filter {
            NetworkFilter::All => graph.channels().unordered_keys().copied().collect(),
            NetworkFilter::Scid(scid) => vec![scid],
            NetworkFilter::From(node) | NetworkFilter::To(node) => {
                let found = gossip_id(&node).and_then(|id| graph.node(&id).cloned());
                found.map(|node| node.channels).unwrap_or_default()
            }
        };
        scids.sort_unstable();
        NetworkListing { filter, scids, own }
    }

    /// How many channels there are.
    pub fn len(&self) -> usize {
        self.scids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scids.is_empty()
    }

    pub(crate) fn page(
        &self,
        inner: &Inner,
        places: std::ops::Range<usize>,
        each: &mut dyn FnMut(&NetworkChannel),
    ) {
        let graph = inner.graph.read_only();
        let scids = self.scids.get(places).unwrap_or_default();
        for scid in scids {
            let Some(channel) = graph.channel(*scid) else {
                continue;
            };
            for direction in [0, 1] {
                if let Some(shown) = self.direction(*scid, channel, direction) {
                    each(&shown);
                }
            }
        }
    }

    fn direction(&self, scid: u64, channel: &ChannelInfo, direction: u8) -> Option<NetworkChannel> {
        let one = node_id(&channel.node_one)?;
        let two = node_id(&channel.node_two)?;
        let (source, destination, update) = match direction {
            0 => (one, two, channel.one_to_two.as_ref()?),
            _ => (two, one, channel.two_to_one.as_ref()?),
        };
        let wanted = match self.filter {
            NetworkFilter::All | NetworkFilter::Scid(_) => true,
            NetworkFilter::From(node) => node == source,
            NetworkFilter::To(node) => node == destination,
        };
        if !wanted {
            return None;
        }
        let capacity = channel.capacity_sats.map(|sat| sat * MSAT_PER_SAT);
        let capacity = capacity.or_else(|| self.own.get(&scid).copied());
        let (message_flags, channel_flags) = flags(update, direction);
        Some(NetworkChannel {
            short_channel_id: scid,
            source,
            destination,
            direction,
            capacity_msat: capacity.unwrap_or(update.htlc_maximum_msat),
            message_flags,
            channel_flags,
            active: update.enabled,
            updated_at: update.last_update,
            fee_base_msat: update.fees.base_msat,
            fee_proportional_millionths: update.fees.proportional_millionths,
            cltv_expiry_delta: update.cltv_expiry_delta,
            htlc_minimum_msat: update.htlc_minimum_msat,
            htlc_maximum_msat: update.htlc_maximum_msat,
            features: big_endian(channel.features.le_flags()),
        })
    }
}

/// The flags of the update as it came, or as they must have been.
fn flags(update: &ChannelUpdateInfo, direction: u8) -> (u8, u8) {
    match &update.last_update_message {
        Some(message) => (
            message.contents.message_flags,
            message.contents.channel_flags,
        ),
        None if update.enabled => (HAS_MAXIMUM, direction),
        None => (HAS_MAXIMUM, direction | DISABLED),
    }
}

/// The ids of the nodes, in order: all, or this one if it is known.
pub(crate) fn node_ids(inner: &Inner, only: Option<NodeId>) -> Vec<NodeId> {
    let graph = inner.graph.read_only();
    if let Some(node) = only {
        let known = gossip_id(&node).is_some_and(|id| graph.node(&id).is_some());
        return known.then_some(node).into_iter().collect();
    }
    let nodes = graph.nodes().unordered_keys();
    let mut ids: Vec<NodeId> = nodes.filter_map(node_id).collect();
    ids.sort_unstable();
    ids
}

/// Those of these nodes that are still known.
pub(crate) fn nodes(inner: &Inner, ids: &[NodeId], each: &mut dyn FnMut(&NetworkNode)) {
    let graph = inner.graph.read_only();
    for id in ids {
        if let Some(shown) = node(&graph, *id) {
            each(&shown);
        }
    }
}

fn node(graph: &ReadOnlyNetworkGraph<'_>, id: NodeId) -> Option<NetworkNode> {
    let found = graph.node(&gossip_id(&id)?)?;
    Some(NetworkNode {
        node_id: id,
        announced: found.announcement_info.as_ref().map(announced),
    })
}

fn announced(info: &NodeAnnouncementInfo) -> Announced {
    Announced {
        alias: info.alias().to_string(),
        color: info.rgb(),
        at: info.last_update(),
        features: big_endian(info.features().le_flags()),
        addresses: info.addresses().iter().filter_map(address).collect(),
    }
}

/// Addresses of the old Tor network, which is no more, are left out.
fn address(address: &SocketAddress) -> Option<(&'static str, String, u16)> {
    match address {
        SocketAddress::TcpIpV4 { addr, port } => {
            Some(("ipv4", std::net::Ipv4Addr::from(*addr).to_string(), *port))
        }
        SocketAddress::TcpIpV6 { addr, port } => {
            Some(("ipv6", std::net::Ipv6Addr::from(*addr).to_string(), *port))
        }
        SocketAddress::OnionV2(_) => None,
        SocketAddress::OnionV3 { port, .. } => {
            let text = address.to_string();
            let (host, _) = text.rsplit_once(':')?;
            Some(("torv3", host.to_owned(), *port))
        }
        SocketAddress::Hostname { hostname, port } => Some(("dns", hostname.to_string(), *port)),
    }
}

/// Feature bits as on the wire; LDK keeps the bytes the other way round.
fn big_endian(le_flags: &[u8]) -> Vec<u8> {
    le_flags.iter().rev().copied().collect()
}

fn node_id(id: &GossipId) -> Option<NodeId> {
    id.as_slice().try_into().ok().map(NodeId)
}

fn gossip_id(id: &NodeId) -> Option<GossipId> {
    GossipId::from_slice(&id.0).ok()
}
