//! What a network of mainnet's size costs a node: starts, memory, routes, tries of `pay`, listings.
//! Whole-process runs over the socket, no timed tests.
//!
//! `cargo bench -p sendpayd --bench gossip [-- --channels 100000 --nodes 20000]`
//!
//! The network is made from a fixed seed, every message of it signed; LDK checks each signature as it
//! does with gossip from peers. Its graph is put where a node keeps its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../../tests/blackbox/harness.rs"]
mod harness;

mod generator;
#[path = "../records/process.rs"]
mod process;

use std::time::{Duration, Instant};

use clap::Parser;
use generator::World;
use harness::{Node, Pair};
use sendpay_ledger::Ledger;
use serde_json::{Value, json};

/// How often a node is started for the median.
const STARTED: usize = 7;

/// Routes that are looked for.
const ROUTES: usize = 400;

/// Payments that are tried.
const PAYMENTS: usize = 20;

/// What each of them carries.
const AMOUNT_MSAT: u64 = 10_000_000;

#[derive(Parser)]
struct Options {
    /// Channels of the network
    #[arg(long, default_value_t = 100_000)]
    channels: usize,
    /// Nodes of the network
    #[arg(long, default_value_t = 20_000)]
    nodes: usize,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let mut pair = Pair::with(&["log.level=warn"]);
    let small = starts(&mut pair.alice);
    let small_mb = process::resident_mb(pair.alice.pid());
    assert!(pair.alice.terminate().success());

    let mut world = World::new(options.nodes);
    let signed = world.fill(options.channels);
    world.join(&pair.bob.id);
    let bytes = world.encoded();
    println!("channels                        {:>10}", options.channels);
    println!("nodes                           {:>10}", options.nodes);
    println!("channels of the largest node    {:>10}", world.largest());
    println!("signatures checked by LDK       {:>10}", signed.signatures);
    println!(
        "  in                            {:>10.1} s",
        signed.checking.as_secs_f64()
    );
    println!(
        "graph as it is stored           {:>10.1} MB",
        bytes.len() as f64 / 1e6
    );
    let store_file = pair.alice.dir.join("regtest/sendpay.sqlite3");
    let (store, ledger) = Ledger::open(&store_file).unwrap();
    store
        .kv_write("", "", "network_graph", bytes)
        .wait()
        .unwrap()
        .unwrap();
    drop(ledger);
    store.close();

    pair.alice.resume();
    let large = starts(&mut pair.alice);
    println!("start without a network         {:>10.3} s", median(small));
    println!("start                           {:>10.3} s", median(large));
    wait_for_channel(&pair);
    let large_mb = process::resident_mb(pair.alice.pid());
    println!("memory without a network        {small_mb:>10.1} MB");
    println!("memory                          {large_mb:>10.1} MB");
    routes(&pair.alice, &world);
    tries(&pair.alice, &world);
    listing(&pair.alice, "listchannels", "channels");
    listing(&pair.alice, "listnodes", "nodes");
    println!(
        "memory at most                  {:>10.1} MB",
        process::peak_mb(pair.alice.pid())
    );
}

/// From the start of the process to its first answer, again and again.
fn starts(node: &mut Node) -> Vec<Duration> {
    (0..STARTED).map(|_| process::start(node)).collect()
}

fn quantile(times: &mut [Duration], of_ten: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * of_ten / 10].as_secs_f64()
}

fn median(mut times: Vec<Duration>) -> f64 {
    quantile(&mut times, 5)
}

fn wait_for_channel(pair: &Pair) {
    harness::wait_for("the channel", || {
        let listed = pair.alice.call("listpeerchannels", json!({}));
        (listed["channels"][0]["reestablished"] == true).then_some(())
    });
}

/// `getroute` from this node to others all over the network.
fn routes(node: &Node, world: &World) {
    let mut client = node.client();
    let (mut times, mut found, mut hops) = (Vec::new(), 0, 0);
    for id in world.destinations(ROUTES) {
        let params = json!({"id": id, "amount_msat": AMOUNT_MSAT, "riskfactor": 10});
        let begun = Instant::now();
        let answer = client.call("getroute", &params);
        times.push(begun.elapsed());
        if let Ok(answer) = answer {
            found += 1;
            hops += answer["route"].as_array().unwrap().len();
        }
    }
    println!(
        "getroute, median                {:>10.1} ms",
        quantile(&mut times, 5) * 1e3
    );
    println!(
        "getroute, nine of ten           {:>10.1} ms",
        quantile(&mut times, 9) * 1e3
    );
    println!("  with a route                  {found:>10} of {ROUTES}");
    println!(
        "  hops on average               {:>10.1}",
        f64::from(u32::try_from(hops).unwrap()) / f64::from(found)
    );
}

/// `pay` of invoices of nodes that nobody reaches: bob knows none of the channels that the graph gives
/// him, so each try fails at him, and the next look goes another way; the last one finds none, after
/// the whole network was searched for cheaper, longer and smaller ways.
fn tries(node: &Node, world: &World) {
    let (mut parts, mut took) = (0, Duration::ZERO);
    for invoice in world.invoices(PAYMENTS, AMOUNT_MSAT) {
        let begun = Instant::now();
        let ended = node.try_call("pay", json!({"bolt11": invoice, "maxfeepercent": 5}));
        took += begun.elapsed();
        assert!(ended.is_err(), "{ended:?}");
        let made = node.call("listsendpays", json!({"bolt11": invoice}));
        parts += made["payments"].as_array().unwrap().len();
    }
    let payments = PAYMENTS as f64;
    let each = took.as_secs_f64() * 1e3 / payments;
    println!("pay that finds no way           {each:>10.1} ms");
    println!(
        "  tries                         {:>10.1}",
        parts as f64 / payments
    );
}

fn listing(node: &Node, method: &str, what: &str) {
    let mut times = Vec::new();
    let mut listed = 0;
    for _ in 0..3 {
        let mut client = node.client();
        let begun = Instant::now();
        let answer: Value = client.call(method, &json!({})).unwrap();
        times.push(begun.elapsed());
        listed = answer[what].as_array().unwrap().len();
    }
    println!("{method:<32}{:>10.2} s ({listed} {what})", median(times));
}
