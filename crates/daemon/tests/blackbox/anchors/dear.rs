//! A channel, and a mempool that can be made dear: what becomes of a close in it, to the satoshi.

use std::collections::HashMap;

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{OutPoint, Transaction, Txid};
use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Node, Pair, Pressure, SMALL_MEMPOOL, direct, wait_for};

/// What only fills the mempool is larger, in virtual bytes.
const FILLER_LEAST: u64 = 10_000;

/// Alice and bob with a channel, and a mempool that can be made dear.
pub struct Dear {
    pub pair: Pair,
    pressure: Pressure,
}

impl Dear {
    pub fn on(backend: Backend, settings: &[&str]) -> Dear {
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

    pub fn press(&mut self, sat_per_kvb: u64) {
        self.pair.chain.press(&mut self.pressure, sat_per_kvb);
    }

    /// Has an HTLC of alice's wait at bob, who then goes away for good; its hash.
    pub fn leave_htlc(&mut self, amount_msat: u64) -> Value {
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
    pub fn force_close(&self) -> Transaction {
        let params = json!({"id": self.pair.bob.id, "unilateraltimeout": 1});
        let closed = self.pair.alice.call("close", params);
        assert_eq!(closed["type"], "unilateral");
        deserialize_hex(closed["txs"][0].as_str().unwrap()).unwrap()
    }

    /// A block with nothing in it, which has alice look at the rates again.
    pub fn pass(&self) {
        self.pair.chain.mine_only(&[]);
        self.pair.alice.wait_for_height(self.pair.chain.height());
    }

    pub fn mine(&self, blocks: u32) {
        self.pair.chain.mine(blocks);
        self.pair.alice.wait_for_height(self.pair.chain.height());
    }

    /// The entry of a transaction that waits for a block.
    pub fn waiting(&self, txid: Txid) -> Option<Value> {
        let entry = self
            .pair
            .chain
            .ask_anyway("getmempoolentry", &[json!(txid)]);
        entry.ok()
    }

    /// Fee of a transaction and of what spends it, in satoshi for 1000 virtual bytes.
    pub fn package_rate(&self, txid: Txid) -> Option<u64> {
        let entry = self.waiting(txid)?;
        let fee = sat(&entry["fees"]["descendant"]);
        Some(fee * 1_000 / entry["descendantsize"].as_u64().unwrap())
    }

    /// Waits, with empty blocks, until a transaction is in the mempool and pays that much.
    pub fn wait_for_rate(&self, txid: Txid, sat_per_kvb: u64) {
        wait_for("a transaction at a rate", || {
            self.pass();
            self.package_rate(txid).filter(|rate| *rate >= sat_per_kvb)
        });
    }

    /// The transaction that waits and spends an output of another, but for what is given.
    pub fn spender_of(&self, parent: Txid, but: &[Txid]) -> Option<Transaction> {
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
    pub fn child_of(&self, parent: Txid) -> Transaction {
        wait_for("what pays for it", || self.spender_of(parent, &[]))
    }
}

pub fn sat(bitcoins: &Value) -> u64 {
    bitcoin::Amount::from_btc(bitcoins.as_f64().unwrap())
        .unwrap()
        .to_sat()
}

pub fn outputs(node: &Node) -> Vec<Value> {
    let funds = node.call("listfunds", json!({}));
    funds["outputs"].as_array().unwrap().clone()
}

/// All coins of a wallet, in sat.
pub fn funds_sat(node: &Node) -> u64 {
    let amounts = outputs(node);
    let amounts = amounts
        .iter()
        .map(|output| output["amount_msat"].as_u64().unwrap());
    amounts.sum::<u64>() / 1_000
}

pub fn reserved(node: &Node) -> Vec<OutPoint> {
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
pub struct Account {
    pub fees: u64,
    /// Unspent, and not in the wallet.
    pub elsewhere: Vec<u64>,
}

impl Account {
    /// Of a channel's commitment transaction: `funded` sat went in.
    pub fn of(dear: &Dear, commitment: Txid, from_height: u32) -> Account {
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
