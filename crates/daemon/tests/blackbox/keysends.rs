//! Payments without an invoice, from both ends.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Line, Node, PATIENCE, Pair, wait_for};

/// The invoices of a node that were made for a keysend.
fn received(node: &Node) -> Vec<Value> {
    let listed = node.call("listinvoices", json!({}));
    listed["invoices"].as_array().unwrap().clone()
}

#[test]
fn a_keysend_is_one_record_here_and_one_paid_invoice_there() {
    let pair = Pair::start();
    let waits = pair.bob.call_later("waitanyinvoice", json!([]));
    let sent = pair.alice.call(
        "keysend",
        json!({
            "destination": pair.bob.id, "amount_msat": 50_000, "label": "thanks",
            "extratlvs": {"7629169": "68656c6c6f", "65538": "ff"},
        }),
    );
    assert_eq!(sent["status"], "complete");
    assert_eq!(sent["destination"], pair.bob.id);
    assert_eq!(
        (&sent["amount_msat"], &sent["parts"]),
        (&json!("50000msat"), &json!(1))
    );
    let records = pair.alice.payments();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["status"], "complete");
    assert_eq!(record["payment_hash"], sent["payment_hash"]);
    assert_eq!(record["payment_preimage"], sent["payment_preimage"]);
    assert_eq!(
        (&record["label"], &record["partid"]),
        (&json!("thanks"), &json!(1))
    );
    assert!(record.get("bolt11").is_none());
    let paid = waits.join().unwrap().unwrap();
    assert_eq!(received(&pair.bob), std::slice::from_ref(&paid));
    assert_eq!(paid["payment_hash"], sent["payment_hash"]);
    assert_eq!(paid["payment_preimage"], sent["payment_preimage"]);
    assert_eq!(
        (&paid["status"], &paid["pay_index"]),
        (&json!("paid"), &json!(1))
    );
    assert_eq!(paid["amount_received_msat"], 50_000);
    assert!(paid.get("amount_msat").is_none());
    assert_eq!(paid["description"], "keysend: hello");
    assert!(paid["label"].as_str().unwrap().starts_with("keysend-"));
    let pays = pair.alice.call("listpays", json!({}));
    assert_eq!(pays["pays"][0]["destination"], pair.bob.id);
    // Each is a payment of its own.
    let again = pair.alice.call("xkeysend", json!([pair.bob.id, 1_000]));
    assert_eq!(again["successful_parts"], 1);
    assert_ne!(again["payment_preimage"], sent["payment_preimage"]);
    assert_eq!(pair.alice.payments().len(), 2);
}

#[test]
fn a_keysend_finds_its_way_and_pays_no_more_than_the_fee_allowed() {
    let line = Line::with_far(1_000_000).known();
    let to_carol = |maxfee: u64| {
        json!({
            "destination": line.carol.id, "amount_msat": 100_000, "maxfee": maxfee, "retry_for": 5,
        })
    };
    // What bob asks for by the page of his channel: 1000 msat, and 10 millionths.
    let fee = 1_001;
    let error = line.alice.refused("xkeysend", to_carol(fee - 1));
    assert_eq!(error.code, 206, "{error:?}");
    assert!(line.alice.payments().is_empty());
    let sent = line.alice.call("xkeysend", to_carol(fee));
    assert_eq!(sent["amount_sent_msat"], format!("{}msat", 100_000 + fee));
    wait_for("the invoice", || {
        (received(&line.carol).len() == 1).then_some(())
    });
}

#[test]
fn the_same_key_pays_once_and_another_request_is_refused() {
    let pair = Pair::start();
    let ask = |amount: u64| json!({"destination": pair.bob.id, "amount_msat": amount, "idempotency_key": "k"});
    let asked: Vec<_> = (0..5)
        .map(|_| pair.alice.call_later("keysend", ask(5_000)))
        .collect();
    let told: Vec<Value> = asked
        .into_iter()
        .map(|asked| asked.join().unwrap().unwrap())
        .collect();
    assert!(
        told.iter()
            .all(|told| told["payment_hash"] == told["payment_hash"])
    );
    let first = &told[0];
    assert!(
        told.iter()
            .all(|told| told["payment_preimage"] == first["payment_preimage"])
    );
    assert_eq!(
        pair.alice.call("keysend", ask(5_000))["payment_hash"],
        first["payment_hash"]
    );
    assert_eq!(pair.alice.payments().len(), 1);
    let error = pair.alice.refused("keysend", ask(6_000));
    assert_eq!(error.code, -32602, "{error:?}");
    assert_eq!(pair.alice.payments().len(), 1);
}

#[test]
fn whoever_knows_only_the_preimage_of_an_invoice_does_not_pay_it() {
    let pair = Pair::start();
    let preimage = "07".repeat(32);
    let params = json!({
        "amount_msat": 50_000, "label": "one", "description": "", "preimage": preimage,
    });
    let invoice = pair.bob.call("invoice", params);
    // Without the payment_secret, and without the preimage along.
    let params = json!({
        "route": [crate::harness::hop(&pair.bob, &pair.channel, 1_000, 42)],
        "payment_hash": invoice["payment_hash"],
    });
    pair.alice.call("sendpay", params);
    let waits = json!({"payment_hash": invoice["payment_hash"]});
    assert_eq!(pair.alice.refused("waitsendpay", waits).code, 203);
    assert_eq!(received(&pair.bob)[0]["status"], "unpaid");
}

#[test]
fn a_keysend_killed_on_its_way_is_told_truly_by_both_ends() {
    let mut pair = Pair::start();
    for number in 0..3 {
        // Without it there is no route, and no record that one could wait for.
        wait_for("the channel", || at_rest_msat(&pair.alice));
        let ask = json!({"destination": pair.bob.id, "amount_msat": 10_000 + number});
        let asked = pair.alice.call_later("keysend", ask);
        wait_for("a record", || {
            (pair.alice.payments().len() > usize::try_from(number).unwrap()).then_some(())
        });
        pair.alice.kill();
        pair.bob.kill();
        drop(asked.join());
        pair.bob.resume();
        pair.alice.resume();
        wait_for("the end of every payment", || {
            let records = pair.alice.payments();
            records
                .iter()
                .all(|record| record["status"] != "pending")
                .then_some(())
        });
        let complete = |record: &&Value| record["status"] == "complete";
        let sent: Vec<Value> = pair
            .alice
            .payments()
            .iter()
            .filter(complete)
            .map(|record| record["payment_hash"].clone())
            .collect();
        wait_for("both ends to agree", || {
            let paid: Vec<Value> = received(&pair.bob)
                .iter()
                .filter(|invoice| invoice["status"] == "paid")
                .map(|invoice| invoice["payment_hash"].clone())
                .collect();
            (paid == sent).then_some(())
        });
    }
}

/// What is ours in the one channel of a node, when nothing is under way in it.
fn at_rest_msat(node: &Node) -> Option<u64> {
    let listed = node.call("listpeerchannels", json!({}));
    let channel = &listed["channels"][0];
    let at_rest = channel["htlcs"] == json!([]) && channel["reestablished"] == true;
    at_rest.then(|| channel["to_us_msat"].as_u64().unwrap())
}

#[test]
fn a_keysend_whose_claim_is_cut_off_is_paid_once_and_records_and_money_agree() {
    let mut pair = Pair::start();
    let alice_had = at_rest_msat(&pair.alice).unwrap();
    let path = pair.bob.dir.join("regtest/sendpay.sqlite3");
    let mut cut_off = 0;
    for number in 0..8i64 {
        wait_for("the channel", || at_rest_msat(&pair.alice));
        let ask = json!({"destination": pair.bob.id, "amount_msat": 1_000_000 + number});
        let asked = pair.alice.call_later("keysend", ask);
        // Its invoice is durable before it is claimed: bob dies between the two, or soon after.
        let store = rusqlite::Connection::open(&path).unwrap();
        let read = "SELECT count(*), sum(state = 'paid') FROM invoices";
        let deadline = Instant::now() + PATIENCE;
        let (invoices, paid) = loop {
            let row = store.query_row(read, [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
            });
            match row.unwrap() {
                (invoices, paid) if invoices > number => break (invoices, paid.unwrap_or(0)),
                _ => assert!(Instant::now() < deadline, "waited in vain for an invoice"),
            }
        };
        pair.bob.kill();
        drop(store);
        cut_off += u32::from(paid < invoices);
        pair.bob.resume();
        let told = asked.join().unwrap().unwrap();
        assert_eq!(told["status"], "complete");
        wait_for("the claim", || {
            let paid = |invoice: &Value| invoice["status"] == "paid";
            received(&pair.bob).iter().all(paid).then_some(())
        });
    }
    assert!(cut_off > 0, "no claim was cut off");
    let sum = |of: Vec<Value>, member: &str| -> u64 {
        let amount = |value: &Value| match value[member].as_str() {
            Some(text) => text.strip_suffix("msat").unwrap().parse().unwrap(),
            None => value[member].as_u64().unwrap(),
        };
        of.iter().map(amount).sum()
    };
    let sent = sum(pair.alice.payments(), "amount_sent_msat");
    assert_eq!(
        sent,
        (0..8u64).map(|number| 1_000_000 + number).sum::<u64>()
    );
    assert_eq!(received(&pair.bob).len(), 8);
    assert_eq!(sum(received(&pair.bob), "amount_received_msat"), sent);
    let alice_has = wait_for("alice's balance", || at_rest_msat(&pair.alice));
    assert_eq!(alice_had - alice_has, sent);
    assert_eq!(wait_for("bob's balance", || at_rest_msat(&pair.bob)), sent);
}

#[test]
fn bad_keysends_get_clns_errors() {
    let pair = Pair::start();
    let bob = pair.bob.id.as_str();
    let should =
        |name: &str, what: &str| format!("{name}: {what}: invalid token (see logs for details)");
    for method in ["keysend", "xkeysend"] {
        for (params, code, message) in [
            (
                json!([]),
                -32602,
                "missing required parameter: destination".to_owned(),
            ),
            (
                json!([bob]),
                -32602,
                "missing required parameter: amount_msat".to_owned(),
            ),
            (
                json!(["x", 1]),
                -32602,
                should("destination", "should be a node id"),
            ),
            (
                json!([pair.alice.id, 1_000]),
                -32602,
                "We are the destination. Keysend cannot be used to send funds to yourself".into(),
            ),
            (
                json!({"destination": bob, "amount_msat": 1, "extratlvs": [1]}),
                -32602,
                should("extratlvs", "should be an object of numbers and hex"),
            ),
            (
                json!({"destination": bob, "amount_msat": 1, "extratlvs": {"65537": "x"}}),
                -32602,
                should("extratlvs", "should have hex values"),
            ),
            (
                json!({"destination": bob, "amount_msat": 1, "extratlvs": {"5482373484": "00"}}),
                -32602,
                should(
                    "extratlvs",
                    "should have numbers from 65536 that are free for data of one's own as names",
                ),
            ),
        ] {
            let error = pair.alice.refused(method, params.clone());
            assert_eq!(
                (error.code, error.message),
                (code, message),
                "{method} {params}"
            );
        }
        // The generator of the curve: a node that nobody knows.
        let nobody = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let error = pair.alice.refused(method, json!([nobody, 1_000]));
        assert_eq!(error.code, 205, "{error:?}");
    }
    let both = json!({
        "destination": bob, "amount_msat": 1, "maxfee": 1, "exemptfee": 1,
    });
    let error = pair.alice.refused("keysend", both);
    assert_eq!(
        error.message,
        "If you specify maxfee, cannot specify maxfeepercent or exemptfee."
    );
    let error = pair
        .alice
        .refused("xkeysend", json!([bob, 1, null, null, ["layer"]]));
    assert_eq!(error.code, -32602);
    assert!(pair.alice.payments().is_empty());
    assert!(received(&pair.bob).is_empty());
}
