//! `autoclean`: old records go, into the archive first, and what they proved stays true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Chain, Node, PATIENCE, wait_for};

fn hash_of(number: u64) -> String {
    format!("{number:064x}")
}

/// A payment to ourselves that is recorded and refused at once.
fn refuse_one(node: &Node, number: u64) {
    let params = json!({"route": [], "payment_hash": hash_of(number), "amount_msat": 1000});
    assert_eq!(node.refused("sendpay", params).code, 203);
}

fn numbers(records: &[Value]) -> BTreeSet<u64> {
    let number = |record: &Value| record["created_index"].as_u64().unwrap();
    records.iter().map(number).collect()
}

/// The archived payments, by number; each line is whole, and a record that is there twice is the
/// same both times.
fn archived(path: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut payments = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let payment = line["payment"].clone();
        let number = payment["created_index"].as_u64().unwrap();
        if let Some(before) = payments.insert(number, payment.clone()) {
            assert_eq!(before, payment, "archived twice, and changed");
        }
    }
    payments
}

/// Brings the chain's time to the clock's, which takes most of eleven blocks.
fn pass_time(chain: &Chain) {
    chain.mine(6);
}

#[test]
fn failed_records_go_to_the_archive_and_complete_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let settings = [
        "autoclean.failed_after=1s",
        "autoclean.cycle=1",
        "autoclean.archive=old/failed.jsonl",
        "log.level=debug",
    ];
    std::fs::create_dir_all(dir.path().join("alice/old")).unwrap();
    let node = Node::start(dir.path(), "alice", &chain, &settings);
    let invoice = node.invoice("ours", 1000);
    node.call("pay", json!([invoice["bolt11"]]));
    for number in 1..=3 {
        refuse_one(&node, number);
    }
    let before = node.payments();
    // The clock alone removes nothing: the chain's time is years ago, and some cycles find nothing.
    let cycles = || node.log().matches("no record is old enough").count();
    let had = cycles();
    wait_for("some cycles", || (cycles() >= had + 3).then_some(()));
    assert_eq!(node.payments(), before);
    assert_eq!(
        node.call("wait", json!(["sendpays", "deleted", 0]))["deleted"],
        0
    );
    wait_for("the failed records to go", || {
        pass_time(&chain);
        (node.payments().len() == 1).then_some(())
    });
    assert_eq!(node.payments(), before[..1]);
    assert_eq!(
        node.call("wait", json!(["sendpays", "deleted", 3]))["deleted"],
        3
    );
    let archive = node.dir.join("old/failed.jsonl");
    let archived: Vec<Value> = archived(&archive).into_values().collect();
    assert_eq!(archived, before[1..]);
    // Removed, and still not to be sent again.
    let again = json!({
        "route": [], "payment_hash": hash_of(1), "amount_msat": 1000, "groupid": 1,
    });
    assert_eq!(node.refused("sendpay", again).code, 201);
}

#[test]
fn a_completed_payment_whose_record_went_is_not_paid_again() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let settings = ["autoclean.complete_after=1", "autoclean.cycle=1"];
    let node = Node::start(dir.path(), "alice", &chain, &settings);
    let invoice = node.invoice("ours", 1000);
    let paid = node.call("pay", json!([invoice["bolt11"]]));
    refuse_one(&node, 1);
    wait_for("the complete record to go", || {
        pass_time(&chain);
        (node.payments().len() == 1).then_some(())
    });
    assert_eq!(node.payments()[0]["status"], "failed");
    let again = node.call("pay", json!([invoice["bolt11"]]));
    assert_eq!(again["payment_preimage"], paid["payment_preimage"]);
    assert_eq!(node.payments().len(), 1, "no new record");
}

#[test]
fn no_record_is_lost_between_the_ledger_and_the_archive_when_the_node_is_killed() {
    const RECORDS: u64 = 600;
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let settings = [
        "autoclean.failed_after=1",
        "autoclean.cycle=1",
        "autoclean.archive=archive.jsonl",
    ];
    let mut node = Node::start(dir.path(), "alice", &chain, &settings);
    std::thread::scope(|scope| {
        for sender in 0..10 {
            let node = &node;
            scope.spawn(move || {
                for number in 0..RECORDS / 10 {
                    refuse_one(node, 1 + sender * RECORDS + number);
                }
            });
        }
    });
    let before = node.payments();
    let by_number: BTreeMap<u64, Value> = numbers(&before).into_iter().zip(before).collect();
    assert_eq!(by_number.len() as u64, RECORDS);
    let archive = node.dir.join("archive.jsonl");
    let deadline = std::time::Instant::now() + PATIENCE;
    let (mut kills, mut cut_short) = (0, 0);
    loop {
        assert!(std::time::Instant::now() < deadline, "not removed in time");
        pass_time(&chain);
        let listed = node.payments();
        if listed.is_empty() {
            break;
        }
        // The instant of the death is the subject: a while after the first of a round went.
        wait_for("the next removal", || {
            pass_time(&chain);
            (node.payments().len() < listed.len()).then_some(())
        });
        std::thread::sleep(Duration::from_micros(1700 * kills));
        node.kill();
        kills += 1;
        let whole = archived_whole(&archive);
        node.resume();
        let listed = numbers(&node.payments());
        for number in by_number.keys() {
            let kept = listed.contains(number) || whole.contains_key(number);
            assert!(kept, "record {number} is lost");
        }
        cut_short += usize::from(!listed.is_empty());
    }
    println!("{kills} kills, {cut_short} of them with records left");
    assert!(
        cut_short > 0,
        "a run that removed all at once proves nothing"
    );
    assert_eq!(archived(&archive), by_number);
    let deleted = node.call("wait", json!(["sendpays", "deleted", 0]));
    assert_eq!(deleted["deleted"], RECORDS, "each was removed once");
}

/// As `archived`, of a file that may end in a line that was cut short.
fn archived_whole(path: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = line["payment"]["created_index"].as_u64().unwrap();
        (number, line["payment"].clone())
    });
    lines.collect()
}
