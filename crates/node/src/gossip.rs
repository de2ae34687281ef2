//! Gossip as LDK takes it in, with a memory for updates that come before their channel.
//!
//! Two nodes announce their channel each for itself. The one that sees the sixth block later sends
//! its half of the announcement and its `channel_update` (BOLT 7) at once, so the update is read
//! before LDK has put the two halves together. LDK's `P2PGossipSync` refuses updates of channels that
//! it does not know, nobody sends them again, and the peer's direction stays unknown until its terms
//! change. So such an update is kept until the channel is announced, and is then handed to LDK as
//! any other. What the graph knows is told by `network.rs`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{
    BaseMessageHandler, ChannelAnnouncement, ChannelUpdate, ErrorAction, Init, LightningError,
    MessageSendEvent, NodeAnnouncement, QueryChannelRange, QueryShortChannelIds, ReplyChannelRange,
    ReplyShortChannelIdsEnd, RoutingMessageHandler,
};
use lightning::routing::gossip::NodeId as GossipId;
use lightning::types::features::{InitFeatures, NodeFeatures};
use lightning::util::logger::Level;
use tokio::sync::Notify;

use crate::ldk::{Gossip, Graph};

/// Updates kept for channels that are not announced yet. Two directions of every channel that a
/// batch of openings confirms in one block; when there are more, the oldest goes, as it does in LDK.
const EARLY_UPDATES_MAX: usize = 256;

/// Channels of the network that are taken in: some times as many as there are. Who announces them shows no
/// coins for them here, so that without a limit anybody could fill the memory.
const CHANNELS_MAX: usize = 300_000;

/// Addresses of a node that is taken in.
const ADDRESSES_MAX: usize = 32;

/// BOLT 7's `message_flags`: the update is of a channel that will not be announced.
const DONT_FORWARD: u8 = 1 << 1;

/// LDK's gossip, and the updates that came too early for it.
pub(crate) struct PatientGossip {
    gossip: Arc<Gossip>,
    graph: Arc<Graph>,
    early: Mutex<Early>,
    our_id: GossipId,
    /// Told when a channel of ours is new in the graph: before, nobody takes what we tell of ourselves.
    ours: Arc<Notify>,
    channels_max: usize,
}

#[derive(Default)]
struct Early {
    /// Of channels that are not announced yet, the oldest first.
    waiting: VecDeque<ChannelUpdate>,
    /// Of channels that were announced since, on their way to LDK.
    due: Vec<MessageSendEvent>,
}

impl PatientGossip {
    /// Around LDK's handler, which fills this graph.
    pub(crate) fn new(gossip: Arc<Gossip>, graph: Arc<Graph>, our_id: &PublicKey) -> PatientGossip {
        PatientGossip {
            gossip,
            graph,
            early: Mutex::default(),
            our_id: GossipId::from_pubkey(our_id),
            ours: Arc::default(),
            channels_max: CHANNELS_MAX,
        }
    }

    /// Told when a channel of ours is new in the graph.
    pub(crate) fn ours(&self) -> Arc<Notify> {
        self.ours.clone()
    }

    fn early(&self) -> MutexGuard<'_, Early> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        self.graph.read_only().channels().len() >= self.channels_max
    }

    fn is_announced(&self, scid: u64) -> bool {
        self.graph.read_only().channel(scid).is_some()
    }

    /// Keeps the update, unless its channel was announced meanwhile: then it is not too early.
    fn kept(&self, update: &ChannelUpdate) -> bool {
        let mut early = self.early();
        // Under the lock that `announced` takes after LDK knows the channel, so that no update
        // falls between the two.
        if self.is_announced(update.contents.short_channel_id) {
            return false;
        }
        if early.waiting.len() == EARLY_UPDATES_MAX {
            early.waiting.pop_front();
        }
        early.waiting.push_back(update.clone());
        true
    }

    fn announced(&self, announcement: &ChannelAnnouncement) {
        let channel = &announcement.contents;
        let mut early = self.early();
        let (due, waiting) = std::mem::take(&mut early.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(|update| {
                update.contents.short_channel_id == channel.short_channel_id
            });
        early.waiting = waiting;
        // In the order in which they came: of two of one direction LDK keeps the newer.
        early.due.extend(
            due.into_iter()
                .map(|msg| MessageSendEvent::BroadcastChannelUpdate {
                    msg,
                    node_id_1: channel.node_id_1,
                    node_id_2: channel.node_id_2,
                }),
        );
    }
}

/// A message that is not taken in, without a word to the peer.
fn passed_over(why: &str) -> LightningError {
    LightningError {
        err: why.to_owned(),
        action: ErrorAction::IgnoreAndLog(Level::Debug),
    }
}

impl BaseMessageHandler for PatientGossip {
    /// LDK's peer manager reads this after it has put our own announcements into the graph. It takes
    /// such an update into the graph, and sends it to our other peers.
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        let mut events = self.gossip.get_and_clear_pending_msg_events();
        events.append(&mut self.early().due);
        events
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.gossip.peer_disconnected(peer);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.gossip.provided_node_features()
    }

    fn provided_init_features(&self, peer: PublicKey) -> InitFeatures {
        self.gossip.provided_init_features(peer)
    }

    fn peer_connected(&self, peer: PublicKey, init: &Init, inbound: bool) -> Result<(), ()> {
        self.gossip.peer_connected(peer, init, inbound)
    }
}

impl RoutingMessageHandler for PatientGossip {
    fn handle_node_announcement(
        &self,
        peer: Option<PublicKey>,
        announcement: &NodeAnnouncement,
    ) -> Result<bool, LightningError> {
        if announcement.contents.addresses.len() > ADDRESSES_MAX {
            return Err(passed_over("more addresses than any node has"));
        }
        self.gossip.handle_node_announcement(peer, announcement)
    }

    fn handle_channel_announcement(
        &self,
        peer: Option<PublicKey>,
        announcement: &ChannelAnnouncement,
    ) -> Result<bool, LightningError> {
        // What comes from no peer is of a channel of our own.
        if peer.is_some()
            && self.is_full()
            && !self.is_announced(announcement.contents.short_channel_id)
        {
            return Err(passed_over("more channels than are kept"));
        }
        let taken = self
            .gossip
            .handle_channel_announcement(peer, announcement)?;
        self.announced(announcement);
        let channel = &announcement.contents;
        if [channel.node_id_1, channel.node_id_2].contains(&self.our_id) {
            self.ours.notify_one();
        }
        Ok(taken)
    }

    fn handle_channel_update(
        &self,
        peer: Option<PublicKey>,
        update: &ChannelUpdate,
    ) -> Result<Option<(GossipId, GossipId)>, LightningError> {
        let taken = self.gossip.handle_channel_update(peer, update);
        let public = update.contents.message_flags & DONT_FORWARD == 0;
        if taken.is_ok() || !public || self.is_announced(update.contents.short_channel_id) {
            return taken;
        }
        if self.kept(update) {
            taken
        } else {
            self.gossip.handle_channel_update(peer, update)
        }
    }

    fn get_next_channel_announcement(
        &self,
        start: u64,
    ) -> Option<(
        ChannelAnnouncement,
        Option<ChannelUpdate>,
        Option<ChannelUpdate>,
    )> {
        self.gossip.get_next_channel_announcement(start)
    }

    fn get_next_node_announcement(&self, start: Option<&GossipId>) -> Option<NodeAnnouncement> {
        self.gossip.get_next_node_announcement(start)
    }

    fn handle_reply_channel_range(
        &self,
        peer: PublicKey,
        reply: ReplyChannelRange,
    ) -> Result<(), LightningError> {
        self.gossip.handle_reply_channel_range(peer, reply)
    }

    fn handle_reply_short_channel_ids_end(
        &self,
        peer: PublicKey,
        reply: ReplyShortChannelIdsEnd,
    ) -> Result<(), LightningError> {
        self.gossip.handle_reply_short_channel_ids_end(peer, reply)
    }

    fn handle_query_channel_range(
        &self,
        peer: PublicKey,
        query: QueryChannelRange,
    ) -> Result<(), LightningError> {
        self.gossip.handle_query_channel_range(peer, query)
    }

    fn handle_query_short_channel_ids(
        &self,
        peer: PublicKey,
        query: QueryShortChannelIds,
    ) -> Result<(), LightningError> {
        self.gossip.handle_query_short_channel_ids(peer, query)
    }

    fn processing_queue_high(&self) -> bool {
        self.gossip.processing_queue_high()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use bitcoin::Network;
    use bitcoin::constants::ChainHash;
    use bitcoin::hashes::{Hash, sha256d};
    use bitcoin::secp256k1::ecdsa::Signature;
    use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
    use lightning::ln::msgs::{UnsignedChannelAnnouncement, UnsignedChannelUpdate};
    use lightning::types::features::ChannelFeatures;
    use lightning::util::ser::Writeable;

    use super::*;

    const SCID: u64 = 42 << 40;

    fn patient() -> PatientGossip {
        let graph = Arc::new(Graph::new(Network::Regtest, Arc::default()));
        let gossip = Arc::new(Gossip::new(graph.clone(), None, Arc::default()));
        let us = key(9).public_key(&Secp256k1::new());
        PatientGossip::new(gossip, graph, &us)
    }

    fn key(number: u8) -> SecretKey {
        SecretKey::from_slice(&[number; 32]).unwrap()
    }

    fn id(number: u8) -> GossipId {
        GossipId::from_pubkey(&key(number).public_key(&Secp256k1::new()))
    }

    /// The two nodes, in the order of BOLT 7.
    fn nodes() -> (u8, u8) {
        if id(1) < id(2) { (1, 2) } else { (2, 1) }
    }

    fn signed(contents: &impl Writeable, by: u8) -> Signature {
        let hash = sha256d::Hash::hash(&contents.encode());
        Secp256k1::new().sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &key(by))
    }

    fn announcement(scid: u64) -> ChannelAnnouncement {
        let (one, two) = nodes();
        let contents = UnsignedChannelAnnouncement {
            features: ChannelFeatures::empty(),
            chain_hash: ChainHash::REGTEST,
            short_channel_id: scid,
            node_id_1: id(one),
            node_id_2: id(two),
            bitcoin_key_1: id(3),
            bitcoin_key_2: id(4),
            excess_data: Vec::new(),
        };
        ChannelAnnouncement {
            node_signature_1: signed(&contents, one),
            node_signature_2: signed(&contents, two),
            bitcoin_signature_1: signed(&contents, 3),
            bitcoin_signature_2: signed(&contents, 4),
            contents,
        }
    }

    fn update(scid: u64, message_flags: u8) -> ChannelUpdate {
        let contents = UnsignedChannelUpdate {
            chain_hash: ChainHash::REGTEST,
            short_channel_id: scid,
            timestamp: u32::try_from(crate::clock::unix_seconds()).unwrap(),
            message_flags,
            channel_flags: 0,
            cltv_expiry_delta: 34,
            htlc_minimum_msat: 1,
            htlc_maximum_msat: 1_000_000,
            fee_base_msat: 7,
            fee_proportional_millionths: 1,
            excess_data: Vec::new(),
        };
        ChannelUpdate {
            signature: signed(&contents, nodes().0),
            contents,
        }
    }

    /// As LDK's peer manager does with what a routing handler wants to be broadcast.
    fn broadcast(patient: &PatientGossip) -> usize {
        let events = patient.get_and_clear_pending_msg_events();
        for event in &events {
            let MessageSendEvent::BroadcastChannelUpdate { msg, .. } = event else {
                panic!("{event:?}");
            };
            patient.handle_channel_update(None, msg).unwrap();
        }
        events.len()
    }

    fn fee(patient: &PatientGossip) -> Option<u32> {
        let graph = patient.graph.read_only();
        let direction = graph.channel(SCID)?.one_to_two.as_ref()?;
        Some(direction.fees.base_msat)
    }

    #[test]
    fn of_peers_no_more_channels_are_taken_in_than_there_is_room_for() {
        let patient = PatientGossip {
            channels_max: 2,
            ..patient()
        };
        let peer = Some(key(1).public_key(&Secp256k1::new()));
        let announced = |by, scid| patient.handle_channel_announcement(by, &announcement(scid));
        for scid in [SCID, SCID + 1] {
            announced(peer, scid).unwrap();
        }
        announced(peer, SCID + 2).unwrap_err();
        assert_eq!(patient.graph.read_only().channels().len(), 2);
        // One of our own has its place.
        announced(None, SCID + 2).unwrap();
        assert_eq!(patient.graph.read_only().channels().len(), 3);
    }

    #[test]
    fn an_update_before_its_announcement_is_kept_for_it() {
        let patient = patient();
        let peer = Some(key(1).public_key(&Secp256k1::new()));
        patient
            .handle_channel_update(peer, &update(SCID, 1))
            .unwrap_err();
        assert_eq!(broadcast(&patient), 0);
        patient
            .handle_channel_announcement(None, &announcement(SCID))
            .unwrap();
        assert_eq!(fee(&patient), None);
        assert_eq!(broadcast(&patient), 1);
        assert_eq!(fee(&patient), Some(7));
        assert_eq!(broadcast(&patient), 0);
    }

    #[test]
    fn what_will_never_be_announced_is_not_kept_and_the_oldest_gives_way() {
        let patient = patient();
        let private = update(SCID, 1 | DONT_FORWARD);
        patient.handle_channel_update(None, &private).unwrap_err();
        assert_eq!(patient.early().waiting.len(), 0);
        for scid in SCID..=SCID + EARLY_UPDATES_MAX as u64 {
            patient
                .handle_channel_update(None, &update(scid, 1))
                .unwrap_err();
        }
        let early = patient.early();
        assert_eq!(early.waiting.len(), EARLY_UPDATES_MAX);
        assert_eq!(early.waiting[0].contents.short_channel_id, SCID + 1);
    }
}
