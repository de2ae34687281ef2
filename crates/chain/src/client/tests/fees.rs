//! Fee rates, asked for and remembered.

use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};

use lightning_block_sync::gossip::UtxoSource;

use super::process::Bitcoind;
use super::refusing::refusing_bitcoind;
use super::{Backend, PATIENCE, address, spend_coinbase, spend_first};
use crate::client::ChainClient;

/// Before anything was estimated, and where nothing can be.
const FALLBACKS: [(ConfirmationTarget, u32); 8] = [
    (ConfirmationTarget::MaximumFeeEstimate, 8_000),
    (ConfirmationTarget::UrgentOnChainSweep, 5_000),
    (ConfirmationTarget::MinAllowedAnchorChannelRemoteFee, 500),
    (
        ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee,
        1_000,
    ),
    (ConfirmationTarget::AnchorChannelFee, 500),
    (ConfirmationTarget::NonAnchorChannelFee, 1_000),
    (ConfirmationTarget::ChannelCloseMinimum, 253),
    (ConfirmationTarget::OutputSpendingFee, 1_000),
];

pub(super) async fn fee_rates_are_the_chains_or_fallbacks_and_stay_when_it_is_gone<B: Backend>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let fees = client.fees();
    let assert_rates = |estimate: Option<u32>| {
        for (target, fallback) in FALLBACKS {
            // We believe a peer somewhat more than our own estimate.
            let margin = match target {
                ConfirmationTarget::MaximumFeeEstimate => 2_500,
                _ => 0,
            };
            let expected = estimate.map_or(fallback, |estimate| estimate + margin);
            let rate = fees.get_est_sat_per_1000_weight(target);
            assert_eq!(rate, expected, "{target:?}");
        }
        let expected = estimate.unwrap_or(5_000);
        assert_eq!(fees.on_chain_payment_sat_per_kw(), expected);
    };
    assert_rates(None);
    assert_eq!(fees.estimates(), []);
    assert_eq!(fees.within_blocks_sat_per_kw(6), 5_000, "fallback");
    client.refresh_fees().await.unwrap();
    assert_rates(B::ESTIMATE);
    let estimates = fees.estimates();
    let blocks: Vec<u32> = estimates.iter().map(|estimate| estimate.blocks).collect();
    let known: &[u32] = B::ESTIMATE.map_or(&[], |_| &[2, 6, 12, 144, 1_008]);
    assert_eq!(blocks, known);
    for within in [0, 1, 2, 100, 10_000] {
        let expected = B::ESTIMATE.unwrap_or(5_000);
        assert_eq!(fees.within_blocks_sat_per_kw(within), expected);
    }
    assert_eq!(fees.floor_sat_per_kw(), 253);
    chain.stop().await;
    assert!(client.refresh_fees().await.is_err());
    assert_rates(B::ESTIMATE);
}

/// The embedded chain has no estimator.
#[tokio::test]
async fn fee_rates_follow_what_others_pay_for_their_place_in_a_block() {
    let directory = tempfile::tempdir().unwrap();
    let chain = Bitcoind::start(directory.path(), &[]);
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let blocks = client.generate_to_address(125, &address()).await.unwrap();
    // More and more of them, some 20 sat for each virtual byte, and all in the next block.
    let fee = 2_000;
    let mut transactions = Vec::new();
    for block in &blocks[..24] {
        for parent in &mut transactions {
            *parent = spend_first(parent, fee);
            client.broadcast(parent).await.unwrap();
        }
        let first = spend_coinbase(&client, *block, fee).await;
        client.broadcast(&first).await.unwrap();
        transactions.push(first);
        client.generate_to_address(1, &address()).await.unwrap();
    }
    let last = bitcoin::OutPoint {
        txid: transactions[0].compute_txid(),
        vout: 0,
    };
    assert!(client.is_output_unspent(last).await.unwrap());
    let fees = client.fees();
    let rate = |target| fees.get_est_sat_per_1000_weight(target);
    let known = async {
        // bitcoind learns of its blocks a little later than it tells of them.
        while rate(ConfirmationTarget::MaximumFeeEstimate) == 8_000 {
            client.refresh_fees().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.unwrap();
    let urgent = rate(ConfirmationTarget::UrgentOnChainSweep);
    assert!((4_000..6_500).contains(&urgent), "{urgent}");
    assert_eq!(fees.on_chain_payment_sat_per_kw(), urgent);
    assert!(rate(ConfirmationTarget::MaximumFeeEstimate) >= urgent + 2_500);
}

#[tokio::test]
async fn where_estimates_are_refused_no_rate_is_below_what_the_mempool_takes() {
    let client = ChainClient::connect(refusing_bitcoind().await)
        .await
        .unwrap();
    client.refresh_fees().await.unwrap();
    let fees = client.fees();
    assert_eq!(fees.floor_sat_per_kw(), 10_000);
    assert!(fees.urgent_sat_per_kw() >= 10_000);
    assert!(fees.are_refused());
    assert_eq!(fees.estimates(), []);
}
