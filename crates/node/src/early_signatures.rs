//! Signatures of a channel's announcement that came before the channel was ready.
//!
//! CLN sends its `announcement_signatures` as soon as it has both `channel_ready`, by another of its processes than
//! its own `channel_ready`, so they may come first. BOLT 7 has them deferred then; LDK forgets them. As it has sent
//! its own, CLN announces the channel, and nobody sends anything again: LDK never tells the network its terms of
//! that channel, and nothing can be routed over it from here. So they are kept until LDK can take them.
//! Those that come before the sixth block LDK keeps itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::AnnouncementSignatures;
use lightning::ln::types::ChannelId;

/// What came too early: one message for each channel that LDK has and that is not ready, and none of a peer
/// that is away.
#[derive(Default)]
pub(crate) struct EarlySignatures {
    waiting: Mutex<HashMap<(PublicKey, ChannelId), AnnouncementSignatures>>,
}

impl EarlySignatures {
    fn lock(&self) -> MutexGuard<'_, HashMap<(PublicKey, ChannelId), AnnouncementSignatures>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the message if it is early, and says whether it has. That is asked under the lock which
    /// `take` needs when the channel is ready, so that no message stays here.
    pub(crate) fn keeps(
        &self,
        peer: PublicKey,
        message: &AnnouncementSignatures,
        early: impl FnOnce() -> bool,
    ) -> bool {
        let mut waiting = self.lock();
        let keeps = early();
        if keeps {
            waiting.insert((peer, message.channel_id), message.clone());
        }
        keeps
    }

    /// What is kept of this channel, which is no longer kept then.
    pub(crate) fn take(
        &self,
        peer: PublicKey,
        channel: ChannelId,
    ) -> Option<AnnouncementSignatures> {
        self.lock().remove(&(peer, channel))
    }

    /// The peer is away. It sends them again when it is back.
    pub(crate) fn forget(&self, peer: PublicKey) {
        self.lock().retain(|(of, _), _| *of != peer);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::secp256k1::ecdsa::Signature;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    fn peer(number: u8) -> PublicKey {
        let key = SecretKey::from_slice(&[number; 32]).unwrap();
        key.public_key(&Secp256k1::new())
    }

    fn signatures(channel: u8, short_channel_id: u64) -> AnnouncementSignatures {
        let signature = Signature::from_compact(&[1; 64]).unwrap();
        AnnouncementSignatures {
            channel_id: ChannelId([channel; 32]),
            short_channel_id,
            node_signature: signature,
            bitcoin_signature: signature,
        }
    }

    #[test]
    fn what_comes_early_is_kept_once_until_its_channel_is_ready() {
        let early = EarlySignatures::default();
        assert!(!early.keeps(peer(1), &signatures(7, 1), || false));
        assert_eq!(early.take(peer(1), ChannelId([7; 32])), None);
        assert!(early.keeps(peer(1), &signatures(7, 1), || true));
        assert!(early.keeps(peer(1), &signatures(7, 2), || true));
        assert_eq!(early.take(peer(2), ChannelId([7; 32])), None);
        assert_eq!(early.take(peer(1), ChannelId([8; 32])), None);
        assert_eq!(
            early.take(peer(1), ChannelId([7; 32])),
            Some(signatures(7, 2))
        );
        assert_eq!(early.take(peer(1), ChannelId([7; 32])), None);
    }

    #[test]
    fn nothing_is_kept_of_a_peer_that_is_away() {
        let early = EarlySignatures::default();
        assert!(early.keeps(peer(1), &signatures(7, 1), || true));
        assert!(early.keeps(peer(2), &signatures(8, 1), || true));
        early.forget(peer(1));
        assert_eq!(early.take(peer(1), ChannelId([7; 32])), None);
        assert_eq!(
            early.take(peer(2), ChannelId([8; 32])),
            Some(signatures(8, 1))
        );
    }
}
