//! HTLCs of others: what LDK tells of those that went through this node, or did not, becomes a record
//! of the ledger.
//!
//! LDK tells when one is resolved, with the ids of its channels. Of one that failed it does not say
//! which HTLC it was; but it is still in its channel while the event is handled, as LDK takes it out
//! only after the manager that has forgotten the event is durable. So where no other there can be
//! meant, it is known.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use lightning::events::{
    HTLCHandlingFailureReason, HTLCHandlingFailureType, InboundHTLCLocator, OutboundHTLCLocator,
};
use lightning::ln::channel_state::{InboundHTLCDetails, InboundHTLCStateDetails};
use lightning::ln::onion_utils::LocalHTLCFailureReason;
use lightning::ln::types::ChannelId;
use sendpay_ledger::{ForwardStatus, Msat, NewForward};

use crate::Inner;
use crate::clock::unix_millis;

/// The short_channel_ids of channels that were seen, so that they are known when a channel is closed.
#[derive(Default)]
pub(crate) struct Scids(Mutex<HashMap<ChannelId, u64>>);

impl Scids {
    fn find(&self, inner: &Inner, channel_id: &ChannelId) -> Option<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(channel_id) {
            let channels = inner.manager.list_channels().into_iter();
            known.extend(
                channels
                    .filter_map(|channel| Some((channel.channel_id, channel.short_channel_id?))),
            );
        }
        let known = known.get(channel_id).copied();
        // LDK forgets a channel that is closed, and this what it knew when the process ends.
        known.or_else(|| inner.written.short_channel_id(channel_id))
    }
}

/// The next node took it, and we take ours.
pub(crate) fn settled(
    inner: &Inner,
    previous: &[InboundHTLCLocator],
    next: &[OutboundHTLCLocator],
    fee_msat: Option<u64>,
    out_msat: u64,
) {
    let [previous] = previous else {
        // Trampoline forwards of several parts, which this node does not offer.
        tracing::warn!(
            parts = previous.len(),
            "a forward of several parts was not recorded"
        );
        return;
    };
    let out_channel = next
        .first()
        .and_then(|next| inner.scids.find(inner, &next.channel_id));
    record(
        inner,
        NewForward {
            in_channel: inner.scids.find(inner, &previous.channel_id),
            in_htlc_id: previous.htlc_id,
            in_msat: previous.amount_msat.and_then(Msat::new),
            out_channel,
            out_msat: Msat::new(out_msat),
            fee_msat: fee_msat.and_then(Msat::new),
            status: ForwardStatus::Settled,
            failcode: None,
            resolved_at_ms: unix_millis(),
        },
    );
}

/// It was not forwarded, or failed after us.
pub(crate) fn failed(
    inner: &Inner,
    previous: &[ChannelId],
    failure: &HTLCHandlingFailureType,
    reason: Option<&HTLCHandlingFailureReason>,
) {
    use HTLCHandlingFailureType as F;
    let out_channel = match failure {
        F::Forward { channel_id, .. } => inner.scids.find(inner, channel_id),
        F::InvalidForward {
            requested_forward_scid: scid,
        }
        | F::UnknownNextHop {
            requested_forward_scid: scid,
        } => Some(*scid),
        F::InvalidOnion | F::TrampolineForward {} => None,
        // Of a payment to us.
        F::Receive { .. } => return,
    };
    let (status, failcode) = match reason {
        Some(HTLCHandlingFailureReason::Downstream) => (ForwardStatus::Failed, None),
        Some(HTLCHandlingFailureReason::Local { reason }) => {
            (ForwardStatus::LocalFailed, Some(failcode(reason)))
        }
        None => (ForwardStatus::LocalFailed, None),
    };
    for channel_id in previous {
        let htlc = failing(&inbound(inner, channel_id));
        record(
            inner,
            NewForward {
                in_channel: inner.scids.find(inner, channel_id),
                in_htlc_id: htlc.map(|(id, _)| id),
                in_msat: htlc.and_then(|(_, msat)| Msat::new(msat)),
                out_channel,
                out_msat: None,
                fee_msat: None,
                status,
                failcode,
                resolved_at_ms: unix_millis(),
            },
        );
    }
}

fn record(inner: &Inner, forward: NewForward) {
    // Not awaited: the manager that forgets the event is written later in the same order.
    drop(inner.ledger.record_forward(forward));
}

/// What is in this channel of what came in by it; nothing when it is closed.
fn inbound(inner: &Inner, channel_id: &ChannelId) -> Vec<InboundHTLCDetails> {
    let mut channels = inner.manager.list_channels().into_iter();
    let channel = channels.find(|channel| channel.channel_id == *channel_id);
    channel.map_or_else(Vec::new, |channel| channel.pending_inbound_htlcs)
}

/// Number and amount of the HTLC of these that fails back, if no other can be meant: under the number of
/// another it would keep that one out of the records. One that failed before stays until the peer
/// revokes, and looks no different from one whose failure is told now.
fn failing(inbound: &[InboundHTLCDetails]) -> Option<(u64, u64)> {
    use InboundHTLCStateDetails as S;
    let mut meant = inbound.iter().filter(|htlc| match htlc.state {
        // What both ends do not have yet cannot fail, nor what is claimed.
        Some(S::AwaitingRemoteRevokeToAdd | S::AwaitingRemoteRevokeToRemoveFulfill) => false,
        Some(S::Committed | S::AwaitingRemoteRevokeToRemoveFail) | None => true,
    });
    match (meant.next(), meant.next()) {
        (Some(htlc), None) => Some((htlc.htlc_id, htlc.amount_msat)),
        _ => None,
    }
}

/// BOLT 4's flags.
const BADONION: u16 = 0x8000;
const PERM: u16 = 0x4000;
const NODE: u16 = 0x2000;
const UPDATE: u16 = 0x1000;

/// BOLT 4's code for a reason of LDK's, which LDK itself sends and does not tell.
fn failcode(reason: &LocalHTLCFailureReason) -> u16 {
    use LocalHTLCFailureReason as R;
    match reason {
        R::TemporaryNodeFailure | R::ForwardExpiryBuffer => NODE | 2,
        R::PermanentNodeFailure => PERM | NODE | 2,
        R::RequiredNodeFeature | R::PaymentSecretRequired => PERM | NODE | 3,
        R::InvalidOnionVersion => BADONION | PERM | 4,
        R::InvalidOnionHMAC => BADONION | PERM | 5,
        R::InvalidOnionKey => BADONION | PERM | 6,
        R::TemporaryChannelFailure
        | R::DustLimitHolder
        | R::DustLimitCounterparty
        | R::FeeSpikeBuffer
        | R::ChannelNotReady
        | R::ZeroAmount
        | R::HTLCMinimum
        | R::HTLCMaximum
        | R::PeerOffline
        | R::ChannelBalanceOverdrawn => UPDATE | 7,
        R::PermanentChannelFailure | R::ChannelClosed | R::OnChainTimeout => PERM | 8,
        R::RequiredChannelFeature => PERM | 9,
        R::UnknownNextPeer
        | R::PrivateChannelForward
        | R::RealSCIDForward
        | R::InvalidTrampolineForward => PERM | 10,
        R::AmountBelowMinimum => UPDATE | 11,
        R::FeeInsufficient => UPDATE | 12,
        R::IncorrectCLTVExpiry => UPDATE | 13,
        R::CLTVExpiryTooSoon | R::OutgoingCLTVTooSoon => UPDATE | 14,
        R::IncorrectPaymentDetails | R::PaymentClaimBuffer | R::InvalidKeysendPreimage => PERM | 15,
        R::FinalIncorrectCLTVExpiry => 18,
        R::FinalIncorrectHTLCAmount => 19,
        R::ChannelDisabled => UPDATE | 20,
        R::CLTVExpiryTooFar => 21,
        R::InvalidOnionPayload | R::InvalidTrampolinePayload => PERM | 22,
        R::MPPTimeout => 23,
        R::InvalidOnionBlinding => BADONION | PERM | 24,
        R::TemporaryTrampolineFailure => NODE | 25,
        R::TrampolineFeeOrExpiryInsufficient => NODE | 26,
        R::UnknownNextTrampoline => PERM | 27,
        R::UnknownFailureCode { code } => *code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lightning::types::payment::PaymentHash;

    #[test]
    fn an_htlc_that_failed_is_named_only_where_no_other_can_be_meant() {
        use InboundHTLCStateDetails as S;
        let htlc = |(htlc_id, state): (u64, Option<S>)| InboundHTLCDetails {
            htlc_id,
            amount_msat: 1_000 + htlc_id,
            cltv_expiry: 100,
            payment_hash: PaymentHash([0; 32]),
            state,
            is_dust: false,
        };
        let committed = |id| (id, Some(S::Committed));
        let leaving = |id| (id, Some(S::AwaitingRemoteRevokeToRemoveFail));
        let claimed = |id| (id, Some(S::AwaitingRemoteRevokeToRemoveFulfill));
        let coming = |id| (id, Some(S::AwaitingRemoteRevokeToAdd));
        let rows = [
            (vec![], None),
            (vec![committed(1)], Some(1)),
            (vec![leaving(1)], Some(1)),
            (vec![(1, None)], Some(1)),
            (vec![claimed(1)], None),
            (vec![coming(1)], None),
            // The first may have failed before, and this be the word of the second.
            (vec![leaving(1), committed(2)], None),
            (vec![committed(1), leaving(2)], None),
            (vec![leaving(1), leaving(2)], None),
            (vec![committed(1), committed(2)], None),
            (vec![leaving(1), (2, None)], None),
            (vec![claimed(1), committed(2), coming(3)], Some(2)),
            (vec![claimed(1), leaving(2), coming(3)], Some(2)),
        ];
        for (states, named) in rows {
            let told = format!("{states:?}");
            let inbound: Vec<_> = states.into_iter().map(htlc).collect();
            let named = named.map(|id| (id, 1_000 + id));
            assert_eq!(failing(&inbound), named, "{told}");
        }
    }
}
