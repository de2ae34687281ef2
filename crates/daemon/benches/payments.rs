//! Payments per second between two `sendpayd` processes over their sockets, `sendpay` plus
//! `waitsendpay` for each: one at a time, and 100 in flight. A whole-process run, no timed test.
//!
//! `cargo bench -p sendpayd --bench payments [-- ONE_AT_A_TIME IN_FLIGHT]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../tests/blackbox/harness.rs"]
mod harness;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use harness::{Chain, Node, direct};
use sendpay_rpc::client::Client;
use serde_json::{Value, json};

/// Above the dust limit at the fallback fee rate, so that every payment is an output of the
/// commitment transactions, as real ones are.
const AMOUNT_MSAT: u64 = 3_000_000;
const IN_FLIGHT: usize = 100;

fn main() {
    let counts: Vec<usize> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let alone = counts.first().copied().unwrap_or(300);
    let together = counts.get(1).copied().unwrap_or(3_000);
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let alice = Node::start(dir.path(), "alice", &chain, &["log.level=warn"]);
    let bob = Node::start(dir.path(), "bob", &chain, &["log.level=warn"]);
    alice.fund(&chain);
    let channel = alice.open_channel(&chain, &bob, 16_000_000);
    run(&alice, &bob, &channel, "warm", 50, 1);
    let one = run(&alice, &bob, &channel, "one", alone, 1);
    let many = run(&alice, &bob, &channel, "many", together, IN_FLIGHT);
    println!("one at a time: {one:.0} payments/s over {alone}");
    println!("{IN_FLIGHT} in flight: {many:.0} payments/s over {together}");
    for node in [&alice, &bob] {
        println!("{}: {}", node.name, cpu(node));
    }
    let complete = alice.call("listsendpays", json!({"status": "complete"}));
    assert_eq!(
        complete["payments"].as_array().unwrap().len(),
        50 + alone + together
    );
}

/// Makes the invoices, then pays them with that many clients at once; payments per second.
fn run(alice: &Node, bob: &Node, channel: &str, name: &str, count: usize, clients: usize) -> f64 {
    let mut client = bob.client();
    let requests: Vec<Value> = (0..count)
        .map(|index| {
            let params = json!([AMOUNT_MSAT, format!("{name}-{index}"), "bench"]);
            let invoice = client.call("invoice", &params).unwrap();
            direct(bob, channel, &invoice, AMOUNT_MSAT)
        })
        .collect();
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| pay_all(&alice.socket(), &requests, &next));
        }
    });
    count as f64 / begun.elapsed().as_secs_f64()
}

fn pay_all(socket: &Path, requests: &[Value], next: &AtomicUsize) {
    let mut client = Client::connect(socket).unwrap();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        client.call("sendpay", request).unwrap();
        let wait = json!({"payment_hash": request["payment_hash"]});
        let done = client.call("waitsendpay", &wait).unwrap();
        assert_eq!(done["status"], "complete");
    }
}

/// User and system seconds of a node's process.
fn cpu(node: &Node) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => {
            format!("{:.2} s user, {:.2} s system", user / 100.0, system / 100.0)
        }
        _ => "cpu time unknown".into(),
    }
}
