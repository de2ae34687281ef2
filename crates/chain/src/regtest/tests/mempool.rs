//! What waits: conflicts, replacement, packages, chains, the order of blocks.

use bitcoin::{Amount, Sequence, Transaction, Txid};

use super::{Draft, Fixture, Funds, assert_reason, funds_of};
use crate::regtest::mempool::{CHAIN_LENGTH_MAX, RELAY_FEE_SAT_PER_KVB};
use crate::regtest::reject::AcceptError;

/// A payment with this fee, in satoshi.
fn paying(fixture: &Fixture, funds: &Funds, fee: u64) -> Transaction {
    let mut draft = fixture.draft(funds);
    draft.outputs[0].value = funds.output.value - Amount::from_sat(fee);
    fixture.key.sign(&draft)
}

fn txid(transaction: &Transaction) -> Txid {
    transaction.compute_txid()
}

#[test]
fn known_transactions_are_told_apart_from_refused_ones() {
    let mut fixture = Fixture::with_ripe(1);
    let payment = fixture.payment(&fixture.coinbase(1));
    fixture.accept(&payment).unwrap();
    assert_reason(fixture.accept(&payment), "txn-already-in-mempool", "again");
    let mut other_witness = payment.clone();
    other_witness.input[0].witness.push([1]);
    let reason = "txn-same-nonwitness-data-in-mempool";
    assert_reason(fixture.accept(&other_witness), reason, "another witness");
    fixture.mine(1);
    assert!(fixture.waiting().is_empty());
    assert_reason(fixture.accept(&payment), "txn-already-known", "confirmed");
    let coinbase = fixture.active_block(1).txdata[0].clone();
    assert_reason(fixture.accept(&coinbase), "coinbase", "a coinbase");
}

#[test]
fn a_conflict_must_pay_for_what_it_replaces() {
    let fixture = Fixture::with_ripe(2);
    let funds = fixture.coinbase(1);
    let parent = paying(&fixture, &funds, 1_000);
    let child = paying(&fixture, &funds_of(&parent, 0), 2_000);
    fixture.accept(&parent).unwrap();
    fixture.accept(&child).unwrap();
    let size = parent.vsize() as u64;

    let cases = [
        (1_000, "no better rate than what it conflicts with"),
        (3_000, "nothing for its own relay"),
        (3_000 + size - 1, "one satoshi too little for its own relay"),
    ];
    for (fee, what) in cases {
        // Pays elsewhere, or it would be the very parent.
        let mut draft = fixture.draft(&funds);
        draft.outputs[0].value = funds.output.value - Amount::from_sat(fee);
        draft.version = 1;
        assert_reason(
            fixture.accept(&fixture.key.sign(&draft)),
            "insufficient fee",
            what,
        );
        assert_eq!(fixture.waiting(), [txid(&parent), txid(&child)], "{what}");
    }
    let replacement = paying(&fixture, &funds, 3_000 + size);
    let accepted = fixture.accept(&replacement).unwrap();
    assert_eq!(accepted.replaced, [txid(&parent), txid(&child)]);
    assert_eq!(fixture.waiting(), [txid(&replacement)]);
}

#[test]
fn a_replacement_cannot_spend_what_it_replaces() {
    let fixture = Fixture::with_ripe(1);
    let funds = fixture.coinbase(1);
    let first = paying(&fixture, &funds, 1_000);
    fixture.accept(&first).unwrap();
    let mut both = fixture.draft(&funds);
    both.inputs.push((funds_of(&first, 0), Sequence::MAX));
    both.outputs[0].value = funds.output.value;
    let reason = "bad-txns-spends-conflicting-tx";
    assert_reason(
        fixture.accept(&fixture.key.sign(&both)),
        reason,
        "both inputs",
    );
}

#[test]
fn a_block_throws_out_what_it_conflicts_with() {
    let fixture = Fixture::with_ripe(1);
    let funds = fixture.coinbase(1);
    let loser = paying(&fixture, &funds, 5_000);
    let child = paying(&fixture, &funds_of(&loser, 0), 5_000);
    fixture.accept(&loser).unwrap();
    fixture.accept(&child).unwrap();
    let winner = paying(&fixture, &funds, 1_000);
    fixture.submit(&fixture.block_with(&[winner])).unwrap();
    assert!(fixture.waiting().is_empty());
    assert_eq!(fixture.chain.store.pool_size().unwrap(), (0, 0));
}

#[test]
fn chains_of_waiting_transactions_are_bounded() {
    let mut fixture = Fixture::with_ripe(1);
    let mut funds = fixture.coinbase(1);
    for length in 1..=CHAIN_LENGTH_MAX {
        let link = fixture.payment(&funds);
        fixture
            .accept(&link)
            .unwrap_or_else(|refusal| panic!("{length}: {refusal}"));
        funds = funds_of(&link, 0);
    }
    let one_more = fixture.payment(&funds);
    assert_reason(
        fixture.accept(&one_more),
        "too-long-mempool-chain",
        "one more",
    );
    fixture.mine(1);
    fixture.accept(&one_more).unwrap();
}

#[test]
fn a_childs_fee_counts_for_its_parents_in_a_package() {
    let fixture = Fixture::with_ripe(2);
    let parent = paying(&fixture, &fixture.coinbase(1), 0);
    let child = |fee| paying(&fixture, &funds_of(&parent, 0), fee);
    assert_reason(
        fixture.accept(&parent),
        "min relay fee not met",
        "the parent alone",
    );
    let needed = (parent.vsize() + child(0).vsize()) as u64;
    let now = u64::from(fixture.now);

    let poor = [parent.clone(), child(needed - 1)];
    match fixture.chain.accept_package(&poor, now) {
        Err((None, AcceptError::Rejected(reject))) => {
            assert_eq!(
                reject.text(),
                format!("min relay fee not met, {} < {needed}", needed - 1)
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(fixture.waiting().is_empty(), "all or none");
    let rich = [parent.clone(), child(needed)];
    assert_eq!(fixture.chain.accept_package(&rich, now).unwrap().len(), 2);
    assert_eq!(fixture.waiting(), rich.each_ref().map(txid));
    // Again: both are in.
    let lone = paying(&fixture, &fixture.coinbase(2), 0);
    assert_reason(
        fixture.accept(&lone),
        "min relay fee not met",
        "another without a fee",
    );
}

#[test]
fn blocks_are_filled_by_fee_rate_with_parents_first() {
    let mut fixture = Fixture::with_ripe(3);
    let low = paying(&fixture, &fixture.coinbase(1), 500);
    let high = paying(&fixture, &fixture.coinbase(2), 9_000);
    let parent = paying(&fixture, &fixture.coinbase(3), 400);
    let child = paying(&fixture, &funds_of(&parent, 0), 20_000);
    for one in [&low, &high, &parent, &child] {
        fixture.accept(one).unwrap();
    }
    fixture.mine(1);
    let block = fixture.active_block(fixture.height());
    let order: Vec<Txid> = block.txdata[1..].iter().map(txid).collect();
    assert_eq!(order, [&high, &low, &parent, &child].map(txid));
    let fees = Amount::from_sat(500 + 9_000 + 400 + 20_000);
    let subsidy = crate::regtest::validate::subsidy(fixture.height());
    assert_eq!(block.txdata[0].output[0].value, subsidy + fees);
}

/// A transaction with many outputs, and one that spends each of them with padding: weight for full
/// blocks.
fn fan_out(fixture: &Fixture, funds: &Funds, outputs: usize) -> Transaction {
    let value = (funds.output.value - Amount::from_sat(100_000)) / outputs as u64;
    let mut draft: Draft = fixture.draft(funds);
    draft.outputs[0].value = value;
    draft.outputs = vec![draft.outputs[0].clone(); outputs];
    fixture.key.sign(&draft)
}

#[test]
fn a_block_takes_what_it_has_room_for_and_the_estimate_says_what_the_rest_lacks() {
    let mut fixture = Fixture::with_ripe(1);
    // 12 that weigh 390,000 each: 10 fit into a block.
    let fan = fan_out(&fixture, &fixture.coinbase(1), 12);
    fixture.accept(&fan).unwrap();
    fixture.mine(1);
    assert_eq!(
        fixture.chain.feerate_within(1).unwrap(),
        RELAY_FEE_SAT_PER_KVB
    );
    let padding = bitcoin::ScriptBuf::from_bytes(vec![0x6a; 97_200]);
    for vout in 0..12_u32 {
        let funds = funds_of(&fan, vout);
        let mut draft = fixture.draft(&funds);
        draft.outputs[0].value =
            funds.output.value - Amount::from_sat(200_000 + u64::from(vout) * 10_000);
        draft.outputs[0].script_pubkey = padding.clone();
        fixture.accept(&fixture.key.sign(&draft)).unwrap();
    }
    let entries = fixture.chain.store.pool_entries().unwrap();
    // The two that pay least find no room; to be in the next block is to pay more than the second.
    let rate = entries[1].fee.to_sat() * 1_000 / entries[1].vsize;
    assert_eq!(fixture.chain.feerate_within(1).unwrap(), rate + 1);
    assert_eq!(
        fixture.chain.feerate_within(2).unwrap(),
        RELAY_FEE_SAT_PER_KVB
    );
    fixture.mine(1);
    assert_eq!(fixture.waiting(), [entries[0].txid, entries[1].txid]);
    assert!(fixture.active_block(fixture.height()).weight() <= bitcoin::Weight::MAX_BLOCK);
    fixture.mine(1);
    assert!(fixture.waiting().is_empty());
}
