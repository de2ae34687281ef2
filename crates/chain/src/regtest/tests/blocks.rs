//! Every rule on blocks, each with one that differs from an accepted one in that alone.

use bitcoin::block::Version;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, ScriptBuf, Target, Transaction, TxMerkleNode, Witness,
};

use super::{BLOCK_INTERVAL, FEE, Fixture, assert_reason, finish, solve_again};
use crate::regtest::chain::Submitted;
use crate::regtest::validate::subsidy;

/// Changes a good block so that one rule is broken.
type Break = fn(&Fixture, &mut Block);

#[test]
fn each_rule_refuses_the_block_that_breaks_it() {
    let table: Vec<(&str, Break)> = vec![
        ("high-hash", |_, block| {
            let target = Target::from_compact(block.header.bits);
            while target.is_met_by(block.block_hash()) {
                block.header.nonce += 1;
            }
        }),
        ("bad-diffbits", |_, block| {
            block.header.bits = CompactTarget::from_consensus(0x207f_fffe);
            solve_again(block);
        }),
        ("prev-blk-not-found", |_, block| {
            block.header.prev_blockhash = BlockHash::all_zeros();
            solve_again(block);
        }),
        ("time-too-old", |fixture, block| {
            block.header.time = fixture.chain.next_place().unwrap().median_time_past;
            solve_again(block);
        }),
        ("time-too-new", |fixture, block| {
            block.header.time = fixture.now + BLOCK_INTERVAL + 2 * 60 * 60 + 1;
            solve_again(block);
        }),
        ("bad-version(0x00000003)", |_, block| {
            block.header.version = Version::from_consensus(3);
            solve_again(block);
        }),
        ("bad-txnmrklroot", |_, block| {
            block.header.merkle_root = TxMerkleNode::all_zeros();
            solve_again(block);
        }),
        ("bad-txns-duplicate", |_, block| {
            // Three transactions and the third twice have the same merkle root.
            let last = block.txdata[2].clone();
            block.txdata.push(last);
        }),
        ("bad-cb-missing", |_, block| {
            block.txdata.remove(0);
            block.header.merkle_root = block.compute_merkle_root().unwrap();
            solve_again(block);
        }),
        ("bad-cb-multiple", |_, block| {
            let mut second = block.txdata[0].clone();
            second.lock_time = bitcoin::absolute::LockTime::from_consensus(1);
            block.txdata.push(second);
            finish(block);
        }),
        ("bad-cb-length", |_, block| {
            block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0x51; 101]);
            finish(block);
        }),
        ("bad-cb-height", |fixture, block| {
            let wrong = Builder::new()
                .push_int(i64::from(fixture.height()))
                .push_int(0);
            block.txdata[0].input[0].script_sig = wrong.into_script();
            finish(block);
        }),
        ("bad-cb-amount", |fixture, block| {
            // One satoshi above subsidy and the fees of the two payments.
            let limit = subsidy(fixture.height() + 1) + FEE * 2;
            block.txdata[0].output[0].value = limit + Amount::from_sat(1);
            finish(block);
        }),
        ("bad-witness-merkle-match", |_, block| {
            block.txdata[1].input[0].witness.push([1]);
        }),
        ("bad-witness-nonce-size", |_, block| {
            block.txdata[0].input[0].witness = Witness::from_slice(&[[0_u8; 31]]);
        }),
        ("unexpected-witness", |_, block| {
            block.txdata[0].output.pop();
            block.header.merkle_root = block.compute_merkle_root().unwrap();
            solve_again(block);
        }),
        ("bad-txns-inputs-missingorspent", |fixture, block| {
            // Spends what the second transaction of the block spends.
            let mut draft = fixture.draft(&fixture.coinbase(1));
            draft.outputs[0].value -= Amount::from_sat(1);
            block.txdata.push(fixture.key.sign(&draft));
            finish(block);
        }),
        ("bad-blk-length", |_, block| {
            let pad = ScriptBuf::from_bytes(vec![0x6a; 500_000]);
            for transaction in &mut block.txdata[1..] {
                transaction.output[0].script_pubkey = pad.clone();
            }
            finish(block);
        }),
        ("bad-blk-weight", |_, block| {
            // Within the limit without witnesses, above it with them.
            block.txdata[1].input[0].witness = Witness::from_slice(&[vec![0_u8; 4_000_000]]);
            finish(block);
        }),
    ];
    let fixture = Fixture::with_ripe(3);
    let payments: Vec<Transaction> = [1, 2]
        .map(|height| fixture.payment(&fixture.coinbase(height)))
        .to_vec();
    for (reason, break_rule) in table {
        let mut block = fixture.block_with(&payments);
        break_rule(&fixture, &mut block);
        let tip = fixture.chain.tip().unwrap();
        assert_reason(fixture.submit(&block), reason, reason);
        assert_eq!(fixture.chain.tip().unwrap(), tip, "{reason}");
    }
    let mut good = fixture.block_with(&payments);
    good.txdata[0].output[0].value = subsidy(fixture.height() + 1) + FEE * 2;
    finish(&mut good);
    assert_eq!(fixture.submit(&good), Ok(Submitted::Connected));
    assert_eq!(fixture.submit(&good), Ok(Submitted::Duplicate));
}

#[test]
fn a_transaction_of_a_block_may_spend_an_earlier_one_but_not_a_later_one() {
    let fixture = Fixture::with_ripe(1);
    let parent = fixture.payment(&fixture.coinbase(1));
    let child = fixture.payment(&super::funds_of(&parent, 0));
    let backwards = fixture.block_with(&[child.clone(), parent.clone()]);
    assert_reason(
        fixture.submit(&backwards),
        "bad-txns-inputs-missingorspent",
        "child first",
    );
    assert_eq!(
        fixture.submit(&fixture.block_with(&[parent, child])),
        Ok(Submitted::Connected)
    );
}

#[test]
fn too_many_signature_checks_are_refused() {
    let fixture = Fixture::with_ripe(1);
    // A bare OP_CHECKSIG in an output costs 4, a whole block may cost 80,000.
    let with_checks = |count: usize| {
        let mut draft = fixture.draft(&fixture.coinbase(1));
        draft.outputs[0].script_pubkey = ScriptBuf::from_bytes(vec![0xac; count]);
        fixture.block_with(&[fixture.key.sign(&draft)])
    };
    // The P2WPKH input costs one more, the coinbase pays to P2WPKH and costs nothing.
    assert_reason(
        fixture.submit(&with_checks(20_000)),
        "bad-blk-sigops",
        "80,001",
    );
    assert_eq!(
        fixture.submit(&with_checks(19_999)),
        Ok(Submitted::Connected)
    );
}

#[test]
fn the_subsidy_halves_each_150_blocks() {
    let table = [
        (1, 5_000_000_000),
        (149, 5_000_000_000),
        (150, 2_500_000_000),
        (300, 1_250_000_000),
    ];
    for (height, sat) in table {
        assert_eq!(subsidy(height), Amount::from_sat(sat), "{height}");
    }
    assert_eq!(subsidy(150 * 64), Amount::ZERO);
    assert_eq!(subsidy(u32::MAX), Amount::ZERO);
}

#[test]
fn a_block_on_a_failed_one_is_refused() {
    let mut fixture = Fixture::with_ripe(1);
    let made = fixture.mine(2);
    let child = fixture.block_with(&[]);
    fixture.chain.invalidate(&made[1], 0).unwrap();
    assert_reason(
        fixture.submit(&child),
        "bad-prevblk",
        "child of an invalidated block",
    );
    let invalidated = fixture.chain.store.body(&made[1]).unwrap();
    assert_eq!(
        fixture.submit(&invalidated),
        Ok(Submitted::DuplicateInvalid)
    );
}
