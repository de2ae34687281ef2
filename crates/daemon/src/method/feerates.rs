//! `feerates`.

use std::sync::Arc;

use sendpay_rpc::RpcError;
use sendpay_rpc::method::feerates::{
    Estimate, FeeRates, FeeRatesResult, OnchainFeeEstimates, Rates,
};
use sendpay_rpc::value::FeerateStyle;

use crate::daemon::Daemon;

/// Virtual bytes are four weight units.
const WEIGHT_A_BYTE: u32 = 4;

/// Weights of typical transactions, as CLN has them (`chaintopology.c`) and BOLT 3 for those of HTLCs.
const OPENING_WEIGHT: u64 = 702;
const MUTUAL_CLOSE_WEIGHT: u64 = 673;
const UNILATERAL_CLOSE_WEIGHT: u64 = 598;
const UNILATERAL_ANCHOR_CLOSE_WEIGHT: u64 = 1_112;
const HTLC_TIMEOUT_WEIGHT: u64 = 663;
const HTLC_SUCCESS_WEIGHT: u64 = 703;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: FeeRates,
) -> Result<FeeRatesResult, RpcError> {
    let fees = daemon.node().fees();
    let in_style = |sat_per_kw: u32| match params.style {
        FeerateStyle::PerKw => sat_per_kw,
        FeerateStyle::PerKb => sat_per_kw.saturating_mul(WEIGHT_A_BYTE),
    };
    let estimates: Vec<Estimate> = fees
        .estimates()
        .into_iter()
        .map(|estimate| Estimate {
            blockcount: estimate.blocks,
            feerate: in_style(estimate.sat_per_kw),
            smoothed_feerate: in_style(estimate.sat_per_kw),
        })
        .collect();
    // CLN's words, but where another reason is known.
    let cause = match fees.are_refused() {
        true => "the chain backend refuses to estimate",
        false => "bitcoind startup?",
    };
    let warning = estimates
        .is_empty()
        .then(|| format!("Some fee estimates unavailable: {cause}"));
    let rates = Rates {
        opening: in_style(fees.on_chain_payment_sat_per_kw()),
        mutual_close: in_style(fees.mutual_close_sat_per_kw()),
        unilateral_close: in_style(fees.commitment_sat_per_kw()),
        unilateral_anchor_close: in_style(fees.anchor_commitment_sat_per_kw()),
        penalty: in_style(fees.urgent_sat_per_kw()),
        min_acceptable: in_style(fees.least_accepted_sat_per_kw()),
        max_acceptable: in_style(fees.most_believed_sat_per_kw()),
        floor: in_style(fees.floor_sat_per_kw()),
        estimates,
    };
    let (perkb, perkw) = match params.style {
        FeerateStyle::PerKb => (Some(rates), None),
        FeerateStyle::PerKw => (None, Some(rates)),
    };
    let cost = |sat_per_kw: u32, weight: u64| u64::from(sat_per_kw) * weight / 1_000;
    let commitment = fees.commitment_sat_per_kw();
    Ok(FeeRatesResult {
        warning_missing_feerates: warning,
        perkb,
        perkw,
        onchain_fee_estimates: OnchainFeeEstimates {
            opening_channel_satoshis: cost(fees.on_chain_payment_sat_per_kw(), OPENING_WEIGHT),
            mutual_close_satoshis: cost(fees.mutual_close_sat_per_kw(), MUTUAL_CLOSE_WEIGHT),
            unilateral_close_satoshis: cost(
                fees.anchor_commitment_sat_per_kw(),
                UNILATERAL_ANCHOR_CLOSE_WEIGHT,
            ),
            unilateral_close_nonanchor_satoshis: cost(commitment, UNILATERAL_CLOSE_WEIGHT),
            // These spend outputs of a commitment transaction, at its own rate (BOLT 3).
            htlc_timeout_satoshis: cost(commitment, HTLC_TIMEOUT_WEIGHT),
            htlc_success_satoshis: cost(commitment, HTLC_SUCCESS_WEIGHT),
        },
    })
}
