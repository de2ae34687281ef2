//! Histories of scripts that are not what they should be: too long, invented, or slow to be shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::electrum_faults::config_of;
use super::fake_electrum::{Blocks, Fake, Says, transaction};
use super::{address, other_address};
use crate::client::{Confirmed, Electrum, ElectrumError, Found};

const HISTORY: &str = "blockchain.scripthash.get_history";
const GET: &str = "blockchain.transaction.get";
const MERKLE: &str = "blockchain.transaction.get_merkle";

/// Requests that are under way at once.
const BATCH: usize = 50;

/// As long as a server may take for what is asked at once, almost.
const LATE: Duration = Duration::from_secs(15);

/// Longer than any look that proves little.
const LONG: Duration = Duration::from_secs(200);

/// The script that is watched.
fn script() -> ScriptBuf {
    address().script_pubkey()
}

/// A txid of nothing.
fn invented(number: usize) -> Txid {
    Txid::hash(&number.to_le_bytes())
}

/// A transaction that has nothing to do with the script.
fn unrelated(number: usize) -> Transaction {
    let spent = OutPoint::new(invented(number), 0);
    transaction(spent, other_address().script_pubkey())
}

/// A history as a server tells it.
fn history(entries: impl IntoIterator<Item = (Txid, usize)>) -> Value {
    let line = |(txid, height)| json!({"tx_hash": txid, "height": height});
    entries.into_iter().map(line).collect()
}

/// What the blocks have for the script: the first transaction of each.
fn true_history(blocks: &Blocks, count: usize) -> Value {
    let first = |height: usize| blocks.transactions(height)[0].compute_txid();
    history((1..=count).map(|height| (first(height), height)))
}

async fn honest(blocks: &Arc<Blocks>, history: Value) -> Fake {
    Fake::start(blocks, move |method, _| {
        (method == HISTORY).then(|| Says::Result(history.clone()))
    })
    .await
}

/// Looks up the script, with the best block first, as a node does.
async fn look(electrum: &Electrum, found: &Found) -> Result<Vec<Confirmed>, ElectrumError> {
    let best = electrum.best().await?;
    electrum.confirmed(&[script()], best.height, found).await
}

/// The first server lies, and the second has the three blocks: what is in them is found, and the trouble
/// with the first is told. How long it took.
async fn the_second_is_asked(first: &Fake, blocks: &Arc<Blocks>, told: &str) -> Duration {
    let second = honest(blocks, true_history(blocks, 3)).await;
    let electrum = Electrum::new(config_of(&[first, &second])).unwrap();
    let begun = Instant::now();
    let found = look(&electrum, &Found::new()).await.unwrap();
    let heights: Vec<u32> = found.iter().map(|one| one.height).collect();
    assert_eq!(heights, [1, 2, 3]);
    let troubles = electrum.troubles().join("; ");
    for told in [&first.url(), told] {
        assert!(troubles.contains(told), "{troubles}");
    }
    begun.elapsed()
}

#[tokio::test]
async fn of_invented_transactions_no_more_are_asked_for_than_at_once() {
    let blocks = Arc::new(Blocks::paying(&script(), 3));
    let other = serialize_hex(&unrelated(0));
    let long = history((0..1_000).map(|number| (invented(number), 2)));
    let first = Fake::start(&blocks, move |method, _| match method {
        HISTORY => Some(Says::Result(long.clone())),
        GET => Some(Says::Result(json!(other))),
        _ => None,
    });
    let first = first.await;
    the_second_is_asked(&first, &blocks, "another transaction for").await;
    assert_eq!((first.asked(GET), first.asked(MERKLE)), (BATCH, 0));
}

#[tokio::test]
async fn a_history_of_what_has_nothing_to_do_with_the_script_is_not_read_to_its_end() {
    let blocks = Arc::new(Blocks::paying(&script(), 3));
    let by_txid = |one: Transaction| (one.compute_txid(), one);
    let all: HashMap<Txid, Transaction> = (0..2_000).map(unrelated).map(by_txid).collect();
    let long = history(all.keys().map(|txid| (*txid, 2)));
    let first = Fake::start(&blocks, move |method, params| match method {
        HISTORY => Some(Says::Result(long.clone())),
        GET => {
            let txid: Txid = params[0].as_str().unwrap().parse().unwrap();
            Some(Says::Result(json!(serialize_hex(&all[&txid]))))
        }
        _ => None,
    });
    let first = first.await;
    the_second_is_asked(&first, &blocks, "nothing to do with").await;
    let asked = (first.asked(GET), first.asked(MERKLE));
    assert_eq!(asked, (3 * BATCH, 0));
}

#[tokio::test]
async fn a_look_that_proves_nothing_of_use_ends_though_each_answer_comes_in_time() {
    let mut blocks = Blocks::paying(&script(), 2);
    // Each spends the one before it, and all are in the block that the server says.
    let mut chain = vec![unrelated(0)];
    for _ in 1..600 {
        let spent = OutPoint::new(chain.last().unwrap().compute_txid(), 0);
        chain.push(transaction(spent, other_address().script_pubkey()));
    }
    let long = history(chain.iter().map(|one| (one.compute_txid(), 3)));
    blocks.mine(&script(), chain);
    let blocks = Arc::new(blocks);
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let first = Fake::start(&blocks, move |method, _| {
        let count = match method {
            HISTORY => return Some(Says::Result(long.clone())),
            GET => &counts[0],
            MERKLE => &counts[1],
            _ => return None,
        };
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        (count % BATCH == 0).then_some(Says::Late(LATE))
    });
    let first = first.await;
    let took = the_second_is_asked(&first, &blocks, "proven 0 transactions").await;
    assert!(took < LONG, "{took:?}");
}

#[tokio::test]
async fn a_slow_server_that_proves_what_there_is_may_take_longer() {
    let blocks = Arc::new(Blocks::paying(&script(), 300));
    let all = true_history(&blocks, 300);
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let slow = Fake::start(&blocks, move |method, _| {
        let count = match method {
            HISTORY => return Some(Says::Result(all.clone())),
            GET => &counts[0],
            MERKLE => &counts[1],
            _ => return None,
        };
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        (count % BATCH == 0).then_some(Says::Late(LATE))
    });
    let slow = slow.await;
    let electrum = Electrum::new(config_of(&[&slow])).unwrap();
    let begun = Instant::now();
    // Without the one that begins, which looks at a first transaction too.
    electrum.best().await.unwrap();
    let found = look(&electrum, &Found::new()).await.unwrap();
    assert_eq!(found.len(), 300);
    assert!(begun.elapsed() > 10 * LATE, "{:?}", begun.elapsed());
    assert_eq!(electrum.troubles(), [""; 0]);
}

#[tokio::test]
async fn a_history_that_is_too_long_is_not_looked_into() {
    let blocks = Arc::new(Blocks::paying(&script(), 3));
    let long = history((0..50_001).map(|number| (invented(number), 2)));
    let first = honest(&blocks, long).await;
    the_second_is_asked(&first, &blocks, "a history of more than 50000 transactions").await;
    assert_eq!(first.asked(GET), 0);
}

#[tokio::test]
async fn histories_that_are_too_long_together_are_not_looked_into() {
    let blocks = Arc::new(Blocks::paying(&script(), 3));
    let next = AtomicUsize::new(0);
    let server = Fake::start(&blocks, move |method, _| {
        (method == HISTORY).then(|| {
            let first = next.fetch_add(40_000, Ordering::Relaxed);
            let numbers = first..first + 40_000;
            Says::Result(history(numbers.map(|number| (invented(number), 2))))
        })
    });
    let server = server.await;
    let electrum = Electrum::new(config_of(&[&server])).unwrap();
    electrum.best().await.unwrap();
    let scripts = [0, 1, 2].map(|byte| ScriptBuf::from_bytes(vec![byte; 22]));
    let looked = electrum.confirmed(&scripts, 3, &Found::new()).await;
    let text = looked.unwrap_err().to_string() + &electrum.troubles().join("; ");
    assert!(text.contains("more than 100000 transactions"), "{text}");
    assert_eq!(server.asked(GET), 0);
}

#[tokio::test]
async fn answers_that_are_too_long_together_end_the_connection() {
    let blocks = Arc::new(Blocks::paying(&script(), 1));
    // Each is within the limit of a line.
    let long = json!([{"height": 0, "tx_hash": invented(0), "more": " ".repeat(8_000_000)}]);
    let server = honest(&blocks, long);
    let server = server.await;
    let electrum = Electrum::new(config_of(&[&server])).unwrap();
    electrum.best().await.unwrap();
    let scripts: Vec<ScriptBuf> = (0..50_u8)
        .map(|byte| ScriptBuf::from_bytes(vec![byte; 22]))
        .collect();
    let looked = electrum.confirmed(&scripts, 1, &Found::new()).await;
    let text = looked.unwrap_err().to_string() + &electrum.troubles().join("; ");
    assert!(text.contains("more than 64000000 bytes at once"), "{text}");
}

#[tokio::test]
async fn what_spends_is_found_in_whatever_order_and_what_does_neither_is_left_out() {
    let mut blocks = Blocks::paying(&script(), 1);
    let elsewhere = || other_address().script_pubkey();
    let first = blocks.transactions(1)[0].compute_txid();
    let spend = transaction(OutPoint::new(first, 0), elsewhere());
    blocks.mine(&elsewhere(), vec![spend.clone(), unrelated(1)]);
    // In one block with what it spends, and what spends that again.
    let pays = transaction(OutPoint::new(invented(1), 0), script());
    let spends = transaction(OutPoint::new(pays.compute_txid(), 0), elsewhere());
    let again = transaction(OutPoint::new(spends.compute_txid(), 0), elsewhere());
    let same = vec![pays.clone(), spends.clone(), again.clone()];
    blocks.mine(&elsewhere(), same);
    let blocks = Arc::new(blocks);
    let wanted = [
        (first, 1),
        (spend.compute_txid(), 2),
        (pays.compute_txid(), 3),
        (spends.compute_txid(), 3),
    ];
    let strange = [(unrelated(1).compute_txid(), 2), (again.compute_txid(), 3)];
    let told = [&wanted[..], &strange[..]].concat();
    let backwards: Vec<(Txid, usize)> = told.iter().rev().copied().collect();
    for told in [told, backwards] {
        let server = honest(&blocks, history(told)).await;
        let electrum = Electrum::new(config_of(&[&server])).unwrap();
        let found = look(&electrum, &Found::new()).await.unwrap();
        let txid = |one: &Confirmed| one.transaction.compute_txid();
        let txids: Vec<Txid> = found.iter().map(txid).collect();
        assert_eq!(txids, wanted.map(|(txid, _)| txid));

        // What was found already is known to have been paid.
        let known = found.iter().step_by(2);
        let known = known.map(|one| (txid(one), (one.height, one.header.block_hash())));
        let rest = look(&electrum, &known.collect()).await.unwrap();
        let rest: Vec<Txid> = rest.iter().map(txid).collect();
        assert_eq!(rest, [wanted[1].0, wanted[3].0]);
    }
}
