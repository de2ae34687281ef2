#![allow(clippy::unwrap_used)]
use super::*;

use bitcoin::block::Version as BlockVersion;
use bitcoin::hashes::Hash;
use bitcoin::{
    CompactTarget, ScriptBuf, Sequence, TxIn, TxMerkleNode, TxOut, Witness, absolute, transaction,
};
use sendpay_ledger::Ledger;

use super::spend::Signed;

const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon about";

/// A wallet that was made at the second of two blocks.
struct Bench {
    wallet: ChainWallet,
    first: BlockLocator,
    made_at: BlockLocator,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Ledger::open(&dir.path().join("store")).unwrap();
        let first = block(BlockHash::all_zeros(), 1, Vec::new());
        let second = block(first.block_hash(), 2, Vec::new());
        let first = BlockLocator::new(first.block_hash(), 100);
        let made_at = BlockLocator::new(second.block_hash(), 101);
        let seed = Seed::of_words(WORDS, Network::Regtest).unwrap();
        let given_out = GivenOut::default();
        let wallet = ChainWallet::open(store, &seed, Network::Regtest, made_at, given_out)
            .await
            .unwrap();
        Bench {
            wallet,
            first,
            made_at,
            _dir: dir,
        }
    }

    /// Gives the wallet a coin in a block that connects to `below`.
    async fn fund(&self, below: BlockLocator, sat: u64) -> BlockLocator {
        let address = self.wallet.new_address(AddressKind::P2wpkh).await.unwrap();
        let paid = paying(address.script_pubkey(), sat);
        let block = block(below.block_hash, 3, vec![paid]);
        let height = below.height + 1;
        self.wallet.block_connected(&block, height);
        BlockLocator::new(block.block_hash(), height)
    }

    fn heights(&self) -> Vec<Option<u32>> {
        let coins = self.wallet.coins(false);
        coins.iter().map(|coin| coin.height).collect()
    }
}

fn block(below: BlockHash, nonce: u32, txdata: Vec<Transaction>) -> Block {
    let header = Header {
        version: BlockVersion::TWO,
        prev_blockhash: below,
        merkle_root: TxMerkleNode::all_zeros(),
        time: nonce,
        bits: CompactTarget::from_consensus(0),
        nonce,
    };
    Block { header, txdata }
}

/// A transaction of somebody else.
fn paying(script: ScriptBuf, sat: u64) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::new(Txid::from_byte_array([7; 32]), 0),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: script,
        }],
    }
}

#[tokio::test]
async fn the_block_at_which_it_was_made_can_be_taken_back() {
    let bench = Bench::new().await;
    bench.wallet.blocks_disconnected(bench.first);
    let tip = bench.fund(bench.first, 1_000_000).await;
    assert_eq!(bench.heights(), [Some(tip.height)]);
    let best = bench.wallet.best_block();
    assert_eq!(best.block_hash, tip.block_hash);
    assert_eq!(best.previous_blocks[0], Some(bench.first.block_hash));
    assert_eq!(bench.wallet.extent().0, bench.first.height);
}

/// To somebody else.
fn spend(sat: u64) -> Spend {
    let script = ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::all_zeros());
    Spend::new(script, Some(Amount::from_sat(sat)), FeeRate::BROADCAST_MIN)
}

#[tokio::test]
async fn change_of_an_opening_is_spent_when_the_peer_has_signed_and_not_before() {
    let bench = Bench::new().await;
    bench.fund(bench.made_at, 1_000_000).await;
    let wallet = &bench.wallet;
    let opening = wallet.pay_for_opening(spend(300_000)).await.unwrap();
    let txid = opening.transaction.compute_txid();
    let change = wallet.coins(false).first().unwrap().outpoint;
    assert_eq!(change.txid, txid, "it is shown");
    for confirmations_min in [None, Some(0)] {
        let other = Spend {
            confirmations_min,
            ..spend(300_000)
        };
        let refused = wallet.pay(other.clone()).await.unwrap_err();
        assert!(
            matches!(refused, FundError::Afford { coins: 0, .. }),
            "{refused:?}"
        );
        assert!(wallet.most(&other).is_err());
    }
    let named = Spend {
        outputs: Some(vec![change]),
        ..spend(300_000)
    };
    let refused = wallet.pay(named).await.unwrap_err();
    assert!(matches!(refused, FundError::Reserved(_)), "{refused:?}");
    wallet.agreed(txid);
    wallet.pay(spend(300_000)).await.unwrap();
}

#[tokio::test]
async fn a_coin_of_an_opening_that_is_given_up_is_free_for_another() {
    let bench = Bench::new().await;
    bench.fund(bench.made_at, 1_000_000).await;
    let wallet = &bench.wallet;
    let opening = wallet.pay_for_opening(spend(300_000)).await.unwrap();
    let given_up = wallet.forget(opening.transaction.compute_txid());
    settle(given_up).await.unwrap();
    // The very same transaction again, and now it is agreed on.
    let again = wallet.pay(spend(300_000)).await.unwrap();
    let coin = |signed: &Signed| signed.transaction.input.first().unwrap().previous_output;
    assert_eq!(coin(&again), coin(&opening));
    wallet.pay(spend(300_000)).await.unwrap();
}

#[tokio::test]
async fn the_fee_of_an_opening_is_raised_when_the_peer_has_signed_and_not_before() {
    let bench = Bench::new().await;
    bench.fund(bench.made_at, 1_000_000).await;
    let wallet = &bench.wallet;
    let opening = wallet.pay_for_opening(spend(300_000)).await.unwrap();
    let txid = opening.transaction.compute_txid();
    let rate = FeeRate::from_sat_per_kwu(5_000);
    let refused = wallet.raise(txid, rate, false).await.unwrap_err();
    assert!(
        matches!(refused, StuckError::NotAgreed(unsent) if unsent == txid),
        "{refused:?}"
    );
    wallet.agreed(txid);
    let raised = wallet.raise(txid, rate, false).await.unwrap();
    assert_eq!(raised.parents, Some(vec![opening.transaction]));
}
