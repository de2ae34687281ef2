//! Random histories: whatever happened, the chain is what its best blocks make it.

use bitcoin::{Amount, BlockHash, OutPoint};
use proptest::prelude::*;

use super::reorganisation::state;
use super::{Fixture, Funds, funds_of};
use crate::regtest::chain::{Chain, Submitted};
use crate::regtest::validate::subsidy;

/// One thing that happens. Numbers choose among what is there.
#[derive(Debug, Clone)]
enum Act {
    Mine(u32),
    /// Takes off so many blocks, counted from the tip.
    Invalidate(u32),
    /// Takes back one of the invalidations.
    Reconsider(usize),
    /// Spends a coinbase, with a fee: a conflict if it is spent already.
    Pay(u32, u64),
    /// Spends an output of a waiting transaction.
    PayOn(usize, u64),
    /// Opens the file anew.
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..4_u32).prop_map(Act::Mine),
        2 => (1..6_u32).prop_map(Act::Invalidate),
        1 => any::<usize>().prop_map(Act::Reconsider),
        5 => (1..12_u32, 200..5_000_u64).prop_map(|(height, fee)| Act::Pay(height, fee)),
        4 => (any::<usize>(), 200..5_000_u64).prop_map(|(index, fee)| Act::PayOn(index, fee)),
        1 => Just(Act::Reopen),
    ]
}

fn pay(fixture: &Fixture, funds: &Funds, fee: u64) {
    let mut draft = fixture.draft(funds);
    draft.outputs[0].value = funds.output.value - Amount::from_sat(fee);
    // It may be refused: that is part of the history.
    let _ = fixture.accept(&fixture.key.sign(&draft));
}

fn happen(fixture: &mut Fixture, act: &Act, invalidated: &mut Vec<BlockHash>) {
    let now = u64::from(fixture.now);
    match act {
        Act::Mine(count) => {
            fixture.mine(*count);
        }
        Act::Invalidate(depth) => {
            let height = fixture.height() + 1 - depth;
            let hash = fixture.chain.store.active(height).unwrap().unwrap();
            assert!(fixture.chain.invalidate(&hash, now).unwrap());
            invalidated.push(hash);
        }
        Act::Reconsider(index) if !invalidated.is_empty() => {
            let hash = invalidated.remove(index % invalidated.len());
            assert!(fixture.chain.reconsider(&hash, now).unwrap());
        }
        Act::Reconsider(_) => {}
        Act::Pay(height, fee) => pay(fixture, &fixture.coinbase(*height), *fee),
        Act::PayOn(index, fee) => {
            let waiting = fixture.chain.store.pool_entries().unwrap();
            if let Some(entry) = waiting.get(index % waiting.len().max(1)) {
                pay(fixture, &funds_of(&entry.transaction, 0), *fee);
            }
        }
        Act::Reopen => {
            fixture.chain = Chain::open(&fixture.directory.path().join("chain.sqlite3")).unwrap();
        }
    }
}

/// A new chain that was only ever given the best blocks of this one.
fn replay(fixture: &Fixture) -> Fixture {
    let fresh = Fixture::empty();
    let step = fresh.chain.store.step().unwrap();
    for height in 1..=fixture.height() {
        let block = fixture.active_block(height);
        let submitted = fresh.chain.submit(&block, fixture.now).unwrap();
        assert_eq!(submitted, Submitted::Connected, "{height}");
    }
    step.keep().unwrap();
    fresh
}

fn assert_consistent(fixture: &Fixture) {
    let store = &fixture.chain.store;
    let fresh = replay(fixture);
    assert_eq!(
        state(store),
        state(&fresh.chain.store),
        "only the best blocks count"
    );
    let made: u64 = (1..=fixture.height())
        .map(|height| subsidy(height).to_sat())
        .sum();
    assert_eq!(store.coin_totals().unwrap().1, made, "no coin made or lost");

    let entries = store.pool_entries().unwrap();
    let bytes: usize = entries
        .iter()
        .map(|entry| entry.transaction.total_size())
        .sum();
    assert_eq!(
        store.pool_size().unwrap(),
        (entries.len() as u64, bytes as u64)
    );
    let mut spent: Vec<OutPoint> = Vec::new();
    for entry in &entries {
        // Each could come into a mempool that has those before it.
        fresh.chain.accept(&entry.transaction, 0, None).unwrap();
        let inputs = entry
            .transaction
            .input
            .iter()
            .map(|input| input.previous_output);
        spent.extend(inputs);
    }
    let count = spent.len();
    spent.sort_unstable();
    spent.dedup();
    assert_eq!(spent.len(), count, "no output is spent twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_ends_in_what_its_best_blocks_make(acts in prop::collection::vec(act(), 1..40)) {
        let mut fixture = Fixture::with_ripe(20);
        let mut invalidated = Vec::new();
        for act in &acts {
            happen(&mut fixture, act, &mut invalidated);
        }
        assert_consistent(&fixture);
    }
}
