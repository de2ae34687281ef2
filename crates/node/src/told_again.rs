//! Our terms of a channel that was just announced, told to its other end once more.
//!
//! LDK tells our terms with the announcement, at the sixth block, and tells the two ends of a channel no
//! announcement. CLN keeps no terms of a channel that it has not announced itself, and it looks for blocks each
//! 30 s: ours come too early for it, and for whoever hears of us by it alone. So they are told it again when it
//! must have seen the block.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{ChannelUpdate, MessageSendEvent};

/// How long after the announcement: twice as long as CLN may take to see a block.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What is to be told again: our latest terms of each channel that was announced since.
#[derive(Default)]
pub(crate) struct ToldAgain {
    waiting: Mutex<HashMap<u64, Waiting>>,
}

struct Waiting {
    since: Instant,
    to: PublicKey,
    update: ChannelUpdate,
}

impl ToldAgain {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what goes out, as the node `us`.
    pub(crate) fn seen(&self, event: &MessageSendEvent, us: PublicKey) {
        match event {
            MessageSendEvent::BroadcastChannelAnnouncement {
                msg,
                update_msg: Some(update),
            } => {
                let ends = [&msg.contents.node_id_1, &msg.contents.node_id_2];
                let mut ends = ends.into_iter().filter_map(|id| id.as_pubkey().ok());
                if let Some(to) = ends.find(|id| *id != us) {
                    let mut waiting = self.lock();
                    let told = waiting.entry(msg.contents.short_channel_id);
                    let told = told.or_insert_with(|| Waiting {
                        since: Instant::now(),
                        to,
                        update: update.clone(),
                    });
                    told.update = update.clone();
                }
            }
            MessageSendEvent::BroadcastChannelUpdate { msg, .. } => {
                if let Some(told) = self.lock().get_mut(&msg.contents.short_channel_id) {
                    told.update = msg.clone();
                }
            }
            _ => {}
        }
    }

    /// What is to be told now, each once.
    pub(crate) fn due(&self) -> Vec<MessageSendEvent> {
        self.due_after(AGAIN_AFTER)
    }

    fn due_after(&self, after: Duration) -> Vec<MessageSendEvent> {
        let mut due = Vec::new();
        self.lock().retain(|_, told| {
            let waits = told.since.elapsed() < after;
            if !waits {
                due.push(MessageSendEvent::SendChannelUpdate {
                    node_id: told.to,
                    msg: told.update.clone(),
                });
            }
            waits
        });
        due
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use bitcoin::constants::ChainHash;
    use bitcoin::secp256k1::ecdsa::Signature;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};
    use lightning::ln::msgs::{
        ChannelAnnouncement, UnsignedChannelAnnouncement, UnsignedChannelUpdate,
    };
    use lightning::routing::gossip::NodeId;
    use lightning::types::features::ChannelFeatures;

    use super::*;

    fn node(number: u8) -> PublicKey {
        let key = SecretKey::from_slice(&[number; 32]).unwrap();
        key.public_key(&Secp256k1::new())
    }

    fn update(timestamp: u32) -> ChannelUpdate {
        ChannelUpdate {
            signature: Signature::from_compact(&[1; 64]).unwrap(),
            contents: UnsignedChannelUpdate {
                chain_hash: ChainHash::REGTEST,
                short_channel_id: 7,
                timestamp,
                message_flags: 1,
                channel_flags: 0,
                cltv_expiry_delta: 34,
                htlc_minimum_msat: 1,
                htlc_maximum_msat: 1_000_000,
                fee_base_msat: 7,
                fee_proportional_millionths: 1,
                excess_data: Vec::new(),
            },
        }
    }

    fn announcement(timestamp: u32) -> MessageSendEvent {
        let signature = Signature::from_compact(&[1; 64]).unwrap();
        let [one, two] = [1, 2].map(|number| NodeId::from_pubkey(&node(number)));
        let msg = ChannelAnnouncement {
            node_signature_1: signature,
            node_signature_2: signature,
            bitcoin_signature_1: signature,
            bitcoin_signature_2: signature,
            contents: UnsignedChannelAnnouncement {
                features: ChannelFeatures::empty(),
                chain_hash: ChainHash::REGTEST,
                short_channel_id: 7,
                node_id_1: one,
                node_id_2: two,
                bitcoin_key_1: one,
                bitcoin_key_2: two,
                excess_data: Vec::new(),
            },
        };
        MessageSendEvent::BroadcastChannelAnnouncement {
            msg,
            update_msg: Some(update(timestamp)),
        }
    }

    #[test]
    fn the_latest_terms_are_told_once_more_to_the_other_end_and_not_sooner() {
        let told = ToldAgain::default();
        told.seen(&announcement(1), node(1));
        let [node_id_1, node_id_2] = [1, 2].map(|number| NodeId::from_pubkey(&node(number)));
        let later = MessageSendEvent::BroadcastChannelUpdate {
            msg: update(2),
            node_id_1,
            node_id_2,
        };
        told.seen(&later, node(1));
        assert!(told.due().is_empty());
        let due = told.due_after(Duration::ZERO);
        let [MessageSendEvent::SendChannelUpdate { node_id, msg }] = &due[..] else {
            panic!("{due:?}");
        };
        assert_eq!((*node_id, msg), (node(2), &update(2)));
        assert!(told.due_after(Duration::ZERO).is_empty());
        // Terms of a channel that was not announced now are told by LDK alone.
        told.seen(&later, node(1));
        assert!(told.due_after(Duration::ZERO).is_empty());
    }
}
