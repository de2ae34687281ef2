//! Transactions of the wallet that wait for a block, and get a higher fee: replaced, or paid for by a
//! child.

use std::time::{Duration, Instant};

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Address, Amount, Transaction};
use nix::sys::signal::Signal;
use sendpay_rpc::client::CallError;
use sendpay_rpc::notification::Told;
use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Node, wait_for, with_every_backend};

with_every_backend! {
    a_withdrawal_that_waits_is_replaced_and_pays_the_same,
    a_child_pays_for_what_funds_a_channel,
}

/// Of nobody here.
const ELSEWHERE: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

/// How the news of a funding transaction begins.
const MADE: &str = "The peer agreed: it is funded by transaction ";

struct Scene {
    alice: Node,
    chain: Chain,
    dir: tempfile::TempDir,
}

impl Scene {
    fn on(backend: Backend) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::with(dir.path(), backend);
        let alice = Node::start(dir.path(), "alice", &chain, &[]);
        alice.fund(&chain);
        Scene { alice, chain, dir }
    }

    fn waiting(&self) -> Vec<Value> {
        let waiting = self.chain.ask("getrawmempool", &[]);
        waiting.as_array().unwrap().clone()
    }

    /// Fee of a transaction and of what spends it, in satoshi for 1000 virtual bytes.
    fn package_rate(&self, txid: &Value) -> u64 {
        let entry = self
            .chain
            .ask("getmempoolentry", std::slice::from_ref(txid));
        let fee = entry["fees"]["descendant"].as_f64().unwrap();
        let fee = Amount::from_btc(fee).unwrap().to_sat();
        fee * 1_000 / entry["descendantsize"].as_u64().unwrap()
    }

    fn mine(&self) {
        self.chain.mine(1);
        self.alice.wait_for_height(self.chain.height());
    }

    fn outputs(&self) -> Vec<Value> {
        let funds = self.alice.call("listfunds", json!({}));
        funds["outputs"].as_array().unwrap().clone()
    }
}

fn a_withdrawal_that_waits_is_replaced_and_pays_the_same(backend: Backend) {
    let mut scene = Scene::on(backend);
    let params = json!({"destination": ELSEWHERE, "satoshi": 100_000, "feerate": "2000perkb"});
    let sent = scene.alice.call("withdraw", params);
    let bump = |rate: &str| json!({"txid": sent["txid"], "feerate": rate});
    let error = scene.alice.refused("bumpfee", bump("1500perkb"));
    assert_eq!(error.code, -32602);
    assert!(error.message.starts_with("feerate: "), "{}", error.message);

    let bumped = scene.alice.call("bumpfee", bump("20000perkb"));
    assert_eq!(
        (&bumped["replaces"], bumped.get("pays_for")),
        (&sent["txid"], None)
    );
    assert_eq!(scene.waiting(), [bumped["txid"].clone()]);
    let rate = scene.package_rate(&bumped["txid"]);
    assert!((19_800..20_500).contains(&rate), "{rate}");
    let transaction: Transaction = deserialize_hex(bumped["tx"].as_str().unwrap()).unwrap();
    let script = ELSEWHERE
        .parse::<Address<_>>()
        .unwrap()
        .assume_checked()
        .script_pubkey();
    let mut outputs = transaction.output.iter();
    assert!(outputs.any(|output| {
        output.script_pubkey == script && output.value == Amount::from_sat(100_000)
    }));
    // The old one is not sent again, and its change is none.
    scene.alice.kill();
    scene.alice.resume();
    assert_eq!(scene.waiting(), [bumped["txid"].clone()]);
    let [change] = &scene.outputs()[..] else {
        panic!("one coin: {:?}", scene.outputs())
    };
    assert_eq!(change["txid"], bumped["txid"]);
    scene.mine();
    assert_eq!(scene.outputs()[0]["status"], "confirmed");
    let error = scene
        .alice
        .refused("bumpfee", json!([bumped["txid"], "30000perkb"]));
    assert!(
        error.message.contains("is in a block already"),
        "{}",
        error.message
    );
    let error = scene
        .alice
        .refused("bumpfee", json!(["11".repeat(32), "30000perkb"]));
    let text = format!("txid: {} is no transaction of this wallet", "11".repeat(32));
    assert_eq!((error.code, error.message), (-32602, text));
}

fn a_child_pays_for_what_funds_a_channel(backend: Backend) {
    let scene = Scene::on(backend);
    let bob = Node::start(scene.dir.path(), "bob", &scene.chain, &[]);
    scene.alice.connect(&bob);
    let params = json!({"id": bob.id, "amount": 1_000_000, "feerate": "1012perkb"});
    let opened = scene.alice.call("fundchannel", params);
    let bump = json!({"txid": opened["txid"], "feerate": "20000perkb"});
    let bumped = scene.alice.call("bumpfee", bump);
    assert_eq!(
        (&bumped["pays_for"], bumped.get("replaces")),
        (&opened["txid"], None)
    );
    let mut waiting: Vec<Value> = scene.waiting();
    waiting.sort_by_key(ToString::to_string);
    let mut expected = vec![opened["txid"].clone(), bumped["txid"].clone()];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(waiting, expected);
    let rate = scene.package_rate(&opened["txid"]);
    assert!((19_800..20_500).contains(&rate), "{rate}");
    // What the child stands on has nothing left for another.
    let again = json!({"txid": opened["txid"], "feerate": "40000perkb"});
    let error = scene.alice.refused("bumpfee", again);
    assert_eq!(error.code, -32602, "{}", error.message);
    // The child itself can be replaced.
    let bump = json!({"txid": bumped["txid"], "feerate": "80000perkb"});
    let third = scene.alice.call("bumpfee", bump);
    assert_eq!(third["replaces"], bumped["txid"]);
    scene.chain.mine(6);
    bob.wait_for_height(scene.chain.height());
    wait_for("a usable channel", || {
        scene.alice.usable_channel(&opened["channel_id"])
    });
}

impl Scene {
    /// Opens a channel and asks for a higher fee as soon as its funding is made, while the peer is stopped.
    fn open_and_bump(&self, peer: &Node) -> (Value, Result<Value, CallError>) {
        let mut client = self.alice.client();
        client.enable_notifications().unwrap();
        let (mut result, mut bumped) = (Vec::new(), None);
        let outcome = client.call_telling(
            "fundchannel",
            &json!({"id": peer.id, "amount": 1_000_000, "feerate": "1012perkb"}),
            &mut |told| {
                let Told::Message { message, .. } = told else {
                    return;
                };
                let Some(txid) = message.strip_prefix(MADE) else {
                    return;
                };
                peer.signal(Signal::SIGSTOP);
                let bump = json!({"txid": txid, "feerate": "20000perkb"});
                bumped = Some(self.alice.try_call("bumpfee", bump));
                peer.signal(Signal::SIGCONT);
            },
            &mut |bytes| {
                result.extend_from_slice(bytes);
                Ok(())
            },
        );
        outcome.unwrap();
        (serde_json::from_slice(&result).unwrap(), bumped.unwrap())
    }
}

#[test]
fn what_funds_a_channel_is_not_sent_for_a_higher_fee_before_the_peer_has_signed() {
    let scene = Scene::on(Backend::Embedded);
    let bob = Node::start(scene.dir.path(), "bob", &scene.chain, &[]);
    scene.alice.connect(&bob);
    // A peer that signs before it can be stopped is asked again.
    let (opened, refused) = (0..20)
        .find_map(|_| {
            let (opened, bumped) = scene.open_and_bump(&bob);
            scene.mine();
            Some((opened, bumped.err()?))
        })
        .unwrap();
    let CallError::Rpc(refused) = refused else {
        panic!("{refused:?}")
    };
    let expected = format!(
        "txid: {} is not sent yet: the channel that it funds is not agreed on yet, its peer has not signed",
        opened["txid"].as_str().unwrap()
    );
    assert_eq!((refused.code, refused.message), (-32602, expected));
    scene.chain.mine(6);
    bob.wait_for_height(scene.chain.height());
    wait_for("a usable channel", || {
        scene.alice.usable_channel(&opened["channel_id"])
    });
}

#[test]
fn a_higher_fee_that_cannot_be_had_leaves_everything_as_it_was() {
    let mut scene = Scene::on(Backend::Embedded);
    // All but a thousand satoshi of its 50 bitcoin.
    let params = json!({
        "destination": ELSEWHERE, "satoshi": 4_999_999_000_u64, "feerate": "2000perkb",
    });
    let sent = scene.alice.call("withdraw", params);
    let before = scene.outputs();
    let bump = |rate: &str| json!([sent["txid"], rate]);
    let error = scene.alice.refused("bumpfee", bump("20000perkb"));
    assert_eq!(error.code, 301, "{}", error.message);
    let error = scene.alice.refused("bumpfee", bump("nonsense"));
    assert_eq!(error.code, -32602, "{}", error.message);
    assert_eq!(scene.outputs(), before);
    // Less than what the chain takes by now.
    let mut pressure = scene.chain.prepare_pressure(1);
    scene.chain.press(&mut pressure, 10_000);
    let error = scene
        .alice
        .refused("bumpfee", json!([sent["txid"], "5000perkb"]));
    assert_eq!(error.code, -1);
    assert!(
        error.message.contains("the transaction was not sent"),
        "{}",
        error.message
    );
    assert_eq!(scene.outputs(), before);
    assert_eq!(scene.waiting(), [sent["txid"].clone()]);
    scene.alice.kill();
    scene.alice.resume();
    assert_eq!(scene.outputs(), before);
    scene.mine();
    let [change] = &scene.outputs()[..] else {
        panic!("one coin: {:?}", scene.outputs())
    };
    assert_eq!(
        (&change["txid"], &change["status"]),
        (&sent["txid"], &json!("confirmed"))
    );
}

/// How often a replacement is cut off, at instants that are spread over the time that one takes.
const CUT_OFF: u32 = 40;

impl Scene {
    /// Asks for a higher fee and kills the node at that instant; whatever was answered, it comes back.
    fn bump_and_kill(&mut self, params: Value, instant: Duration) {
        let asked = self.alice.call_later("bumpfee", params);
        // The instant of the death is the subject; nothing is waited for.
        std::thread::sleep(instant);
        self.alice.kill();
        drop(asked.join().unwrap());
        self.alice.resume();
    }

    /// What waits for a block, which the wallet must know as the chain does: its change is the only
    /// output, so that the coin it spends is not free.
    fn only_one_waiting(&self, after: &str) -> Value {
        let waiting = self.waiting();
        let [txid] = &waiting[..] else {
            panic!("{after}: one that waits: {waiting:?}")
        };
        let outputs = self.outputs();
        let [change] = &outputs[..] else {
            panic!("{after}: one output: {outputs:?}")
        };
        assert_eq!(
            (&change["txid"], &change["status"]),
            (txid, &json!("unconfirmed")),
            "{after}"
        );
        txid.clone()
    }
}

#[test]
fn a_replacement_that_is_cut_off_leaves_one_of_the_two_and_no_coin_free() {
    let mut scene = Scene::on(Backend::Embedded);
    let params = json!({"destination": ELSEWHERE, "satoshi": 100_000, "feerate": "2000perkb"});
    let mut txid = scene.alice.call("withdraw", params)["txid"].clone();
    let rate = |round: u32| format!("{}perkb", 4_000 + 2_000 * round);
    let begun = Instant::now();
    txid = scene.alice.call("bumpfee", json!([txid, rate(0)]))["txid"].clone();
    let takes = begun.elapsed();
    let (mut replaced, mut stayed) = (0, 0);
    for round in 1..=CUT_OFF {
        scene.bump_and_kill(json!([txid, rate(round)]), takes * round / CUT_OFF);
        let waits = scene.only_one_waiting(&format!("accepted, {round}"));
        match waits == txid {
            true => stayed += 1,
            false => replaced += 1,
        }
        txid = waits;
    }
    println!("cut off: {replaced} replaced, {stayed} stayed");
    scene.mine();
    assert_eq!(scene.outputs()[0]["txid"], txid);
}

#[test]
fn a_replacement_that_is_refused_and_cut_off_leaves_what_was_there() {
    let mut scene = Scene::on(Backend::Embedded);
    let params = json!({"destination": ELSEWHERE, "satoshi": 100_000, "feerate": "2000perkb"});
    let txid = scene.alice.call("withdraw", params)["txid"].clone();
    // Less than what the chain takes by now.
    let mut pressure = scene.chain.prepare_pressure(1);
    scene.chain.press(&mut pressure, 10_000);
    let bump = json!([txid, "5000perkb"]);
    let begun = Instant::now();
    let error = scene.alice.refused("bumpfee", bump.clone());
    assert_eq!(error.code, -1);
    let takes = begun.elapsed();
    for round in 1..=CUT_OFF {
        scene.bump_and_kill(bump.clone(), takes * round / CUT_OFF);
        assert_eq!(scene.only_one_waiting(&format!("refused, {round}")), txid);
    }
    scene.mine();
    assert_eq!(scene.outputs()[0]["txid"], txid);
}

#[test]
fn a_withdrawal_that_was_refused_is_forgotten_through_a_crash() {
    let mut scene = Scene::on(Backend::Embedded);
    let before = scene.outputs();
    let mut pressure = scene.chain.prepare_pressure(1);
    scene.chain.press(&mut pressure, 10_000);
    let params = json!({"destination": ELSEWHERE, "satoshi": 100_000, "feerate": "2000perkb"});
    for round in 1..=CUT_OFF / 2 {
        let error = scene.alice.refused("withdraw", params.clone());
        assert_eq!(error.code, -1, "{}", error.message);
        scene.alice.kill();
        scene.alice.resume();
        assert_eq!(scene.outputs(), before, "{round}");
    }
    // With room again, nothing comes that was said not to come.
    scene.mine();
    scene.alice.kill();
    scene.alice.resume();
    assert_eq!(scene.outputs(), before);
    assert_eq!(scene.waiting(), [json!(null); 0]);
}
