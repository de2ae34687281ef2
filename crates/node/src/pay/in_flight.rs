//! What is out over each channel, ours and those of others: what stands in our channels now, by LDK's
//! own account, and the routes that a look has drafted since.
//!
//! It is read from the channels and not from the ledger, so that a look costs what is in the channels
//! now, however many records are pending. What is left of a channel that was closed is not in it:
//! no payment goes through there any more.

use std::collections::HashMap;

use lightning::routing::gossip::NodeId as GossipId;
use lightning::routing::router::InFlightHtlcs;
use sendpay_ledger::Hop;

use super::knowledge::{Directed, directed};

/// Two ids of nobody in order, by which LDK is told a direction: it only compares them.
const LESSER: [u8; 33] = [0; 33];
const GREATER: [u8; 33] = [1; 33];

/// See the file's head. Amounts in msat.
#[derive(Clone)]
pub(super) struct InFlight {
    in_channels: InFlightHtlcs,
    drafted: HashMap<Directed, u64>,
}

impl InFlight {
    /// With what LDK has in our channels.
    pub(super) fn of(in_channels: InFlightHtlcs) -> InFlight {
        InFlight {
            in_channels,
            drafted: HashMap::new(),
        }
    }

    /// What is out over a channel, in msat.
    pub(super) fn over(&self, channel: Directed) -> u64 {
        let drafted = self.drafted.get(&channel).copied().unwrap_or(0);
        self.in_channel(channel).saturating_add(drafted)
    }

    fn in_channel(&self, (scid, direction): Directed) -> u64 {
        let ends = (
            GossipId::from_slice(&LESSER),
            GossipId::from_slice(&GREATER),
        );
        let (Ok(lesser), Ok(greater)) = ends else {
            return 0;
        };
        let (from, to) = match direction {
            0 => (lesser, greater),
            _ => (greater, lesser),
        };
        let out = self.in_channels.used_liquidity_msat(&from, &to, scid);
        out.unwrap_or(0)
    }

    /// Counts a route as taken.
    pub(super) fn add(&mut self, route: &[Hop]) {
        for hop in route {
            let out = self.drafted.entry(directed(hop)).or_default();
            *out = out.saturating_add(hop.amount_msat.msat());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
    use lightning::routing::router::{Path, RouteHop};
    use lightning::types::features::{ChannelFeatures, NodeFeatures};
    use sendpay_ledger::{Msat, NodeId};

    use crate::route::direction;

    fn node(number: u8) -> PublicKey {
        let key = SecretKey::from_slice(&[number; 32]).unwrap();
        PublicKey::from_secret_key(&Secp256k1::new(), &key)
    }

    #[test]
    fn what_ldk_has_in_a_channel_and_what_was_drafted_is_out_in_its_direction_alone() {
        let ldk_hop = |to, scid, fee_msat| RouteHop {
            pubkey: to,
            node_features: NodeFeatures::empty(),
            short_channel_id: scid,
            channel_features: ChannelFeatures::empty(),
            fee_msat,
            cltv_expiry_delta: 42,
            maybe_announced_channel: true,
        };
        for (us, peer, payee) in [(node(1), node(2), node(3)), (node(3), node(2), node(1))] {
            let path = Path {
                hops: vec![ldk_hop(peer, 7, 10), ldk_hop(payee, 8, 1_000)],
                blinded_tail: None,
            };
            let mut in_channels = InFlightHtlcs::new();
            in_channels.process_path(&path, us);
            let mut in_flight = InFlight::of(in_channels);
            let id = |node: PublicKey| NodeId(node.serialize());
            let near = direction(&id(us), &id(peer));
            let far = direction(&id(peer), &id(payee));
            assert_eq!(in_flight.over((7, near)), 1_010);
            assert_eq!(in_flight.over((8, far)), 1_000);
            assert_eq!(in_flight.over((8, 1 - far)), 0);
            in_flight.add(&[Hop {
                node_id: id(payee),
                short_channel_id: 8,
                direction: far,
                amount_msat: Msat::new(5).unwrap(),
                delay: 42,
            }]);
            assert_eq!(in_flight.over((8, far)), 1_005);
            assert_eq!(in_flight.over((7, near)), 1_010);
        }
    }
}
