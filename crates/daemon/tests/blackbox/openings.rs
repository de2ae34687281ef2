//! Openings: that a crash cuts off, and what can be asked for with them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Node, Pair, wait_for, with_every_backend};

with_every_backend! {
    funding_that_was_not_sent_before_a_crash_is_sent_after_it,
    a_channel_is_as_deep_as_was_asked_for_before_it_is_used_also_through_a_crash,
}

fn funding_that_was_not_sent_before_a_crash_is_sent_after_it(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = Chain::with(dir.path(), backend);
    let mut alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    alice.fund(&chain);
    alice.connect(&bob);
    // The channel is agreed on, but the transaction reaches nobody.
    chain.stop();
    let told = alice.refused("fundchannel", json!({"id": bob.id, "amount": 1_000_000}));
    assert_eq!(told.code, 303, "{told:?}");
    let text = "the funding transaction was not broadcast: ";
    assert!(told.message.starts_with(text), "{told:?}");
    let listed = alice.call("listpeerchannels", json!({}));
    assert_eq!(listed["channels"][0]["state"], "CHANNELD_AWAITING_LOCKIN");
    alice.kill();
    chain.resume(dir.path());
    alice.resume();
    wait_for("the funding in the mempool", || {
        (chain.ask("getrawmempool", &[]) != json!([])).then_some(())
    });
    chain.mine(1);
    let channel = &listed["channels"][0]["channel_id"];
    wait_for("a usable channel", || alice.usable_channel(channel));
}

fn a_channel_is_as_deep_as_was_asked_for_before_it_is_used_also_through_a_crash(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), backend);
    let mut alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    alice.fund(&chain);
    alice.connect(&bob);
    let open = |depth: u32| json!({"id": bob.id, "amount": 1_000_000, "mindepth": depth});
    let told = alice.refused("fundchannel", open(145));
    assert_eq!(
        (told.code, told.message.as_str()),
        (-32602, "mindepth: should be at most 144 blocks")
    );
    let deep = alice.call("fundchannel", open(6));
    assert_eq!(deep["mindepth"], 6);
    // Bob asks for one block, and gets it.
    let usual = alice.call("fundchannel", open(0));
    assert_eq!(usual["mindepth"], 1);
    let state = |alice: &Node| {
        let by_id = json!({"channel_id": deep["channel_id"]});
        alice.call("listpeerchannels", by_id)["channels"][0]["state"].clone()
    };
    let reach = |alice: &Node, blocks: u32| {
        chain.mine(blocks);
        for node in [alice, &bob] {
            node.wait_for_height(chain.height());
        }
        // What could be used by now can be: they came in the same block, and are reestablished together.
        wait_for("the usual channel", || {
            bob.usable_channel(&usual["channel_id"])?;
            alice.usable_channel(&usual["channel_id"])
        });
    };
    reach(&alice, 3);
    assert_eq!(state(&alice), "CHANNELD_AWAITING_LOCKIN");
    alice.kill();
    alice.resume();
    reach(&alice, 2);
    assert_eq!(state(&alice), "CHANNELD_AWAITING_LOCKIN");
    reach(&alice, 1);
    wait_for("the deep channel", || {
        bob.usable_channel(&deep["channel_id"])?;
        alice.usable_channel(&deep["channel_id"])
    });
}

#[test]
fn the_other_end_keeps_the_reserve_that_was_asked_for() {
    let pair = Pair::start();
    let open = |reserve: serde_json::Value| json!({"id": pair.bob.id, "amount": 1_000_000, "reserve": reserve, "push_msat": 90_000_000});
    for wrong in [json!(0), json!(999), json!("0.01000001btc")] {
        let told = pair.alice.refused("fundchannel", open(wrong));
        assert_eq!(told.code, -32602, "{told:?}");
        let text = "reserve: should be from 1000 sat, ";
        assert!(told.message.starts_with(text), "{told:?}");
    }
    let opened = pair.alice.call("fundchannel", open(json!("23456sat")));
    let by_id = json!({"channel_id": opened["channel_id"]});
    let ours = pair.alice.call("listpeerchannels", by_id.clone())["channels"][0].clone();
    assert_eq!(ours["their_reserve_msat"], 23_456_000);
    let theirs = pair.bob.call("listpeerchannels", by_id)["channels"][0].clone();
    assert_eq!(theirs["our_reserve_msat"], 23_456_000);
    assert_eq!(theirs["to_us_msat"], 90_000_000);
}

#[test]
fn a_channel_closes_to_the_address_named_at_its_opening_and_to_no_other() {
    let mut pair = Pair::start();
    let fresh = |node: &Node| node.call("newaddr", json!(["bech32"]))["bech32"].clone();
    let (named, other) = (fresh(&pair.bob), fresh(&pair.alice));
    let open = |close_to: &serde_json::Value| json!({"id": pair.bob.id, "amount": 1_000_000, "close_to": close_to});
    // A script of long ago, one of another network, and none.
    let rows = [
        (
            "mkHS9ne12qx9pS9VojpwU5xtRd4T7X7ZUt",
            -32602,
            "close_to: should be a segwit address",
        ),
        (
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            -1,
            "Destination address is not on network regtest",
        ),
        (
            "nowhere",
            -1,
            "Could not parse destination address, close_to should be a valid address",
        ),
    ];
    for (address, code, message) in rows {
        let told = pair.alice.refused("fundchannel", open(&json!(address)));
        assert_eq!((told.code, told.message.as_str()), (code, message));
    }
    let opened = pair.alice.call("fundchannel", open(&named));
    let address: bitcoin::Address<_> = named.as_str().unwrap().parse().unwrap();
    let script = address.assume_checked().script_pubkey();
    assert_eq!(opened["close_to"], format!("{script:x}"));
    pair.chain.mine(6);
    let channel = opened["channel_id"].clone();
    wait_for("a usable channel", || {
        pair.bob.usable_channel(&channel)?;
        pair.alice.usable_channel(&channel)
    });
    pair.alice.kill();
    pair.alice.resume();
    wait_for("the channel", || pair.alice.usable_channel(&channel));
    let elsewhere = json!({"id": channel, "destination": other});
    let told = pair.alice.refused("close", elsewhere);
    assert_eq!(told.code, -32602, "{told:?}");
    assert!(
        told.message
            .contains("does not match previous shutdown script"),
        "{told:?}"
    );
    let closed = pair.alice.call("close", json!([channel]));
    assert_eq!(closed["type"], "mutual");
    pair.chain.mine(1);
    wait_for("the coin", || {
        let funds = pair.bob.call("listfunds", json!({}));
        let mut outputs = funds["outputs"].as_array().unwrap().iter();
        outputs
            .any(|output| output["address"] == named && output["txid"] == closed["txid"])
            .then_some(())
    });
    // The other channel, for which none was named, closes to the wallet.
    let closed = pair.alice.call("close", json!([pair.channel]));
    pair.chain.mine(1);
    pair.alice.wait_for_height(pair.chain.height());
    let funds = pair.alice.call("listfunds", json!({}));
    let mut outputs = funds["outputs"].as_array().unwrap().iter();
    assert!(outputs.any(|output| output["txid"] == closed["txid"]));
}

/// How often an opening is cut off, at instants that are spread over the time that one takes.
const CUT_OFF: u32 = 40;

#[test]
fn an_opening_that_is_cut_off_leaves_a_channel_or_the_coins() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), Backend::Embedded);
    let mut alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    Node::fund_each(&[&alice, &bob], &chain);
    let open = json!({"id": bob.id, "amount": 1_000_000});
    alice.connect(&bob);
    let begun = Instant::now();
    alice.call("fundchannel", open.clone());
    // Some take longer.
    let longest = 2 * begun.elapsed();
    let (mut opened, mut freed) = (0, 0);
    for round in 1..=CUT_OFF {
        chain.mine(1);
        alice.wait_for_height(chain.height());
        let before = coins(&alice);
        alice.connect(&bob);
        let asked = alice.call_later("fundchannel", open.clone());
        // The instant of the death is the subject; nothing is waited for.
        std::thread::sleep(longest * round / CUT_OFF);
        alice.kill();
        drop(asked.join().unwrap());
        alice.resume();
        alice.wait_for_height(chain.height());
        let waiting = chain.ask("getrawmempool", &[]);
        let listed = alice.call("listpeerchannels", json!({}));
        let listed = listed["channels"].as_array().unwrap();
        let mut fundings = listed.iter().map(|channel| &channel["funding_txid"]);
        match &waiting.as_array().unwrap()[..] {
            [] => {
                assert_eq!(coins(&alice), before, "{round}: nothing was sent");
                freed += 1;
            }
            [txid] => {
                assert!(
                    fundings.any(|funding| funding == txid),
                    "{round}: {listed:?}"
                );
                let left = coins(&alice);
                let [change] = &left[..] else {
                    panic!("{round}: {left:?}")
                };
                assert_eq!(change["txid"], *txid, "{round}");
                opened += 1;
            }
            more => panic!("{round}: {more:?}"),
        }
    }
    println!("cut off: {opened} opened, {freed} freed");
}

fn coins(node: &Node) -> Vec<Value> {
    let funds = node.call("listfunds", json!({}));
    funds["outputs"].as_array().unwrap().clone()
}
