//! Bitcoin Core as the chain backend: away, back, behind, pruned, and the wrong one.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Node, Pair, wait_for};

fn warning(node: &Node) -> Option<String> {
    let info = node.call("getinfo", json!({}));
    info["warning_bitcoind_sync"].as_str().map(str::to_owned)
}

fn wait_for_warning(node: &Node, wanted: &str) {
    wait_for(wanted, || {
        warning(node).filter(|text| text.contains(wanted))
    });
}

impl Pair {
    fn pay_one_more(&self, label: &str) {
        let invoice = self.bob.invoice(label, 10_000);
        self.sendpay(&invoice, 10_000);
        let hash = json!({"payment_hash": invoice["payment_hash"]});
        assert_eq!(self.alice.call("waitsendpay", hash)["status"], "complete");
    }

    /// New blocks reach both nodes, and neither warns.
    fn assert_followed(&self) {
        self.chain.mine(1);
        for node in [&self.alice, &self.bob] {
            node.wait_for_height(self.chain.height());
            wait_for("no warning", || warning(node).is_none().then_some(()));
        }
    }
}

#[test]
fn payments_go_on_while_bitcoind_is_away_and_blocks_when_it_is_back() {
    let mut pair = Pair::on(Backend::Bitcoind, &[]);
    pair.assert_followed();
    pair.chain.stop();
    for node in [&pair.alice, &pair.bob] {
        wait_for_warning(node, "cannot be reached");
    }
    pair.pay_one_more("without a chain");
    pair.chain.resume(pair.dir.path());
    pair.assert_followed();
    pair.pay_one_more("with a chain");

    // As it does when the machine loses power: newest blocks may be lost with it, and others come.
    pair.chain.kill();
    pair.chain.resume(pair.dir.path());
    let height = pair.chain.height();
    pair.chain.mine(3);
    pair.alice.wait_for_height(height + 3);
    pair.assert_followed();
    pair.pay_one_more("after a crash");
}

#[test]
fn a_bitcoind_that_does_not_answer_is_warned_of() {
    let mut pair = Pair::on(Backend::Bitcoind, &[]);
    pair.chain.bitcoind().signal(Signal::SIGSTOP);
    for node in [&pair.alice, &pair.bob] {
        wait_for_warning(node, "has not answered for");
    }
    pair.pay_one_more("without an answer");
    pair.chain.bitcoind().signal(Signal::SIGCONT);
    pair.assert_followed();
}

#[test]
fn a_bitcoind_that_is_behind_what_we_have_seen_is_warned_of_and_not_followed_back() {
    let pair = Pair::on(Backend::Bitcoind, &[]);
    let height = pair.chain.height();
    let hash = pair.chain.ask("getblockhash", &[json!(height - 2)]);
    pair.chain
        .ask("invalidateblock", std::slice::from_ref(&hash));
    wait_for_warning(&pair.alice, "has come to block");
    let info = pair.alice.call("getinfo", json!({}));
    assert_eq!(info["blockheight"], height);
    pair.pay_one_more("meanwhile");
    pair.chain.ask("reconsiderblock", &[hash]);
    pair.assert_followed();
}

#[test]
fn a_node_starts_at_any_height_and_catches_up_after_it_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), Backend::Bitcoind);
    chain.mine(500);
    let mut node = Node::start(dir.path(), "late", &chain, &[]);
    assert_eq!(node.call("getinfo", json!({}))["blockheight"], 500);
    let address = node.call("newaddr", json!({"addresstype": "bech32"}));
    let address = address["bech32"].as_str().unwrap().to_owned();
    node.kill();
    chain.mine_to(1, &address);
    chain.mine(249);
    node.resume();
    node.wait_for_height(750);
    let told = "reading blocks height=500 target=750";
    assert!(node.log().contains(told), "{}", node.log());
    // What was paid in a block that it slept through is there.
    let funds = node.call("listfunds", json!({}));
    assert_eq!(funds["outputs"].as_array().unwrap().len(), 1);
    assert!(warning(&node).is_none());
}

#[test]
fn a_pruned_bitcoind_will_do_as_long_as_it_has_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::bitcoind_with(dir.path(), &["-fastprune", "-prune=1"]);
    chain.mine(300);
    let mut node = Node::start(dir.path(), "node", &chain, &[]);
    let mut other = Node::start(dir.path(), "other", &chain, &[]);
    other.kill();
    chain.mine(700);
    node.wait_for_height(1_000);
    node.kill();
    let pruned = chain.ask("pruneblockchain", &[json!(600)]);
    assert!(pruned.as_u64().unwrap() > 300, "{pruned}");
    chain.mine(100);
    node.resume();
    node.wait_for_height(1_100);

    other.spawn();
    let (_, log) = wait_for("the end of a start", || other.ended());
    assert!(log.contains("is pruned and starts at block"), "{log}");
    assert!(log.contains("still has block 301"), "{log}");
}

/// Starts a node that must not start; what it says.
fn refused(dir: &Path, network: &str, chain: &Chain) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendpayd"));
    command.arg("--dir").arg(dir).args(["--network", network]);
    for setting in chain.settings() {
        command.arg("--set").arg(setting);
    }
    let ended = command.output().unwrap();
    assert!(!ended.status.success());
    String::from_utf8(ended.stderr).unwrap()
}

#[test]
fn the_wrong_network_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), Backend::Bitcoind);
    for network in ["bitcoin", "signet", "testnet4"] {
        let said = refused(&dir.path().join(network), network, &chain);
        assert!(
            said.contains(&format!("is regtest, not {network}")),
            "{said}"
        );
    }
    let said = refused(&dir.path().join("testnet"), "testnet", &chain);
    assert!(said.contains("take testnet4 or signet"), "{said}");
}

#[test]
fn every_network_is_served_where_its_bitcoind_is() {
    for (network, core, prefix) in [
        ("bitcoin", "main", "bc1"),
        ("signet", "signet", "tb1"),
        ("testnet4", "testnet4", "tb1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        // It has no peers, and so the first block only.
        let chain = Chain::bitcoind_of(dir.path(), core);
        let node = Node::start_on(dir.path(), network, &chain);
        let info = node.call("getinfo", json!({}));
        assert_eq!(
            (&info["network"], &info["blockheight"]),
            (&json!(network), &json!(0))
        );
        let address = node.call("newaddr", json!({"addresstype": "bech32"}));
        assert!(address["bech32"].as_str().unwrap().starts_with(prefix));
        wait_for_warning(&node, "not up-to-date with network");
        let invoice: Value = node.invoice("anything", 1_000);
        assert!(invoice["bolt11"].as_str().unwrap().starts_with("ln"));
    }
}
