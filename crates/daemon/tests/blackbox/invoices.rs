//! Invoices from their making to their removal: waiting for payment, lapsing, deletion, and what
//! `wait` tells of each.

use serde_json::{Value, json};

use crate::harness::{Chain, Node, Pair, wait_for};

/// SHA256 of thirty-two ones.
const HELD_HASH: &str = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";
const HELD_PREIMAGE: &str = "0101010101010101010101010101010101010101010101010101010101010101";

fn alone() -> (tempfile::TempDir, Chain, Node) {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let node = Node::start(dir.path(), "alice", &chain, &[]);
    (dir, chain, node)
}

fn listed(node: &Node, label: &str) -> Value {
    node.call("listinvoices", json!([label]))["invoices"][0].clone()
}

fn number(node: &Node, index: &str) -> u64 {
    let now = node.call("wait", json!(["invoices", index, 0]));
    now[index].as_u64().unwrap()
}

/// Pays, and waits until the sender knows.
fn pay(pair: &Pair, invoice: &Value) {
    let paid = pair.alice.call("pay", json!([invoice["bolt11"]]));
    assert_eq!(paid["status"], "complete");
}

#[test]
fn waitinvoice_answers_when_the_invoice_is_paid_and_again_at_once() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    let waiting: Vec<_> = (0..3)
        .map(|_| pair.bob.call_later("waitinvoice", json!({"label": "one"})))
        .collect();
    let other = pair.bob.invoice("other", 1_000);
    pay(&pair, &other);
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    pay(&pair, &invoice);
    let paid = pair.bob.paid_invoice(&json!({"label": "one"}));
    assert_eq!(paid["amount_received_msat"], 50_000);
    assert_eq!(paid["pay_index"], 2);
    for waiting in waiting {
        assert_eq!(waiting.join().unwrap().unwrap(), paid);
    }
    assert_eq!(pair.bob.call("waitinvoice", json!(["one"])), paid);
}

#[test]
fn waitanyinvoice_tells_each_payment_once_in_the_order_of_payment() {
    let pair = Pair::start();
    let invoices: Vec<Value> = (0..3)
        .map(|number| pair.bob.invoice(&format!("{number}"), 1_000 + number))
        .collect();
    let first = pair.bob.call_later("waitanyinvoice", json!([]));
    for place in [2, 0, 1] {
        pay(&pair, &invoices[place]);
    }
    let first = first.join().unwrap().unwrap();
    assert_eq!(
        (&first["label"], &first["pay_index"]),
        (&json!("2"), &json!(1))
    );
    pair.bob.paid_invoice(&json!({"label": "1"}));
    let mut last = 0;
    for label in ["2", "0", "1"] {
        let told = pair.bob.call(
            "waitanyinvoice",
            json!({"lastpay_index": last, "timeout": 60}),
        );
        assert_eq!(told, listed(&pair.bob, label));
        last = told["pay_index"].as_u64().unwrap();
    }
    let late = json!({"lastpay_index": last, "timeout": 0});
    let error = pair.bob.refused("waitanyinvoice", late.clone());
    let text = "Timed out while waiting for invoice to be paid";
    assert_eq!((error.code, error.message.as_str()), (904, text));
    assert_eq!(error.data, None);
    // A deleted one is passed over, and its number is not given again.
    pair.bob.call("delinvoice", json!(["0", "paid"]));
    let told = pair.bob.call("waitanyinvoice", json!({"lastpay_index": 1}));
    assert_eq!(told["label"], "1");
    assert_eq!(told["pay_index"], 3);
}

#[test]
fn waitanyinvoice_after_a_number_beyond_all_tells_of_the_next_payment() {
    let pair = Pair::start();
    pay(&pair, &pair.bob.invoice("before", 1_000));
    pair.bob.paid_invoice(&json!({"label": "before"}));
    // As BTCPay asks at its start.
    let next = pair
        .bob
        .call_later("waitanyinvoice", json!([99_999_999_999_u64]));
    // Whether it waits already cannot be seen: until it was told of one.
    let mut number = 0;
    wait_for("a payment to be told of", || {
        number += 1;
        pay(&pair, &pair.bob.invoice(&format!("{number}"), 1_000));
        next.is_finished().then_some(())
    });
    let told = next.join().unwrap().unwrap();
    assert_ne!(told["label"], "before");
    assert!(told["pay_index"].as_u64().unwrap() > 1);
}

#[test]
fn an_invoice_expires_at_its_time_and_everyone_is_told() {
    let (_dir, _chain, node) = alone();
    let make = |label: &str, expiry: u64| {
        let params = json!(
            {"amount_msat": "any", "label": label, "description": "test", "expiry": expiry});
        node.call("invoice", params)
    };
    make("long", 3_600);
    let waiting = node.call_later("wait", json!(["invoices", "updated", 1]));
    make("short", 1);
    let waited = node.refused("waitinvoice", json!(["short"]));
    assert_eq!(
        (waited.code, waited.message.as_str()),
        (903, "invoice expired during wait")
    );
    let expired = listed(&node, "short");
    assert_eq!(expired["status"], "expired");
    assert_eq!(expired["updated_index"], 1);
    assert_eq!(waited.data.unwrap(), expired);
    let told = waiting.join().unwrap().unwrap();
    assert_eq!(told["updated"], 1);
    // There if it had to be waited for, which takes a second here.
    assert_eq!(told["invoices"]["label"], "short");
    assert_eq!(told["invoices"]["status"], "expired");
    assert_eq!(listed(&node, "long")["status"], "unpaid");
    let error = node.refused("waitinvoice", json!(["short"]));
    assert_eq!(error.code, 903);
}

#[test]
fn an_invoice_that_lapsed_while_the_node_was_away_expires_at_its_return() {
    let (_dir, _chain, mut node) = alone();
    let params = json!({"amount_msat": 1, "label": "short", "description": "", "expiry": 1});
    let made = node.call("invoice", params);
    node.kill();
    let expires_at = made["expires_at"].as_u64().unwrap();
    wait_for("the end of the invoice", || {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        (since.as_secs() > expires_at).then_some(())
    });
    node.resume();
    assert_eq!(listed(&node, "short")["status"], "expired");
    wait_for("the expiry to be numbered", || {
        (number(&node, "updated") == 1).then_some(())
    });
}

#[test]
fn a_deleted_invoice_is_gone_and_is_told_of_and_cannot_be_paid() {
    let pair = Pair::start();
    let bob = &pair.bob;
    let invoice = bob.invoice("one", 1_000);
    let before = listed(bob, "one");
    let waiting = bob.call_later("waitinvoice", json!(["one"]));
    let told = bob.call_later("wait", json!(["invoices", "deleted", 1]));
    // Both may ask a moment later, and then learn that it is gone already.
    assert_eq!(bob.call("delinvoice", json!(["one", "unpaid"])), before);
    let error = match waiting.join().unwrap() {
        Err(sendpay_rpc::client::CallError::Rpc(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error.code, -1);
    let texts = ["Invoice deleted during wait", "Label not found"];
    assert!(texts.contains(&error.message.as_str()), "{error:?}");
    let told = told.join().unwrap().unwrap();
    assert_eq!(told["deleted"], 1);
    if let Some(details) = told.get("invoices") {
        assert_eq!(*details, json!({"status": "unpaid", "label": "one"}));
    }
    assert_eq!(number(bob, "deleted"), 1);
    assert_eq!(bob.call("listinvoices", json!([])), json!({"invoices": []}));
    // The payer is refused.
    let params = crate::harness::direct(bob, &pair.channel, &invoice, 1_000);
    pair.alice.call("sendpay", params);
    let waits = json!({"payment_hash": invoice["payment_hash"]});
    assert_eq!(pair.alice.refused("waitsendpay", waits).code, 203);
    // The label is free again, and the number of the old one is not.
    assert_eq!(bob.invoice("one", 2_000)["created_index"], 2);
}

#[test]
fn a_paid_invoice_loses_its_description_and_then_goes() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 1_000);
    pay(&pair, &invoice);
    let paid = pair.bob.paid_invoice(&json!({"label": "one"}));
    let mut without = paid.clone();
    without.as_object_mut().unwrap().remove("description");
    without["updated_index"] = json!(2);
    let desconly = json!({"label": "one", "status": "paid", "desconly": true});
    assert_eq!(pair.bob.call("delinvoice", desconly.clone()), without);
    assert_eq!(listed(&pair.bob, "one"), without);
    let error = pair.bob.refused("delinvoice", desconly);
    let text = "Invoice description already removed";
    assert_eq!((error.code, error.message.as_str()), (908, text));
    assert_eq!(pair.bob.call("delinvoice", json!(["one", "paid"])), without);
    assert_eq!(number(&pair.bob, "deleted"), 1);
    // The preimage was sent once; nothing can be taken twice with it.
    assert_eq!(
        pair.bob.call("listinvoices", json!(["one"])),
        json!({"invoices": []})
    );
    pay(&pair, &invoice);
    assert_eq!(pair.alice.payments().len(), 1);
}

#[test]
fn an_invoice_whose_payment_is_held_is_not_deleted() {
    let pair = Pair::start();
    let params = json!({
        "amount_msat": 1_000, "label": "held", "description": "test", "payment_hash": HELD_HASH,
    });
    let invoice = pair.bob.call("holdinvoice", params);
    let send = json!({
        "route": [crate::harness::hop(&pair.bob, &pair.channel, 1_000, 186)],
        "payment_hash": HELD_HASH,
        "payment_secret": invoice["payment_secret"],
    });
    pair.alice.call("sendpay", send);
    wait_for("a held payment", || {
        (listed(&pair.bob, "held")["hold_state"] == "held").then_some(())
    });
    let error = pair.bob.refused("delinvoice", json!(["held", "unpaid"]));
    assert_eq!(error.code, 906);
    assert_eq!(
        error.message,
        "a payment of the invoice is held: settle or cancel it first"
    );
    pair.bob.call("holdinvoicesettle", json!([HELD_PREIMAGE]));
    let error = pair.bob.refused("delinvoice", json!(["held", "unpaid"]));
    assert_eq!(
        error.data.unwrap(),
        json!({"current_status": "paid", "expected_status": "unpaid"})
    );
    pair.bob.call("delinvoice", json!(["held", "paid"]));
}

#[test]
fn bad_requests_about_invoices_get_clns_errors() {
    let (_dir, _chain, node) = alone();
    node.invoice("one", 1_000);
    let should = |name: &str, what: &str| {
        format!("{name}: should be {what}: invalid token (see logs for details)")
    };
    let rows = [
        (
            "waitinvoice",
            json!([]),
            -32602,
            "missing required parameter: label".to_owned(),
        ),
        (
            "waitinvoice",
            json!([[]]),
            -32602,
            should("label", "a string or number"),
        ),
        (
            "waitinvoice",
            json!(["two"]),
            -1,
            "Label not found".to_owned(),
        ),
        (
            "delinvoice",
            json!(["one"]),
            -32602,
            "missing required parameter: status".to_owned(),
        ),
        (
            "delinvoice",
            json!(["two", "unpaid"]),
            905,
            "Unknown invoice".to_owned(),
        ),
        (
            "delinvoice",
            json!(["one", "paid"]),
            906,
            "Invoice status is unpaid not paid".to_owned(),
        ),
        (
            "delinvoice",
            json!({"label": "one", "status": "x", "desconly": true}),
            906,
            "Invoice status is unpaid not x".to_owned(),
        ),
        (
            "delinvoice",
            json!(["one", "unpaid", "maybe"]),
            -32602,
            should("desconly", "'true' or 'false'"),
        ),
        (
            "waitanyinvoice",
            json!(["x"]),
            -32602,
            should("lastpay_index", "an unsigned 64 bit integer"),
        ),
        (
            "waitanyinvoice",
            json!([0, "x"]),
            -32602,
            should("timeout", "an unsigned 64 bit integer"),
        ),
        (
            "waitanyinvoice",
            json!([0, 0]),
            904,
            "Timed out while waiting for invoice to be paid".to_owned(),
        ),
    ];
    for (method, params, code, message) in rows {
        let error = node.refused(method, params.clone());
        assert_eq!(
            (error.code, error.message),
            (code, message),
            "{method} {params}"
        );
    }
    let error = node.refused("delinvoice", json!(["one", "paid"]));
    let data = json!({"current_status": "unpaid", "expected_status": "paid"});
    assert_eq!(error.data, Some(data));
    assert_eq!(number(&node, "deleted"), 0);
}

#[test]
fn who_waits_is_told_when_the_daemon_stops() {
    let (_dir, _chain, mut node) = alone();
    node.invoice("one", 1_000);
    let mut client = node.client();
    let waiting = std::thread::spawn(move || client.call("waitinvoice", &json!(["one"])));
    // Endless in seconds: no limit, no panic.
    let endless = node.call_later("waitanyinvoice", json!([0, u64::MAX]));
    node.call("getinfo", json!({}));
    assert!(node.terminate().success());
    for ended in [waiting.join().unwrap(), endless.join().unwrap()] {
        if let Err(sendpay_rpc::client::CallError::Rpc(error)) = ended {
            assert_eq!(error.code, -5);
        } else {
            assert!(ended.is_err(), "{ended:?}");
        }
    }
}

#[test]
fn an_invoice_names_the_channels_and_addresses_that_are_asked_for() {
    let pair = Pair::start();
    // A second channel, which nobody is told of.
    let params = json!({"id": pair.bob.id, "amount": 1_000_000, "announce": false});
    let opened = pair.alice.call("fundchannel", params);
    pair.chain.mine(6);
    for node in [&pair.alice, &pair.bob] {
        node.wait_for_height(pair.chain.height());
        wait_for("a usable channel", || {
            node.usable_channel(&opened["channel_id"])
        });
    }
    let bob = &pair.bob;
    let private = bob.call(
        "listpeerchannels",
        json!({"channel_id": opened["channel_id"]}),
    );
    let private = &private["channels"][0];
    let mut number = 0;
    let mut routes = |more: Value| {
        number += 1;
        let mut params = json!({"amount_msat": 1_000, "label": number, "description": "test"});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = bob.call("invoice", params);
        let decoded = bob.call("decode", json!([made["bolt11"]]));
        assert_eq!(decoded["payee"], bob.id);
        let routes = decoded.get("routes").cloned().unwrap_or(json!([]));
        (made, decoded, routes)
    };
    // The announced channel is known to all by now.
    assert_eq!(routes(json!({})).2, json!([]));
    assert_eq!(routes(json!({"exposeprivatechannels": false})).2, json!([]));
    let (made, _, hinted) = routes(json!({"exposeprivatechannels": true}));
    assert_eq!(hinted.as_array().unwrap().len(), 1, "{hinted}");
    assert_eq!(hinted[0][0]["pubkey"], pair.alice.id);
    assert_eq!(
        pair.alice.call("pay", json!([made["bolt11"]]))["status"],
        "complete"
    );
    let scid = &private["short_channel_id"];
    for named in [json!(scid), json!([scid, "1x1x1"])] {
        let (_, _, named) = routes(json!({"exposeprivatechannels": named}));
        assert_eq!(named, hinted);
    }
    let (_, _, announced) = routes(json!({"exposeprivatechannels": pair.channel}));
    assert_eq!(announced.as_array().unwrap().len(), 1);
    assert_ne!(announced, hinted);
    let address = bob.call("newaddr", json!({}))["bech32"].clone();
    let (_, decoded, _) = routes(json!({"fallbacks": [address]}));
    assert_eq!(decoded["fallbacks"][0]["addr"], address);
    let too_much = json!({"amount_msat": "100000000000msat", "label": "x", "description": ""});
    let made = bob.call("invoice", too_much);
    let text = "Insufficient incoming channel capacity to pay invoice";
    assert_eq!(made["warning_capacity"], text);
    let both = json!({
        "amount_msat": "10000000sat", "label": "y", "description": "",
        "exposeprivatechannels": true,
    });
    let made = bob.call("invoice", both);
    assert_eq!(
        made["warning_mpp"],
        "The invoice is only payable by MPP-capable payers."
    );
    let one = json!({"amount_msat": "10000000sat", "label": "z", "description": ""});
    let made = bob.call("invoice", one);
    assert!(
        made["warning_private_unused"]
            .as_str()
            .unwrap()
            .contains("exposeprivatechannels")
    );
}

#[test]
fn an_invoice_with_channels_or_addresses_that_cannot_be_is_not_made() {
    let (_dir, _chain, node) = alone();
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    let scid = "should be a short_channel_id of form NxNxN: invalid token (see logs for details)";
    for (more, code, message) in [
        (
            json!({"exposeprivatechannels": "1x1x1"}),
            902,
            "None of those hints were suitable local channels".to_owned(),
        ),
        (
            json!({"exposeprivatechannels": ["1x1x1", "2x2x2"]}),
            902,
            "None of those hints were suitable local channels".to_owned(),
        ),
        (
            json!({"exposeprivatechannels": "maybe"}),
            -32602,
            format!("exposeprivatechannels: {scid}"),
        ),
        (
            json!({"fallbacks": ["nonsense"]}),
            -1,
            "Fallback address not valid".to_owned(),
        ),
        (
            json!({"fallbacks": [mainnet]}),
            -1,
            "Fallback address does not match our network regtest".to_owned(),
        ),
        (
            json!({"fallbacks": "x"}),
            -32602,
            "fallbacks: should be an array: invalid token (see logs for details)".to_owned(),
        ),
    ] {
        let mut params = json!({"amount_msat": 1, "label": "x", "description": ""});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let error = node.refused("invoice", params);
        assert_eq!((error.code, error.message), (code, message), "{more}");
    }
    assert_eq!(
        node.call("listinvoices", json!({})),
        json!({"invoices": []})
    );
}

#[test]
fn an_invoice_that_is_deleted_while_it_is_paid_is_one_or_the_other_at_both_ends() {
    const ROUNDS: u64 = 24;
    let pair = Pair::start();
    let (mut deleted, mut paid) = (0u64, 0u64);
    for number in 0..ROUNDS {
        let invoice = pair.bob.invoice(&format!("{number}"), 1_000_000 + number);
        pair.sendpay(&invoice, 1_000_000 + number);
        // Before the HTLC is there, when it is about to be claimed, and some moments after that.
        if number % 3 > 0 {
            wait_for("the HTLC, or its end", || {
                let channel = pair.bob.call("listpeerchannels", json!({}))["channels"][0].clone();
                let mut htlcs = channel["htlcs"].as_array()?.iter();
                let here = htlcs.any(|htlc| htlc["state"] == "RCVD_ADD_ACK_REVOCATION");
                let over = listed(&pair.bob, &format!("{number}"))["status"] == "paid";
                (here || over).then_some(())
            });
        }
        for _ in 0..(number % 3) / 2 * number {
            pair.bob.call("getinfo", json!({}));
        }
        let by_label = json!([format!("{number}"), "unpaid"]);
        let gone = match pair.bob.try_call("delinvoice", by_label) {
            Ok(removed) => {
                assert_eq!(removed["status"], "unpaid");
                true
            }
            Err(sendpay_rpc::client::CallError::Rpc(error)) => {
                assert_eq!(error.code, 906, "{error:?}");
                assert_eq!(error.data.unwrap()["current_status"], "paid");
                false
            }
            Err(other) => panic!("{other:?}"),
        };
        let hash = json!({"payment_hash": invoice["payment_hash"]});
        let listed = pair.bob.call("listinvoices", hash.clone());
        match gone {
            true => {
                assert_eq!(pair.alice.refused("waitsendpay", hash).code, 203);
                assert_eq!(listed["invoices"], json!([]));
                deleted += 1;
            }
            false => {
                assert_eq!(pair.alice.call("waitsendpay", hash)["status"], "complete");
                assert_eq!(listed["invoices"][0]["status"], "paid");
                paid += 1_000_000 + number;
            }
        }
    }
    assert!(paid > 0, "every one was deleted before it was paid");
    assert!(deleted > 0, "every one was paid before it was deleted");
    let has = wait_for("a channel at rest", || {
        let channel = pair.bob.call("listpeerchannels", json!({}))["channels"][0].clone();
        (channel["htlcs"] == json!([])).then(|| channel["to_us_msat"].clone())
    });
    assert_eq!(has, paid);
}
