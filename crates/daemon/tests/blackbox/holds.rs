//! Hold invoices: a real HTLC that waits for a decision, seen from both ends and through crashes.

use sendpay_rpc::error::RpcError;
use serde_json::{Value, json};

use crate::harness::{Node, Pair, hop, wait_for};

/// CLN's code for an invoice that is not in the state it should be.
const STATUS_UNEXPECTED: i32 = 906;

const AMOUNT_MSAT: u64 = 50_000;

/// SHA256 of `PREIMAGE`, known to the receiver while the preimage is not.
const PREIMAGE: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const HASH: &str = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";

/// Makes a hold invoice of `PREIMAGE`.
fn make(pair: &Pair, more: &Value) -> Value {
    let mut params = json!({
        "amount_msat": AMOUNT_MSAT, "label": "held", "description": "test", "payment_hash": HASH,
    });
    let (params_map, more) = (params.as_object_mut().unwrap(), more.as_object().unwrap());
    params_map.extend(more.clone());
    let invoice = pair.bob.call("holdinvoice", params);
    assert_eq!(invoice["state"], "open");
    assert!(invoice.get("payment_preimage").is_none());
    invoice
}

/// Sends to it with that final delay.
fn send(pair: &Pair, invoice: &Value, delay: u32) {
    pair.alice.call(
        "sendpay",
        json!({
            "route": [hop(&pair.bob, &pair.channel, AMOUNT_MSAT, delay)],
            "payment_hash": HASH,
            "payment_secret": invoice["payment_secret"],
            "bolt11": invoice["bolt11"],
        }),
    );
}

fn state(receiver: &Node) -> Value {
    let listed = receiver.call("listinvoices", json!({"payment_hash": HASH}));
    listed["invoices"][0]["hold_state"].clone()
}

fn wait_for_state(receiver: &Node, wanted: &str) {
    wait_for(&format!("an invoice {wanted}"), || {
        (state(receiver) == wanted).then_some(())
    });
}

/// A pair with a payment that is held.
fn held() -> Pair {
    let pair = Pair::start();
    let invoice = make(&pair, &json!({}));
    send(&pair, &invoice, 186);
    wait_for_state(&pair.bob, "held");
    pair
}

fn settle(receiver: &Node) -> Value {
    receiver.call("holdinvoicesettle", json!({"preimage": PREIMAGE}))
}

fn settle_refused(receiver: &Node) -> RpcError {
    receiver.refused("holdinvoicesettle", json!({"preimage": PREIMAGE}))
}

fn cancel(receiver: &Node) -> Value {
    receiver.call("holdinvoicecancel", json!({"payment_hash": HASH}))
}

fn record(sender: &Node) -> Value {
    let records = sender.payments();
    assert_eq!(records.len(), 1, "{records:?}");
    records[0].clone()
}

fn assert_complete(sender: &Node) {
    let waited = sender.call("waitsendpay", json!({"payment_hash": HASH}));
    assert_eq!(waited["status"], "complete");
    assert_eq!(waited["payment_preimage"], PREIMAGE);
    assert!(waited.get("cltv_expiry").is_none());
    assert_eq!(record(sender), waited);
}

fn assert_refused(sender: &Node) {
    let told = sender.refused("waitsendpay", json!({"payment_hash": HASH}));
    assert_eq!(told.code, 203);
    let data = told.data.unwrap();
    assert_eq!(
        (&data["status"], &data["failcode"]),
        (&json!("failed"), &json!(0x400f))
    );
    assert_eq!(record(sender), data);
}

#[test]
fn a_held_payment_is_pending_until_it_is_settled_with_a_preimage_given_later() {
    let pair = held();
    // The sender's record says the height of its real HTLC.
    let pending = record(&pair.alice);
    assert_eq!(pending["status"], "pending");
    let channels = pair.alice.call("listpeerchannels", json!({}));
    let htlcs = channels["channels"][0]["htlcs"].as_array().unwrap();
    assert_eq!(htlcs.len(), 1);
    assert_eq!(htlcs[0]["direction"], "out");
    assert_eq!(htlcs[0]["payment_hash"], HASH);
    assert_eq!(htlcs[0]["expiry"], pending["cltv_expiry"]);
    let waits = json!({"payment_hash": HASH, "timeout": 0});
    let told = pair.alice.refused("waitsendpay", waits);
    assert_eq!(
        (told.code, told.message.as_str()),
        (200, "Timed out while waiting")
    );

    let listed = pair.bob.call("listinvoices", json!({}));
    let invoice = &listed["invoices"][0];
    assert_eq!(invoice["status"], "unpaid", "held is not paid");
    assert!(invoice.get("payment_preimage").is_none());
    let deadline = invoice["claim_deadline"].as_u64().unwrap();
    assert!(deadline > u64::from(pair.chain.height()) + 100);
    assert!(deadline < pending["cltv_expiry"].as_u64().unwrap());

    // Another preimage is another invoice.
    let other = json!({"preimage": "02".repeat(32)});
    assert_eq!(pair.bob.refused("holdinvoicesettle", other).code, 905);
    let settled = settle(&pair.bob);
    assert_eq!(settled["state"], "settled");
    assert_eq!(settled["payment_preimage"], PREIMAGE);
    assert_eq!(settled["amount_received_msat"], AMOUNT_MSAT);
    assert_eq!(state(&pair.bob), "settled");
    assert_complete(&pair.alice);
    // Settled is settled.
    assert_eq!(settle(&pair.bob), settled);
    let late = pair
        .bob
        .refused("holdinvoicecancel", json!({"payment_hash": HASH}));
    assert_eq!(late.code, STATUS_UNEXPECTED);
    assert_eq!(state(&pair.bob), "settled");
}

#[test]
fn a_cancelled_payment_fails_and_stays_cancelled() {
    let pair = held();
    assert_eq!(cancel(&pair.bob)["state"], "cancelled");
    assert_refused(&pair.alice);
    assert_eq!(cancel(&pair.bob)["state"], "cancelled");
    assert_eq!(settle_refused(&pair.bob).code, STATUS_UNEXPECTED);
    assert_eq!(state(&pair.bob), "cancelled");
    // CLN's word for what can never be paid.
    let listed = pair.bob.call("listinvoices", json!({}));
    assert_eq!(listed["invoices"][0]["status"], "expired");
}

#[test]
fn an_open_invoice_that_is_cancelled_or_expired_takes_no_payment() {
    let pair = Pair::start();
    let invoice = make(&pair, &json!({}));
    assert_eq!(
        settle_refused(&pair.bob).code,
        STATUS_UNEXPECTED,
        "nothing to settle yet"
    );
    assert_eq!(cancel(&pair.bob)["state"], "cancelled");
    send(&pair, &invoice, 186);
    assert_refused(&pair.alice);
    assert_eq!(state(&pair.bob), "cancelled");

    let short = json!({
        "amount_msat": AMOUNT_MSAT, "label": "short", "description": "", "expiry": 1,
        "payment_hash": "03".repeat(32),
    });
    let invoice = pair.bob.call("holdinvoice", short);
    let hash = &invoice["payment_hash"];
    wait_for("an invoice expired", || {
        let listed = pair.bob.call("listinvoices", json!({"payment_hash": hash}));
        (listed["invoices"][0]["hold_state"] == "expired").then_some(())
    });
    pair.alice.call(
        "sendpay",
        json!({
            "route": [hop(&pair.bob, &pair.channel, AMOUNT_MSAT, 186)],
            "payment_hash": hash, "payment_secret": invoice["payment_secret"],
        }),
    );
    let told = pair
        .alice
        .refused("waitsendpay", json!({"payment_hash": hash}));
    assert_eq!(
        (told.code, told.data.unwrap()["failcode"].clone()),
        (203, json!(0x400f))
    );
}

#[test]
fn a_held_payment_is_given_back_at_its_claim_deadline_and_not_before() {
    let pair = Pair::start();
    let invoice = make(&pair, &json!({"cltv": 50}));
    send(&pair, &invoice, 50);
    wait_for_state(&pair.bob, "held");
    let listed = pair.bob.call("listinvoices", json!({}));
    let deadline = listed["invoices"][0]["claim_deadline"].as_u64().unwrap();
    let left = u32::try_from(deadline).unwrap() - pair.chain.height();
    pair.chain.mine(left - 1);
    for node in [&pair.alice, &pair.bob] {
        node.wait_for_height(pair.chain.height());
    }
    assert_eq!(state(&pair.bob), "held");
    assert_eq!(record(&pair.alice)["status"], "pending");
    pair.chain.mine(1);
    wait_for_state(&pair.bob, "cancelled");
    assert_refused(&pair.alice);
    assert_eq!(settle_refused(&pair.bob).code, STATUS_UNEXPECTED);
}

#[test]
fn a_payment_can_be_settled_up_to_the_block_before_its_claim_deadline() {
    let pair = Pair::start();
    let invoice = make(&pair, &json!({"cltv": 50}));
    send(&pair, &invoice, 50);
    wait_for_state(&pair.bob, "held");
    let listed = pair.bob.call("listinvoices", json!({}));
    let deadline = listed["invoices"][0]["claim_deadline"].as_u64().unwrap();
    let left = u32::try_from(deadline).unwrap() - pair.chain.height();
    pair.chain.mine(left - 1);
    pair.bob.wait_for_height(pair.chain.height());
    assert_eq!(settle(&pair.bob)["state"], "settled");
    assert_complete(&pair.alice);
}

#[test]
fn a_receiver_killed_while_holding_still_holds_and_settles() {
    let mut pair = held();
    let before = pair.bob.call("listinvoices", json!({}));
    pair.bob.kill();
    assert_eq!(record(&pair.alice)["status"], "pending");
    pair.bob.resume();
    assert_eq!(pair.bob.call("listinvoices", json!({})), before);
    assert_eq!(settle(&pair.bob)["state"], "settled");
    assert_complete(&pair.alice);
}

#[test]
fn a_receiver_killed_while_holding_still_holds_and_cancels() {
    let mut pair = held();
    pair.bob.kill();
    pair.bob.resume();
    assert_eq!(state(&pair.bob), "held");
    assert_eq!(cancel(&pair.bob)["state"], "cancelled");
    assert_refused(&pair.alice);
}

#[test]
fn a_receiver_away_over_the_claim_deadline_gives_back_and_refuses_to_settle() {
    let mut pair = Pair::start();
    let invoice = make(&pair, &json!({"cltv": 60}));
    send(&pair, &invoice, 60);
    wait_for_state(&pair.bob, "held");
    let listed = pair.bob.call("listinvoices", json!({}));
    let deadline = listed["invoices"][0]["claim_deadline"].as_u64().unwrap();
    pair.bob.kill();
    let left = u32::try_from(deadline).unwrap() - pair.chain.height();
    pair.chain.mine(left);
    pair.bob.resume();
    assert_eq!(settle_refused(&pair.bob).code, STATUS_UNEXPECTED);
    wait_for_state(&pair.bob, "cancelled");
    assert_refused(&pair.alice);
}

#[test]
fn a_sender_killed_while_held_keeps_its_record_and_sees_it_settle() {
    let mut pair = held();
    let before = record(&pair.alice);
    pair.alice.kill();
    pair.alice.resume();
    assert_eq!(record(&pair.alice), before);
    assert!(before["cltv_expiry"].as_u64().is_some());
    settle(&pair.bob);
    assert_complete(&pair.alice);
}

#[test]
fn a_sender_away_while_it_is_settled_learns_it_at_its_return() {
    let mut pair = held();
    pair.alice.kill();
    assert_eq!(settle(&pair.bob)["state"], "settled");
    pair.alice.resume();
    assert_complete(&pair.alice);
}

/// Either end closes the channel by itself while the payment is held, with an amount that is worth an output.
fn settled_after_a_close_by(closer: fn(&Pair) -> &Node) {
    let pair = Pair::start();
    let invoice = make(&pair, &json!({"amount_msat": 5_000_000}));
    pair.alice.call(
        "sendpay",
        json!({
            "route": [hop(&pair.bob, &pair.channel, 5_000_000, 186)],
            "payment_hash": HASH,
            "payment_secret": invoice["payment_secret"],
        }),
    );
    wait_for_state(&pair.bob, "held");
    let closed = closer(&pair).call("close", json!({"id": pair.channel, "unilateraltimeout": 1}));
    assert_eq!(closed["type"], "unilateral");
    let mine = || {
        pair.chain.mine(1);
        for node in [&pair.alice, &pair.bob] {
            node.wait_for_height(pair.chain.height());
        }
    };
    // With the closing transaction in a block, and some more on top.
    for _ in 0..8 {
        mine();
        assert_eq!(state(&pair.bob), "held");
    }
    assert_eq!(settle(&pair.bob)["state"], "settled");
    wait_for("the preimage on chain", || {
        mine();
        (record(&pair.alice)["status"] == "complete").then_some(())
    });
    assert_complete(&pair.alice);
}

#[test]
fn a_held_payment_is_settled_on_chain_after_the_receiver_closed_the_channel() {
    settled_after_a_close_by(|pair| &pair.bob);
}

#[test]
fn a_held_payment_is_settled_on_chain_after_the_sender_closed_the_channel() {
    settled_after_a_close_by(|pair| &pair.alice);
}

#[test]
fn a_preimage_made_by_the_node_is_told_to_its_owner_once() {
    let pair = Pair::start();
    let params = json!(["any", "ours", "test"]);
    let invoice = pair.bob.call("holdinvoice", params);
    let preimage = invoice["payment_preimage"].as_str().unwrap().to_owned();
    let listed = pair.bob.call("listinvoices", json!({}));
    assert!(listed["invoices"][0].get("payment_preimage").is_none());
    pair.alice.call(
        "sendpay",
        json!({
            "route": [hop(&pair.bob, &pair.channel, AMOUNT_MSAT, 186)],
            "payment_hash": invoice["payment_hash"],
            "payment_secret": invoice["payment_secret"],
        }),
    );
    wait_for("an invoice held", || {
        let listed = pair.bob.call("listinvoices", json!({}));
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
    let settled = pair.bob.call("holdinvoicesettle", json!([preimage]));
    assert_eq!(settled["state"], "settled");
    let wait = json!({"payment_hash": invoice["payment_hash"]});
    assert_eq!(
        pair.alice.call("waitsendpay", wait)["payment_preimage"],
        *preimage
    );
}

#[test]
fn invoices_that_make_no_sense_are_not_made() {
    let pair = Pair::start();
    let both = json!({
        "amount_msat": 1, "label": "a", "description": "", "payment_hash": HASH,
        "preimage": "02".repeat(32),
    });
    let told = pair.bob.refused("holdinvoice", both);
    let text = "payment_hash: is not the hash of preimage";
    assert_eq!((told.code, told.message.as_str()), (-32602, text));
    make(&pair, &json!({}));
    let again = json!({"amount_msat": 1, "label": "held", "description": ""});
    assert_eq!(pair.bob.refused("holdinvoice", again).code, 900);
    let same = json!({
        "amount_msat": 1, "label": "b", "description": "", "payment_hash": HASH,
    });
    assert_eq!(pair.bob.refused("holdinvoice", same).code, 901);
}
