//! The client against the embedded chain, over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::hashes::Hash;
use bitcoin::{Address, Amount, BlockHash, Network, OutPoint, Transaction, TxOut};
use lightning::chain::chaininterface::{
    BroadcasterInterface, ConfirmationTarget, FeeEstimator, TransactionType,
};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Listen};
use lightning_block_sync::gossip::UtxoSource;
use lightning_block_sync::init::{synchronize_listeners, validate_best_block_header};
use lightning_block_sync::poll::ChainPoller;
use lightning_block_sync::{BlockData, BlockSource, HeaderCache, SpvClient};

use super::broadcast::parents_first;
use super::{Auth, BroadcastError, Broadcaster, CallError, ChainClient, ChainConfig, ConnectError};
use crate::regtest::Regtest;

/// Longer than anything here takes; a test that runs into it failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(directory: &Path) -> Regtest {
    Regtest::start(directory, SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap()
}

fn config(regtest: &Regtest) -> ChainConfig {
    ChainConfig {
        rpc_address: regtest.rpc_address().to_string(),
        auth: Auth::CookieFile(regtest.cookie_file()),
        network: Network::Regtest,
    }
}

/// Anybody may spend what is paid there: transactions need no signatures.
fn open_script() -> bitcoin::ScriptBuf {
    use bitcoin::opcodes::OP_TRUE;
    bitcoin::script::Builder::new()
        .push_opcode(OP_TRUE)
        .into_script()
}

fn address() -> Address {
    Address::p2wsh(&open_script(), Network::Regtest)
}

/// Spends an output that [`open_script`] locks, to the same again.
fn spend(outpoint: OutPoint, value: Amount, fee: u64) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn {
            previous_output: outpoint,
            script_sig: bitcoin::ScriptBuf::new(),
            sequence: bitcoin::Sequence::MAX,
            witness: bitcoin::Witness::from_slice(&[open_script().as_bytes()]),
        }],
        output: vec![TxOut {
            value: value - Amount::from_sat(fee),
            script_pubkey: address().script_pubkey(),
        }],
    }
}

/// Spends the coinbase of a block, or with `Some(child)` the output of a transaction.
async fn spend_coinbase(client: &ChainClient, block: BlockHash, fee: u64) -> Transaction {
    let BlockData::FullBlock(block) = client.get_block(&block).await.unwrap() else {
        panic!()
    };
    let coinbase = &block.txdata[0];
    let outpoint = OutPoint {
        txid: coinbase.compute_txid(),
        vout: 0,
    };
    spend(outpoint, coinbase.output[0].value, fee)
}

fn spend_first(parent: &Transaction, fee: u64) -> Transaction {
    let outpoint = OutPoint {
        txid: parent.compute_txid(),
        vout: 0,
    };
    spend(outpoint, parent.output[0].value, fee)
}

/// Writes down what it hears.
#[derive(Default)]
struct Recorder(Mutex<Vec<Heard>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Connected(u32, BlockHash),
    DisconnectedTo(u32, BlockHash),
}

impl Recorder {
    fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Listen for Recorder {
    fn filtered_block_connected(&self, header: &Header, _: &TransactionData<'_>, height: u32) {
        self.0
            .lock()
            .unwrap()
            .push(Heard::Connected(height, header.block_hash()));
    }

    fn blocks_disconnected(&self, fork: BlockLocator) {
        self.0
            .lock()
            .unwrap()
            .push(Heard::DisconnectedTo(fork.height, fork.block_hash));
    }
}

/// The blocks of a best chain from a height on, as they would be heard.
fn connected(first: u32, hashes: &[BlockHash]) -> Vec<Heard> {
    (first..)
        .zip(hashes)
        .map(|(height, hash)| Heard::Connected(height, *hash))
        .collect()
}

#[tokio::test]
async fn a_light_client_follows_the_chain_through_a_reorganisation() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let recorder = Recorder::default();
    let source = client.block_source();
    let tip = validate_best_block_header(source.clone()).await.unwrap();
    let poller = ChainPoller::new(source, Network::Regtest);
    let mut spv = SpvClient::new(tip, poller, HeaderCache::new(), &recorder);

    let mut hashes = client.generate_to_address(5, &address()).await.unwrap();
    spv.poll_best_tip().await.unwrap();
    assert_eq!(recorder.take(), connected(1, &hashes));

    // The last three give way to four.
    client.invalidate_block(hashes[2]).await.unwrap();
    hashes.truncate(2);
    let new = client.generate_to_address(4, &address()).await.unwrap();
    spv.poll_best_tip().await.unwrap();
    let mut expected = vec![Heard::DisconnectedTo(2, hashes[1])];
    expected.extend(connected(3, &new));
    assert_eq!(recorder.take(), expected);
    spv.poll_best_tip().await.unwrap();
    assert_eq!(recorder.take(), []);
}

#[tokio::test]
async fn a_listener_that_slept_through_a_reorganisation_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let old = client.generate_to_address(4, &address()).await.unwrap();
    client.invalidate_block(old[1]).await.unwrap();
    let new = client.generate_to_address(5, &address()).await.unwrap();

    let recorder = Recorder::default();
    let left_at = BlockLocator::new(old[3], 4);
    let listeners = vec![(left_at, &recorder as &dyn Listen)];
    let (_, tip) = synchronize_listeners(client.block_source(), Network::Regtest, listeners)
        .await
        .unwrap();
    assert_eq!((tip.header.block_hash(), tip.height), (new[4], 6));
    let mut expected = vec![Heard::DisconnectedTo(1, old[0])];
    expected.extend(connected(2, &new));
    assert_eq!(recorder.take(), expected);
}

#[tokio::test]
async fn the_wrong_network_and_the_wrong_door_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let mut other = config(&regtest);
    other.network = Network::Signet;
    let error = ChainClient::connect(other).await.err().unwrap();
    assert!(
        matches!(error, ConnectError::WrongNetwork { .. }),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("is regtest, not signet"),
        "{error}"
    );

    let mut other = config(&regtest);
    other.auth = Auth::UserPass("user".into(), "secret".into());
    assert!(!format!("{other:?}").contains("secret"));
    let error = ChainClient::connect(other).await.err().unwrap();
    assert!(
        matches!(error, ConnectError::Call(CallError::Unauthorized { .. })),
        "{error}"
    );

    let mut other = config(&regtest);
    other.auth = Auth::CookieFile(directory.path().join("nowhere"));
    let error = ChainClient::connect(other).await.err().unwrap();
    assert!(
        matches!(error, ConnectError::Call(CallError::Cookie { .. })),
        "{error}"
    );

    let config = config(&regtest);
    let cookie = std::fs::read_to_string(regtest.cookie_file()).unwrap();
    let (user, password) = cookie.split_once(':').unwrap();
    let auth = Auth::UserPass(user.into(), password.into());
    ChainClient::connect(ChainConfig {
        auth: auth.clone(),
        ..config.clone()
    })
    .await
    .unwrap();
    regtest.stop().await;
    let error = ChainClient::connect(ChainConfig { auth, ..config })
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, ConnectError::Call(CallError::Unreachable { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_restart_of_the_server_with_a_new_cookie_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let hashes = client.generate_to_address(1, &address()).await.unwrap();
    regtest.stop().await;
    let error = client.best_block().await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    let _again = start(directory.path()).await;
    assert_eq!(client.best_block().await.unwrap().hash, hashes[0]);
    assert_eq!(client.get_best_block().await.unwrap(), (hashes[0], Some(1)));
}

#[tokio::test]
async fn a_wait_returns_with_the_block_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let known = client.best_block().await.unwrap();
    assert_eq!(
        client
            .wait_for_block(known.hash, Duration::from_millis(5))
            .await
            .unwrap(),
        known
    );
    let address = address();
    let (waited, made) = tokio::join!(
        client.wait_for_block(known.hash, PATIENCE),
        client.generate_to_address(1, &address)
    );
    assert_eq!(waited.unwrap().hash, made.unwrap()[0]);
    let unknown = BlockHash::all_zeros();
    assert_eq!(
        client
            .wait_for_block(unknown, PATIENCE)
            .await
            .unwrap()
            .height,
        1
    );
}

#[tokio::test]
async fn broadcasts_succeed_refuse_and_know_what_was_sent() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let blocks = client.generate_to_address(102, &address()).await.unwrap();
    let payment = spend_coinbase(&client, blocks[0], 1_000).await;
    client.broadcast(&payment).await.unwrap();
    client.broadcast(&payment).await.unwrap();
    let outpoint = OutPoint {
        txid: payment.compute_txid(),
        vout: 0,
    };
    assert!(
        !client.is_output_unspent(outpoint).await.unwrap(),
        "not in a block yet"
    );
    client.generate_to_address(1, &address()).await.unwrap();
    client.broadcast(&payment).await.unwrap();
    assert!(client.is_output_unspent(outpoint).await.unwrap());

    let free = spend_coinbase(&client, blocks[1], 0).await;
    match client.broadcast(&free).await {
        Err(BroadcastError::Refused {
            txid,
            code: -26,
            message,
        }) => {
            assert_eq!(txid, free.compute_txid());
            assert!(
                message.starts_with("min relay fee not met, 0 < "),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
    // With a child that pays for it, in whatever order.
    let child = spend_first(&free, 2_000);
    client
        .broadcast_package(&[child.clone(), free.clone()])
        .await
        .unwrap();
    client.generate_to_address(1, &address()).await.unwrap();
    let outpoint = OutPoint {
        txid: child.compute_txid(),
        vout: 0,
    };
    assert!(client.is_output_unspent(outpoint).await.unwrap());
    client.broadcast_package(&[child]).await.unwrap();
}

/// Waits until an output is in a block, making blocks.
async fn mine_until_unspent(client: &ChainClient, transaction: &Transaction) {
    let outpoint = OutPoint {
        txid: transaction.compute_txid(),
        vout: 0,
    };
    let mined = async {
        while !client.is_output_unspent(outpoint).await.unwrap() {
            client.generate_to_address(1, &address()).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, mined).await.unwrap();
}

#[tokio::test]
async fn ldks_broadcaster_sends_from_any_thread_and_again_at_the_next_block() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let blocks = client.generate_to_address(101, &address()).await.unwrap();
    let parent = spend_coinbase(&client, blocks[0], 1_000).await;
    let child = spend_first(&parent, 1_000);
    let orphan = spend_first(&child, 1_000);
    let broadcaster = Broadcaster::start(client.clone());

    // From a thread that knows no runtime, as LDK does.
    let from_ldk = broadcaster.clone();
    let first = orphan.clone();
    std::thread::spawn(move || {
        let kind = TransactionType::Sweep { channels: vec![] };
        from_ldk.broadcast_transactions(&[(&first, kind)]);
        from_ldk.broadcast_transactions(&[]);
    })
    .join()
    .unwrap();
    // It has no inputs yet and is refused; a package in the wrong order is not.
    let kind = || TransactionType::Sweep { channels: vec![] };
    broadcaster.broadcast_transactions(&[(&child, kind()), (&parent, kind())]);
    mine_until_unspent(&client, &orphan).await;
}

#[tokio::test]
async fn a_transaction_waits_for_a_server_that_is_down() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let blocks = client.generate_to_address(101, &address()).await.unwrap();
    let payment = spend_coinbase(&client, blocks[0], 1_000).await;
    let broadcaster = Broadcaster::start(client.clone());
    regtest.stop().await;
    assert!(broadcaster.enqueue(vec![payment.clone()]));
    let _again = start(directory.path()).await;
    mine_until_unspent(&client, &payment).await;
}

#[tokio::test]
async fn fee_rates_come_from_the_chain_and_have_a_floor() {
    let directory = tempfile::tempdir().unwrap();
    let regtest = start(directory.path()).await;
    let client = ChainClient::connect(config(&regtest)).await.unwrap();
    let fees = client.fees();
    let rate = |target| fees.get_est_sat_per_1000_weight(target);
    assert_eq!(
        rate(ConfirmationTarget::MaximumFeeEstimate),
        8_000,
        "fallback"
    );
    assert_eq!(fees.on_chain_payment_sat_per_kw(), 5_000, "fallback");
    assert_eq!(fees.estimates(), []);
    assert_eq!(fees.within_blocks_sat_per_kw(6), 5_000, "fallback");
    client.refresh_fees().await.unwrap();
    let all = [
        (ConfirmationTarget::MaximumFeeEstimate, 2_753),
        (ConfirmationTarget::UrgentOnChainSweep, 253),
        (ConfirmationTarget::MinAllowedAnchorChannelRemoteFee, 253),
        (ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee, 253),
        (ConfirmationTarget::AnchorChannelFee, 253),
        (ConfirmationTarget::NonAnchorChannelFee, 253),
        (ConfirmationTarget::ChannelCloseMinimum, 253),
        (ConfirmationTarget::OutputSpendingFee, 253),
    ];
    for (target, expected) in all {
        assert_eq!(rate(target), expected, "{target:?}");
    }
    assert_eq!(fees.on_chain_payment_sat_per_kw(), 253);
    let estimates = fees.estimates();
    let blocks: Vec<u32> = estimates.iter().map(|estimate| estimate.blocks).collect();
    assert_eq!(blocks, [2, 6, 12, 144, 1_008]);
    for within in [0, 1, 2, 100, 10_000] {
        assert_eq!(fees.within_blocks_sat_per_kw(within), 253);
    }
    assert_eq!(fees.floor_sat_per_kw(), 253);
    regtest.stop().await;
    assert!(client.refresh_fees().await.is_err());
    assert_eq!(
        rate(ConfirmationTarget::UrgentOnChainSweep),
        253,
        "the last one stays"
    );
}

#[test]
fn parents_go_first_whatever_the_order() {
    let root = OutPoint {
        txid: bitcoin::Txid::all_zeros(),
        vout: 0,
    };
    let parent = spend(root, Amount::ONE_BTC, 1);
    let child = spend_first(&parent, 1);
    let grandchild = spend_first(&child, 1);
    let expected = [&parent, &child, &grandchild].map(Transaction::compute_txid);
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let family = [&parent, &child, &grandchild];
        let shuffled: Vec<Transaction> = order.iter().map(|index| family[*index].clone()).collect();
        let sorted: Vec<_> = parents_first(&shuffled)
            .into_iter()
            .map(Transaction::compute_txid)
            .collect();
        assert_eq!(sorted, expected, "{order:?}");
    }
}
