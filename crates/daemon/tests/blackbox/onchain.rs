//! Payments on the chain, fee rates, and the error of everything that makes no sense there.

use serde_json::{Value, json};

use crate::harness::{Chain, Node, wait_for};

/// A chain and a node with one mature coinbase of 50 bitcoin.
struct Funded {
    alice: Node,
    chain: Chain,
    dir: tempfile::TempDir,
}

impl Funded {
    fn start() -> Funded {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::start(dir.path());
        let alice = Node::start(dir.path(), "alice", &chain, &[]);
        alice.fund(&chain);
        Funded { alice, chain, dir }
    }

    fn address(&self) -> Value {
        self.alice.call("newaddr", json!(["bech32"]))["bech32"].clone()
    }

    fn mine(&self, blocks: u32) {
        self.chain.mine(blocks);
        self.alice.wait_for_height(self.chain.height());
    }

    /// What can be spent or soon will be, by txid.
    fn outputs(&self) -> Vec<Value> {
        let funds = self.alice.call("listfunds", json!({}));
        funds["outputs"].as_array().unwrap().clone()
    }
}

/// Of nobody here.
const ELSEWHERE: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

fn amount(output: &Value) -> u64 {
    output["amount_msat"].as_u64().unwrap()
}

#[test]
fn a_withdrawal_is_in_the_next_block_and_its_change_comes_back() {
    let funded = Funded::start();
    let params = json!({"destination": ELSEWHERE, "satoshi": 100_000, "feerate": "2000perkb"});
    let sent = funded.alice.call("withdraw", params);
    assert!(sent["psbt"].as_str().unwrap().starts_with("cHNidP8"));
    let [change] = &funded.outputs()[..] else {
        panic!("one coin")
    };
    assert_eq!(change["txid"], sent["txid"]);
    assert_eq!(change["status"], "unconfirmed");
    // By default only what is confirmed is spent, change or not.
    let error = funded
        .alice
        .refused("withdraw", json!([ELSEWHERE, 100_000]));
    assert_eq!(error.code, 301);
    let text = "Could not afford 100000sat using all 0 available UTXOs: *sat short";
    assert_matches(&error.message, text);
    funded.mine(1);
    let [change] = &funded.outputs()[..] else {
        panic!("one coin")
    };
    assert_eq!(change["status"], "confirmed");
    let fee = 5_000_000_000_000 - 100_000_000 - amount(change);
    // 140.25 virtual bytes at two satoshi, rounded up by less than five.
    assert!((280_000..=290_000).contains(&fee), "{fee}");
    // Unconfirmed change, if asked for, in a chain of two.
    for _ in 0..2 {
        let params = json!([ELSEWHERE, "1000000msat", "minimum", 0]);
        funded.alice.call("withdraw", params);
    }
    funded.mine(1);
    assert_eq!(funded.outputs()[0]["status"], "confirmed");
}

#[test]
fn all_leaves_nothing_and_named_outputs_are_spent_whole() {
    let funded = Funded::start();
    let own = funded.address();
    let split = funded.alice.call("withdraw", json!([own, "1000000sat"]));
    funded.mine(1);
    let outputs = funded.outputs();
    assert_eq!(outputs.len(), 2);
    let small = outputs
        .iter()
        .find(|output| amount(output) == 1_000_000_000)
        .unwrap();
    assert_eq!(small["txid"], split["txid"]);
    let name = format!("{}:{}", small["txid"].as_str().unwrap(), small["output"]);
    let error = funded.alice.refused(
        "withdraw",
        json!({"destination": ELSEWHERE, "satoshi": 2_000_000, "utxos": [name]}),
    );
    assert_eq!(error.code, 301);
    let text = "Could not afford 2000000sat using all 1 available UTXOs: *sat short";
    assert_matches(&error.message, text);
    funded.alice.call(
        "withdraw",
        json!({"destination": ELSEWHERE, "satoshi": "all", "utxos": [name]}),
    );
    funded.mine(1);
    assert_eq!(funded.outputs().len(), 1, "the other one stays");
    funded.alice.call("withdraw", json!([ELSEWHERE, "all"]));
    assert_eq!(funded.outputs(), Vec::<Value>::new());
    funded.mine(1);
    assert_eq!(funded.outputs(), Vec::<Value>::new());
}

#[test]
fn a_withdrawal_whose_sending_nobody_confirmed_is_sent_after_a_crash() {
    let mut funded = Funded::start();
    let before = funded.outputs();
    funded.chain.stop();
    let error = funded
        .alice
        .refused("withdraw", json!([ELSEWHERE, 100_000]));
    assert_eq!(error.code, -1);
    let txid = error.data.unwrap()["txid"].clone();
    funded.alice.kill();
    funded.chain.resume(funded.dir.path());
    funded.alice.resume();
    // Neither forgotten, which would free its coins, nor left unsent.
    wait_for("the withdrawal in a block", || {
        funded.mine(1);
        let [change] = &funded.outputs()[..] else {
            return None;
        };
        (change["txid"] == txid && change["status"] == "confirmed").then_some(())
    });
    assert_ne!(funded.outputs(), before);
}

#[test]
fn a_withdrawal_that_the_chain_refuses_is_undone() {
    let funded = Funded::start();
    let before = funded.outputs();
    // A coinbase that is not mature, named so that the wallet takes it.
    funded.chain.mine_to(1, funded.address().as_str().unwrap());
    funded.alice.wait_for_height(funded.chain.height());
    let outputs = funded.outputs();
    let young = outputs
        .iter()
        .find(|output| output["status"] == "immature")
        .unwrap();
    let name = format!("{}:{}", young["txid"].as_str().unwrap(), young["output"]);
    let error = funded.alice.refused(
        "withdraw",
        json!({"destination": ELSEWHERE, "satoshi": 100_000, "utxos": [name]}),
    );
    assert_eq!(error.code, -1);
    assert!(
        error.message.contains("the transaction was not sent"),
        "{}",
        error.message
    );
    let same = |outputs: &[Value]| {
        let mut names: Vec<String> = outputs.iter().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(same(&funded.outputs()), same(&outputs));
    assert_ne!(funded.outputs(), before);
}

#[test]
fn fee_rates_come_from_the_chain_in_both_units() {
    let funded = Funded::start();
    let per_kw = funded.alice.call("feerates", json!(["perkw"]));
    let per_kb = funded.alice.call("feerates", json!({"style": "perkb"}));
    assert_eq!(per_kw["perkb"], Value::Null);
    assert_eq!(per_kb["perkw"], Value::Null);
    assert_eq!(per_kw["warning_missing_feerates"], Value::Null);
    for name in [
        "opening",
        "mutual_close",
        "unilateral_close",
        "penalty",
        "floor",
    ] {
        assert_eq!(per_kw["perkw"][name], 253, "{name}");
        assert_eq!(per_kb["perkb"][name], 1_012, "{name}");
    }
    let blocks: Vec<&Value> = per_kw["perkw"]["estimates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|estimate| &estimate["blockcount"])
        .collect();
    assert_eq!(blocks, [2, 6, 12, 144, 1_008]);
    assert_eq!(per_kb["perkb"]["estimates"][0]["feerate"], 1_012);
    assert_eq!(
        per_kw["onchain_fee_estimates"],
        json!({
            "opening_channel_satoshis": 177, "mutual_close_satoshis": 170,
            "unilateral_close_satoshis": 281, "unilateral_close_nonanchor_satoshis": 151,
            "htlc_timeout_satoshis": 167, "htlc_success_satoshis": 177,
        })
    );
}

#[test]
fn each_error_has_its_code_and_words() {
    let funded = Funded::start();
    let unknown = format!("{}:0", "11".repeat(32));
    let mainnet = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    let invalid = -32602;
    let rows = [
        (
            "withdraw",
            json!(["nonsense", 1_000]),
            -1,
            "Could not parse destination address, destination should be a valid address",
        ),
        (
            "withdraw",
            json!([mainnet, 1_000]),
            -1,
            "Destination address is not on network regtest",
        ),
        (
            "withdraw",
            json!([ELSEWHERE]),
            invalid,
            "missing required parameter: satoshi",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, "much"]),
            invalid,
            "satoshi: should be a satoshi amount*",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, "1500msat"]),
            invalid,
            "satoshi: should be a satoshi amount*",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1]),
            302,
            "Receive amount is below dust limit",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 6_000_000_000_u64]),
            301,
            "Could not afford 6000000000sat using all 1 available UTXOs: *",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1_000, "fast"]),
            invalid,
            "'feerate' should be an integer with optional perkw/perkb, not 'fast'",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1_000, "manyblocks"]),
            invalid,
            "'feerate' should be an integer not 'many'",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1_000, null, "one"]),
            invalid,
            "minconf: should be an unsigned 32 bit integer*",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1_000, null, 102]),
            301,
            "Could not afford 1000sat using all 0 available UTXOs: *",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1_000, null, null, "all"]),
            invalid,
            "Could not decode the outpoint array for utxos: \"all\" is not a valid outpoint array.",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1_000, null, null, ["1:1"]]),
            invalid,
            "Could not decode outpoint \"\"1:1\"\", expected format: txid:output",
        ),
        (
            "withdraw",
            json!([ELSEWHERE, 1_000, null, null, [unknown]]),
            invalid,
            "Unknown UTXO 1111*",
        ),
        (
            "feerates",
            json!([]),
            invalid,
            "missing required parameter: style",
        ),
        (
            "feerates",
            json!(["perbyte"]),
            invalid,
            "'style' should be 'perkw' or 'perkb', not '\"perbyte\"'",
        ),
    ];
    let before = funded.outputs();
    for (method, params, code, text) in rows {
        let error = funded.alice.refused(method, params.clone());
        assert_eq!(error.code, code, "{method} {params}: {}", error.message);
        assert_matches(&error.message, text);
    }
    assert_eq!(funded.outputs(), before);
}

/// `*` stands for anything.
fn assert_matches(text: &str, pattern: &str) {
    let mut rest = text;
    for (place, part) in pattern.split('*').enumerate() {
        let found = rest.find(part).filter(|at| place > 0 || *at == 0);
        let at = found.unwrap_or_else(|| panic!("{text:?} is not {pattern:?}"));
        rest = &rest[at + part.len()..];
    }
    assert!(
        pattern.ends_with('*') || rest.is_empty(),
        "{text:?} is not {pattern:?}"
    );
}
