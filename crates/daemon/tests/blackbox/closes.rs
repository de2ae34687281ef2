//! Channels that are closed: with the other end, without it, and where the money goes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use bitcoin::consensus::encode::deserialize_hex;
use serde_json::{Value, json};

use crate::harness::{Backend, Node, PATIENCE, Pair, wait_for, with_every_backend};

with_every_backend! {
    a_mutual_close_is_in_the_next_block_and_pays_both_wallets,
    a_mutual_close_pays_the_destination_that_was_named,
    a_close_without_the_other_end_comes_after_the_timeout_and_pays_the_wallet_in_the_end,
    a_close_waits_for_a_peer_that_is_away_and_two_requests_see_the_same_end,
    a_close_that_waits_is_told_when_the_daemon_stops,
}

/// Confirmed coins of a wallet, in msat.
fn funds_msat(node: &Node) -> u64 {
    let funds = node.call("listfunds", json!({}));
    let outputs = funds["outputs"].as_array().unwrap().iter();
    outputs
        .filter(|output| output["status"] == "confirmed")
        .map(|output| output["amount_msat"].as_u64().unwrap())
        .sum()
}

/// The coin of a wallet that a transaction made.
fn coin_of(node: &Node, txid: &Value) -> Option<Value> {
    let funds = node.call("listfunds", json!({}));
    let mut outputs = funds["outputs"].as_array().unwrap().iter();
    outputs.find(|output| output["txid"] == *txid).cloned()
}

fn channels(node: &Node) -> Vec<Value> {
    let listed = node.call("listpeerchannels", json!({}));
    listed["channels"].as_array().unwrap().clone()
}

impl Pair {
    /// Lets bob have something.
    fn pay_bob(&self, amount_msat: u64) {
        let invoice = self.bob.invoice("paid", amount_msat);
        self.sendpay(&invoice, amount_msat);
        let hash = &invoice["payment_hash"];
        let waited = self
            .alice
            .call("waitsendpay", json!({"payment_hash": hash}));
        assert_eq!(waited["status"], "complete");
        wait_for("a channel at rest", || {
            let at_rest = |node: &Node| channels(node)[0]["htlcs"] == json!([]);
            (at_rest(&self.alice) && at_rest(&self.bob)).then_some(())
        });
    }

    fn mine(&self, blocks: u32) {
        self.chain.mine(blocks);
        self.alice.wait_for_height(self.chain.height());
    }
}

/// What is told of the one channel of a node that is closed, by who closed it.
fn closed_channel(node: &Node, state: &str, closer: &str, to_us_msat: u64) -> Value {
    let listed = channels(node);
    let [channel] = &listed[..] else {
        panic!("one channel: {listed:?}")
    };
    assert_eq!(channel["state"], state, "{channel}");
    assert_eq!(channel["closer"], closer, "{channel}");
    assert_eq!(channel["to_us_msat"], to_us_msat, "{channel}");
    assert_eq!(channel["spendable_msat"], 0, "{channel}");
    assert_eq!(channel["reestablished"], false, "{channel}");
    let funds = node.call("listfunds", json!({}));
    let [fund] = &funds["channels"].as_array().unwrap()[..] else {
        panic!("one channel: {funds}")
    };
    assert_eq!(
        (&fund["state"], &fund["our_amount_msat"]),
        (&json!(state), &json!(to_us_msat))
    );
    channel.clone()
}

/// Waits until nothing of any channel is to come.
fn wait_for_no_channel(node: &Node) {
    wait_for("no channel", || channels(node).is_empty().then_some(()));
}

fn mutual(closed: &Value) -> &Value {
    assert_eq!(closed["type"], "mutual");
    assert_eq!(closed["txs"].as_array().unwrap().len(), 1);
    assert_eq!(closed["txids"].as_array().unwrap().len(), 1);
    assert_eq!(closed["tx"], closed["txs"][0]);
    assert_eq!(closed["txid"], closed["txids"][0]);
    &closed["txid"]
}

fn a_mutual_close_is_in_the_next_block_and_pays_both_wallets(backend: Backend) {
    let pair = Pair::on(backend, &[]);
    pair.pay_bob(400_000_000);
    let before = funds_msat(&pair.alice);
    let open = channels(&pair.alice)[0].clone();
    let bob_before = funds_msat(&pair.bob);
    let closed = pair.alice.call("close", json!([pair.channel]));
    let txid = mutual(&closed);
    closed_channel(&pair.alice, "CLOSINGD_COMPLETE", "local", 9_600_000_000);
    // Into the wallet directly: no other transaction has to take it there.
    pair.mine(1);
    let coin = coin_of(&pair.alice, txid).expect("alice's share");
    assert_eq!(coin["status"], "confirmed");
    let share = coin["amount_msat"].as_u64().unwrap();
    assert!((9_590_000_000..9_600_000_000).contains(&share), "{share}");
    assert_eq!(funds_msat(&pair.alice), before + share);
    let ours = closed_channel(&pair.alice, "ONCHAIN", "local", 9_600_000_000);
    for member in [
        "peer_id",
        "short_channel_id",
        "channel_id",
        "funding_txid",
        "funding_outnum",
        "private",
        "opener",
        "channel_type",
        "total_msat",
        "direction",
    ] {
        assert_eq!(ours[member], open[member], "{member}");
    }
    pair.bob.wait_for_height(pair.chain.height());
    let theirs = closed_channel(&pair.bob, "ONCHAIN", "remote", 400_000_000);
    assert_eq!(theirs["opener"], "remote");
    // Bob did not ask for it: LDK's address, and from there to his wallet when it is deep enough.
    wait_for("bob's share", || {
        pair.mine(1);
        let share = funds_msat(&pair.bob) - bob_before;
        (share > 0).then(|| assert!((390_000_000..=400_000_000).contains(&share), "{share}"))
    });
    wait_for_no_channel(&pair.bob);
    wait_for_no_channel(&pair.alice);
}

fn a_mutual_close_pays_the_destination_that_was_named(backend: Backend) {
    let pair = Pair::on(backend, &[]);
    let address = pair.bob.call("newaddr", json!(["bech32"]))["bech32"].clone();
    let before = funds_msat(&pair.alice);
    let channel_id = channels(&pair.alice)[0]["channel_id"].clone();
    let params =
        json!({"id": channel_id, "destination": address, "feerange": ["5000perkw", "90000perkw"]});
    let closed = pair.alice.call("close", params);
    let txid = mutual(&closed);
    // All that was in it was alice's: what does not go to the address is the fee.
    let transaction: bitcoin::Transaction =
        deserialize_hex(closed["tx"].as_str().unwrap()).unwrap();
    let paid: u64 = transaction
        .output
        .iter()
        .map(|output| output.value.to_sat())
        .sum();
    let least = 5_000 * transaction.weight().to_wu() / 1_000;
    let fee = 10_000_000 - paid;
    assert!(
        (least..2 * least).contains(&fee),
        "{fee} of at least {least}"
    );
    pair.mine(1);
    pair.bob.wait_for_height(pair.chain.height());
    let coin = coin_of(&pair.bob, txid).expect("what alice had");
    assert_eq!(coin["address"], address);
    // Nothing is left for alice to sweep, and nothing fails for that.
    pair.mine(10);
    assert_eq!(funds_msat(&pair.alice), before);
    let log = pair.alice.log();
    assert!(!log.contains("Error spending outputs"), "{log}");
}

fn a_close_without_the_other_end_comes_after_the_timeout_and_pays_the_wallet_in_the_end(
    backend: Backend,
) {
    let mut pair = Pair::on(backend, &[]);
    pair.pay_bob(1_000_000);
    pair.bob.kill();
    let before = funds_msat(&pair.alice);
    let closed = pair
        .alice
        .call("close", json!({"id": pair.bob.id, "unilateraltimeout": 1}));
    assert_eq!(closed["type"], "unilateral");
    assert_eq!(closed["txids"].as_array().unwrap().len(), 1);
    let had = 9_999_000_000;
    let waiting = closed_channel(&pair.alice, "AWAITING_UNILATERAL", "local", had);
    pair.mine(1);
    let onchain = closed_channel(&pair.alice, "ONCHAIN", "local", had);
    assert_eq!(onchain["short_channel_id"], waiting["short_channel_id"]);
    // It is written down, not remembered.
    pair.alice.kill();
    pair.alice.resume();
    assert_eq!(
        closed_channel(&pair.alice, "ONCHAIN", "local", had),
        onchain
    );
    assert_eq!(
        coin_of(&pair.alice, &closed["txids"][0]),
        None,
        "not yet ours alone"
    );
    // 144 blocks for bob to object, and the sweep.
    wait_for("alice's share", || {
        pair.mine(12);
        (funds_msat(&pair.alice) > before).then_some(())
    });
    let share = funds_msat(&pair.alice) - before;
    assert!((9_980_000_000..9_999_000_000).contains(&share), "{share}");
    wait_for_no_channel(&pair.alice);
}

fn a_close_waits_for_a_peer_that_is_away_and_two_requests_see_the_same_end(backend: Backend) {
    let mut pair = Pair::on(backend, &[]);
    pair.bob.kill();
    wait_for("bob to be away", || {
        (channels(&pair.alice)[0]["peer_connected"] == false).then_some(())
    });
    let params = json!({"id": pair.channel, "unilateraltimeout": 0});
    let first = pair.alice.call_later("close", params.clone());
    let second = pair.alice.call_later("close", params);
    pair.bob.resume();
    let first = first.join().unwrap().unwrap();
    assert_eq!(mutual(&first), mutual(&second.join().unwrap().unwrap()));
}

fn a_close_that_waits_is_told_when_the_daemon_stops(backend: Backend) {
    let mut pair = Pair::on(backend, &[]);
    pair.bob.kill();
    wait_for("bob to be away", || {
        (channels(&pair.alice)[0]["peer_connected"] == false).then_some(())
    });
    let mut stream = UnixStream::connect(pair.alice.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for (id, method, params) in [
        (1, "close", json!([pair.channel])),
        (2, "getinfo", json!([])),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        write!(stream, "{request}").unwrap();
    }
    let mut replies = BufReader::new(stream).lines();
    let mut reply = || -> Value {
        let line = replies.find(|line| !line.as_ref().unwrap().is_empty());
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    };
    // The second is answered while the first waits.
    assert_eq!(reply()["id"], 2);
    assert!(pair.alice.terminate().success());
    let closed = reply();
    assert_eq!(
        (&closed["id"], &closed["error"]["code"]),
        (&json!(1), &json!(-5))
    );
    // The channel is as it was.
    pair.alice.resume();
    pair.bob.resume();
    wait_for("a usable channel", || {
        pair.alice
            .usable_channel(&channels(&pair.alice)[0]["channel_id"])
    });
}

/// How many closes are cut off, at instants that are spread over the time that one takes.
const CUT_OFF: u32 = 10;

#[test]
fn a_mutual_close_that_is_cut_off_ends_the_channel_or_can_be_asked_for_again() {
    let mut pair = Pair::start();
    pair.bob.connect(&pair.alice);
    let open = json!({"id": pair.bob.id, "amount": 200_000});
    let opened: Vec<Value> = (0..CUT_OFF)
        .map(|_| {
            let opened = pair.alice.call("fundchannel", open.clone());
            pair.mine(1);
            opened["channel_id"].clone()
        })
        .collect();
    pair.mine(6);
    for channel in &opened {
        wait_for("a channel", || pair.alice.usable_channel(channel));
    }
    let before = funds_msat(&pair.alice);
    let begun = std::time::Instant::now();
    pair.alice.call("close", json!([pair.channel]));
    let longest = begun.elapsed() * 2;
    pair.mine(1);
    let (mut closed, mut stayed) = (0, 0);
    for (channel, round) in opened.iter().zip(1..) {
        let asked = pair.alice.call_later("close", json!([channel]));
        // The instant of the death is the subject; nothing is waited for.
        std::thread::sleep(longest * round / CUT_OFF);
        pair.alice.kill();
        drop(asked.join().unwrap());
        pair.alice.resume();
        let shown = |node: &Node| {
            let listed = node.call("listpeerchannels", json!({"channel_id": channel}));
            listed["channels"][0].clone()
        };
        let ended = wait_for("a close or a channel", || {
            let (here, there) = (shown(&pair.alice), shown(&pair.bob));
            let is_normal =
                |one: &Value| one["state"] == "CHANNELD_NORMAL" && one["reestablished"] == true;
            let waiting = pair.chain.ask("getrawmempool", &[]);
            let is_closed = waiting
                .as_array()
                .is_some_and(|waiting| !waiting.is_empty());
            (is_closed || is_normal(&here) && is_normal(&there)).then_some(is_closed)
        });
        match ended {
            true => closed += 1,
            false => {
                stayed += 1;
                let again = pair.alice.call("close", json!([channel]));
                assert_eq!(again["type"], "mutual");
            }
        }
        pair.mine(1);
    }
    println!("cut off: {closed} closed, {stayed} stayed");
    // Where bob had agreed and alice no longer knew, her own last transaction may be the one in a block.
    let all = 10_000_000_000 + u64::from(CUT_OFF) * 200_000_000;
    wait_for("all but the fees in alice's wallet", || {
        pair.mine(6);
        let fees = before + all - funds_msat(&pair.alice);
        (fees < 10_000_000 * u64::from(CUT_OFF + 1)).then_some(())
    });
}
