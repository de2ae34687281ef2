//! `feerates`: what the chain backend estimates, and what this node makes of it.

use super::{Category, Example, Method};
use crate::params;
use crate::value::FeerateStyle;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shows the fee rates that this node uses: the chain backend's estimates, asked for once a
    /// minute. Where the backend has none, the last one it had stands, else a fixed one.
    pub struct FeeRates {
        /// In which unit: `perkb`, satoshi for 1000 virtual bytes, or `perkw`, satoshi for 1000
        /// weight units.
        required style: FeerateStyle,
    }
}

/// One estimate of the chain backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// In how many blocks a transaction with this rate is expected to be in one.
    pub blockcount: u32,
    /// The rate.
    pub feerate: u32,
    /// The rate, smoothed over time. Nothing is smoothed here: the same.
    pub smoothed_feerate: u32,
}

/// Rates in one unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// What *fundchannel* and *withdraw* take without a rate of their own.
    pub opening: u32,
    /// The least for a mutual close.
    pub mutual_close: u32,
    /// For the commitment transactions of channels that we opened.
    pub unilateral_close: u32,
    /// The same for channels with anchors.
    pub unilateral_anchor_close: u32,
    /// For what must be fast to save money.
    pub penalty: u32,
    /// The least that a peer may set for a commitment transaction.
    pub min_acceptable: u32,
    /// The greatest rate that is believed.
    pub max_acceptable: u32,
    /// The least that the chain backend takes.
    pub floor: u32,
    /// What the chain backend estimates; empty if it has no estimates.
    pub estimates: Vec<Estimate>,
}

/// About what transactions cost at these rates, in satoshi.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OnchainFeeEstimates {
    /// Opening a channel.
    pub opening_channel_satoshis: u64,
    /// A mutual close.
    pub mutual_close_satoshis: u64,
    /// A unilateral close without HTLCs, of a channel with anchors; what raises its fee is not in it.
    pub unilateral_close_satoshis: u64,
    /// The same of a channel without anchors.
    pub unilateral_close_nonanchor_satoshis: u64,
    /// Taking back an HTLC that timed out.
    pub htlc_timeout_satoshis: u64,
    /// Taking an HTLC with its preimage.
    pub htlc_success_satoshis: u64,
}

/// The result of `feerates`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FeeRatesResult {
    /// There if the chain backend has no estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_missing_feerates: Option<String>,
    /// The rates, if *style* is `perkb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perkb: Option<Rates>,
    /// The rates, if *style* is `perkw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perkw: Option<Rates>,
    /// What typical transactions cost.
    pub onchain_fee_estimates: OnchainFeeEstimates,
}

impl Method for FeeRates {
    const NAME: &'static str = "feerates";
    const CATEGORY: Category = Category::Bitcoin;
    const SUMMARY: &'static str = "show the fee rates for on-chain transactions";
    type Result = FeeRatesResult;
    const SEE_ALSO: &'static [&'static str] = &["fundchannel", "withdraw", "close"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "perkb",
        shows: "The rates, in satoshi for 1000 virtual bytes.",
    }];
}
