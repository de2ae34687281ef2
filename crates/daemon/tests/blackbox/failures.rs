//! Why a payment failed, as `waitsendpay` and `listsendpays` tell it: CLN's fields, from BOLT 4's
//! codes as they come back from real nodes. They pin the log format that the codes are read from.

use serde_json::{Value, json};

use crate::harness::{Backend, Line, Node, direction, wait_for, with_every_backend};

/// Who is to blame, as CLN tells it.
struct Expected<'a> {
    code: i32,
    failcode: u16,
    name: &'a str,
    erring_index: u32,
    erring_node: &'a Node,
    erring_channel: &'a str,
    erring_direction: u8,
}

/// Waits for the payment and holds the error, the record and the repeated error against it.
fn assert_failed(sender: &Node, payment_hash: &Value, expected: &Expected<'_>) {
    let wait = json!({"payment_hash": payment_hash});
    let told = sender.refused("waitsendpay", wait.clone());
    let text = format!("failed: {} (reply from remote)", expected.name);
    assert_eq!((told.code, told.message.as_str()), (expected.code, &*text));
    let data = told.data.clone().unwrap();
    let seen = json!({
        "status": data["status"], "code": data["code"], "message": data["message"],
        "failcode": data["failcode"], "failcodename": data["failcodename"],
        "erring_index": data["erring_index"], "erring_node": data["erring_node"],
        "erring_channel": data["erring_channel"], "erring_direction": data["erring_direction"],
    });
    let wanted = json!({
        "status": "failed", "code": expected.code, "message": text,
        "failcode": expected.failcode, "failcodename": expected.name,
        "erring_index": expected.erring_index, "erring_node": expected.erring_node.id,
        "erring_channel": expected.erring_channel,
        "erring_direction": expected.erring_direction,
    });
    assert_eq!(seen, wanted);
    assert!(data.get("payment_preimage").is_none());
    // Told live or later, by a waiter or in a listing: the same to the letter.
    assert_eq!(sender.refused("waitsendpay", wait.clone()), told);
    let listed = sender.call("listsendpays", wait);
    assert_eq!(listed["payments"], json!([data]));
}

impl Line {
    fn blames_bob<'a>(&'a self, failcode: u16, name: &'a str) -> Expected<'a> {
        Expected {
            code: 204,
            failcode,
            name,
            erring_index: 1,
            erring_node: &self.bob,
            erring_channel: &self.far,
            erring_direction: direction(&self.bob, &self.carol),
        }
    }

    fn blames_carol(&self) -> Expected<'_> {
        Expected {
            code: 203,
            failcode: 0x400f,
            name: "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS",
            erring_index: 2,
            erring_node: &self.carol,
            erring_channel: &self.far,
            erring_direction: direction(&self.bob, &self.carol),
        }
    }
}

#[test]
fn what_the_nodes_on_the_way_say_is_told_and_listed() {
    let line = Line::with_far(100_000);
    let amount = 1_000_000;
    let fail = |label: &str, change: &dyn Fn(&mut Value), expected: &Expected<'_>| {
        let invoice = line.carol.invoice(label, amount);
        let mut params = line.sendpay(&invoice, amount);
        change(&mut params);
        line.alice.call("sendpay", params.clone());
        assert_failed(&line.alice, &params["payment_hash"], expected);
    };
    // More than bob has in the channel to carol.
    let too_much = |params: &mut Value| params["route"] = line.route(150_000_000, 42);
    let expected = line.blames_bob(0x1007, "WIRE_TEMPORARY_CHANNEL_FAILURE");
    fail("liquidity", &too_much, &expected);
    // Nothing for bob.
    let no_fee = |params: &mut Value| {
        params["route"][0]["amount_msat"] = json!(amount);
    };
    let expected = line.blames_bob(0x100c, "WIRE_FEE_INSUFFICIENT");
    fail("fee", &no_fee, &expected);
    // Too little time for bob.
    let no_time = |params: &mut Value| params["route"][0]["delay"] = json!(42 + 10);
    let expected = line.blames_bob(0x100d, "WIRE_INCORRECT_CLTV_EXPIRY");
    fail("delay", &no_time, &expected);
    // A channel that bob does not have.
    let elsewhere = |params: &mut Value| params["route"][1]["channel"] = json!("999x1x0");
    let expected = Expected {
        erring_channel: "999x1x0",
        ..line.blames_bob(0x400a, "WIRE_UNKNOWN_NEXT_PEER")
    };
    fail("channel", &elsewhere, &expected);
    // Carol has no such invoice, another secret, another amount, or too few blocks left.
    let unknown = |params: &mut Value| params["payment_hash"] = json!("ab".repeat(32));
    fail("hash", &unknown, &line.blames_carol());
    let secret = |params: &mut Value| params["payment_secret"] = json!("cd".repeat(32));
    fail("secret", &secret, &line.blames_carol());
    let little = |params: &mut Value| params["route"] = line.route(amount / 2, 42);
    fail("amount", &little, &line.blames_carol());
    let late = |params: &mut Value| params["route"] = line.route(amount, 20);
    fail("final delay", &late, &line.blames_carol());
    assert_eq!(line.alice.payments().len(), 8);
}

#[test]
fn a_node_that_is_away_behind_the_first_is_blamed_on_its_channel() {
    let mut line = Line::with_far(100_000);
    let invoice = line.carol.invoice("away", 1_000_000);
    line.carol.kill();
    wait_for("bob to miss carol", || {
        let channels = line
            .bob
            .call("listpeerchannels", json!({"id": line.carol.id}));
        (channels["channels"][0]["reestablished"] == false).then_some(())
    });
    let params = line.sendpay(&invoice, 1_000_000);
    line.alice.call("sendpay", params);
    let expected = line.blames_bob(0x1007, "WIRE_TEMPORARY_CHANNEL_FAILURE");
    assert_failed(&line.alice, &invoice["payment_hash"], &expected);
}

#[test]
fn without_the_first_peer_nothing_is_sent_and_nothing_recorded() {
    let mut line = Line::with_far(100_000);
    let invoice = line.carol.invoice("away", 1_000_000);
    line.bob.kill();
    wait_for("alice to miss bob", || {
        let channels = line.alice.call("listpeerchannels", json!({}));
        (channels["channels"][0]["reestablished"] == false).then_some(())
    });
    let params = line.sendpay(&invoice, 1_000_000);
    let told = line.alice.refused("sendpay", params);
    let text = "No connection to first peer found";
    assert_eq!((told.code, told.message.as_str()), (204, text));
    assert!(line.alice.payments().is_empty());
}

with_every_backend! {
    an_htlc_that_ends_on_chain_fails_six_blocks_deep_and_without_a_guess,
}

fn an_htlc_that_ends_on_chain_fails_six_blocks_deep_and_without_a_guess(backend: Backend) {
    let mut line = Line::on(backend, 100_000);
    let hold = json!({
        "amount_msat": 1_000_000, "label": "held", "description": "", "cltv": 50,
    });
    let invoice = line.carol.call("holdinvoice", hold);
    let mut params = line.sendpay(&invoice, 1_000_000);
    params["route"] = line.route(1_000_000, 50);
    line.alice.call("sendpay", params);
    let hash = &invoice["payment_hash"];
    wait_for("the HTLC at carol", || {
        let listed = line
            .carol
            .call("listinvoices", json!({"payment_hash": hash}));
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
    // With bob gone for good, only the chain can end it.
    line.bob.kill();
    let status = |line: &Line| line.alice.payments()[0]["status"].clone();
    let cltv_expiry = line.alice.payments()[0]["cltv_expiry"].as_u64().unwrap();
    let left = u32::try_from(cltv_expiry).unwrap() - line.chain.height();
    line.chain.mine(left);
    line.alice.wait_for_height(line.chain.height());
    assert_eq!(status(&line), "pending", "a height is no end");
    // Some blocks past its height alice goes on chain: commitment first, then the HTLC's refund.
    wait_for("the end of the HTLC on chain", || {
        line.chain.mine(1);
        line.alice.wait_for_height(line.chain.height());
        (status(&line) == "failed").then_some(())
    });
    // L4: its refund was mined no earlier than its height, and is six blocks deep.
    assert!(u64::from(line.chain.height()) >= cltv_expiry + 6);
    let told = line
        .alice
        .refused("waitsendpay", json!({"payment_hash": hash}));
    let data = told.data.unwrap();
    assert_eq!(told.code, 204);
    for absent in ["failcode", "failcodename", "erring_node", "erring_index"] {
        assert!(data.get(absent).is_none(), "{absent} is a guess: {data}");
    }
}
