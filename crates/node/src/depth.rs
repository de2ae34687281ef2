//! How deep a channel that we open must be before it can be used: as deep as the peer asks for, or deeper.
//!
//! LDK has the peer alone choose, by `minimum_depth` of `accept_channel`. An opener may wait longer (BOLT 2
//! says when `channel_ready` must not be sent yet, not when it must), so for an opening that wants more,
//! LDK is told that the peer asked for as much. It keeps that with the channel, through restarts. Fewer
//! than the peer asks for cannot be had. All other messages go on to LDK as they come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{
    AcceptChannel, AcceptChannelV2, AnnouncementSignatures, BaseMessageHandler,
    ChannelMessageHandler, ChannelReady, ChannelReestablish, ChannelUpdate, ClosingSigned,
    CommitmentSigned, ErrorMessage, FundingCreated, FundingSigned, Init, MessageSendEvent,
    OpenChannel, OpenChannelV2, PeerStorage, PeerStorageRetrieval, RevokeAndACK, Shutdown,
    SpliceAck, SpliceInit, SpliceLocked, Stfu, TxAbort, TxAckRbf, TxAddInput, TxAddOutput,
    TxComplete, TxInitRbf, TxRemoveInput, TxRemoveOutput, TxSignatures, UpdateAddHTLC,
    UpdateFailHTLC, UpdateFailMalformedHTLC, UpdateFee, UpdateFulfillHTLC,
};
use lightning::ln::types::ChannelId;
use lightning::types::features::{InitFeatures, NodeFeatures};

use crate::ldk::ChannelManager;

/// The greatest depth that a channel is opened with, in blocks: a day. LDK ends an opening whose peer asks
/// for more.
pub const DEPTH_MAX: u32 = 144;

/// An opening: the peer, and the channel's temporary id.
type Of = (PublicKey, ChannelId);

/// LDK's channels, with the depths that openings under way want.
pub(crate) struct Depths {
    channels: Arc<ChannelManager>,
    wanted: Mutex<HashMap<Of, u32>>,
}

/// A depth is wanted for as long as this lives.
pub(crate) struct Wanted<'d> {
    depths: &'d Depths,
    of: Of,
}

impl Depths {
    pub(crate) fn new(channels: Arc<ChannelManager>) -> Depths {
        Depths {
            channels,
            wanted: Mutex::new(HashMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Of, u32>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel of this temporary id with this peer must be so many blocks deep.
    pub(crate) fn want(&self, peer: PublicKey, temporary: ChannelId, blocks: u32) -> Wanted<'_> {
        let of = (peer, temporary);
        self.lock().insert(of, blocks);
        Wanted { depths: self, of }
    }

    /// What the peer says, with the depth that is wanted, if that is greater.
    fn deepened(&self, peer: PublicKey, accepted: &AcceptChannel) -> AcceptChannel {
        let mut accepted = accepted.clone();
        let fields = &mut accepted.common_fields;
        if let Some(wanted) = self.lock().get(&(peer, fields.temporary_channel_id)) {
            fields.minimum_depth = fields.minimum_depth.max(*wanted);
        }
        accepted
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.depths.lock().remove(&self.of);
    }
}

impl BaseMessageHandler for Depths {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        self.channels.get_and_clear_pending_msg_events()
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.channels.peer_disconnected(peer);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.channels.provided_node_features()
    }

    fn provided_init_features(&self, peer: PublicKey) -> InitFeatures {
        self.channels.provided_init_features(peer)
    }

    fn peer_connected(&self, peer: PublicKey, init: &Init, inbound: bool) -> Result<(), ()> {
        self.channels.peer_connected(peer, init, inbound)
    }
}

/// Methods that hand a message on.
macro_rules! handed_on {
    ($($method:ident: $message:ty,)*) => {
        $(fn $method(&self, peer: PublicKey, message: $message) {
            self.channels.$method(peer, message);
        })*
    };
}

impl ChannelMessageHandler for Depths {
    fn handle_accept_channel(&self, peer: PublicKey, accepted: &AcceptChannel) {
        let accepted = self.deepened(peer, accepted);
        self.channels.handle_accept_channel(peer, &accepted);
    }

    handed_on! {
        handle_open_channel: &OpenChannel,
        handle_open_channel_v2: &OpenChannelV2,
        handle_accept_channel_v2: &AcceptChannelV2,
        handle_funding_created: &FundingCreated,
        handle_funding_signed: &FundingSigned,
        handle_channel_ready: &ChannelReady,
        handle_peer_storage: PeerStorage,
        handle_peer_storage_retrieval: PeerStorageRetrieval,
        handle_shutdown: &Shutdown,
        handle_closing_signed: &ClosingSigned,
        handle_stfu: &Stfu,
        handle_splice_init: &SpliceInit,
        handle_splice_ack: &SpliceAck,
        handle_splice_locked: &SpliceLocked,
        handle_tx_add_input: &TxAddInput,
        handle_tx_add_output: &TxAddOutput,
        handle_tx_remove_input: &TxRemoveInput,
        handle_tx_remove_output: &TxRemoveOutput,
        handle_tx_complete: &TxComplete,
        handle_tx_signatures: &TxSignatures,
        handle_tx_init_rbf: &TxInitRbf,
        handle_tx_ack_rbf: &TxAckRbf,
        handle_tx_abort: &TxAbort,
        handle_update_add_htlc: &UpdateAddHTLC,
        handle_update_fulfill_htlc: UpdateFulfillHTLC,
        handle_update_fail_htlc: &UpdateFailHTLC,
        handle_update_fail_malformed_htlc: &UpdateFailMalformedHTLC,
        handle_commitment_signed: &CommitmentSigned,
        handle_revoke_and_ack: &RevokeAndACK,
        handle_update_fee: &UpdateFee,
        handle_announcement_signatures: &AnnouncementSignatures,
        handle_channel_reestablish: &ChannelReestablish,
        handle_channel_update: &ChannelUpdate,
        handle_error: &ErrorMessage,
    }

    fn handle_commitment_signed_batch(
        &self,
        peer: PublicKey,
        channel_id: ChannelId,
        batch: Vec<CommitmentSigned>,
    ) {
        self.channels
            .handle_commitment_signed_batch(peer, channel_id, batch);
    }

    fn get_chain_hashes(&self) -> Option<Vec<ChainHash>> {
        self.channels.get_chain_hashes()
    }

    fn message_received(&self) {
        self.channels.message_received();
    }
}
