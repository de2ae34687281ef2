//! Every rule on transactions, each with one that differs from an accepted one in that alone.

use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::{OP_CLTV, OP_CSV, OP_DROP};
use bitcoin::script::Builder;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Witness};

use super::{Draft, FEE, Fixture, Funds, Key, assert_reason, funds_of};
use crate::regtest::transaction::{check_form, check_spent, is_final};

/// One broken rule: what is changed, what the mempool says, what a block with it is refused for
/// (none: blocks may have such a transaction).
struct Refusal {
    name: &'static str,
    /// Brings the transaction to just within the rule.
    within: fn(&Fixture, &mut Draft),
    /// And just beyond.
    beyond: fn(&Fixture, &mut Draft),
    mempool: &'static str,
    block: Option<&'static str>,
}

/// Draws on the coinbase at this height, which is long ripe.
const RIPE: u32 = 1;

fn unchanged(_: &Fixture, _: &mut Draft) {}

fn set_sequence(draft: &mut Draft, sequence: u32) {
    draft.inputs[0].1 = Sequence(sequence);
}

/// Draws on a payment four blocks deep, with a relative time lock of this many units of 512 s. Its
/// time counts from the median time of the block before it: 4 * 600 s ago.
fn time_lock(fixture: &Fixture, draft: &mut Draft, units: u32) {
    let payment = &fixture.active_block(fixture.height() - 3).txdata[1];
    draft.inputs[0].0 = funds_of(payment, 0);
    draft.outputs[0].value = draft.inputs[0].0.output.value - FEE;
    set_sequence(draft, (1 << 22) | units);
}

fn table() -> Vec<Refusal> {
    vec![
        Refusal {
            name: "an output that is not there",
            within: unchanged,
            beyond: |_, draft| draft.inputs[0].0.outpoint.vout = 7,
            mempool: "bad-txns-inputs-missingorspent",
            block: Some("bad-txns-inputs-missingorspent"),
        },
        Refusal {
            name: "an output that is spent",
            within: unchanged,
            beyond: |fixture, draft| {
                draft.inputs[0].0 = fixture.coinbase(2);
                // Not the very payment that spent it.
                draft.outputs[0].value -= Amount::from_sat(1);
            },
            mempool: "bad-txns-inputs-missingorspent",
            block: Some("bad-txns-inputs-missingorspent"),
        },
        Refusal {
            name: "more out than in",
            within: |_, draft| draft.outputs[0].value = draft.inputs[0].0.output.value - FEE,
            beyond: |_, draft| {
                draft.outputs[0].value = draft.inputs[0].0.output.value + Amount::from_sat(1);
            },
            mempool: "bad-txns-in-belowout, value in (",
            block: Some("bad-txns-in-belowout"),
        },
        Refusal {
            name: "a coinbase that is one block too young",
            within: |fixture, draft| draft.inputs[0].0 = fixture.coinbase(fixture.height() - 99),
            beyond: |fixture, draft| draft.inputs[0].0 = fixture.coinbase(fixture.height() - 98),
            mempool: "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 99",
            block: Some("bad-txns-premature-spend-of-coinbase"),
        },
        Refusal {
            name: "a height lock that is one block away",
            within: |fixture, draft| {
                set_sequence(draft, 0xffff_fffe);
                draft.lock_time = fixture.height();
            },
            beyond: |fixture, draft| {
                set_sequence(draft, 0xffff_fffe);
                draft.lock_time = fixture.height() + 1;
            },
            mempool: "non-final",
            block: Some("bad-txns-nonfinal, non-final transaction"),
        },
        Refusal {
            name: "a time lock that is the median time past (BIP 113)",
            within: |fixture, draft| {
                set_sequence(draft, 0xffff_fffe);
                draft.lock_time = fixture.chain.next_place().unwrap().median_time_past - 1;
            },
            beyond: |fixture, draft| {
                set_sequence(draft, 0xffff_fffe);
                draft.lock_time = fixture.chain.next_place().unwrap().median_time_past;
            },
            mempool: "non-final",
            block: Some("bad-txns-nonfinal, non-final transaction"),
        },
        Refusal {
            name: "a relative height lock that is one block away (BIP 68)",
            within: |fixture, draft| set_sequence(draft, fixture.height()),
            beyond: |fixture, draft| set_sequence(draft, fixture.height() + 1),
            mempool: "non-BIP68-final",
            block: Some("bad-txns-nonfinal, contains a non-BIP68-final transaction"),
        },
        Refusal {
            name: "a relative time lock that is 512 seconds away (BIP 68)",
            within: |fixture, draft| time_lock(fixture, draft, 4),
            beyond: |fixture, draft| time_lock(fixture, draft, 5),
            mempool: "non-BIP68-final",
            block: Some("bad-txns-nonfinal, contains a non-BIP68-final transaction"),
        },
        Refusal {
            name: "a fee below the relay fee",
            within: |_, draft| {
                draft.outputs[0].value = draft.inputs[0].0.output.value - Amount::from_sat(110)
            },
            beyond: |_, draft| {
                draft.outputs[0].value = draft.inputs[0].0.output.value - Amount::from_sat(109)
            },
            mempool: "min relay fee not met, 109 < 110",
            block: None,
        },
        Refusal {
            name: "dust",
            within: |fixture, draft| split(fixture, draft, 294),
            beyond: |fixture, draft| split(fixture, draft, 293),
            mempool: "dust",
            block: None,
        },
        Refusal {
            name: "two inputs that are the same",
            within: |fixture, draft| draft.inputs.push((fixture.coinbase(3), Sequence::MAX)),
            beyond: |_, draft| draft.inputs.push(draft.inputs[0].clone()),
            mempool: "bad-txns-inputs-duplicate",
            block: Some("bad-txns-inputs-duplicate"),
        },
        Refusal {
            name: "no output",
            within: unchanged,
            beyond: |_, draft| draft.outputs.clear(),
            mempool: "bad-txns-vout-empty",
            block: Some("bad-txns-vout-empty"),
        },
        Refusal {
            name: "an output above 21 million bitcoin",
            within: unchanged,
            beyond: |_, draft| draft.outputs[0].value = Amount::MAX_MONEY + Amount::from_sat(1),
            mempool: "bad-txns-vout-toolarge",
            block: Some("bad-txns-vout-toolarge"),
        },
        Refusal {
            name: "an output whose amount is negative",
            within: unchanged,
            beyond: |_, draft| draft.outputs[0].value = Amount::from_sat(u64::MAX),
            mempool: "bad-txns-vout-negative",
            block: Some("bad-txns-vout-negative"),
        },
        Refusal {
            name: "outputs above 21 million bitcoin together",
            within: unchanged,
            beyond: |_, draft| {
                draft.outputs[0].value = Amount::MAX_MONEY;
                draft.outputs.push(draft.outputs[0].clone());
            },
            mempool: "bad-txns-txouttotal-toolarge",
            block: Some("bad-txns-txouttotal-toolarge"),
        },
        Refusal {
            name: "a null input beside another",
            within: |fixture, draft| draft.inputs.push((fixture.coinbase(3), Sequence::MAX)),
            beyond: |fixture, draft| {
                let null = Funds {
                    outpoint: OutPoint::null(),
                    ..fixture.coinbase(3)
                };
                draft.inputs.push((null, Sequence::MAX));
            },
            mempool: "bad-txns-prevout-null",
            block: Some("bad-txns-prevout-null"),
        },
        Refusal {
            name: "a size that a node of the merkle tree could have",
            within: |_, draft| {
                draft.outputs[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a; 5])
            },
            beyond: |_, draft| {
                draft.outputs[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a; 4])
            },
            mempool: "tx-size-small",
            block: None,
        },
    ]
}

/// Pays this many satoshi to an output of its own.
fn split(fixture: &Fixture, draft: &mut Draft, sat: u64) {
    let value = Amount::from_sat(sat);
    draft.outputs[0].value -= value;
    draft.outputs.push(TxOut {
        value,
        script_pubkey: fixture.key.p2wpkh(),
    });
}

#[test]
fn each_rule_refuses_what_is_just_beyond_it() {
    let mut fixture = Fixture::with_ripe(20);
    fixture
        .accept(&fixture.payment(&fixture.coinbase(2)))
        .unwrap();
    fixture.mine(4);
    for rule in table() {
        let base = fixture.draft(&fixture.coinbase(RIPE));
        let mut within = base.clone();
        (rule.within)(&fixture, &mut within);
        let within = fixture.key.sign(&within);
        fixture
            .try_accept(&within)
            .unwrap_or_else(|refusal| panic!("{}: {refusal}", rule.name));
        let mut beyond = base;
        (rule.beyond)(&fixture, &mut beyond);
        let beyond = fixture.key.sign(&beyond);
        assert_reason(fixture.try_accept(&beyond), rule.mempool, rule.name);
        if let Some(reason) = rule.block {
            assert_reason(
                fixture.submit(&fixture.block_with(&[beyond])),
                reason,
                rule.name,
            );
        }
        assert!(
            fixture.waiting().is_empty(),
            "{}: a trial changes nothing",
            rule.name
        );
    }
}

#[test]
fn blocks_may_have_what_relay_refuses() {
    for rule in table().into_iter().filter(|rule| rule.block.is_none()) {
        let mut fixture = Fixture::with_ripe(2);
        let spent = fixture.coinbase(RIPE);
        fixture.mine(20);
        let mut beyond = fixture.draft(&spent);
        (rule.beyond)(&fixture, &mut beyond);
        let block = fixture.block_with(&[fixture.key.sign(&beyond)]);
        fixture
            .submit(&block)
            .unwrap_or_else(|refusal| panic!("{}: {refusal}", rule.name));
    }
}

/// Asserts that mempool and block refuse a transaction for its script.
#[track_caller]
fn assert_script_fails(fixture: &Fixture, transaction: &Transaction, what: &str) {
    let reason = "mandatory-script-verify-flag-failed";
    assert_reason(fixture.try_accept(transaction), reason, what);
    assert_reason(
        fixture.submit(&fixture.block_with(std::slice::from_ref(transaction))),
        reason,
        what,
    );
}

#[test]
fn a_signature_must_be_the_owners_and_of_this_transaction() {
    let fixture = Fixture::with_ripe(1);
    let draft = fixture.draft(&fixture.coinbase(RIPE));
    let good = fixture.key.sign(&draft);
    fixture.try_accept(&good).unwrap();

    assert_script_fails(&fixture, &Key::new(2).sign(&draft), "another key");
    assert_script_fails(&fixture, &draft.unsigned(), "no witness");
    let mut changed = good.clone();
    changed.output[0].value -= Amount::from_sat(1);
    assert_script_fails(&fixture, &changed, "an output changed after signing");
    let mut other_amount = draft.clone();
    other_amount.inputs[0].0.output.value -= Amount::from_sat(1);
    assert_script_fails(
        &fixture,
        &fixture.key.sign(&other_amount),
        "another amount signed",
    );
}

#[test]
fn taproot_is_checked_with_all_spent_outputs() {
    let mut fixture = Fixture::with_ripe(2);
    let mut to_taproot = fixture.draft(&fixture.coinbase(1));
    to_taproot.outputs[0].script_pubkey = fixture.key.p2tr();
    let funding = fixture.key.sign(&to_taproot);
    fixture.accept(&funding).unwrap();
    fixture.mine(1);

    let mut draft = fixture.draft(&funds_of(&funding, 0));
    draft.inputs.push((fixture.coinbase(2), Sequence::MAX));
    fixture.try_accept(&fixture.key.sign(&draft)).unwrap();
    assert_script_fails(&fixture, &Key::new(2).sign(&draft), "another key");
    // A taproot signature covers the amounts of the other inputs, too.
    let mut other_amount = draft.clone();
    other_amount.inputs[1].0.output.value -= Amount::from_sat(1);
    let mut wrong = fixture.key.sign(&other_amount);
    wrong.input[1].witness = fixture.key.sign(&draft).input[1].witness.clone();
    assert_script_fails(&fixture, &wrong, "another amount of the other input signed");
}

#[test]
fn locks_in_scripts_are_checked() {
    let mut fixture = Fixture::with_ripe(2);
    let cltv = Builder::new().push_int(50).push_opcode(OP_CLTV);
    let csv = Builder::new().push_int(3).push_opcode(OP_CSV);
    let scripts = [cltv, csv].map(|script| {
        script
            .push_opcode(OP_DROP)
            .push_opcode(OP_TRUE)
            .into_script()
    });
    let mut funding = fixture.draft(&fixture.coinbase(1));
    funding.outputs = scripts
        .iter()
        .map(|script| TxOut {
            value: Amount::ONE_BTC,
            script_pubkey: script.to_p2wsh(),
        })
        .collect();
    let funding = fixture.key.sign(&funding);
    fixture.accept(&funding).unwrap();
    fixture.mine(5);

    let spend = |vout: u32, lock_time: u32, sequence: u32| {
        let mut draft = fixture.draft(&funds_of(&funding, vout));
        draft.lock_time = lock_time;
        set_sequence(&mut draft, sequence);
        let mut transaction = draft.unsigned();
        transaction.input[0].witness = Witness::from_slice(&[scripts[vout as usize].as_bytes()]);
        transaction
    };
    fixture.try_accept(&spend(0, 50, 0xffff_fffe)).unwrap();
    assert_script_fails(
        &fixture,
        &spend(0, 49, 0xffff_fffe),
        "CLTV with too low a lock time",
    );
    assert_script_fails(
        &fixture,
        &spend(0, 50, 0xffff_ffff),
        "CLTV with the lock time switched off",
    );
    fixture.try_accept(&spend(1, 0, 3)).unwrap();
    assert_script_fails(
        &fixture,
        &spend(1, 0, 2),
        "CSV with too short a relative lock",
    );
}

#[test]
fn relative_locks_bind_from_version_2_only() {
    let fixture = Fixture::with_ripe(1);
    let mut draft = fixture.draft(&fixture.coinbase(RIPE));
    set_sequence(&mut draft, 60_000);
    assert_reason(
        fixture.try_accept(&fixture.key.sign(&draft)),
        "non-BIP68-final",
        "version 2",
    );
    draft.version = 1;
    fixture.try_accept(&fixture.key.sign(&draft)).unwrap();
    draft.version = 2;
    set_sequence(&mut draft, (1 << 31) | 60_000);
    fixture.try_accept(&fixture.key.sign(&draft)).unwrap();
}

#[test]
fn the_final_sequence_switches_the_lock_time_off() {
    let fixture = Fixture::with_ripe(1);
    let mut draft = fixture.draft(&fixture.coinbase(RIPE));
    draft.lock_time = 499_999_999;
    assert!(is_final(&draft.unsigned(), 1, 0));
    set_sequence(&mut draft, 0xffff_fffe);
    assert!(!is_final(&draft.unsigned(), 1, 0));
}

#[test]
fn sizes_are_bounded() {
    let fixture = Fixture::with_ripe(1);
    let padded = |bytes: usize| {
        let mut draft = fixture.draft(&fixture.coinbase(RIPE));
        let value = draft.outputs[0].value - Amount::from_sat(1_000_000);
        // OP_RETURN: no dust, whatever its size.
        draft.outputs[0] = TxOut {
            value,
            script_pubkey: ScriptBuf::from_bytes(vec![0x6a; bytes]),
        };
        fixture.key.sign(&draft)
    };
    fixture.try_accept(&padded(99_800)).unwrap();
    assert_reason(
        fixture.try_accept(&padded(100_000)),
        "tx-size",
        "weight above 400,000",
    );
    let reason = "bad-txns-oversize";
    assert!(check_form(&padded(999_000)).is_ok());
    assert_eq!(check_form(&padded(1_000_001)).unwrap_err().reason(), reason);
    // A block has no room for such a transaction, so the block's own size is what shows first.
    assert_reason(
        fixture.submit(&fixture.block_with(&[padded(1_000_001)])),
        "bad-blk-length",
        reason,
    );
}

#[test]
fn inputs_above_21_million_bitcoin_together_are_refused() {
    let fixture = Fixture::with_ripe(1);
    let transaction = fixture.payment(&fixture.coinbase(RIPE));
    let coin = fixture
        .chain
        .store
        .coin(&fixture.coinbase(RIPE).outpoint)
        .unwrap()
        .unwrap();
    let mut huge = coin.clone();
    huge.output.value = Amount::MAX_MONEY;
    assert!(check_spent(&transaction, std::slice::from_ref(&huge), 200).is_ok());
    let refusal = check_spent(&transaction, &[huge, coin], 200).unwrap_err();
    assert_eq!(refusal.reason(), "bad-txns-inputvalues-outofrange");
}
