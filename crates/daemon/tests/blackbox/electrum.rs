//! Electrum servers as the chain backend: several, away, back, untrue, and the wrong ones.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Backend, Between, Chain, Lie, Node, Pair, direct, wait_for};

fn warning(node: &Node) -> Option<String> {
    let info = node.call("getinfo", json!({}));
    info["warning_bitcoind_sync"].as_str().map(str::to_owned)
}

fn wait_for_warning(node: &Node, wanted: &str) {
    wait_for(wanted, || {
        warning(node).filter(|text| text.contains(wanted))
    });
}

fn funds(node: &Node) -> Vec<Value> {
    let funds = node.call("listfunds", json!({}));
    funds["outputs"].as_array().unwrap().clone()
}

/// Confirmed coins of a wallet, in msat.
fn funds_msat(node: &Node) -> u64 {
    let confirmed = |output: &&Value| output["status"] == "confirmed";
    let funds = funds(node);
    let amounts = funds.iter().filter(confirmed);
    amounts
        .map(|output| output["amount_msat"].as_u64().unwrap())
        .sum()
}

fn address_of(node: &Node) -> String {
    let address = node.call("newaddr", json!({"addresstype": "bech32"}));
    address["bech32"].as_str().unwrap().to_owned()
}

/// A node that asks these servers.
fn node_of(dir: &Path, name: &str, chain: &Chain, urls: &[&str]) -> Node {
    let setting = format!("chain.electrum={}", urls.join(","));
    Node::start(dir, name, chain, &[&setting])
}

fn start(dir: &Path) -> Chain {
    let chain = Chain::with(dir, Backend::Electrs);
    chain.mine(10);
    chain
}

fn pay(from: &Node, to: &Node, channel: &str, label: &str) {
    let invoice = to.invoice(label, 10_000);
    from.call("sendpay", direct(to, channel, &invoice, 10_000));
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    assert_eq!(from.call("waitsendpay", hash)["status"], "complete");
}

#[test]
fn the_next_server_is_asked_when_one_is_killed_or_falls_silent_and_each_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = start(dir.path());
    let second = chain.another_electrs(&dir.path().join("second"));
    let urls = [
        format!("tcp://{}", chain.electrs().address()),
        format!("tcp://{}", second.address()),
    ];
    let alice = node_of(dir.path(), "alice", &chain, &[&urls[0], &urls[1]]);
    let bob = node_of(dir.path(), "bob", &chain, &[&urls[1], &urls[0]]);
    alice.fund(&chain);
    let channel = alice.open_channel(&chain, &bob, 1_000_000);
    assert_eq!(warning(&alice), None);
    chain.electrs().kill();
    chain.mine(2);
    for node in [&alice, &bob] {
        node.wait_for_height(chain.height());
    }
    wait_for_warning(&alice, &urls[0]);
    pay(&alice, &bob, &channel, "after a kill");

    // The first is back, and the second hangs.
    chain.electrs().resume();
    second.signal(Signal::SIGSTOP);
    chain.mine(2);
    for node in [&alice, &bob] {
        node.wait_for_height(chain.height());
        wait_for_warning(node, &urls[1]);
    }
    second.signal(Signal::SIGCONT);
    pay(&alice, &bob, &channel, "after a silence");
}

#[test]
fn payments_go_on_without_any_server_and_blocks_when_one_is_back() {
    let mut pair = Pair::on(Backend::Electrs, &[]);
    pair.chain.stop();
    for node in [&pair.alice, &pair.bob] {
        wait_for_warning(node, "no Electrum server can be used now");
    }
    pay(&pair.alice, &pair.bob, &pair.channel, "without a chain");
    pair.chain.resume(pair.dir.path());
    pair.chain.mine(1);
    for node in [&pair.alice, &pair.bob] {
        node.wait_for_height(pair.chain.height());
        wait_for("no warning", || warning(node).is_none().then_some(()));
    }
    pay(&pair.alice, &pair.bob, &pair.channel, "with a chain");
}

#[test]
fn a_node_starts_at_any_height_and_finds_what_it_was_paid_while_it_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), Backend::Electrs);
    chain.mine(500);
    let mut node = Node::start(dir.path(), "late", &chain, &[]);
    node.wait_for_height(500);
    let address = address_of(&node);
    node.kill();
    chain.mine_to(1, &address);
    chain.mine(249);
    node.resume();
    node.wait_for_height(750);
    let coins = funds(&node);
    assert_eq!(coins.len(), 1);
    assert_eq!(coins[0]["blockheight"], 501);

    // What it pays is seen by the server and in the next block.
    let elsewhere = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";
    node.call("withdraw", json!([elsewhere, "all"]));
    chain.mine(1);
    node.wait_for_height(751);
    assert_eq!(funds(&node), Vec::<Value>::new());
    assert!(node.call("feerates", json!(["perkw"]))["perkw"]["floor"].as_u64() >= Some(250));
    assert_eq!(warning(&node), None);
}

#[test]
fn what_a_liar_says_is_not_believed_and_the_next_server_says_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = start(dir.path());
    let electrs = chain.electrs().address();
    for (number, (lie, told)) in [
        (Lie::TipWithoutWork, "without the work"),
        (Lie::OtherTransaction, "another transaction for"),
        (Lie::FalseProof, "is none"),
        (Lie::TooOften, "excessive resource usage"),
        (Lie::NoJson, "no JSON"),
    ]
    .into_iter()
    .enumerate()
    {
        let between = Between::start(electrs);
        let honest = format!("tcp://{electrs}");
        let alone = node_of(
            dir.path(),
            &format!("alone{number}"),
            &chain,
            &[&between.url()],
        );
        let urls = [between.url(), honest];
        let other = node_of(
            dir.path(),
            &format!("other{number}"),
            &chain,
            &[&urls[0], &urls[1]],
        );
        let height = chain.height();
        for node in [&alone, &other] {
            node.wait_for_height(height);
        }
        between.tell(lie.clone());
        for node in [&alone, &other] {
            chain.mine_to(1, &address_of(node));
        }
        other.wait_for_height(height + 2);
        assert_eq!(funds(&other).len(), 1, "{lie:?}");
        wait_for_warning(&alone, told);
        let info = alone.call("getinfo", json!({}));
        assert_eq!(
            (&info["blockheight"], funds(&alone).len()),
            (&json!(height), 0)
        );
        wait_for_warning(&other, told);
    }
}

#[test]
fn a_close_that_a_server_keeps_to_itself_is_learned_from_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = start(dir.path());
    let electrs = chain.electrs().address();
    let between = Between::start(electrs);
    let urls = [between.url(), format!("tcp://{electrs}")];
    let mut alice = node_of(dir.path(), "alice", &chain, &[&urls[0], &urls[1]]);
    let mut bob = Node::start(dir.path(), "bob", &chain, &[]);
    alice.fund(&chain);
    let channel = alice.open_channel(&chain, &bob, 1_000_000);
    pay(&alice, &bob, &channel, "paid");
    let before = funds_msat(&alice);
    // Alice does not hear it from bob.
    alice.kill();
    let closed = bob.call("close", json!({"id": alice.id, "unilateraltimeout": 1}));
    assert_eq!(closed["type"], "unilateral");
    bob.kill();
    chain.mine(3);
    between.tell(Lie::NoHistory);
    alice.resume();
    alice.wait_for_height(chain.height());
    chain.mine(3);
    alice.wait_for_height(chain.height());
    let channels = |node: &Node| node.call("listpeerchannels", json!({}))["channels"].clone();
    let state = || channels(&alice)[0]["state"].clone();
    assert_eq!(state(), "CHANNELD_NORMAL", "she cannot know");

    // A block later that server is gone.
    between.tell(Lie::NoJson);
    chain.mine(1);
    wait_for("the end of the channel", || {
        (state() != "CHANNELD_NORMAL").then_some(())
    });
    wait_for("alice's share", || {
        chain.mine(6);
        alice.wait_for_height(chain.height());
        (funds_msat(&alice) > before).then_some(())
    });
    let share = funds_msat(&alice) - before;
    assert!((990_000_000..1_000_000_000).contains(&share), "{share}");
}

#[test]
fn a_server_that_keeps_blocks_to_itself_is_seen_through_by_the_work_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = start(dir.path());
    let between = Between::start(chain.electrs().address());
    let urls = [
        between.url(),
        format!("tcp://{}", chain.electrs().address()),
    ];
    let node = node_of(dir.path(), "node", &chain, &[&urls[0], &urls[1]]);
    let tip = chain.ask("getbestblockhash", &[]);
    let header = chain.ask("getblockheader", &[tip, json!(false)]);
    between.tell(Lie::OldTip(
        header.as_str().unwrap().to_owned(),
        chain.height(),
    ));
    chain.mine_to(3, &address_of(&node));
    node.wait_for_height(chain.height());
    assert_eq!(funds(&node).len(), 3);
    let told = format!(
        "{} keeps blocks to itself, or is slow: its best is block {}, and {} shows block {}",
        urls[0],
        chain.height() - 3,
        urls[1],
        chain.height()
    );
    wait_for_warning(&node, &told);
    // The warning ends when it keeps up, though it is not asked for anything else.
    between.tell(Lie::Honest);
    wait_for("no warning", || warning(&node).is_none().then_some(()));
}

#[test]
fn who_shows_a_block_without_work_puts_no_other_server_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = start(dir.path());
    let electrs = chain.electrs().address();
    let between = Between::start(electrs);
    between.tell(Lie::TipWithoutWork);
    let urls = [format!("tcp://{electrs}"), between.url()];
    let node = node_of(dir.path(), "node", &chain, &[&urls[0], &urls[1]]);
    wait_for_warning(&node, "without the work");
    let text = warning(&node).unwrap();
    assert!(
        text.contains(&urls[1]) && !text.contains(&urls[0]),
        "{text}"
    );
    chain.mine_to(1, &address_of(&node));
    node.wait_for_height(chain.height());
    assert_eq!(funds(&node).len(), 1);
}

#[test]
fn a_close_whose_block_is_taken_back_and_comes_back_is_swept() {
    let mut pair = Pair::on(Backend::Electrs, &[]);
    pair.bob.kill();
    let before = funds_msat(&pair.alice);
    let params = json!({"id": pair.bob.id, "unilateraltimeout": 1});
    assert_eq!(pair.alice.call("close", params)["type"], "unilateral");
    pair.chain.mine(1);
    pair.alice.wait_for_height(pair.chain.height());
    let block = |height: u32| [pair.chain.ask("getblockhash", &[json!(height)])];
    let first = pair.chain.height();
    let taken_back = block(first);
    pair.chain.ask("invalidateblock", &taken_back);
    for _ in 0..2 {
        pair.chain.mine_only(&[]);
    }
    pair.alice.wait_for_height(first + 1);
    pair.chain.ask("invalidateblock", &block(first));
    pair.chain.ask("reconsiderblock", &taken_back);
    pair.chain.mine(3);
    pair.alice.wait_for_height(first + 3);
    assert_eq!(block(first), taken_back);
    wait_for("alice's share", || {
        pair.chain.mine(12);
        pair.alice.wait_for_height(pair.chain.height());
        (funds_msat(&pair.alice) > before).then_some(())
    });
}

#[test]
fn a_node_asks_over_tls_if_the_certificate_is_the_one_that_was_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = start(dir.path());
    let between = Between::start_tls(chain.electrs().address(), dir.path());
    let servers = format!("chain.electrum={}", between.url());
    let named = between.certificate().display();
    let named = format!("chain.electrum_certificates={named}");
    let node = Node::start(dir.path(), "node", &chain, &[&servers, &named]);
    chain.mine(1);
    node.wait_for_height(chain.height());

    // The operator named no certificate, and no authority that the system knows has signed this one.
    let elsewhere = dir.path().join("unsure");
    let ended = Command::new(env!("CARGO_BIN_EXE_sendpayd"))
        .arg("--dir")
        .arg(&elsewhere)
        .args(["--set", &servers, "--set", "listen=127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("certificate"), "{said}");
}

#[test]
fn servers_of_another_network_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = start(dir.path());
    let ended = Command::new(env!("CARGO_BIN_EXE_sendpayd"))
        .arg("--dir")
        .arg(dir.path().join("signet"))
        .args(["--network", "signet", "--set", "listen=127.0.0.1:0"])
        .arg("--set")
        .arg(format!(
            "chain.electrum=tcp://{}",
            chain.electrs().address()
        ))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("first block is not that of signet"), "{said}");
}
