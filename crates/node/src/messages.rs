//! What peers say of channels, on its way to LDK, and what is changed of it there.
//!
//! Nearly all goes on as it comes. How deep a new channel must be is `depth.rs`; signatures of an
//! announcement that come before LDK can take them wait in `early_signatures.rs`; channels that
//! LDK does not know are remembered for a recovery (`unknown_channels.rs`); our
//! terms of a new channel are told twice (`told_again.rs`). And peers are not told that
//! we keep data for them (`option_provide_storage`), as LDK tells them: it keeps a kilobyte, where BOLT 1 has
//! it keep 65,531 bytes, and CLN, which sends more with every commitment, would be answered with a warning
//! each time. Gossip is `gossip.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{
    AcceptChannel, AcceptChannelV2, AnnouncementSignatures, BaseMessageHandler,
    ChannelMessageHandler, ChannelReady, ChannelReestablish, ChannelUpdate, ClosingSigned,
    CommitmentSigned, ErrorAction, ErrorMessage, FundingCreated, FundingSigned, Init,
    MessageSendEvent, OpenChannel, OpenChannelV2, PeerStorage, PeerStorageRetrieval, RevokeAndACK,
    Shutdown, SpliceAck, SpliceInit, SpliceLocked, Stfu, TxAbort, TxAckRbf, TxAddInput,
    TxAddOutput, TxComplete, TxInitRbf, TxRemoveInput, TxRemoveOutput, TxSignatures, UpdateAddHTLC,
    UpdateFailHTLC, UpdateFailMalformedHTLC, UpdateFee, UpdateFulfillHTLC,
};
use lightning::ln::types::ChannelId;
use lightning::types::features::{InitFeatures, NodeFeatures};

use crate::depth::Depths;
use crate::early_signatures::EarlySignatures;
use crate::ldk::ChannelManager;
use crate::told_again::ToldAgain;
use crate::unknown_channels::UnknownChannels;

/// LDK's channels, and what is kept of messages until they can take it.
pub(crate) struct ChannelMessages {
    channels: Arc<ChannelManager>,
    /// What openings under way want of the peer's answer.
    pub(crate) depths: Depths,
    early: EarlySignatures,
    /// What peers came back with and LDK does not know.
    pub(crate) unknown: UnknownChannels,
    told_again: ToldAgain,
    /// Errors of our own, on their way to peers.
    errors: Mutex<Vec<MessageSendEvent>>,
}

impl ChannelMessages {
    pub(crate) fn new(channels: Arc<ChannelManager>) -> ChannelMessages {
        ChannelMessages {
            channels,
            depths: Depths::default(),
            early: EarlySignatures::default(),
            unknown: UnknownChannels::default(),
            told_again: ToldAgain::default(),
            errors: Mutex::default(),
        }
    }

    /// The channel can be used now: LDK takes the signatures that came before.
    pub(crate) fn ready(&self, peer: PublicKey, channel: ChannelId) {
        if let Some(signatures) = self.early.take(peer, channel) {
            tracing::debug!(%channel, "signatures of an announcement came early: taken now");
            self.channels
                .handle_announcement_signatures(peer, &signatures);
        }
    }

    /// The channel has ended: nothing of it is waited for.
    pub(crate) fn ended(&self, peer: PublicKey, channel: ChannelId) {
        self.early.take(peer, channel);
    }

    fn errors(&self) -> MutexGuard<'_, Vec<MessageSendEvent>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next look at what is to be sent say this error to the peer. Of a channel that LDK knows nothing
    /// changes by that.
    pub(crate) fn say_error(&self, peer: PublicKey, channel: ChannelId, text: &str) {
        let msg = ErrorMessage {
            channel_id: channel,
            data: text.to_owned(),
        };
        self.errors().push(MessageSendEvent::HandleError {
            node_id: peer,
            action: ErrorAction::SendErrorMessage { msg },
        });
    }

    /// LDK forgets signatures that come before both ends have sent `channel_ready`.
    fn is_early(&self, peer: PublicKey, channel: ChannelId) -> bool {
        let of_peer = self.channels.list_channels_with_counterparty(&peer);
        of_peer.iter().any(|details| {
            details.channel_id == channel
                && details.funding_txo.is_some()
                && !details.is_channel_ready
        })
    }
}

impl BaseMessageHandler for ChannelMessages {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        let mut events = self.channels.get_and_clear_pending_msg_events();
        let us = self.channels.get_our_node_id();
        for event in &events {
            self.told_again.seen(event, us);
        }
        events.extend(self.told_again.due());
        events.append(&mut self.errors());
        events
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.early.forget(peer);
        self.unknown.forget(peer);
        self.channels.peer_disconnected(peer);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        let mut features = self.channels.provided_node_features();
        features.clear_provide_storage();
        features
    }

    fn provided_init_features(&self, peer: PublicKey) -> InitFeatures {
        let mut features = self.channels.provided_init_features(peer);
        features.clear_provide_storage();
        features
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

impl ChannelMessageHandler for ChannelMessages {
    fn handle_accept_channel(&self, peer: PublicKey, accepted: &AcceptChannel) {
        let accepted = self.depths.deepened(peer, accepted);
        self.channels.handle_accept_channel(peer, &accepted);
    }

    fn handle_channel_reestablish(&self, peer: PublicKey, message: &ChannelReestablish) {
        let known = self.channels.list_channels_with_counterparty(&peer);
        if !known.iter().any(|of| of.channel_id == message.channel_id) {
            self.unknown.met(peer, message.channel_id);
        }
        self.channels.handle_channel_reestablish(peer, message);
    }

    fn handle_announcement_signatures(&self, peer: PublicKey, message: &AnnouncementSignatures) {
        let early = || self.is_early(peer, message.channel_id);
        if !self.early.keeps(peer, message, early) {
            self.channels.handle_announcement_signatures(peer, message);
        }
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
