//! Electrum servers that fail in ways that no real one does when a test wants it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcoin::OutPoint;
use serde_json::{Value, json};

use super::electrum::config;
use super::fake_electrum::{Blocks, Fake, Says, pass, transaction};
use super::open_script;
use crate::client::{BroadcastError, CallError, ChainClient, Electrum, ElectrumConfig};

const BROADCAST: &str = "blockchain.transaction.broadcast";
const PACKAGE: &str = "blockchain.transaction.broadcast_package";

/// A server that takes what is sent, and hangs up before it says so.
async fn takes_and_hangs_up(blocks: &Arc<Blocks>) -> Fake {
    Fake::start(blocks, |method, _| {
        matches!(method, BROADCAST | PACKAGE).then_some(Says::HangsUp)
    })
    .await
}

/// A server that refuses what is sent.
async fn refuses(blocks: &Arc<Blocks>, why: &'static str) -> Fake {
    Fake::start(blocks, move |method, _| {
        matches!(method, BROADCAST | PACKAGE).then_some(Says::Error(1, why))
    })
    .await
}

pub(super) fn config_of(servers: &[&Fake]) -> ElectrumConfig {
    let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    config(&urls, None)
}

fn client(servers: &[&Fake]) -> ChainClient {
    ChainClient::of_electrum(config_of(servers)).unwrap()
}

#[tokio::test]
async fn what_one_server_may_have_is_not_refused_though_the_next_one_refuses_it() {
    let blocks = Arc::new(Blocks::paying(&open_script(), 1));
    let parent = transaction(OutPoint::null(), open_script());
    let child = transaction(OutPoint::new(parent.compute_txid(), 0), open_script());

    let first = takes_and_hangs_up(&blocks).await;
    let second = refuses(&blocks, "excessive resource usage").await;
    let unsure = client(&[&first, &second]).broadcast(&parent).await;
    assert_eq!((first.asked(BROADCAST), second.asked(BROADCAST)), (1, 1));
    let Err(BroadcastError::Unavailable(cause @ CallError::Electrum(_))) = unsure else {
        panic!("{unsure:?}");
    };
    let text = cause.to_string();
    for told in [&first.url(), &second.url(), "excessive resource usage"] {
        assert!(text.contains(told), "{text}");
    }

    // Nor is a package, whether it or one of its transactions was on the way.
    let package = [parent.clone(), child];
    let first = takes_and_hangs_up(&blocks).await;
    let unsure = client(&[&first, &second]).broadcast_package(&package).await;
    assert_eq!((first.asked(PACKAGE), first.asked(BROADCAST)), (1, 0));
    let unavailable = matches!(unsure, Err(BroadcastError::Unavailable(_)));
    assert!(unavailable, "{unsure:?}");
    let last = serde_json::to_value(bitcoin::consensus::encode::serialize_hex(&package[1]));
    let last = last.unwrap();
    let first = Fake::start(&blocks, move |method, params| match method {
        BROADCAST if params[0] == last => Some(Says::HangsUp),
        BROADCAST => Some(Says::Error(1, "excessive resource usage")),
        _ => None,
    });
    let first = first.await;
    let unsure = client(&[&first, &second]).broadcast_package(&package).await;
    assert_eq!((first.asked(BROADCAST), second.asked(PACKAGE)), (2, 1));
    let unavailable = matches!(unsure, Err(BroadcastError::Unavailable(_)));
    assert!(unavailable, "{unsure:?}");

    // That it waits already is what was wanted; and a server that was the only one to be asked refuses.
    let first = takes_and_hangs_up(&blocks).await;
    let knows = refuses(&blocks, "txn-already-in-mempool").await;
    client(&[&first, &knows]).broadcast(&parent).await.unwrap();
    let refused = client(&[&second]).broadcast(&parent).await;
    let is_refused = matches!(refused, Err(BroadcastError::Refused { code: 1, .. }));
    assert!(is_refused, "{refused:?}");
}

#[tokio::test]
async fn a_package_of_which_nothing_was_on_the_way_is_refused_or_sent_one_by_one() {
    let blocks = Arc::new(Blocks::paying(&open_script(), 1));
    let parent = transaction(OutPoint::null(), open_script());
    let child = transaction(OutPoint::new(parent.compute_txid(), 0), open_script());
    let package = [parent, child];
    let unwilling = refuses(&blocks, "missing inputs").await;
    let refused = client(&[&unwilling]).broadcast_package(&package).await;
    let is_refused = matches!(refused, Err(BroadcastError::Refused { code: 1, .. }));
    assert!(is_refused, "{refused:?}");

    // One that does not know packages takes what another may have already.
    let first = takes_and_hangs_up(&blocks).await;
    let second = Fake::start(&blocks, |method, _| {
        (method == BROADCAST).then(|| Says::Result(json!("00".repeat(32))))
    });
    let second = second.await;
    let sent = client(&[&first, &second]).broadcast_package(&package).await;
    sent.unwrap();
    assert_eq!((first.asked(PACKAGE), second.asked(BROADCAST)), (1, 2));
}

#[tokio::test]
async fn a_server_that_stays_behind_what_was_shown_before_is_given_up_after_a_minute() {
    let blocks = Arc::new(Blocks::paying(&open_script(), 6));
    let tip = Arc::new(AtomicUsize::new(6));
    let (known, told) = (blocks.clone(), tip.clone());
    let first = Fake::start(&blocks, move |method, _| {
        let is_tip = method == "blockchain.headers.subscribe";
        is_tip.then(|| Says::Result(known.tip(told.load(Ordering::Relaxed))))
    });
    let first = first.await;
    let second = Fake::start(&blocks, |_, _| None).await;
    // Not a whole client, which compares the two too.
    let electrum = Electrum::new(config_of(&[&first, &second])).unwrap();
    let best = async || electrum.best().await.unwrap().height;
    assert_eq!(best().await, 6);

    // For a while it may be: it has more again before that is over.
    for _ in 0..2 {
        tip.store(4, Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(best().await, 4);
            pass(Duration::from_secs(40)).await;
        }
        tip.store(6, Ordering::Relaxed);
        assert_eq!(best().await, 6);
    }
    assert_eq!(electrum.troubles(), [""; 0]);

    tip.store(4, Ordering::Relaxed);
    assert_eq!(best().await, 4);
    pass(Duration::from_secs(40)).await;
    assert_eq!(best().await, 4);
    pass(Duration::from_secs(21)).await;
    assert_eq!(best().await, 6);
    let troubles = electrum.troubles().join("; ");
    for told in [&first.url(), "its best block 4 is not the best"] {
        assert!(troubles.contains(told), "{troubles}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_estimates_leaves_them_to_another_and_is_asked_for_all_else() {
    let blocks = Arc::new(Blocks::paying(&open_script(), 1));
    let says = |estimate: fn() -> Says| {
        move |method: &str, _: &Value| match method {
            "blockchain.estimatefee" => Some(estimate()),
            "blockchain.relayfee" => Some(Says::Result(json!(0.000_01))),
            _ => None,
        }
    };
    let unwilling = Fake::start(&blocks, says(|| Says::Error(2, "fee estimation disabled"))).await;
    let willing = Fake::start(&blocks, says(|| Says::Result(json!(0.000_6)))).await;
    let client = client(&[&unwilling, &willing]);
    client.best_block().await.unwrap();
    client.refresh_fees().await.unwrap();
    assert_eq!(client.fees().urgent_sat_per_kw(), 15_000);
    assert!(!client.fees().are_refused());
    assert_eq!(client.troubles(), [""; 0]);
    client.best_block().await.unwrap();
    assert_eq!(willing.asked("blockchain.headers.subscribe"), 0);
}
