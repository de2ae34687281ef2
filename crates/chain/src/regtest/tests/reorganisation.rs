//! Reorganisations and restarts: what was must be again, exactly.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, Block, BlockHash, OutPoint, Transaction, TxOut};
use rusqlite::params;

use super::{BLOCK_INTERVAL, Fixture, START, assert_reason, finish, funds_of};
use crate::regtest::chain::{Chain, Submitted};
use crate::regtest::store::{Failure, Store, StoreError};
use crate::regtest::validate::subsidy;

/// Every row of the unspent outputs and of the places of transactions, for comparison.
pub(super) fn state(store: &Store) -> Vec<String> {
    let rows = |query: &str| -> Vec<String> {
        let mut statement = store.connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut all = rows(
        "SELECT hex(txid) || ':' || vout || ' ' || amount || ' ' || hex(script) || ' ' || height
             || ' ' || coinbase FROM unspent ORDER BY txid, vout",
    );
    all.extend(rows(
        "SELECT hex(txid) || ' ' || hex(hash) || position FROM located ORDER BY txid",
    ));
    all.extend(rows(
        "SELECT height || ' ' || hex(hash) FROM active ORDER BY height",
    ));
    all
}

/// Blocks of another branch on top of `parent`, each with an empty body but its coinbase.
fn branch(parent: &Block, height: u32, count: u32) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // A chain of its own in memory would do; a fixture's blocks moved onto another parent do too.
    let donor = Fixture::empty();
    for step in 0..count {
        let mut block = donor.block_with(&[]);
        let previous = blocks.last().unwrap_or(parent);
        block.header.prev_blockhash = previous.block_hash();
        block.header.time = previous.header.time + BLOCK_INTERVAL;
        let at = height + 1 + step;
        block.txdata[0].input[0].script_sig = bitcoin::script::Builder::new()
            .push_int(i64::from(at))
            .push_slice([7_u8; 8])
            .into_script();
        block.txdata[0].output[0].value = subsidy(at);
        finish(&mut block);
        blocks.push(block);
    }
    blocks
}

/// Three blocks with payments on a fixture: the second payment spends the first's output, the
/// third a new coinbase.
fn three_blocks_of_payments(fixture: &mut Fixture) -> Vec<Transaction> {
    let first = fixture.payment(&fixture.coinbase(1));
    let second = fixture.payment(&funds_of(&first, 0));
    let third = fixture.payment(&fixture.coinbase(2));
    let payments = vec![first, second, third];
    for payment in &payments {
        fixture.accept(payment).unwrap();
        fixture.mine(1);
    }
    payments
}

#[test]
fn three_blocks_give_way_to_four_and_their_transactions_wait_again() {
    let mut fixture = Fixture::with_ripe(5);
    let fork = fixture.height();
    let before = state(&fixture.chain.store);
    let parent = fixture.active_block(fork);
    let payments = three_blocks_of_payments(&mut fixture);
    let old_tip = fixture.chain.tip().unwrap();
    let after_payments = state(&fixture.chain.store);

    let branch = branch(&parent, fork, 4);
    for block in &branch[..3] {
        assert_eq!(fixture.submit(block), Ok(Submitted::SideBranch));
    }
    assert_eq!(
        fixture.chain.tip().unwrap(),
        old_tip,
        "equal work does not win"
    );
    fixture.now += BLOCK_INTERVAL * 4;
    assert_eq!(fixture.submit(&branch[3]), Ok(Submitted::Connected));
    assert_eq!(fixture.height(), fork + 4);
    let txids: Vec<_> = payments.iter().map(Transaction::compute_txid).collect();
    assert_eq!(fixture.waiting(), txids);

    // Back to the old branch by hand: all as it was, and nothing waits that is confirmed.
    fixture
        .chain
        .invalidate(&branch[0].block_hash(), 0)
        .unwrap();
    assert_eq!(fixture.chain.tip().unwrap(), old_tip);
    assert_eq!(state(&fixture.chain.store), after_payments);
    assert!(fixture.waiting().is_empty());

    // And below all of them: the unspent outputs are those of before.
    let first_of_old = fixture.chain.store.active(fork + 1).unwrap().unwrap();
    fixture.chain.invalidate(&first_of_old, 0).unwrap();
    assert_eq!(state(&fixture.chain.store), before);
    assert_eq!(fixture.waiting(), txids);
    // The branch with more work comes back when it may.
    fixture
        .chain
        .reconsider(&branch[2].block_hash(), 0)
        .unwrap();
    assert_eq!(fixture.height(), fork + 4);
}

#[test]
fn an_invalidated_block_is_replaced_by_new_ones_and_reconsidered_when_it_has_more_work() {
    let mut fixture = Fixture::with_ripe(1);
    let made = fixture.mine(3);
    let fork = fixture.height() - 3;
    assert!(fixture.chain.invalidate(&made[0], 0).unwrap());
    assert_eq!(fixture.height(), fork);
    let other = fixture.mine(2);
    assert_eq!(fixture.chain.tip().unwrap().hash, other[1]);
    assert!(fixture.chain.reconsider(&made[0], 0).unwrap());
    assert_eq!(
        fixture.chain.tip().unwrap().hash,
        made[2],
        "three blocks beat two"
    );
    let unknown = BlockHash::all_zeros();
    assert!(!fixture.chain.invalidate(&unknown, 0).unwrap());
    assert!(!fixture.chain.reconsider(&unknown, 0).unwrap());
    let genesis = fixture.chain.store.active(0).unwrap().unwrap();
    assert!(
        !fixture.chain.invalidate(&genesis, 0).unwrap(),
        "genesis stays"
    );
}

#[test]
fn a_transaction_that_the_new_branch_made_impossible_is_dropped_with_its_children() {
    let mut fixture = Fixture::with_ripe(2);
    let fork = fixture.height();
    let parent = fixture.active_block(fork);
    let funds = fixture.coinbase(1);
    let loser = fixture.payment(&funds);
    let child = fixture.payment(&funds_of(&loser, 0));
    let survivor = fixture.payment(&fixture.coinbase(2));
    for one in [&loser, &child, &survivor] {
        fixture.accept(one).unwrap();
    }
    fixture.mine(1);

    let mut blocks = branch(&parent, fork, 2);
    let mut rival = fixture.draft(&funds);
    rival.outputs[0].value -= Amount::from_sat(5);
    blocks[0].txdata.push(fixture.key.sign(&rival));
    finish(&mut blocks[0]);
    blocks[1].header.prev_blockhash = blocks[0].block_hash();
    finish(&mut blocks[1]);
    fixture.now += BLOCK_INTERVAL * 2;
    fixture.submit(&blocks[0]).unwrap();
    assert_eq!(fixture.submit(&blocks[1]), Ok(Submitted::Connected));
    assert_eq!(fixture.waiting(), [survivor.compute_txid()]);
}

#[test]
fn a_coinbase_spend_leaves_the_mempool_when_the_reorganisation_makes_it_unripe() {
    let mut fixture = Fixture::with_ripe(1);
    let young = fixture.coinbase(2);
    let refusal = "bad-txns-premature-spend-of-coinbase";
    let payment = fixture.payment(&young);
    assert_reason(fixture.accept(&payment), refusal, "not ripe yet");
    let made = fixture.mine(1);
    fixture.accept(&payment).unwrap();
    fixture.chain.invalidate(&made[0], 0).unwrap();
    assert!(fixture.waiting().is_empty());
}

#[test]
fn a_branch_with_a_bad_block_is_left_for_the_old_one() {
    let mut fixture = Fixture::with_ripe(1);
    let fork = fixture.height();
    let parent = fixture.active_block(fork);
    fixture.mine(2);
    let before = (fixture.chain.tip().unwrap(), state(&fixture.chain.store));
    let mut blocks = branch(&parent, fork, 3);
    // The second of the branch pays itself too much, which shows only when it is connected.
    blocks[1].txdata[0].output[0].value += Amount::from_sat(1);
    finish(&mut blocks[1]);
    blocks[2].header.prev_blockhash = blocks[1].block_hash();
    finish(&mut blocks[2]);
    fixture.now += BLOCK_INTERVAL * 3;
    assert_eq!(fixture.submit(&blocks[0]), Ok(Submitted::SideBranch));
    assert_eq!(fixture.submit(&blocks[1]), Ok(Submitted::SideBranch));
    // It is the branch that fails, not the block that was handed in.
    assert_eq!(fixture.submit(&blocks[2]), Ok(Submitted::SideBranch));
    assert_eq!(
        (fixture.chain.tip().unwrap(), state(&fixture.chain.store)),
        before
    );
    let failure = |block: &Block| {
        fixture
            .chain
            .store
            .block(&block.block_hash())
            .unwrap()
            .unwrap()
            .failure
    };
    let failures = blocks.iter().map(failure).collect::<Vec<_>>();
    assert_eq!(
        failures,
        [Failure::None, Failure::Invalid, Failure::Ancestor]
    );
}

#[test]
fn a_restart_without_a_clean_stop_keeps_tip_mempool_and_unspent_outputs() {
    let mut fixture = Fixture::with_ripe(3);
    let payments = three_blocks_of_payments(&mut fixture);
    let waiting = fixture.payment(&funds_of(&payments[2], 0));
    fixture.accept(&waiting).unwrap();
    let before = (
        fixture.chain.tip().unwrap(),
        state(&fixture.chain.store),
        fixture.waiting(),
    );

    // What lies on disk at this instant, as after a kill: the first process closes nothing.
    let copy = tempfile::tempdir().unwrap();
    for name in ["chain.sqlite3", "chain.sqlite3-wal"] {
        std::fs::copy(fixture.directory.path().join(name), copy.path().join(name)).unwrap();
    }
    fixture.chain = Chain::open(&copy.path().join("chain.sqlite3")).unwrap();
    assert_eq!(
        (
            fixture.chain.tip().unwrap(),
            state(&fixture.chain.store),
            fixture.waiting()
        ),
        before
    );
    // It goes on: the waiting one is confirmed, and a reorganisation has its undo data.
    let made = fixture.mine(1);
    assert!(fixture.waiting().is_empty());
    fixture.chain.invalidate(&made[0], 0).unwrap();
    assert_eq!(state(&fixture.chain.store), before.1);
    assert_eq!(fixture.waiting(), before.2);
}

#[test]
fn a_step_that_is_dropped_leaves_no_trace() {
    let fixture = Fixture::with_ripe(1);
    let before = state(&fixture.chain.store);
    let outpoint = OutPoint {
        txid: bitcoin::Txid::all_zeros(),
        vout: 0,
    };
    let coin = fixture
        .chain
        .store
        .coin(&fixture.coinbase(1).outpoint)
        .unwrap()
        .unwrap();
    {
        let _outer = fixture.chain.store.step().unwrap();
        let inner = fixture.chain.store.step().unwrap();
        fixture.chain.store.add_coin(&outpoint, &coin).unwrap();
        inner.keep().unwrap();
        assert!(fixture.chain.store.coin(&outpoint).unwrap().is_some());
    }
    assert_eq!(state(&fixture.chain.store), before);
}

#[test]
fn coins_are_conserved() {
    let mut fixture = Fixture::with_ripe(5);
    three_blocks_of_payments(&mut fixture);
    let made: u64 = (1..=fixture.height())
        .map(|height| subsidy(height).to_sat())
        .sum();
    let (_, unspent) = fixture.chain.store.coin_totals().unwrap();
    assert_eq!(unspent, made, "fees went to the miners, nothing else moved");
}

#[test]
fn a_file_of_another_program_or_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str, change: &str| {
        let path = directory.path().join(name);
        if name == "newer" {
            drop(Chain::open(&path).unwrap());
        }
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        Chain::open(&path).err()
    };
    for (name, change) in [
        ("newer", "PRAGMA user_version = 2"),
        ("foreign", "CREATE TABLE t (a)"),
    ] {
        let error = open(name, change);
        assert!(
            matches!(error, Some(StoreError::Foreign(_))),
            "{name}: {error:?}"
        );
    }
    std::fs::write(directory.path().join("noise"), [7_u8; 4_096]).unwrap();
    assert!(Chain::open(&directory.path().join("noise")).is_err());
}

#[test]
fn a_damaged_row_is_told_and_does_not_panic() {
    let fixture = Fixture::with_ripe(1);
    let tip = fixture.chain.tip().unwrap();
    fixture
        .chain
        .store
        .connection
        .execute(
            "UPDATE block_body SET undo = x'01' WHERE hash = ?1",
            params![tip.hash.as_byte_array()],
        )
        .unwrap();
    let error = fixture
        .chain
        .invalidate(&tip.hash, u64::from(START))
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Damaged {
                what: "undo record",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fixture.chain.tip().unwrap(), tip, "the step was dropped");
}

#[test]
fn unspendable_outputs_are_not_kept() {
    let fixture = Fixture::with_ripe(1);
    let mut draft = fixture.draft(&fixture.coinbase(1));
    let script_pubkey = bitcoin::ScriptBuf::new_op_return([1, 2, 3]);
    draft.outputs.push(TxOut {
        value: Amount::ZERO,
        script_pubkey,
    });
    let payment = fixture.key.sign(&draft);
    fixture
        .submit(&fixture.block_with(std::slice::from_ref(&payment)))
        .unwrap();
    let coin = |vout| {
        fixture
            .chain
            .store
            .coin(&funds_of(&payment, vout).outpoint)
            .unwrap()
    };
    assert!(coin(0).is_some());
    assert!(coin(1).is_none());
}
