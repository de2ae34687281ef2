//! Raising the fees of channels' transactions, so that they are in a block in time: the commitment
//! transaction by a child that spends its anchor, HTLC transactions by inputs of the wallet. LDK says
//! which and at what rate, makes them, and asks again while they wait; here is what it does not do: to
//! ask at every block with rates that are fresh, to go without a child where the wallet has no coins and
//! tell of it, and to give coins back. Which coins are taken is `wallet/bump.rs`'s affair.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use bitcoin::Amount;
use lightning::chain::ClaimId;
use lightning::events::bump_transaction::{BumpTransactionEvent, BumpTransactionEventHandler};
use lightning::ln::types::ChannelId;
use lightning::util::sweep::{OutputSpendStatus, TrackedSpendableOutput};
use tokio::sync::watch;

use crate::wallet::ClaimCoins;
use crate::{Inner, event};

/// Weight of the child of a commitment transaction with one input of the wallet and change; see BOLT 3
/// and `lightning::util::anchor_channel_reserves`.
const CHILD_WEIGHT: u64 = 717;

/// Weight that an HTLC adds to the transaction that claims it, the greater of the two kinds (BOLT 3).
const HTLC_WEIGHT: u64 = 706;

/// Weight of a transaction that claims HTLCs without them: with one input of the wallet and change.
const CLAIM_WEIGHT: u64 = 438;

/// What a transaction of a channel lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// The channel.
    pub channel_id: [u8; 32],
    /// HTLCs are claimed by it; else it is the commitment transaction.
    pub of_htlcs: bool,
    /// The rate that it should have, in satoshi for 1000 weight units.
    pub sat_per_kw: u32,
    /// About what its fee must be raised by.
    pub needed: Amount,
    /// What the wallet has for that in blocks.
    pub confirmed: Amount,
}

/// What is lacking, by LDK's name for the claim.
pub(crate) type Shortages = HashMap<[u8; 32], Short>;

/// All that is lacking, each channel's together.
pub(crate) fn shortages(inner: &Inner) -> Vec<Short> {
    let short = inner.short.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all: Vec<Short> = short.values().copied().collect();
    all.sort_by_key(|one| (one.channel_id, one.of_htlcs));
    all
}

/// What one event is about.
struct Wanted {
    channel_id: ChannelId,
    claim_id: ClaimId,
    of_htlcs: bool,
    sat_per_kw: u32,
    /// Of the transaction with all that must be paid for.
    weight: u64,
    /// What it pays itself.
    paid_sat: u64,
}

impl Wanted {
    fn of(event: &BumpTransactionEvent) -> Wanted {
        match event {
            BumpTransactionEvent::ChannelClose {
                channel_id,
                claim_id,
                package_target_feerate_sat_per_1000_weight: sat_per_kw,
                commitment_tx,
                commitment_tx_fee_satoshis: paid_sat,
                ..
            } => Wanted {
                channel_id: *channel_id,
                claim_id: *claim_id,
                of_htlcs: false,
                sat_per_kw: *sat_per_kw,
                weight: commitment_tx.weight().to_wu().saturating_add(CHILD_WEIGHT),
                paid_sat: *paid_sat,
            },
            BumpTransactionEvent::HTLCResolution {
                channel_id,
                claim_id,
                target_feerate_sat_per_1000_weight: sat_per_kw,
                htlc_descriptors,
                ..
            } => {
                let htlcs = u64::try_from(htlc_descriptors.len()).unwrap_or(u64::MAX);
                Wanted {
                    channel_id: *channel_id,
                    claim_id: *claim_id,
                    of_htlcs: true,
                    sat_per_kw: *sat_per_kw,
                    weight: HTLC_WEIGHT
                        .saturating_mul(htlcs)
                        .saturating_add(CLAIM_WEIGHT),
                    paid_sat: 0,
                }
            }
        }
    }

    fn short(&self, confirmed: Amount) -> Short {
        let fee = self.weight.saturating_mul(u64::from(self.sat_per_kw)) / 1_000;
        Short {
            channel_id: self.channel_id.0,
            of_htlcs: self.of_htlcs,
            sat_per_kw: self.sat_per_kw,
            needed: Amount::from_sat(fee.saturating_sub(self.paid_sat)),
            confirmed,
        }
    }
}

/// LDK wants a transaction of a channel in a block, at a rate. It is broadcast before this returns, or
/// what is lacking is told.
pub(crate) async fn raise(inner: &Arc<Inner>, event: &BumpTransactionEvent) {
    let wanted = Wanted::of(event);
    let (wallet, logger) = (inner.wallet.clone(), inner.logger.clone());
    let coins = Arc::new(ClaimCoins::new(wallet, logger.clone(), wanted.channel_id));
    let (broadcaster, keys) = (inner.broadcaster.clone(), inner.keys.clone());
    let handler = BumpTransactionEventHandler::new(broadcaster, coins.clone(), keys, logger);
    let _taking = inner.bumping.lock().await;
    handler.handle_event(event).await;
    if !coins.were_short() {
        if forget_shortage(inner, wanted.claim_id) {
            tracing::info!(channel_id = %wanted.channel_id, "there are coins for its fee now");
        }
        return;
    }
    note_shortage(inner, &wanted, coins.confirmed());
    if let BumpTransactionEvent::ChannelClose { commitment_tx, .. } = event {
        // At its own fee, which may be enough some day.
        inner.broadcaster.enqueue(vec![commitment_tx.clone()]);
    }
}

fn note_shortage(inner: &Inner, wanted: &Wanted, confirmed: Amount) {
    let short = wanted.short(confirmed);
    let mut shortages = inner.short.lock().unwrap_or_else(PoisonError::into_inner);
    let before = shortages.insert(wanted.claim_id.0, short);
    if before.is_none_or(|before| before.needed != short.needed) {
        tracing::warn!(
            channel_id = %wanted.channel_id,
            of_htlcs = short.of_htlcs,
            sat_per_kw = short.sat_per_kw,
            needed_sat = short.needed.to_sat(),
            confirmed_sat = short.confirmed.to_sat(),
            "no coins to raise the fee of a channel's transaction with: send some to an address of \
             newaddr"
        );
    }
}

fn forget_shortage(inner: &Inner, claim: ClaimId) -> bool {
    let mut shortages = inner.short.lock().unwrap_or_else(PoisonError::into_inner);
    shortages.remove(&claim.0).is_some()
}

/// Has LDK ask again at every block, and gives back what is no longer needed, until `stop` turns true.
pub(crate) async fn keep_raising(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    let mut height = inner.height.clone();
    loop {
        review(&inner).await;
        tokio::select! {
            changed = height.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn review(inner: &Arc<Inner>) {
    {
        let _giving = inner.bumping.lock().await;
        inner.wallet.free(|channel_id| !waits(inner, channel_id));
        let mut short = inner.short.lock().unwrap_or_else(PoisonError::into_inner);
        short.retain(|_, short| waits(inner, ChannelId(short.channel_id)));
    }
    let claims = inner.monitor.list_monitors().into_iter();
    let claims = claims.filter(|id| waits(inner, *id)).count();
    if claims == 0 && !sweeps(inner) {
        return;
    }
    // At the rates of a minute ago it would still be sent, only later be raised.
    if let Err(cause) = inner.chain.refresh_fees().await {
        tracing::debug!(%cause, "no fresh rates for what waits for a block");
    }
    inner.monitor.rebroadcast_pending_claims();
    let handler = |event| event::handle(inner.clone(), event);
    inner.monitor.process_pending_events_async(handler).await;
    // The store ends the process itself when it cannot commit; LDK tries again in any case.
    let _swept = inner
        .sweeper
        .regenerate_and_broadcast_spend_if_necessary()
        .await;
}

/// Whether anything of a channel waits for a block, or for more blocks on top.
fn waits(inner: &Inner, channel_id: ChannelId) -> bool {
    let monitor = inner.monitor.get_monitor(channel_id);
    monitor.is_ok_and(|monitor| monitor.has_pending_claims())
}

/// Whether anything on its way to the wallet waits for a block.
fn sweeps(inner: &Inner) -> bool {
    let tracked = inner.sweeper.tracked_spendable_outputs();
    let confirmed = |output: &TrackedSpendableOutput| {
        matches!(
            output.status,
            OutputSpendStatus::PendingThresholdConfirmations { .. }
        )
    };
    !tracked.iter().all(confirmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_what_the_whole_package_costs_less_what_it_pays_itself() {
        let wanted = Wanted {
            channel_id: ChannelId([1; 32]),
            claim_id: ClaimId([2; 32]),
            of_htlcs: false,
            sat_per_kw: 10_000,
            weight: 2_000,
            paid_sat: 500,
        };
        let short = wanted.short(Amount::from_sat(7));
        assert_eq!(short.needed, Amount::from_sat(19_500));
        assert_eq!(short.confirmed, Amount::from_sat(7));
    }
}
