//! Fee rates for LDK: asked of the chain now and then, answered from memory.
//!
//! LDK asks inside its locks, so [`Fees`] never waits; [`ChainClient::refresh_fees`] brings it up to
//! date. Rates are satoshi for 1000 weight units, as LDK counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bitcoin::Amount;
use lightning::chain::chaininterface::{
    ConfirmationTarget, FEERATE_FLOOR_SATS_PER_KW, FeeEstimator,
};
use serde_json::{Value, json};

use super::ChainClient;
use super::connection::CallError;

/// How often the rates are asked for: about ten times for each block of mainnet.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// What the highest rate that we believe a peer is above our own estimate, so that an honest peer
/// with another estimator does not exceed it.
const MAXIMUM_MARGIN_SAT_PER_KW: u32 = 2_500;

/// Estimators round up to the next whole satoshi per virtual byte, which is 250 here: the least
/// that we take from a peer is lower by it.
const ROUNDING_SAT_PER_KW: u32 = 250;

/// The part of the mempool's least rate by which we go above it: of the smallest transactions, some 110
/// virtual bytes, rounding takes less than a hundredth.
const FLOOR_MARGIN: u32 = 50;

/// The highest rate that is believed of an Electrum server, 1000 satoshi for each virtual byte: the real
/// network has asked for that in a few hours of its life. A server that says more would have us give
/// what we have to miners.
const ELECTRUM_SAT_PER_KW_MAX: u32 = 250_000;

/// One kind of rate.
struct Rate {
    /// In how many blocks a transaction should be in.
    blocks: u32,
    /// bitcoind's estimator: one that trusts a short dip of the rates less.
    conservative: bool,
    /// Before anything was estimated, and where nothing can be (bitcoind on regtest).
    fallback: u32,
}

/// What an estimator is asked: in how many blocks, and whether it should trust a short dip less.
type Question = (u32, bool);

impl Rate {
    fn question(&self) -> Question {
        (self.blocks, self.conservative)
    }
}

const KINDS: usize = 9;

/// The place of our own on-chain payments, after LDK's eight kinds.
const ON_CHAIN_PAYMENT: usize = 8;

/// What each kind of transaction needs. Targets and fallbacks are LDK Node's, but for that of closes.
const RATES: [Rate; KINDS] = [
    Rate {
        blocks: 2,
        conservative: true,
        fallback: 8_000,
    }, // MaximumFeeEstimate
    Rate {
        blocks: 6,
        conservative: true,
        fallback: 5_000,
    }, // UrgentOnChainSweep
    Rate {
        blocks: 1_008,
        conservative: false,
        fallback: 500,
    }, // MinAllowedAnchorChannelRemoteFee
    Rate {
        blocks: 144,
        conservative: false,
        fallback: 1_000,
    }, // MinAllowedNonAnchorChannelRemoteFee
    Rate {
        blocks: 1_008,
        conservative: false,
        fallback: 500,
    }, // AnchorChannelFee
    Rate {
        blocks: 12,
        conservative: false,
        fallback: 1_000,
    }, // NonAnchorChannelFee
    Rate {
        blocks: 144,
        conservative: false,
        // LDK refuses what is below it of a peer that pays for the close itself, for ever. CLN, without
        // estimates, goes no higher.
        fallback: FEERATE_FLOOR_SATS_PER_KW,
    }, // ChannelCloseMinimum
    Rate {
        blocks: 12,
        conservative: false,
        fallback: 1_000,
    }, // OutputSpendingFee
    Rate {
        blocks: 6,
        conservative: false,
        fallback: 5_000,
    }, // our own on-chain payments
];

fn place(target: ConfirmationTarget) -> usize {
    match target {
        ConfirmationTarget::MaximumFeeEstimate => 0,
        ConfirmationTarget::UrgentOnChainSweep => 1,
        ConfirmationTarget::MinAllowedAnchorChannelRemoteFee => 2,
        ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee => 3,
        ConfirmationTarget::AnchorChannelFee => 4,
        ConfirmationTarget::NonAnchorChannelFee => 5,
        ConfirmationTarget::ChannelCloseMinimum => 6,
        ConfirmationTarget::OutputSpendingFee => 7,
    }
}

/// The rates as they were last asked for. Clones share them.
#[derive(Clone)]
pub struct Fees {
    cached: Arc<[AtomicU32; KINDS]>,
    /// What the chain estimated for each kind, before anything is made of it; 0 before the first.
    estimated: Arc<[AtomicU32; KINDS]>,
    floor: Arc<AtomicU32>,
    /// The chain refused to estimate when it was asked last.
    refused: Arc<AtomicBool>,
}

impl Default for Fees {
    fn default() -> Self {
        Fees {
            cached: Arc::new(std::array::from_fn(|kind| AtomicU32::new(fallback(kind)))),
            estimated: Arc::new(std::array::from_fn(|_| AtomicU32::new(0))),
            floor: Arc::new(AtomicU32::new(FEERATE_FLOOR_SATS_PER_KW)),
            refused: Arc::default(),
        }
    }
}

/// What the chain estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// In how many blocks a transaction should be in one.
    pub blocks: u32,
    /// With this rate, in satoshi for 1000 weight units.
    pub sat_per_kw: u32,
}

fn fallback(kind: usize) -> u32 {
    RATES
        .get(kind)
        .map_or(FEERATE_FLOOR_SATS_PER_KW, |rate| rate.fallback)
}

impl Fees {
    /// For transactions of our own wallet, such as the funding of a channel: satoshi for 1000
    /// weight units.
    pub fn on_chain_payment_sat_per_kw(&self) -> u32 {
        self.read(ON_CHAIN_PAYMENT)
    }

    /// The least for a mutual close: satoshi for 1000 weight units.
    pub fn mutual_close_sat_per_kw(&self) -> u32 {
        self.read(place(ConfirmationTarget::ChannelCloseMinimum))
    }

    /// For commitment transactions without anchors: satoshi for 1000 weight units.
    pub fn commitment_sat_per_kw(&self) -> u32 {
        self.read(place(ConfirmationTarget::NonAnchorChannelFee))
    }

    /// For commitment transactions with anchors: satoshi for 1000 weight units.
    pub fn anchor_commitment_sat_per_kw(&self) -> u32 {
        self.read(place(ConfirmationTarget::AnchorChannelFee))
    }

    /// For what must be fast to save money: satoshi for 1000 weight units.
    pub fn urgent_sat_per_kw(&self) -> u32 {
        self.read(place(ConfirmationTarget::UrgentOnChainSweep))
    }

    /// The least that a peer may set without anchors: satoshi for 1000 weight units.
    pub fn least_accepted_sat_per_kw(&self) -> u32 {
        self.read(place(
            ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee,
        ))
    }

    /// The highest rate that is believed: satoshi for 1000 weight units.
    pub fn most_believed_sat_per_kw(&self) -> u32 {
        self.read(place(ConfirmationTarget::MaximumFeeEstimate))
    }

    /// The least that gets into the mempool: satoshi for 1000 weight units.
    pub fn floor_sat_per_kw(&self) -> u32 {
        self.floor.load(Ordering::Relaxed)
    }

    /// What the chain estimated last, the fastest first. Empty if it never had an estimate.
    pub fn estimates(&self) -> Vec<Estimate> {
        let mut estimates: Vec<Estimate> = Vec::new();
        for (rate, estimated) in RATES.iter().zip(self.estimated.iter()) {
            let sat_per_kw = estimated.load(Ordering::Relaxed);
            let known = estimates.iter().any(|known| known.blocks == rate.blocks);
            if sat_per_kw != 0 && !known {
                let blocks = rate.blocks;
                estimates.push(Estimate { blocks, sat_per_kw });
            }
        }
        estimates.sort_by_key(|estimate| estimate.blocks);
        estimates
    }

    /// Whether the chain refused to estimate when it was asked last.
    pub fn are_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// To be in a block within so many, in satoshi for 1000 weight units: the slowest estimate that is
    /// fast enough, else the fastest there is. Without any, the rate of our own payments.
    pub fn within_blocks_sat_per_kw(&self, blocks: u32) -> u32 {
        let estimates = self.estimates();
        let enough = estimates.iter().rfind(|known| known.blocks <= blocks);
        enough
            .or(estimates.first())
            .map_or(self.on_chain_payment_sat_per_kw(), |known| known.sat_per_kw)
    }

    /// The chain refused to estimate, or did not. Told when that changes, as it is asked each minute.
    fn note_refusal(&self, refusal: Option<&CallError>) {
        let before = self.refused.swap(refusal.is_some(), Ordering::Relaxed);
        match refusal {
            Some(error) if !before => {
                tracing::warn!(
                    %error,
                    "fee rates are not estimated; they stay, but for what the mempool takes at least"
                );
            }
            None if before => tracing::info!("fee rates are estimated again"),
            _ => {}
        }
    }

    fn learn(&self, kind: usize, rate: &Rate, estimate: Option<u32>, mempool_floor: u32) {
        let (Some(cached), Some(estimated)) = (self.cached.get(kind), self.estimated.get(kind))
        else {
            return;
        };
        let floor = if kind == place(ConfirmationTarget::MinAllowedAnchorChannelRemoteFee) {
            // A child pays for what is below it, so that a peer may be.
            FEERATE_FLOOR_SATS_PER_KW
        } else {
            above(mempool_floor)
        };
        if let Some(estimate) = estimate {
            estimated.store(estimate.max(mempool_floor), Ordering::Relaxed);
            cached.store(adjust(kind, estimate.max(floor)), Ordering::Relaxed);
            return;
        }
        let last = match estimated.load(Ordering::Relaxed) {
            0 => rate.fallback,
            last => adjust(kind, last),
        };
        let least = adjust(kind, floor);
        cached.store(if last < floor { least } else { last }, Ordering::Relaxed);
    }

    fn read(&self, kind: usize) -> u32 {
        self.cached
            .get(kind)
            .map_or(FEERATE_FLOOR_SATS_PER_KW, |rate| {
                rate.load(Ordering::Relaxed)
            })
    }
}

impl FeeEstimator for Fees {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        self.read(place(target))
    }
}

impl ChainClient {
    /// Asks the chain for the rates. Where it has no estimate, or refuses one, the last one stays, but for
    /// what the mempool asks for at least.
    ///
    /// # Errors
    ///
    /// The chain could not be asked; the rates stay as they are.
    pub async fn refresh_fees(&self) -> Result<(), CallError> {
        let mempool_floor = self.mempool_floor().await?;
        let fees = &self.inner.fees;
        fees.floor.store(mempool_floor, Ordering::Relaxed);
        let estimates = match self.estimates().await {
            Err(error) if error.is_refusal() => {
                fees.note_refusal(Some(&error));
                Vec::new()
            }
            estimates => {
                let estimates = estimates?;
                fees.note_refusal(None);
                estimates
            }
        };
        for (kind, rate) in RATES.iter().enumerate() {
            let mut known = estimates.iter();
            let known = known.find(|(question, _)| *question == rate.question());
            let estimate = known.and_then(|(_, estimate)| *estimate);
            fees.learn(kind, rate, estimate, mempool_floor);
        }
        Ok(())
    }

    /// Refreshes the rates for as long as it is polled. What fails is logged and tried again.
    pub async fn keep_fees_fresh(&self) {
        loop {
            if let Err(error) = self.refresh_fees().await {
                tracing::warn!(%error, "fee rates could not be refreshed");
            }
            tokio::time::sleep(REFRESH_INTERVAL).await;
        }
    }

    /// What the chain estimates; a refusal if it refuses all.
    async fn estimates(&self) -> Result<Vec<(Question, Option<u32>)>, CallError> {
        let mut questions: Vec<Question> = RATES.iter().map(Rate::question).collect();
        questions.sort_unstable();
        questions.dedup();
        if let Some(electrum) = self.electrum() {
            let blocks: Vec<u32> = questions.iter().map(|(blocks, _)| *blocks).collect();
            let rates = electrum.estimates(&blocks).await?;
            let rates = rates.into_iter().map(|rate| rate.map(believed));
            return Ok(questions.into_iter().zip(rates).collect());
        }
        let (mut estimates, mut refusal) = (Vec::new(), None);
        for question in questions {
            match self.estimate(question).await {
                Ok(estimate) => estimates.push((question, estimate)),
                Err(error) if error.is_refusal() => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        match refusal {
            Some(error) if estimates.is_empty() => Err(error),
            _ => Ok(estimates),
        }
    }

    /// What bitcoind estimates.
    async fn estimate(&self, (blocks, conservative): Question) -> Result<Option<u32>, CallError> {
        let mode = if conservative {
            "CONSERVATIVE"
        } else {
            "ECONOMICAL"
        };
        let answer = self
            .call("estimatesmartfee", &[json!(blocks), json!(mode)])
            .await?;
        Ok(answer.get("feerate").and_then(sat_per_kw))
    }

    /// Below this nothing gets into the mempool.
    async fn mempool_floor(&self) -> Result<u32, CallError> {
        if let Some(electrum) = self.electrum() {
            let floor = electrum.relay_floor().await?.map_or(0, believed);
            return Ok(floor.max(FEERATE_FLOOR_SATS_PER_KW));
        }
        let info = self.call("getmempoolinfo", &[]).await?;
        let floor = info.get("mempoolminfee").and_then(sat_per_kw);
        Ok(floor.unwrap_or(0).max(FEERATE_FLOOR_SATS_PER_KW))
    }
}

/// A rate with which a transaction gets into the mempool, wherever its fee and its size are rounded.
fn above(mempool_floor: u32) -> u32 {
    if mempool_floor <= FEERATE_FLOOR_SATS_PER_KW {
        // LDK's floor has that in it.
        return mempool_floor;
    }
    let above = mempool_floor.saturating_add(mempool_floor / FLOOR_MARGIN);
    above.min(mempool_floor.max(ELECTRUM_SAT_PER_KW_MAX))
}

/// What is believed of a rate that an Electrum server says.
fn believed(sat_per_kw: u32) -> u32 {
    if sat_per_kw > ELECTRUM_SAT_PER_KW_MAX {
        tracing::warn!(sat_per_kw, "an Electrum server's fee rate is not believed");
    }
    sat_per_kw.min(ELECTRUM_SAT_PER_KW_MAX)
}

/// What a kind makes of an estimate.
fn adjust(kind: usize, estimate: u32) -> u32 {
    let is = |target| kind == place(target);
    if is(ConfirmationTarget::MaximumFeeEstimate) {
        estimate.saturating_add(MAXIMUM_MARGIN_SAT_PER_KW)
    } else if is(ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee) {
        estimate
            .saturating_sub(ROUNDING_SAT_PER_KW)
            .max(FEERATE_FLOOR_SATS_PER_KW)
    } else {
        estimate
    }
}

/// A rate in bitcoin for 1000 virtual bytes (4000 weight units), rounded up.
fn sat_per_kw(rate: &Value) -> Option<u32> {
    let per_kvb = Amount::from_btc(rate.as_f64()?).ok()?;
    u32::try_from(per_kvb.to_sat().div_ceil(4)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn without_an_estimate_a_peer_may_close_at_the_least_rate_there_is() {
        let fees = Fees::default();
        assert_eq!(fees.mutual_close_sat_per_kw(), 253);
        let close = place(ConfirmationTarget::ChannelCloseMinimum);
        fees.learn(close, &RATES[close], None, 10_000);
        assert_eq!(fees.mutual_close_sat_per_kw(), 10_200, "the mempool's");
        fees.learn(close, &RATES[close], Some(700), 253);
        assert_eq!(fees.mutual_close_sat_per_kw(), 700);
    }

    #[test]
    fn without_an_estimate_no_rate_is_below_what_the_mempool_takes() {
        let fees = Fees::default();
        let urgent = place(ConfirmationTarget::UrgentOnChainSweep);
        let least = place(ConfirmationTarget::MinAllowedAnchorChannelRemoteFee);
        let learn = |estimate, floor| {
            for kind in [urgent, least] {
                fees.learn(kind, &RATES[kind], estimate, floor);
            }
            (fees.read(urgent), fees.read(least))
        };
        assert_eq!(learn(None, 253), (5_000, 500), "as it is written");
        // What a peer may set for a commitment with anchors is not bound to the mempool.
        assert_eq!(learn(None, 10_000), (10_200, 500));
        assert_eq!(learn(None, 253), (5_000, 500), "and down again");
        assert_eq!(learn(Some(6_000), 10_000), (10_200, 6_000));
        assert_eq!(learn(None, 253).0, 10_000, "the last estimate");
    }
}
