//! What the tries of one payment taught: which channels and nodes are closed to it, and how much each
//! channel can carry at most.
//!
//! A channel that could not carry an amount may carry less of it, so it is not left out: between what
//! it is known to have carried and what it refused, the next try halves the distance. Learned from
//! records alone, so that nothing is known that is not in `listsendpays`. The scorer, which keeps
//! what all payments taught, is `background.rs`'s affair.

use std::collections::{HashMap, HashSet};

use sendpay_ledger::{Failure, Hop, NodeId, Payment, Status};

use super::in_flight::InFlight;

/// BOLT 4: the channel cannot carry it now; less of it, it may.
pub(super) const TEMPORARY_CHANNEL_FAILURE: u16 = 0x1007;
/// BOLT 4: the destination waited in vain for the other parts; no channel is to blame.
const MPP_TIMEOUT: u16 = 0x0017;
/// BOLT 4's flag of failures that concern the whole node.
const NODE: u16 = 0x2000;

/// How much nearer to what a channel refused a try dares to go, one after another: it leaves out the
/// 2nd, 4th, 8th and 32nd part of what is not known.
pub(super) const BOLDNESS: [u32; 4] = [1, 2, 3, 5];

/// The part of the payment below which it is not worth knowing what a channel can carry.
const GRAIN_PARTS: u64 = 256;

/// A channel in one direction (BOLT 7).
pub(super) type Directed = (u64, u8);

/// What a channel can carry of ours at once, in msat: this much, and less than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    carried: u64,
    refused: u64,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Knowledge {
    grain_msat: u64,
    ranges: HashMap<Directed, Range>,
    channels: HashSet<u64>,
    nodes: HashSet<NodeId>,
    /// Parts that were learned from.
    read: HashSet<u64>,
}

impl Knowledge {
    /// Nothing yet, of a payment of that amount; these are left out from the start.
    pub(super) fn new(amount_msat: u64, channels: &[u64], nodes: &[NodeId]) -> Knowledge {
        Knowledge {
            grain_msat: (amount_msat / GRAIN_PARTS).max(1),
            ranges: HashMap::new(),
            channels: channels.iter().copied().collect(),
            nodes: nodes.iter().copied().collect(),
            read: HashSet::new(),
        }
    }

    /// Channels that carry nothing of this payment, in either direction.
    pub(super) fn closed_channels(&self) -> &HashSet<u64> {
        &self.channels
    }

    /// Nodes that no route may touch.
    pub(super) fn closed_nodes(&self) -> &HashSet<NodeId> {
        &self.nodes
    }

    /// Whether being bolder would change anything.
    pub(super) fn any_ranges(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// The most that may be out over this channel, with that boldness of [`BOLDNESS`]; None when
    /// nothing is known.
    pub(super) fn most(&self, channel: Directed, boldness: u32) -> Option<u64> {
        let range = self.ranges.get(&channel)?;
        let unknown = range.refused.saturating_sub(range.carried);
        if unknown <= self.grain_msat {
            return Some(range.carried);
        }
        let kept_away = (unknown >> boldness).max(1);
        Some(range.refused - kept_away)
    }

    /// Leaves a channel out from now on.
    pub(super) fn close_channel(&mut self, channel: u64) {
        self.channels.insert(channel);
    }

    /// This channel refused that much beside what was out.
    pub(super) fn refused(&mut self, channel: Directed, total_msat: u64) {
        let range = self.ranges.entry(channel).or_insert(Range {
            carried: 0,
            refused: u64::MAX,
        });
        range.refused = range.refused.min(total_msat);
        // Less can be carried than before: what it carried once says nothing now.
        range.carried = range.carried.min(range.refused.saturating_sub(1));
    }

    /// This channel carried that much, if it is one of those that refused more.
    fn carried(&mut self, channel: Directed, total_msat: u64) {
        if let Some(range) = self.ranges.get_mut(&channel) {
            let most = range.refused.saturating_sub(1);
            range.carried = range.carried.max(total_msat.min(most));
        }
    }

    /// Learns from the failed parts that it has not learned from yet.
    pub(super) fn learn(&mut self, parts: &[Payment], in_flight: &InFlight) {
        for part in parts {
            if part.status != Status::Failed || !self.read.insert(part.partid) {
                continue;
            }
            let (Some(failure), Ok(route)) = (&part.failure, part.route()) else {
                continue;
            };
            self.learn_from(failure, &route, in_flight);
        }
    }

    fn learn_from(&mut self, failure: &Failure, route: &[Hop], in_flight: &InFlight) {
        let beside = |hop: &Hop| {
            let out = in_flight.over(directed(hop));
            hop.amount_msat.msat().saturating_add(out)
        };
        let erring = failure
            .erring_channel
            .and_then(|channel| route.iter().position(|hop| hop.short_channel_id == channel));
        // At the destination: every channel carried it.
        let at_the_end = failure
            .erring_node
            .is_some_and(|node| route.last().is_some_and(|last| last.node_id == node));
        let passed = match (at_the_end, erring) {
            (true, _) => route.len(),
            (false, Some(erring)) => erring,
            (false, None) => 0,
        };
        for hop in route.iter().take(passed) {
            self.carried(directed(hop), beside(hop));
        }
        if failure.failcode == Some(MPP_TIMEOUT) {
            return;
        }
        let hop = erring.and_then(|erring| route.get(erring));
        match (failure.failcode, hop) {
            (Some(TEMPORARY_CHANNEL_FAILURE), Some(hop)) => {
                self.refused(directed(hop), beside(hop));
            }
            // Our own channel: the router knows what it can carry from now on.
            (None, Some(hop)) if erring == Some(0) => self.refused(directed(hop), beside(hop)),
            (Some(code), _) if code & NODE != 0 && !at_the_end => {
                self.nodes.extend(failure.erring_node);
            }
            (_, Some(hop)) => self.close_channel(hop.short_channel_id),
            (_, None) => self.close_unknown(route),
        }
    }

    /// Nobody said where it failed. The same way would fail again: without its middle it is another
    /// way, and our own channels stay.
    pub(super) fn close_unknown(&mut self, route: &[Hop]) {
        let ours = usize::from(route.len() > 1);
        let of_others = route.get(ours..).unwrap_or(route);
        let middle = of_others.get(of_others.len() / 2);
        self.channels.extend(middle.map(|hop| hop.short_channel_id));
    }
}

/// The channel of a hop in the direction of the hop.
pub(super) fn directed(hop: &Hop) -> Directed {
    (hop.short_channel_id, hop.direction)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use lightning::routing::router::InFlightHtlcs;
    use sendpay_ledger::Msat;

    fn nothing_out() -> InFlight {
        InFlight::of(InFlightHtlcs::new())
    }

    fn hop(node: u8, channel: u64, amount: u64) -> Hop {
        Hop {
            node_id: NodeId([node; 33]),
            short_channel_id: channel,
            direction: 0,
            amount_msat: Msat::new(amount).unwrap(),
            delay: 42,
        }
    }

    /// Ours, one in the middle, and one to the destination.
    fn route(amount: u64) -> Vec<Hop> {
        vec![hop(3, 1, amount), hop(4, 2, amount), hop(5, 3, amount)]
    }

    fn failure(failcode: Option<u16>, node: Option<u8>, channel: Option<u64>) -> Failure {
        Failure {
            code: 204,
            failcode,
            erring_index: None,
            erring_node: node.map(|node| NodeId([node; 33])),
            erring_channel: channel,
            erring_direction: None,
            message: String::new(),
        }
    }

    #[test]
    fn a_channel_that_refused_is_tried_with_half_of_what_is_not_known() {
        let mut knowledge = Knowledge::new(25_600, &[], &[]);
        let none = nothing_out();
        let refused = failure(Some(TEMPORARY_CHANNEL_FAILURE), Some(4), Some(3));
        knowledge.learn_from(&refused, &route(25_600), &none);
        assert!(knowledge.closed_channels().is_empty());
        let most: Vec<Option<u64>> = BOLDNESS
            .iter()
            .map(|boldness| knowledge.most((3, 0), *boldness))
            .collect();
        assert_eq!(
            most,
            [Some(12_800), Some(19_200), Some(22_400), Some(24_800)]
        );
        assert_eq!(
            knowledge.most((2, 0), 1),
            None,
            "what carried it is not bounded"
        );
        assert_eq!(
            knowledge.most((3, 1), 1),
            None,
            "nor is the other direction"
        );
        // It carries the half, beside which another half fails: between 12,800 and 25,600.
        let mut out = nothing_out();
        out.add(&[hop(5, 3, 12_800)]);
        knowledge.learn_from(
            &failure(Some(0x400f), Some(5), Some(3)),
            &route(12_800),
            &none,
        );
        knowledge.learn_from(&refused, &route(6_400), &out);
        assert_eq!(knowledge.most((3, 0), 1), Some(16_000));
    }

    #[test]
    fn the_search_ends_where_a_channel_is_known_well_enough() {
        let mut knowledge = Knowledge::new(25_600, &[], &[]);
        let mut tries = 0;
        // It carries 10,000.
        knowledge.refused((3, 0), 25_600);
        while let Some(amount) = knowledge.most((3, 0), 1) {
            tries += 1;
            match amount > 10_000 {
                true => knowledge.refused((3, 0), amount),
                false if knowledge.most((3, 0), 1) == Some(knowledge.ranges[&(3, 0)].carried) => {
                    break;
                }
                false => knowledge.carried((3, 0), amount),
            }
            assert!(tries < 12, "{knowledge:?}");
        }
        let most = knowledge.most((3, 0), 1).unwrap();
        assert!((9_900..=10_000).contains(&most), "{most}");
    }

    #[test]
    fn who_is_to_blame_is_left_out_and_nobody_else() {
        let cases: &[(Failure, &[u64], &[u8])] = &[
            // Unknown next peer: that channel.
            (failure(Some(0x400a), Some(3), Some(2)), &[2], &[]),
            // A fee that is too small: its policy is not what we know.
            (failure(Some(0x100c), Some(3), Some(2)), &[2], &[]),
            // The node itself.
            (failure(Some(0x2002), Some(4), Some(3)), &[], &[4]),
            // The destination gave up waiting for the rest: nobody.
            (failure(Some(MPP_TIMEOUT), Some(5), Some(3)), &[], &[]),
            // Nobody knows: the middle of the way.
            (failure(None, None, None), &[3], &[]),
            // It failed without a code, but LDK knows where.
            (failure(None, None, Some(2)), &[2], &[]),
        ];
        for (failure, channels, nodes) in cases {
            let mut knowledge = Knowledge::new(1_000, &[], &[]);
            knowledge.learn_from(failure, &route(1_000), &nothing_out());
            assert_eq!(
                *knowledge.closed_channels(),
                channels.iter().copied().collect(),
                "{failure:?}"
            );
            let nodes = nodes.iter().map(|node| NodeId([*node; 33])).collect();
            assert_eq!(*knowledge.closed_nodes(), nodes, "{failure:?}");
            assert!(!knowledge.any_ranges(), "{failure:?}");
        }
    }
}
