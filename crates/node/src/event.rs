//! LDK's events: one line for each that concerns us; the work is in `payment.rs`, `invoice.rs`,
//! `channel.rs` and `fee_bump.rs`.
//!
//! A handler enqueues and returns: the manager that forgets the event is written later on the same
//! ordered store, so nothing need be awaited. Every handler may see its event again after a crash.

use std::sync::Arc;

use bitcoin::Amount;
use lightning::events::{Event, HTLCHandlingFailureType, PaymentPurpose, ReplayEvent};

use crate::failure::PathFailed;
use crate::{Inner, channel, close, fee_bump, forward};

/// Handles one event. Asks for a replay only where money would be lost without it.
pub(crate) async fn handle(inner: Arc<Inner>, event: Event) -> Result<(), ReplayEvent> {
    // Each takes the events of its kind, and hands back the others.
    let Some(event) = received(&inner, event).await else {
        return Ok(());
    };
    let Some(event) = sent(&inner, event) else {
        return Ok(());
    };
    let Some(event) = of_channel(&inner, event).await else {
        return Ok(());
    };
    on_chain(&inner, event).await
}

/// A payment to us.
async fn received(inner: &Arc<Inner>, event: Event) -> Option<Event> {
    match event {
        Event::PaymentClaimable {
            payment_hash,
            amount_msat,
            claim_deadline,
            purpose,
            onion_fields,
            ..
        } => {
            // No block comes between the look at the deadline and the claim.
            let _fixed = inner.height_fixed.read().await;
            let tlvs = onion_fields
                .as_ref()
                .map_or(&[][..], |onion| onion.custom_tlvs());
            match purpose {
                PaymentPurpose::SpontaneousPayment(preimage) => {
                    inner.keysend_claimable(preimage, amount_msat, claim_deadline, tlvs);
                }
                _ => inner.payment_claimable(payment_hash, amount_msat, claim_deadline, tlvs),
            }
        }
        Event::PaymentClaimed {
            payment_hash,
            amount_msat,
            ..
        } => {
            inner.payment_claimed(payment_hash, amount_msat);
        }
        Event::HTLCHandlingFailed {
            failure_type: HTLCHandlingFailureType::Receive { payment_hash },
            ..
        } => inner.receive_failed(payment_hash),
        other => return Some(other),
    }
    None
}

/// What became of a payment of ours, or of one that we forwarded: of HTLCs that failed those which
/// [`received`] has left.
fn sent(inner: &Arc<Inner>, event: Event) -> Option<Event> {
    match event {
        Event::PaymentSent {
            payment_id,
            payment_hash,
            payment_preimage,
            ..
        } => {
            inner.payment_sent(payment_id, payment_hash, payment_preimage);
        }
        Event::PaymentPathFailed {
            payment_id,
            payment_failed_permanently: permanently,
            ref failure,
            ref path,
            short_channel_id: scid,
            ..
        } => inner.path_failed(
            payment_id,
            PathFailed {
                permanently,
                failure,
                path,
                scid,
            },
        ),
        Event::PaymentFailed {
            payment_id,
            payment_hash,
            reason,
        } => {
            inner.payment_failed(payment_id, payment_hash, reason);
        }
        Event::HTLCHandlingFailed {
            ref prev_channel_ids,
            ref failure_type,
            ref failure_reason,
        } => forward::failed(
            inner,
            prev_channel_ids,
            failure_type,
            failure_reason.as_ref(),
        ),
        Event::PaymentForwarded {
            ref prev_htlcs,
            ref next_htlcs,
            total_fee_earned_msat: fee_msat,
            outbound_amount_forwarded_msat: out_msat,
            ..
        } => forward::settled(inner, prev_htlcs, next_htlcs, fee_msat, out_msat),
        other => return Some(other),
    }
    None
}

/// A channel is opened or closed.
async fn of_channel(inner: &Arc<Inner>, event: Event) -> Option<Event> {
    match event {
        Event::OpenChannelRequest {
            temporary_channel_id,
            counterparty_node_id,
            ref channel_type,
            ..
        } => {
            let (id, peer) = (temporary_channel_id, counterparty_node_id);
            channel::accept(inner, id, peer, channel_type);
        }
        Event::FundingGenerationReady {
            temporary_channel_id,
            counterparty_node_id,
            channel_value_satoshis,
            output_script,
            user_channel_id,
        } => {
            let amount = Amount::from_sat(channel_value_satoshis);
            let (id, peer) = (temporary_channel_id, counterparty_node_id);
            channel::fund(inner, id, peer, amount, output_script, user_channel_id).await;
        }
        Event::ChannelPending {
            channel_id,
            user_channel_id,
            funding_txo,
            ..
        } => {
            inner.written.opened(inner, channel_id);
            channel::pending(inner, channel_id, user_channel_id, funding_txo);
            inner.channels_changed.notify_waiters();
        }
        Event::ChannelReady {
            channel_id,
            counterparty_node_id: peer,
            ..
        } => {
            tracing::info!(%channel_id, "channel ready");
            inner.messages.ready(peer, channel_id);
            inner.written.opened(inner, channel_id);
            inner.announce();
        }
        Event::ChannelClosed {
            channel_id,
            user_channel_id,
            reason,
            last_local_balance_msat: ours,
            counterparty_node_id: peer,
            ..
        } => {
            if let Some(peer) = peer {
                inner.messages.ended(peer, channel_id);
            }
            let written = &inner.written;
            written.closed(&inner.store, channel_id, &reason, ours.unwrap_or(0));
            channel::closed(inner, channel_id, user_channel_id, &reason);
            inner.channels_changed.notify_waiters();
        }
        other => return Some(other),
    }
    None
}

/// Transactions to raise, and coins to keep.
async fn on_chain(inner: &Arc<Inner>, event: Event) -> Result<(), ReplayEvent> {
    match event {
        Event::BumpTransaction(ref bump) => fee_bump::raise(inner, bump).await,
        Event::DiscardFunding {
            channel_id,
            funding_info,
        } => channel::discard_funding(inner, &channel_id, &funding_info),
        Event::SpendableOutputs {
            outputs,
            channel_id,
            counterparty_node_id,
        } => {
            let peer = counterparty_node_id;
            let mut outputs = outputs;
            outputs.retain(|output| close::is_ours_to_sweep(inner, output));
            if outputs.is_empty() {
                return Ok(());
            }
            let kept = inner
                .sweeper
                .track_spendable_outputs(outputs, channel_id, peer, false, None);
            // These are coins: LDK must offer them again until they are kept.
            return kept.await.map_err(|()| ReplayEvent());
        }
        // Told by their effects elsewhere, or of features that this node does not switch on.
        other => tracing::debug!(event = event_name(&other), "event without work for us"),
    }
    Ok(())
}

/// The variant's name only: an event's fields can hold preimages.
fn event_name(event: &Event) -> String {
    let text = format!("{event:?}");
    text.split([' ', '(', '{']).next().unwrap_or("").to_owned()
}
