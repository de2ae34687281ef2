//! Channels that peers came back with and LDK does not know, for who wants to say more of them than LDK does.
//!
//! LDK answers a `channel_reestablish` of such a channel at once; `recovery.rs` says why that is not enough,
//! and what is said later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::types::ChannelId;

/// Unknown channels that are remembered: more than any node has. Of what comes beyond, LDK's answer must do.
const UNKNOWN_MAX: usize = 10_000;

/// What peers that are connected came back with, and when.
#[derive(Default)]
pub(crate) struct UnknownChannels {
    since: Mutex<HashMap<(PublicKey, ChannelId), Instant>>,
}

impl UnknownChannels {
    fn lock(&self) -> MutexGuard<'_, HashMap<(PublicKey, ChannelId), Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer came back with this one.
    pub(crate) fn met(&self, peer: PublicKey, channel: ChannelId) {
        let mut since = self.lock();
        if since.len() < UNKNOWN_MAX {
            since.insert((peer, channel), Instant::now());
        }
    }

    /// Those that were met so long ago, each once.
    pub(crate) fn due(&self, after: Duration) -> Vec<(PublicKey, ChannelId)> {
        let mut due = Vec::new();
        self.lock().retain(|of, since| {
            let waits = since.elapsed() < after;
            if !waits {
                due.push(*of);
            }
            waits
        });
        due
    }

    /// The peer is away.
    pub(crate) fn forget(&self, peer: PublicKey) {
        self.lock().retain(|(of, _), _| *of != peer);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    use super::*;

    fn peer(number: u8) -> PublicKey {
        let key = SecretKey::from_slice(&[number; 32]).unwrap();
        key.public_key(&Secp256k1::new())
    }

    #[test]
    fn each_is_due_once_when_it_is_old_enough_and_its_peer_there() {
        let unknown = UnknownChannels::default();
        let of = |number: u8| (peer(number), ChannelId([number; 32]));
        for number in [1, 2] {
            unknown.met(of(number).0, of(number).1);
        }
        assert_eq!(unknown.due(Duration::from_secs(3600)), []);
        unknown.forget(peer(1));
        assert_eq!(unknown.due(Duration::ZERO), [of(2)]);
        assert_eq!(unknown.due(Duration::ZERO), []);
    }

    #[test]
    fn no_more_are_remembered_than_the_limit() {
        let unknown = UnknownChannels::default();
        let one = peer(1);
        for number in 0..=UNKNOWN_MAX {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            unknown.met(one, ChannelId(id));
        }
        assert_eq!(unknown.due(Duration::ZERO).len(), UNKNOWN_MAX);
    }
}
