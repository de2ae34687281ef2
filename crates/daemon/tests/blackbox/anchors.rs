//! Channels with anchors whose close meets a mempool that has grown dearer: their fees are raised by coins
//! of the wallet until all is where it belongs, to the satoshi.

use std::collections::HashMap;

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{OutPoint, Transaction, Txid};
use serde_json::{Value, json};

use crate::harness::{
    Backend, Chain, Node, Pair, Pressure, SMALL_MEMPOOL, direct, wait_for, with_every_backend,
};

/// Ten satoshi for a virtual byte, and thirty: more than a commitment transaction has.
const DEAR: u64 = 10_000;
const DEARER: u64 = 30_000;

/// What only fills the mempool is larger, in virtual bytes.
const FILLER_LEAST: u64 = 10_000;

/// Of nobody here.
const ELSEWHERE: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

with_every_backend! {
    a_forced_close_that_the_mempool_has_grown_too_dear_for_is_raised_with_its_htlc_and_loses_only_fees,
    what_was_raised_before_a_crash_is_raised_further_after_it_with_the_same_coins,
    a_close_without_coins_warns_and_goes_on_by_itself_when_one_comes,
    a_sweep_that_waits_while_fees_rise_is_sent_again_at_the_new_rate,
}

/// Alice and bob with a channel, and a mempool that can be made dear.
struct Dear {
    pair: Pair,
    pressure: Pressure,
}

impl Dear {
    fn on(backend: Backend, settings: &[&str]) -> Dear {
        let options = [SMALL_MEMPOOL, "-txindex"];
        let pair = match backend {
            Backend::Bitcoind => Pair::over(|dir| Chain::bitcoind_with(dir, &options), settings),
            Backend::Electrs => Pair::over(|dir| Chain::electrs_with(dir, &options), settings),
            Backend::Embedded => Pair::on(backend, settings),
        };
        let pressure = pair.chain.prepare_pressure(2);
        for node in [&pair.alice, &pair.bob] {
            node.wait_for_height(pair.chain.height());
        }
        Dear { pair, pressure }
    }

    fn press(&mut self, sat_per_kvb: u64) {
        self.pair.chain.press(&mut self.pressure, sat_per_kvb);
    }

    /// Has an HTLC of alice's wait at bob, who then goes away for good; its hash.
    fn leave_htlc(&mut self, amount_msat: u64) -> Value {
        let pair = &mut self.pair;
        let hold = json!({
            "amount_msat": amount_msat, "label": "held", "description": "", "cltv": 50,
        });
        let invoice = pair.bob.call("holdinvoice", hold);
        let mut params = direct(&pair.bob, &pair.channel, &invoice, amount_msat);
        params["route"][0]["delay"] = json!(50);
        pair.alice.call("sendpay", params);
        wait_for("an invoice held", || {
            let listed = pair.bob.call("listinvoices", json!({}));
            (listed["invoices"][0]["hold_state"] == "held").then_some(())
        });
        pair.bob.kill();
        invoice["payment_hash"].clone()
    }

    /// Closes the channel without bob; its commitment transaction.
    fn force_close(&self) -> Transaction {
        let params = json!({"id": self.pair.bob.id, "unilateraltimeout": 1});
        let closed = self.pair.alice.call("close", params);
        assert_eq!(closed["type"], "unilateral");
        deserialize_hex(closed["txs"][0].as_str().unwrap()).unwrap()
    }

    /// A block with nothing in it, which has alice look at the rates again.
    fn pass(&self) {
        self.pair.chain.mine_only(&[]);
        self.pair.alice.wait_for_height(self.pair.chain.height());
    }

    fn mine(&self, blocks: u32) {
        self.pair.chain.mine(blocks);
        self.pair.alice.wait_for_height(self.pair.chain.height());
    }

    /// The entry of a transaction that waits for a block.
    fn waiting(&self, txid: Txid) -> Option<Value> {
        let entry = self
            .pair
            .chain
            .ask_anyway("getmempoolentry", &[json!(txid)]);
        entry.ok()
    }

    /// Fee of a transaction and of what spends it, in satoshi for 1000 virtual bytes.
    fn package_rate(&self, txid: Txid) -> Option<u64> {
        let entry = self.waiting(txid)?;
        let fee = sat(&entry["fees"]["descendant"]);
        Some(fee * 1_000 / entry["descendantsize"].as_u64().unwrap())
    }

    /// Waits, with empty blocks, until a transaction is in the mempool and pays that much.
    fn wait_for_rate(&self, txid: Txid, sat_per_kvb: u64) {
        wait_for("a transaction at a rate", || {
            self.pass();
            self.package_rate(txid).filter(|rate| *rate >= sat_per_kvb)
        });
    }

    /// The transaction that waits and spends an output of another, but for what is given.
    fn spender_of(&self, parent: Txid, but: &[Txid]) -> Option<Transaction> {
        let waiting = self.pair.chain.ask("getrawmempool", &[json!(true)]);
        waiting
            .as_object()
            .unwrap()
            .iter()
            .find_map(|(txid, entry)| {
                if entry["vsize"].as_u64().unwrap() > FILLER_LEAST {
                    return None;
                }
                let raw = self
                    .pair
                    .chain
                    .ask_anyway("getrawtransaction", &[json!(txid)]);
                let found: Transaction = deserialize_hex(raw.ok()?.as_str()?).unwrap();
                let spends = found
                    .input
                    .iter()
                    .any(|input| input.previous_output.txid == parent);
                (spends && !but.contains(&found.compute_txid())).then_some(found)
            })
    }
}

impl Dear {
    /// What spends an output of a transaction, once it is not being replaced.
    fn child_of(&self, parent: Txid) -> Transaction {
        wait_for("what pays for it", || self.spender_of(parent, &[]))
    }
}

fn sat(bitcoins: &Value) -> u64 {
    bitcoin::Amount::from_btc(bitcoins.as_f64().unwrap())
        .unwrap()
        .to_sat()
}

fn outputs(node: &Node) -> Vec<Value> {
    let funds = node.call("listfunds", json!({}));
    funds["outputs"].as_array().unwrap().clone()
}

/// All coins of a wallet, in sat.
fn funds_sat(node: &Node) -> u64 {
    let amounts = outputs(node);
    let amounts = amounts
        .iter()
        .map(|output| output["amount_msat"].as_u64().unwrap());
    amounts.sum::<u64>() / 1_000
}

fn reserved(node: &Node) -> Vec<OutPoint> {
    let outputs = outputs(node).into_iter();
    let reserved = outputs.filter(|output| output["reserved"] == true);
    reserved
        .map(|output| {
            let name = format!("{}:{}", output["txid"].as_str().unwrap(), output["output"]);
            name.parse().unwrap()
        })
        .collect()
}

/// What became of the money of a transaction and of everything that stands on it in blocks.
#[derive(Default)]
struct Account {
    fees: u64,
    /// Unspent, and not in the wallet.
    elsewhere: Vec<u64>,
}

impl Account {
    /// Of a channel's commitment transaction: `funded` sat went in.
    fn of(dear: &Dear, commitment: Txid, from_height: u32) -> Account {
        let chain = &dear.pair.chain;
        let mut family: HashMap<Txid, Transaction> = HashMap::new();
        for height in from_height..=chain.height() {
            let hash = chain.ask("getblockhash", &[json!(height)]);
            let block = chain.ask("getblock", &[hash, json!(0)]);
            let block: bitcoin::Block = deserialize_hex(block.as_str().unwrap()).unwrap();
            for transaction in block.txdata {
                let txid = transaction.compute_txid();
                let mut inputs = transaction.input.iter();
                if txid == commitment
                    || inputs.any(|input| family.contains_key(&input.previous_output.txid))
                {
                    family.insert(txid, transaction);
                }
            }
        }
        let amount = |outpoint: &OutPoint| {
            let raw = chain.ask("getrawtransaction", &[json!(outpoint.txid), json!(0)]);
            let from: Transaction = deserialize_hex(raw.as_str().unwrap()).unwrap();
            from.output[outpoint.vout as usize].value.to_sat()
        };
        let in_wallet: Vec<OutPoint> = outputs(&dear.pair.alice)
            .iter()
            .map(|output| {
                let name = format!("{}:{}", output["txid"].as_str().unwrap(), output["output"]);
                name.parse().unwrap()
            })
            .collect();
        let mut account = Account::default();
        for (txid, transaction) in &family {
            let inputs = transaction.input.iter();
            let taken: u64 = inputs.map(|input| amount(&input.previous_output)).sum();
            let given: u64 = transaction
                .output
                .iter()
                .map(|output| output.value.to_sat())
                .sum();
            account.fees += taken - given;
            for (vout, output) in (0..).zip(&transaction.output) {
                let outpoint = OutPoint { txid: *txid, vout };
                let spent = family.values().flat_map(|other| &other.input);
                let is_spent = spent
                    .into_iter()
                    .any(|input| input.previous_output == outpoint);
                if !is_spent && !in_wallet.contains(&outpoint) {
                    account.elsewhere.push(output.value.to_sat());
                }
            }
        }
        account
    }
}

fn a_forced_close_that_the_mempool_has_grown_too_dear_for_is_raised_with_its_htlc_and_loses_only_fees(
    backend: Backend,
) {
    let mut dear = Dear::on(backend, &[]);
    let listed = dear.pair.alice.call("listpeerchannels", json!({}));
    let kind = json!({"bits": [12, 22], "names": ["static_remotekey/even", "anchors/even"]});
    assert_eq!(listed["channels"][0]["channel_type"], kind);
    let before = funds_sat(&dear.pair.alice);
    let hash = dear.leave_htlc(2_000_000_000);
    dear.press(DEAR);
    let from_height = dear.pair.chain.height();
    let commitment = dear.force_close();
    let txid = commitment.compute_txid();
    // By itself it is not let in.
    dear.wait_for_rate(txid, DEAR);
    let entry = dear.waiting(txid).unwrap();
    let alone = sat(&entry["fees"]["base"]) * 1_000 / entry["vsize"].as_u64().unwrap();
    assert!(alone < DEAR, "{alone}");
    // The coin that pays for it is nobody else's now.
    let coins = reserved(&dear.pair.alice);
    let child = dear.child_of(txid);
    let spent: Vec<OutPoint> = child
        .input
        .iter()
        .map(|input| input.previous_output)
        .collect();
    assert!(
        !coins.is_empty() && coins.iter().all(|coin| spent.contains(coin)),
        "{coins:?}"
    );
    let named =
        json!({"destination": ELSEWHERE, "satoshi": "all", "utxos": [coins[0].to_string()]});
    let error = dear.pair.alice.refused("withdraw", named);
    assert_eq!(
        (error.code, error.message.contains("already reserved")),
        (-32602, true)
    );
    dear.mine(1);
    assert_eq!(dear.waiting(txid), None);

    // The HTLC's refund comes at its height, and has a fee only by a coin.
    let known = [child.compute_txid()];
    let refund = wait_for("the HTLC's refund", || {
        dear.pass();
        dear.spender_of(txid, &known)
    });
    dear.wait_for_rate(refund.compute_txid(), DEAR);
    assert!(refund.input.len() > 1, "nothing of the wallet in it");
    dear.mine(6);
    let record = wait_for("the end of the payment", || {
        let record = dear.pair.alice.payments()[0].clone();
        (record["status"] == "failed").then_some(record)
    });
    assert_eq!(record["payment_hash"], hash);

    // What waited for bob's objections, and the refund after that.
    wait_for("all outputs in the wallet", || {
        dear.mine(12);
        let account = Account::of(&dear, txid, from_height);
        (account.elsewhere == [330]).then_some(())
    });
    let account = Account::of(&dear, txid, from_height);
    assert_eq!(
        funds_sat(&dear.pair.alice),
        before + 10_000_000 - account.fees - 330
    );
    // Nothing is set aside when all is done.
    dear.mine(6);
    wait_for("coins to be free", || {
        reserved(&dear.pair.alice).is_empty().then_some(())
    });
}

fn what_was_raised_before_a_crash_is_raised_further_after_it_with_the_same_coins(backend: Backend) {
    let mut dear = Dear::on(backend, &[]);
    let carol = Node::start(dear.pair.dir.path(), "carol", &dear.pair.chain, &[]);
    carol.fund(&dear.pair.chain);
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    dear.leave_htlc(2_000_000_000);
    dear.press(DEAR);
    let txid = dear.force_close().compute_txid();
    dear.wait_for_rate(txid, DEAR);
    let coins = reserved(&dear.pair.alice);
    let first = dear.child_of(txid);
    let address = dear.pair.alice.call("newaddr", json!(["bech32"]))["bech32"].clone();
    dear.pair.alice.kill();
    // A coin that would be taken first if nothing were known of the other one.
    let params = json!({"destination": address, "satoshi": 1_000_000, "feerate": "20000perkb"});
    let sent = carol.call("withdraw", params);
    dear.pair.chain.mine_only(&[sent["tx"].as_str().unwrap()]);
    dear.press(DEARER);
    dear.pair.alice.resume();
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    assert_eq!(reserved(&dear.pair.alice), coins);
    dear.wait_for_rate(txid, DEARER);
    let second = dear.child_of(txid);
    assert_ne!(first.compute_txid(), second.compute_txid());
    let spent = |transaction: &Transaction| {
        let inputs = transaction.input.iter();
        let mut spent: Vec<OutPoint> = inputs.map(|input| input.previous_output).collect();
        spent.sort();
        spent
    };
    assert_eq!(spent(&first), spent(&second));
    // In the middle of it again, with what is in a block.
    dear.mine(1);
    dear.pair.alice.kill();
    dear.pair.alice.resume();
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    // Spent, and what it left over came back, beside what carol sent.
    let outputs = outputs(&dear.pair.alice);
    let named =
        |output: &Value| format!("{}:{}", output["txid"].as_str().unwrap(), output["output"]);
    assert!(
        !outputs
            .iter()
            .any(|output| named(output) == coins[0].to_string())
    );
    let change = outputs.iter().find(|output| output["txid"] != sent["txid"]);
    assert_eq!(change.expect("change")["status"], "confirmed");
}

fn a_close_without_coins_warns_and_goes_on_by_itself_when_one_comes(backend: Backend) {
    let mut dear = Dear::on(backend, &["min_emergency_msat=0"]);
    let carol = Node::start(dear.pair.dir.path(), "carol", &dear.pair.chain, &[]);
    carol.fund(&dear.pair.chain);
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    dear.pair.alice.call("withdraw", json!([ELSEWHERE, "all"]));
    dear.mine(1);
    assert_eq!(outputs(&dear.pair.alice), Vec::<Value>::new());
    dear.leave_htlc(2_000_000_000);
    dear.press(DEAR);
    let txid = dear.force_close().compute_txid();
    let warning = || {
        let info = dear.pair.alice.call("getinfo", json!({}));
        info["warning_fee_bump"].as_str().map(ToOwned::to_owned)
    };
    let text = wait_for("a warning", || {
        dear.pass();
        warning()
    });
    assert!(
        text.contains("send coins to an address of newaddr: commitment transaction"),
        "{text}"
    );
    assert!(dear.pair.alice.log().contains("no coins to raise the fee"));
    assert_eq!(dear.waiting(txid), None);

    let address = dear.pair.alice.call("newaddr", json!(["bech32"]))["bech32"].clone();
    carol.wait_for_height(dear.pair.chain.height());
    let params = json!({"destination": address, "satoshi": 100_000, "feerate": "20000perkb"});
    carol.call("withdraw", params);
    dear.mine(1);
    dear.wait_for_rate(txid, DEAR);
    wait_for("no warning", || warning().is_none().then_some(()));
    dear.mine(1);
    assert_eq!(dear.waiting(txid), None);
}

fn a_sweep_that_waits_while_fees_rise_is_sent_again_at_the_new_rate(backend: Backend) {
    let mut dear = Dear::on(backend, &[]);
    dear.pair.bob.kill();
    let commitment = dear.force_close();
    let txid = commitment.compute_txid();
    wait_for("the commitment", || dear.waiting(txid));
    let child = dear.spender_of(txid, &[]).map(|child| child.compute_txid());
    let known: Vec<Txid> = child.into_iter().collect();
    dear.mine(1);
    let sweep = wait_for("a sweep", || {
        dear.pass();
        dear.spender_of(txid, &known)
    });
    let cheap = dear.package_rate(sweep.compute_txid()).unwrap();
    assert!(cheap < DEAR, "{cheap}");
    dear.press(DEAR);
    let again = wait_for("the sweep at the new rate", || {
        dear.pass();
        let again = dear.spender_of(txid, &known)?;
        let rate = dear.package_rate(again.compute_txid())?;
        (rate >= DEAR).then_some(again)
    });
    assert_ne!(again.compute_txid(), sweep.compute_txid());
    dear.mine(1);
    let found = outputs(&dear.pair.alice);
    let swept = found
        .iter()
        .find(|output| output["txid"] == json!(again.compute_txid()));
    assert_eq!(swept.expect("the money")["status"], "confirmed");
}
