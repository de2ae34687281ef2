//! Coins on p2tr addresses: seen, listed and spent, alone and beside p2wpkh, at the rate that was asked for.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, Transaction};
use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Node, wait_for, with_every_backend};

with_every_backend! {
    what_arrives_on_p2tr_is_listed_and_spent_alone_and_beside_p2wpkh,
    channels_are_funded_by_p2tr_coins_alone_and_beside_p2wpkh,
    fees_of_what_spends_and_pays_p2tr_are_raised,
}

/// Of nobody here.
const ELSEWHERE: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

/// Elements of the witness of an input: of p2tr one signature, of p2wpkh the public key too.
const P2TR: usize = 1;
const P2WPKH: usize = 2;

/// A node with a coinbase on a p2tr address, and nothing else.
struct Scene {
    alice: Node,
    chain: Chain,
    dir: tempfile::TempDir,
    first: Value,
}

impl Scene {
    fn on(backend: Backend) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::with(dir.path(), backend);
        let alice = Node::start(dir.path(), "alice", &chain, &[]);
        let first = own(&alice);
        chain.mine_to(1, first.as_str().unwrap());
        chain.mine(100);
        let scene = Scene {
            alice,
            chain,
            dir,
            first,
        };
        scene.settle();
        scene
    }

    fn mine(&self) {
        self.chain.mine(1);
        self.settle();
    }

    /// Waits until the node has all blocks and all that is in them: from an Electrum server that may come
    /// later than the block.
    fn settle(&self) {
        self.alice.wait_for_height(self.chain.height());
        wait_for("confirmed coins", || {
            let coins = self.coins().concat();
            let mut confirmed = coins.iter().map(|coin| coin["status"] == "confirmed");
            (!coins.is_empty() && confirmed.all(|is| is)).then_some(())
        });
    }

    fn restart(&mut self) {
        self.alice.kill();
        self.alice.resume();
        self.alice.wait_for_height(self.chain.height());
    }

    /// The coins, those on p2tr and those on p2wpkh.
    fn coins(&self) -> [Vec<Value>; 2] {
        let funds = self.alice.call("listfunds", json!({}));
        let outputs = funds["outputs"].as_array().unwrap().iter().cloned();
        let (p2tr, p2wpkh) = outputs.partition(|output| {
            let address = output["address"].as_str().unwrap();
            address.starts_with("bcrt1p")
        });
        [p2tr, p2wpkh]
    }

    /// A withdrawal that waits for a block: its inputs' kinds are these, and it has the rate.
    fn withdraw(&self, params: &Value, kinds: &[usize]) -> Value {
        let mut params = params.clone();
        params["feerate"] = json!("5000perkb");
        let sent = self.alice.call("withdraw", params);
        self.assert_like(&sent, kinds);
        self.assert_rate(&sent["txid"], 1, 5_000);
        sent
    }

    fn assert_like(&self, sent: &Value, kinds: &[usize]) {
        let transaction: Transaction = deserialize_hex(sent["tx"].as_str().unwrap()).unwrap();
        let inputs = transaction.input.iter();
        let mut found: Vec<usize> = inputs.map(|input| input.witness.len()).collect();
        found.sort_unstable();
        assert_eq!(found, kinds);
    }

    /// Of so many transactions: not below the rate, in satoshi for 1000 virtual bytes, and above it by a
    /// hundredth and what rounding makes.
    fn assert_rate(&self, txid: &Value, transactions: u64, rate: u64) {
        let (fee, size) = match transactions {
            1 => ("base", "vsize"),
            _ => ("ancestor", "ancestorsize"),
        };
        let entry = self
            .chain
            .ask("getmempoolentry", std::slice::from_ref(txid));
        let fee = Amount::from_btc(entry["fees"][fee].as_f64().unwrap()).unwrap();
        let size = entry[size].as_u64().unwrap();
        // Up to three quarters of a virtual byte of each are rounded up, and not paid for.
        let least = rate * (size * 1_000 - 750 * transactions) / 1_000_000;
        let most = rate * size / 1_000 * 101 / 100 + 6;
        assert!((least..=most).contains(&fee.to_sat()), "{fee} of {size}");
    }
}

fn own(node: &Node) -> Value {
    node.call("newaddr", json!(["p2tr"]))["p2tr"].clone()
}

fn name(coin: &Value) -> String {
    format!("{}:{}", coin["txid"].as_str().unwrap(), coin["output"])
}

fn sat(coin: &Value) -> u64 {
    coin["amount_msat"].as_u64().unwrap() / 1_000
}

fn what_arrives_on_p2tr_is_listed_and_spent_alone_and_beside_p2wpkh(backend: Backend) {
    let mut scene = Scene::on(backend);
    let before = scene.coins();
    let [coin] = &before[0][..] else {
        panic!("one coin")
    };
    assert_eq!((sat(coin), &coin["address"]), (5_000_000_000, &scene.first));
    let script = coin["scriptpubkey"].as_str().unwrap();
    assert!(script.starts_with("5120") && script.len() == 68, "{script}");
    assert_eq!(
        (&coin["status"], &coin["reserved"], &coin["blockheight"]),
        (&json!("confirmed"), &json!(false), &json!(1))
    );
    let unused = own(&scene.alice);
    scene.restart();
    wait_for("the coin", || (scene.coins() == before).then_some(()));
    assert_ne!(own(&scene.alice), unused, "given out twice");

    let some = json!({"destination": ELSEWHERE, "satoshi": 1_000_000});
    scene.withdraw(&some, &[P2TR]);
    scene.mine();
    // Change is p2wpkh; the next address is another one.
    let [p2tr, p2wpkh] = scene.coins();
    assert_eq!((p2tr.len(), p2wpkh.len()), (0, 1));
    let second = own(&scene.alice);
    assert_ne!(second, scene.first);
    scene.withdraw(
        &json!({"destination": second, "satoshi": 2_000_000}),
        &[P2WPKH],
    );
    scene.mine();

    // More than either has.
    let [_, p2wpkh] = scene.coins();
    let both = json!({"destination": own(&scene.alice), "satoshi": sat(&p2wpkh[0]) + 1_000_000});
    scene.withdraw(&both, &[P2TR, P2WPKH]);
    scene.restart();
    scene.mine();
    let [p2tr, p2wpkh] = scene.coins();
    assert_eq!((p2tr.len(), p2wpkh.len()), (1, 1));
    assert_eq!(p2tr[0]["address"], both["destination"]);

    let all = json!({"destination": own(&scene.alice), "satoshi": "all"});
    scene.withdraw(&all, &[P2TR, P2WPKH]);
    scene.mine();
    let some = json!({"destination": own(&scene.alice), "satoshi": 3_000_000});
    scene.withdraw(&some, &[P2TR]);
    scene.mine();
    // Named: that one whole, and no other.
    let [p2tr, p2wpkh] = scene.coins();
    let named = json!({"destination": ELSEWHERE, "satoshi": "all", "utxos": [name(&p2tr[0])]});
    scene.withdraw(&named, &[P2TR]);
    let gone = json!({"destination": ELSEWHERE, "satoshi": "all", "utxos": [name(&p2tr[0])]});
    let error = scene.alice.refused("withdraw", gone);
    assert_eq!(error.code, -32602);
    scene.mine();
    assert_eq!(scene.coins(), [vec![], p2wpkh]);
    let spent = scene.alice.call("listfunds", json!({"spent": true}));
    let mut spent = spent["outputs"].as_array().unwrap().iter();
    let coin = spent.find(|output| output["address"] == scene.first);
    assert_eq!(coin.unwrap()["status"], "spent");
}

fn channels_are_funded_by_p2tr_coins_alone_and_beside_p2wpkh(backend: Backend) {
    let scene = Scene::on(backend);
    let alice = &scene.alice;
    let bob = Node::start(scene.dir.path(), "bob", &scene.chain, &[]);
    alice.connect(&bob);
    let fund = |utxos: Vec<String>, kinds: &[usize]| {
        let params = json!({
            "id": bob.id, "amount": 1_000_000, "feerate": "5000perkb", "utxos": utxos,
        });
        let opened = alice.call("fundchannel", params);
        scene.assert_like(&opened, kinds);
        scene.assert_rate(&opened["txid"], 1, 5_000);
        scene.chain.mine(6);
        for node in [alice, &bob] {
            node.wait_for_height(scene.chain.height());
        }
        wait_for("a usable channel", || {
            alice.usable_channel(&opened["channel_id"])
        });
    };
    let [p2tr, _] = scene.coins();
    fund(vec![name(&p2tr[0])], &[P2TR]);
    alice.call("withdraw", json!([own(alice), 700_000]));
    scene.mine();
    let [p2tr, p2wpkh] = scene.coins();
    fund(vec![name(&p2tr[0]), name(&p2wpkh[0])], &[P2TR, P2WPKH]);
    // A channel of all that these coins are.
    alice.call("withdraw", json!([own(alice), 800_000]));
    scene.mine();
    let [p2tr, _] = scene.coins();
    let all = json!({"id": bob.id, "amount": "all", "utxos": [name(&p2tr[0])]});
    let opened = alice.call("fundchannel", all);
    scene.assert_like(&opened, &[P2TR]);
    let [p2tr, _] = scene.coins();
    assert_eq!(p2tr, Vec::<Value>::new());
}

fn fees_of_what_spends_and_pays_p2tr_are_raised(backend: Backend) {
    let scene = Scene::on(backend);
    let alice = &scene.alice;
    let cheap = json!({"destination": own(alice), "satoshi": 1_000_000, "feerate": "2000perkb"});
    let sent = alice.call("withdraw", cheap);
    scene.assert_like(&sent, &[P2TR]);
    let bump =
        |txid: &Value, rate: u64| alice.call("bumpfee", json!([txid, format!("{rate}perkb")]));
    let replaced = bump(&sent["txid"], 20_000);
    assert_eq!(replaced["replaces"], sent["txid"]);
    scene.assert_like(&replaced, &[P2TR]);
    scene.assert_rate(&replaced["txid"], 1, 20_000);
    let [p2tr, p2wpkh] = scene.coins();
    assert_eq!((p2tr.len(), p2wpkh.len()), (1, 1));

    // Its change is spent by then: what is left of it for a child is on p2tr.
    let next = json!({
        "destination": ELSEWHERE, "satoshi": 100_000, "feerate": "2000perkb", "minconf": 0,
        "utxos": [name(&p2wpkh[0])],
    });
    alice.call("withdraw", next);
    let child = bump(&replaced["txid"], 40_000);
    assert_eq!(child["pays_for"], replaced["txid"]);
    scene.assert_like(&child, &[P2TR]);
    scene.assert_rate(&child["txid"], 2, 40_000);
    scene.mine();
    let [p2tr, p2wpkh] = scene.coins();
    assert_eq!((p2tr.len(), p2wpkh.len()), (0, 2));
    assert!(p2wpkh.iter().all(|coin| coin["status"] == "confirmed"));

    // More than the change can pay is taken from a p2tr coin in a block.
    alice.call("withdraw", json!([own(alice), 500_000]));
    scene.mine();
    let [_, p2wpkh] = scene.coins();
    let small = p2wpkh.iter().min_by_key(|coin| sat(coin)).unwrap();
    let nearly = json!({
        "destination": ELSEWHERE, "satoshi": sat(small) - 1_000, "feerate": "1012perkb",
        "utxos": [name(small)],
    });
    let sent = alice.call("withdraw", nearly);
    scene.assert_like(&sent, &[P2WPKH]);
    // Whichever is taken, what pays is right.
    let replaced = bump(&sent["txid"], 50_000);
    scene.assert_rate(&replaced["txid"], 1, 50_000);
    scene.mine();
}

/// What spends p2tr alone and pays nothing back is no transaction of BDK's own addresses.
#[test]
fn a_p2tr_coin_is_free_again_when_what_spent_it_was_refused() {
    let mut scene = Scene::on(Backend::Embedded);
    let before = scene.coins();
    let mut pressure = scene.chain.prepare_pressure(1);
    scene.chain.press(&mut pressure, 10_000);
    let all = json!({"destination": ELSEWHERE, "satoshi": "all", "feerate": "2000perkb"});
    let error = scene.alice.refused("withdraw", all);
    assert_eq!(error.code, -1, "{}", error.message);
    assert_eq!(scene.coins(), before);
    scene.restart();
    assert_eq!(scene.coins(), before);
    let all = json!({"destination": ELSEWHERE, "satoshi": "all", "feerate": "50000perkb"});
    let sent = scene.alice.call("withdraw", all);
    scene.assert_like(&sent, &[P2TR]);
}
