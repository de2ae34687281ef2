//! What the wallet keeps for channels with anchors, whose transactions bring little fee of their own:
//! how much, and whether it is there. What it is spent on is `fee_bump.rs`'s affair; that it is left
//! there, the wallet's.

use std::collections::HashSet;

use bitcoin::Amount;
use lightning::ln::types::ChannelId;
use lightning::types::features::ChannelTypeFeatures;

use crate::Inner;

/// Whether closing such a channel may take coins of the wallet.
pub(crate) fn has_anchors(kind: &ChannelTypeFeatures) -> bool {
    kind.supports_anchors_zero_fee_htlc_tx() || kind.supports_anchor_zero_fee_commitments()
}

/// Channels that may take coins: with anchors, and open, or on chain with something for us in them. Those
/// that others have asked for and not funded count only where more are to be taken on: they cost nothing.
fn channels(inner: &Inner, asked_for_count: bool) -> usize {
    let listed = inner.manager.list_channels().into_iter();
    let open = listed.filter(|details| {
        details.channel_type.as_ref().is_none_or(has_anchors)
            && (asked_for_count || details.is_outbound || details.funding_txo.is_some())
    });
    let mut counted: HashSet<ChannelId> = open.map(|details| details.channel_id).collect();
    for id in inner.monitor.list_monitors() {
        if let Ok(monitor) = inner.monitor.get_monitor(id)
            && has_anchors(&monitor.channel_type_features())
            && !monitor.get_claimable_balances().is_empty()
        {
            counted.insert(id);
        }
    }
    counted.len()
}

/// What is kept for the channels that there are and for some more.
pub(crate) fn needed(inner: &Inner, more: usize) -> Amount {
    kept_for(inner, channels(inner, false).saturating_add(more))
}

fn kept_for(inner: &Inner, channels: usize) -> Amount {
    let channels = u64::try_from(channels).unwrap_or(u64::MAX);
    let each = inner.config.anchor_reserve.to_sat();
    Amount::from_sat(each.saturating_mul(channels)).min(Amount::MAX_MONEY)
}

/// What the wallet lacks to take on one more; None: nothing.
pub(crate) fn missing_for_another(inner: &Inner) -> Option<Amount> {
    let kept = kept_for(inner, channels(inner, true).saturating_add(1));
    let missing = kept.checked_sub(inner.wallet.for_fees());
    missing.filter(|missing| *missing > Amount::ZERO)
}
