//! How deep a channel that we open must be before it can be used: as deep as the peer asks for, or deeper.
//!
//! LDK has the peer alone choose, by `minimum_depth` of `accept_channel`. An opener may wait longer (BOLT 2
//! says when `channel_ready` must not be sent yet, not when it must), so for an opening that wants more,
//! LDK is told that the peer asked for as much. It keeps that with the channel, through restarts. Fewer
//! than the peer asks for cannot be had. How the messages get here is `messages.rs`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::AcceptChannel;
use lightning::ln::types::ChannelId;

/// The greatest depth that a channel is opened with, in blocks: a day. LDK ends an opening whose peer asks
/// for more.
pub const DEPTH_MAX: u32 = 144;

/// An opening: the peer, and the channel's temporary id.
type Of = (PublicKey, ChannelId);

/// The depths that openings under way want.
#[derive(Default)]
pub(crate) struct Depths {
    wanted: Mutex<HashMap<Of, u32>>,
}

/// A depth is wanted for as long as this lives.
pub(crate) struct Wanted<'d> {
    depths: &'d Depths,
    of: Of,
}

impl Depths {
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
    pub(crate) fn deepened(&self, peer: PublicKey, accepted: &AcceptChannel) -> AcceptChannel {
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
