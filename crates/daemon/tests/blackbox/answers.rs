//! What a method has answered is so, whatever happens next: the node is killed (`kill -9`) the moment the
//! answer is there, and asked when it is back. That something waits for the disk only sometimes shows only
//! sometimes, so each is done again and again.

use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Node, Pair, direct, wait_for};

/// How often each is done.
const ROUNDS: u64 = 8;

/// Of nobody here.
const ELSEWHERE: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

/// The answer of a node that dies with it, and comes back.
fn last_words(node: &mut Node, method: &str, params: Value) -> Value {
    let answer = node.call(method, params);
    come_back(node);
    answer
}

/// The same where the answer is an error: its code.
fn last_refusal(node: &mut Node, method: &str, params: Value) -> i32 {
    let error = node.refused(method, params);
    come_back(node);
    error.code
}

/// Dies, and comes back to where it was in the chain.
fn come_back(node: &mut Node) {
    let height = node.height();
    node.kill();
    node.resume();
    node.wait_for_height(height);
}

fn one(node: &Node, method: &str, params: Value, of: &str) -> Value {
    let listed = node.call(method, params);
    let [one] = &listed[of].as_array().unwrap()[..] else {
        panic!("{method}: one of {of}: {listed}")
    };
    one.clone()
}

fn outputs(node: &Node) -> Vec<Value> {
    let funds = node.call("listfunds", json!({}));
    funds["outputs"].as_array().unwrap().clone()
}

fn total(outputs: &[Value]) -> u64 {
    let amounts = outputs.iter().map(|output| output["amount_msat"].as_u64());
    amounts.map(Option::unwrap).sum()
}

fn alone(dir: &tempfile::TempDir) -> (Chain, Node) {
    let chain = Chain::with(dir.path(), Backend::Embedded);
    let alice = Node::start(dir.path(), "alice", &chain, &[]);
    (chain, alice)
}

#[test]
fn invoices() {
    let dir = tempfile::tempdir().unwrap();
    let (_chain, mut alice) = alone(&dir);
    for round in 0..ROUNDS {
        let label = format!("sold {round}");
        let by_label = json!({"label": label});
        let params = json!({"amount_msat": 1_000, "label": label, "description": "a thing"});
        let made = last_words(&mut alice, "invoice", params);
        let listed = one(&alice, "listinvoices", by_label.clone(), "invoices");
        assert_eq!(listed["bolt11"], made["bolt11"]);
        let params = json!({"label": label, "status": "unpaid", "desconly": true});
        last_words(&mut alice, "delinvoice", params);
        let listed = one(&alice, "listinvoices", by_label.clone(), "invoices");
        assert_eq!(listed.get("description"), None);
        let params = json!({"label": label, "status": "unpaid"});
        last_words(&mut alice, "delinvoice", params);
        let listed = alice.call("listinvoices", by_label);
        assert_eq!(listed, json!({"invoices": []}));

        let label = format!("held {round}");
        let params = json!({"amount_msat": 1_000, "label": label, "description": "a thing"});
        let made = last_words(&mut alice, "holdinvoice", params);
        let by_hash = json!({"payment_hash": made["payment_hash"]});
        last_words(&mut alice, "holdinvoicecancel", by_hash.clone());
        let listed = one(&alice, "listinvoices", by_hash, "invoices");
        assert_eq!(listed["hold_state"], "cancelled");
    }
}

#[test]
fn addresses_and_withdrawals() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, mut alice) = alone(&dir);
    alice.fund(&chain);
    let mut given = Vec::new();
    for _ in 0..ROUNDS {
        for kind in ["bech32", "p2tr"] {
            let address = last_words(&mut alice, "newaddr", json!([kind]))[kind].clone();
            assert!(!given.contains(&address), "{address} was given out twice");
            given.push(address);
        }
        let params = json!({"destination": ELSEWHERE, "satoshi": 100_000, "feerate": "2000perkb"});
        let sent = last_words(&mut alice, "withdraw", params);
        assert_eq!(chain.ask("getrawmempool", &[]), json!([sent["txid"]]));
        let [change] = &outputs(&alice)[..] else {
            panic!("{:?}", outputs(&alice))
        };
        assert_eq!(
            (&change["txid"], &change["status"]),
            (&sent["txid"], &json!("unconfirmed"))
        );
        chain.mine(1);
        alice.wait_for_height(chain.height());
    }
}

#[test]
fn channels() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, mut alice) = alone(&dir);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    Node::fund_each(&[&alice, &bob], &chain);
    for round in 0..ROUNDS {
        alice.connect(&bob);
        let before = outputs(&alice);
        // More than there is: nothing was taken for it.
        let params = json!({"id": bob.id, "amount": 9_000_000_000_u64});
        assert_eq!(last_refusal(&mut alice, "fundchannel", params), 301);
        assert_eq!(outputs(&alice), before);

        alice.connect(&bob);
        let params = json!({"id": bob.id, "amount": 1_000_000});
        let opened = last_words(&mut alice, "fundchannel", params);
        let by_id = json!({"channel_id": opened["channel_id"]});
        let channel = one(&alice, "listpeerchannels", by_id.clone(), "channels");
        assert_eq!(channel["funding_txid"], opened["txid"]);
        assert_eq!(chain.ask("getrawmempool", &[]), json!([opened["txid"]]));
        let left = total(&outputs(&alice));
        let taken = total(&before) - left;
        assert!(
            (1_000_000_001..1_010_000_000).contains(&taken),
            "{taken} msat"
        );
        chain.mine(6);
        bob.wait_for_height(chain.height());
        alice.wait_for_height(chain.height());
        wait_for("a usable channel", || {
            alice.usable_channel(&opened["channel_id"])
        });

        let params = json!({"id": opened["channel_id"], "feebase": 3_000 + round, "feeppm": 77});
        last_words(&mut alice, "setchannel", params);
        let channel = one(&alice, "listpeerchannels", by_id.clone(), "channels");
        assert_eq!(channel["fee_base_msat"], 3_000 + round);
        assert_eq!(channel["fee_proportional_millionths"], 77);

        wait_for("a usable channel", || {
            alice.usable_channel(&opened["channel_id"])
        });
        let closed = last_words(&mut alice, "close", json!([opened["channel_id"]]));
        assert_eq!(closed["type"], "mutual");
        assert_eq!(chain.ask("getrawmempool", &[]), json!([closed["txid"]]));
        // Written down: bob need not tell it.
        let channel = one(&alice, "listpeerchannels", by_id, "channels");
        assert_eq!(channel["state"], "CLOSINGD_COMPLETE");
        chain.mine(1);
        alice.wait_for_height(chain.height());
    }
}

#[test]
fn payments() {
    let mut pair = Pair::start();
    for round in 0..ROUNDS {
        let invoice = pair.bob.invoice(&format!("sold {round}"), 1_000);
        let params = direct(&pair.bob, &pair.channel, &invoice, 1_000);
        last_words(&mut pair.alice, "sendpay", params.clone());
        let by_hash = json!({"payment_hash": invoice["payment_hash"]});
        let record = one(&pair.alice, "listsendpays", by_hash.clone(), "payments");
        assert_eq!(record["bolt11"], invoice["bolt11"]);
        // Never sent, if the crash came first: known at the start, and said.
        wait_for("an end", || {
            let record = one(&pair.alice, "listsendpays", by_hash.clone(), "payments");
            (record["status"] != "pending").then_some(())
        });
        wait_for("a channel", || usable(&pair));
        if one(&pair.alice, "listsendpays", by_hash.clone(), "payments")["status"] == "failed" {
            let mut again = params;
            again["groupid"] = json!(1_000 + round);
            pair.alice.call("sendpay", again);
        }
        let paid = last_words(&mut pair.alice, "waitsendpay", by_hash.clone());
        let records = pair.alice.call("listsendpays", by_hash.clone());
        let complete = records["payments"].as_array().unwrap().iter();
        let proofs: Vec<&Value> = complete
            .filter(|record| record["status"] == "complete")
            .map(|record| &record["payment_preimage"])
            .collect();
        assert_eq!(proofs, [&paid["payment_preimage"]]);
        pair.bob.paid_invoice(&by_hash);

        let params = json!({"payment_hash": invoice["payment_hash"], "status": "complete"});
        let removed = last_words(&mut pair.alice, "delpay", params);
        assert_eq!(
            removed["payments"][0]["payment_preimage"],
            paid["payment_preimage"]
        );
        let left = pair.alice.call("listsendpays", by_hash);
        let left = left["payments"].as_array().unwrap();
        assert!(
            left.iter().all(|record| record["status"] == "failed"),
            "{left:?}"
        );
        wait_for("a channel", || usable(&pair));
    }
}

#[test]
fn payments_that_were_held() {
    let mut pair = Pair::start();
    // Alice takes some seconds to find bob again.
    for round in 0..ROUNDS / 2 {
        let params = json!(["1000msat", format!("held {round}"), "a thing"]);
        let invoice = pair.bob.call("holdinvoice", params);
        let by_hash = json!({"payment_hash": invoice["payment_hash"]});
        let mut send = direct(&pair.bob, &pair.channel, &invoice, 1_000);
        send["route"][0]["delay"] = json!(186);
        pair.alice.call("sendpay", send);
        let state = |bob: &Node| {
            one(bob, "listinvoices", by_hash.clone(), "invoices")["hold_state"].clone()
        };
        wait_for("an invoice held", || {
            (state(&pair.bob) == "held").then_some(())
        });
        let is_settled = round % 2 == 0;
        if is_settled {
            let settled = last_words(
                &mut pair.bob,
                "holdinvoicesettle",
                json!([invoice["payment_preimage"]]),
            );
            assert_eq!(settled["state"], "settled");
            assert_eq!(state(&pair.bob), "settled");
        } else {
            last_words(&mut pair.bob, "holdinvoicecancel", by_hash.clone());
            assert_eq!(state(&pair.bob), "cancelled");
        }
        let status = wait_for("an end", || {
            let record = one(&pair.alice, "listsendpays", by_hash.clone(), "payments");
            let status = record["status"].clone();
            (status != "pending").then_some(status)
        });
        assert_eq!(status, if is_settled { "complete" } else { "failed" });
        wait_for("a channel", || usable(&pair));
    }
}

#[test]
fn payments_over_routes_of_the_nodes_own() {
    let mut pair = Pair::start();
    for round in 0..ROUNDS {
        let invoice = pair.bob.invoice(&format!("sold {round}"), 1_000);
        let paid = last_words(&mut pair.alice, "pay", json!([invoice["bolt11"]]));
        let by_hash = json!({"payment_hash": invoice["payment_hash"]});
        let shown = one(&pair.alice, "listpays", by_hash.clone(), "pays");
        assert_eq!(shown["preimage"], paid["payment_preimage"]);
        pair.bob.paid_invoice(&by_hash);
        wait_for("a channel", || usable(&pair));
        let params = json!({"destination": pair.bob.id, "amount_msat": 1_000});
        let given = last_words(&mut pair.alice, "keysend", params);
        let by_hash = json!({"payment_hash": given["payment_hash"]});
        let shown = one(&pair.alice, "listpays", by_hash.clone(), "pays");
        assert_eq!(shown["preimage"], given["payment_preimage"]);
        pair.bob.paid_invoice(&by_hash);
        wait_for("a channel", || usable(&pair));
    }
}

fn usable(pair: &Pair) -> Option<()> {
    let channel = one(&pair.alice, "listpeerchannels", json!({}), "channels");
    pair.alice.usable_channel(&channel["channel_id"]).map(drop)
}
