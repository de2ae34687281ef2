//! `pay` and `xpay` on networks that are hard to pay through: a line of five nodes, and a diamond whose
//! liquidity nobody can see.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Chained, Diamond, Line, Node, Pair, hop, wait_for};

fn msat(amount: &Value) -> u64 {
    let text = amount.as_str().unwrap();
    text.strip_suffix("msat").unwrap().parse().unwrap()
}

fn with<'a>(records: &'a [Value], status: &str) -> Vec<&'a Value> {
    records
        .iter()
        .filter(|record| record["status"] == status)
        .collect()
}

/// The records of an invoice, once none is pending.
fn settled(payer: &Node, invoice: &Value) -> Vec<Value> {
    let params = json!({"payment_hash": invoice["payment_hash"]});
    wait_for("the end of every part", || {
        let listed = payer.call("listsendpays", params.clone());
        let records = listed["payments"].as_array().unwrap().clone();
        with(&records, "pending").is_empty().then_some(records)
    })
}

fn received(receiver: &Node, invoice: &Value) -> Value {
    let paid = receiver.paid_invoice(&json!({"payment_hash": invoice["payment_hash"]}));
    paid["amount_received_msat"].clone()
}

/// What dave gets in `Diamond`s below is more than any two of the ways to him carry, and alice sees
/// none of that.
const LIQUIDITY_SAT: [u64; 3] = [600_000, 400_000, 300_000];
const FAR_SAT: u64 = 5_000_000;
const SPLIT_MSAT: u64 = 1_000_000_000;

#[test]
fn only_a_split_in_three_passes_and_it_is_found() {
    let net = Diamond::with(FAR_SAT, LIQUIDITY_SAT);
    let invoice = net.dave.invoice("split", SPLIT_MSAT);
    let asked = net.alice.call_later("xpay", json!([invoice["bolt11"]]));
    // Between two tries nothing is out. It has not failed for that, and must not be paid in another way.
    let by_hash = json!({"payment_hash": invoice["payment_hash"]});
    while !asked.is_finished() {
        for params in [by_hash.clone(), json!({"status": "failed"})] {
            let listed = net.alice.call("listpays", params);
            for pay in listed["pays"].as_array().unwrap() {
                assert_ne!(pay["status"], "failed", "{pay}");
                assert_eq!(pay["safe_to_retry"], false, "{pay}");
            }
        }
    }
    let paid = asked.join().unwrap().unwrap();
    assert_eq!(msat(&paid["amount_msat"]), SPLIT_MSAT, "{paid}");
    assert_eq!(received(&net.dave, &invoice), SPLIT_MSAT);
    let records = settled(&net.alice, &invoice);
    assert!(!with(&records, "failed").is_empty(), "one try was enough");
    let complete = with(&records, "complete");
    let sum: u64 = complete.iter().map(|part| msat(&part["amount_msat"])).sum();
    assert_eq!(sum, SPLIT_MSAT);
    assert_eq!(paid["successful_parts"], complete.len());
    assert_eq!(paid["failed_parts"], with(&records, "failed").len());
    assert_eq!(paid["payment_preimage"], complete[0]["payment_preimage"]);
    // Each of the three ways has a part, and its balance says so.
    for (node, far) in net.between.iter().zip(&net.far) {
        let channels = node.call("listpeerchannels", json!({"id": net.dave.id}));
        let channel = &channels["channels"][0];
        assert_eq!(channel["short_channel_id"], **far);
        assert!(channel["out_fulfilled_msat"].as_u64().unwrap_or(1) > 0);
    }
    // All was learned from refusals of the far channels, none twice with the same amount.
    let far: BTreeSet<&str> = net.far.iter().map(String::as_str).collect();
    let mut refused = BTreeSet::new();
    for failed in with(&records, "failed") {
        let channel = failed["erring_channel"].as_str().unwrap();
        assert!(far.contains(channel), "{failed}");
        assert_eq!(failed["failcodename"], "WIRE_TEMPORARY_CHANNEL_FAILURE");
        let what = (channel.to_owned(), msat(&failed["amount_msat"]));
        assert!(refused.insert(what), "tried twice: {failed}");
    }
    assert!(records.len() < 60, "{} tries", records.len());
    let groups: BTreeSet<u64> = records
        .iter()
        .map(|part| part["groupid"].as_u64().unwrap())
        .collect();
    assert_eq!(groups.len(), 1);
}

#[test]
fn parts_that_wait_for_the_rest_do_not_delay_the_answer_that_it_cannot_come() {
    let net = Diamond::with(FAR_SAT, [200_000, 200_000, 200_000]);
    // More than the three ways carry: what arrives waits at dave for minutes.
    let invoice = net.dave.invoice("too much", SPLIT_MSAT);
    let began = Instant::now();
    let params = json!({"bolt11": invoice["bolt11"], "retry_for": 600});
    let told = net.alice.refused("pay", params);
    assert!(
        began.elapsed() < Duration::from_secs(50),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(told.code, 200, "{told:?}");
    let data = told.data.unwrap();
    assert_eq!(data["safe_to_retry"], false);
    let out = data["htlcs"].as_array().unwrap();
    let pending = data["attempts"].as_array().unwrap();
    let pending = with(pending, "pending");
    assert_eq!(out.len(), pending.len());
    assert!(!out.is_empty());
    for htlc in out {
        let channel = htlc["short_channel_id"].as_str().unwrap();
        assert!(net.near.iter().any(|near| near == channel), "{htlc}");
        assert!(htlc["blocks_left"].as_u64().unwrap() > 42, "{htlc}");
    }
    let sum: u64 = pending.iter().map(|part| msat(&part["amount_msat"])).sum();
    assert!(sum < 600_000_000, "{sum}");
    for failed in with(data["attempts"].as_array().unwrap(), "failed") {
        assert_eq!(failed["route"].as_array().unwrap().len(), 2, "{failed}");
        assert_eq!(failed["route"][1]["channel"], failed["erring_channel"]);
    }
    // While parts are out nothing is sent anew.
    let before = net.alice.payments().len();
    let again = json!({"bolt11": invoice["bolt11"], "retry_for": 1});
    assert_eq!(net.alice.refused("pay", again).code, 200);
    assert_eq!(net.alice.payments().len(), before);
}

#[test]
fn bounds_on_fee_and_delay_hold_to_the_millisatoshi_and_the_block_over_four_hops() {
    let line = Chained::of_five(2_000_000);
    let (payer, payee) = (line.first(), line.last());
    let amount = 123_456_789;
    let invoice = payee.invoice("any of them", amount);
    let decoded = payer.call("decode", json!([invoice["bolt11"]]));
    let wanted = json!({
        "id": payee.id, "amount_msat": amount, "riskfactor": 1,
        "cltv": decoded["min_final_cltv_expiry"],
    });
    let route = payer.call("getroute", wanted)["route"].clone();
    assert_eq!(route.as_array().unwrap().len(), 4);
    let fee = route[0]["amount_msat"].as_u64().unwrap() - amount;
    let delay = route[0]["delay"].as_u64().unwrap();
    // 1 sat and 10 millionths, three times, the last of the amount itself.
    assert_eq!(fee, 3 * (1_000 + 1_234));
    let enough = |bound: Value| (bound, true);
    let too_little = |bound: Value| (bound, false);
    // In millionths of a percent, the least that is enough.
    let least = (fee * 100_000_000).div_ceil(amount);
    let percent = |millionths: u64| {
        let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let table = [
        too_little(json!({"maxfee": fee - 1})),
        enough(json!({"maxfee": fee})),
        too_little(json!({"maxfeepercent": 0, "exemptfee": fee - 1})),
        enough(json!({"maxfeepercent": 0, "exemptfee": fee})),
        too_little(json!({"maxfeepercent": percent(least - 1), "exemptfee": 0})),
        enough(json!({"maxfeepercent": percent(least), "exemptfee": 0})),
        too_little(json!({"maxdelay": delay - 1})),
        enough(json!({"maxdelay": delay})),
    ];
    for (number, (bound, passes)) in table.into_iter().enumerate() {
        let invoice = payee.invoice(&format!("bound {number}"), amount);
        let mut params = bound.clone();
        params["bolt11"] = invoice["bolt11"].clone();
        if passes {
            let paid = payer.call("pay", params);
            assert_eq!(msat(&paid["amount_sent_msat"]) - amount, fee, "{bound}");
            let records = settled(payer, &invoice);
            assert_eq!(records.len(), 1, "{bound}");
        } else {
            assert_eq!(payer.refused("pay", params).code, 206, "{bound}");
            assert!(settled(payer, &invoice).is_empty(), "{bound}");
        }
    }
}

#[test]
fn the_bound_on_fees_holds_for_all_parts_of_all_looks_together() {
    let net = Diamond::with(FAR_SAT, LIQUIDITY_SAT);
    // Three parts cost what one does, 10 millionths, and thrice the base fee.
    let fee = SPLIT_MSAT / 100_000 + 3 * 1_000;
    let invoice = net.dave.invoice("dear", SPLIT_MSAT);
    let params = json!({"bolt11": invoice["bolt11"], "maxfee": fee - 1});
    let told = net.alice.refused("pay", params);
    assert!([200, 206, 210].contains(&told.code), "{told:?}");
    let out: u64 = net
        .alice
        .payments()
        .iter()
        .filter(|part| part["status"] != "failed")
        .map(|part| msat(&part["amount_sent_msat"]) - msat(&part["amount_msat"]))
        .sum();
    assert!(out < fee, "{out}");
    let listed = net.dave.call(
        "listinvoices",
        json!({"payment_hash": invoice["payment_hash"]}),
    );
    assert_eq!(listed["invoices"][0]["status"], "unpaid");
}

#[test]
fn two_payers_pay_an_invoice_in_part_and_neither_alone_can() {
    let net = Diamond::with(FAR_SAT, [600_000, 600_000, 600_000]);
    let bob = &net.between[0];
    let invoice = net.dave.invoice("shared", 50_000);
    let part = |msat: u64| json!({"bolt11": invoice["bolt11"], "partial_msat": msat});
    let told = net.alice.refused("pay", part(50_001));
    assert_eq!(told.code, -32602);
    assert!(told.message.starts_with("partial_msat: "), "{told:?}");
    let ours = net.alice.call_later("pay", part(30_000));
    let waiting = wait_for("our part to be out", || {
        let records = net.alice.payments();
        (records.len() == 1 && records[0]["status"] == "pending").then_some(records)
    });
    assert_eq!(waiting[0]["amount_msat"], "30000msat");
    // The same again joins; another amount is another payment.
    assert_eq!(net.alice.refused("pay", part(20_000)).code, 201);
    let theirs = bob.call("xpay", {
        let bolt11 = &invoice["bolt11"];
        json!({"invstring": bolt11, "partial_msat": 20_000})
    });
    let ours = ours.join().unwrap().unwrap();
    assert_eq!(ours["payment_preimage"], theirs["payment_preimage"]);
    assert_eq!(ours["amount_msat"], "30000msat");
    assert_eq!(theirs["amount_msat"], "20000msat");
    assert_eq!(received(&net.dave, &invoice), 50_000);
    // Our share is paid: it is not paid again.
    assert_eq!(net.alice.call("pay", part(30_000)), ours);
    assert_eq!(net.alice.payments().len(), 1);
}

#[test]
fn time_ends_the_waiting_for_a_held_payment_and_cancelling_ends_it_at_once() {
    let pair = Pair::start();
    let hold = |label: &str| {
        let params = json!({"amount_msat": 40_000, "label": label, "description": "test"});
        pair.bob.call("holdinvoice", params)
    };
    for (label, cancel) in [("late", false), ("cancelled", true)] {
        let invoice = hold(label);
        let hash = json!({"payment_hash": invoice["payment_hash"]});
        let began = Instant::now();
        let retry_for = if cancel { 600 } else { 2 };
        let params = json!({"bolt11": invoice["bolt11"], "retry_for": retry_for});
        let asked = pair.alice.call_later("pay", params);
        wait_for("an invoice held", || {
            let listed = pair.bob.call("listinvoices", json!({"label": label}));
            (listed["invoices"][0]["hold_state"] == "held").then_some(())
        });
        if cancel {
            let cancelled = pair.alice.call("cancelpay", hash.clone());
            assert_eq!(cancelled["htlcs"].as_array().unwrap().len(), 1);
            assert_eq!(
                cancelled["htlcs"][0]["short_channel_id"],
                pair.channel.as_str()
            );
        }
        let told = match asked.join().unwrap().unwrap_err() {
            sendpay_rpc::client::CallError::Rpc(error) => error,
            other => panic!("{other:?}"),
        };
        assert!(began.elapsed() < Duration::from_secs(30));
        assert_eq!(told.code, 200, "{told:?}");
        let data = told.data.unwrap();
        assert_eq!(data["safe_to_retry"], false);
        assert_eq!(data["attempts"][0]["status"], "pending");
        assert_eq!(data["htlcs"][0]["partid"], 1);
        // What is out is as good as before.
        assert_eq!(pair.alice.refused("cancelpay", hash.clone()).code, 208);
        let preimage = json!({"preimage": invoice["payment_preimage"]});
        pair.bob.call("holdinvoicesettle", preimage);
        let records = settled(&pair.alice, &invoice);
        assert_eq!(with(&records, "complete").len(), 1);
        let told = pair
            .alice
            .refused("xpay", json!({"invstring": invoice["bolt11"]}));
        assert_eq!(told.code, 219, "{told:?}");
        assert_eq!(
            told.data.unwrap()["payment_preimage"],
            invoice["payment_preimage"]
        );
    }
}

#[test]
fn what_failures_taught_is_known_after_a_restart() {
    let mut net = Diamond::with(FAR_SAT, [60_000, 60_000, 2_000_000]);
    let amount = 500_000_000;
    // Two of three ways have too little, and a try on each says so.
    for way in 0..2 {
        let invoice = net.dave.invoice(&format!("way {way}"), amount);
        let params = json!({
            "route": [
                hop(&net.between[way], &net.near[way], amount + 10_000, 42 + 80),
                hop(&net.dave, &net.far[way], amount, 42),
            ],
            "payment_hash": invoice["payment_hash"],
            "payment_secret": invoice["payment_secret"],
        });
        net.alice.call("sendpay", params);
        let wait = json!({"payment_hash": invoice["payment_hash"]});
        let told = net.alice.refused("waitsendpay", wait);
        assert_eq!(told.data.unwrap()["erring_channel"], net.far[way].as_str());
    }
    net.alice.terminate();
    net.alice.resume();
    wait_for("alice's channels", || {
        let channels = net.alice.call("listpeerchannels", json!({}));
        let channels = channels["channels"].as_array()?;
        channels
            .iter()
            .all(|channel| channel["reestablished"] == true)
            .then_some(())
    });
    // Without it, the first way tried would be a wrong one twice out of three times.
    for number in 0..3 {
        let invoice = net.dave.invoice(&format!("third way {number}"), amount);
        let paid = net.alice.call("xpay", json!([invoice["bolt11"]]));
        assert_eq!(
            (&paid["failed_parts"], &paid["successful_parts"]),
            (&json!(0), &json!(1))
        );
    }
}

#[test]
fn a_private_way_that_only_the_invoice_names_is_taken() {
    let pair = Pair::start();
    let carol = Node::start(pair.dir.path(), "carol", &pair.chain, &[]);
    pair.bob.fund(&pair.chain);
    pair.bob.connect(&carol);
    let open = json!({"id": carol.id, "amount": 1_000_000, "announce": false});
    let opened = pair.bob.call("fundchannel", open);
    pair.chain.mine(6);
    for node in [&pair.alice, &pair.bob, &carol] {
        node.wait_for_height(pair.chain.height());
    }
    wait_for("the private channel", || {
        pair.bob.usable_channel(&opened["channel_id"])?;
        carol.usable_channel(&opened["channel_id"])
    });
    let (invoice, hint) = wait_for("an invoice that names a way", || {
        let label = format!(
            "try {}",
            carol.call("listinvoices", json!({}))["invoices"]
                .as_array()?
                .len()
        );
        let invoice = carol.invoice(&label, 70_000_000);
        let decoded = pair.alice.call("decode", json!([invoice["bolt11"]]));
        let hint = decoded["routes"].as_array()?.first()?[0].clone();
        Some((invoice, hint))
    });
    assert_eq!(hint["pubkey"], pair.bob.id);
    let wanted = json!({"id": carol.id, "amount_msat": 1_000, "riskfactor": 1});
    assert_eq!(pair.alice.refused("getroute", wanted).code, -32602);
    // A fee too small for the hint, and then what it asks for.
    let little = json!({"bolt11": invoice["bolt11"], "maxfee": 1_699});
    assert_eq!(pair.alice.refused("pay", little).code, 206);
    let enough = json!({"invstring": invoice["bolt11"], "maxfee": 1_700});
    let paid = pair.alice.call("xpay", enough);
    assert_eq!(paid["amount_sent_msat"], "70001700msat");
    let tries = json!({"payment_hash": invoice["payment_hash"], "attempts": true});
    let tries = pair.alice.call("listpays", tries);
    let route = &tries["pays"][0]["attempts"][0]["route"];
    assert_eq!(route[1]["channel"], hint["short_channel_id"]);
}

#[test]
fn what_other_payments_have_out_over_a_channel_is_not_tried_again() {
    let line = Line::with_far(1_000_000).known();
    let params = json!({"amount_msat": 600_000_000, "label": "held", "description": "test"});
    let held = line.carol.call("holdinvoice", params);
    let asked = json!({"bolt11": held["bolt11"], "retry_for": 2});
    assert_eq!(line.alice.refused("pay", asked).code, 200);
    assert_eq!(line.alice.payments().len(), 1);
    // Beside that the far channel has no room for as much again, which needs no try to know.
    let invoice = line.carol.invoice("beside", 600_000_000);
    let told = line.alice.refused("pay", json!([invoice["bolt11"]]));
    assert_eq!(told.code, 205, "{told:?}");
    assert_eq!(line.alice.payments().len(), 1);
    let little = line.carol.invoice("little", 100_000_000);
    let paid = line.alice.call("pay", json!([little["bolt11"]]));
    assert_eq!(paid["parts"], 1);
    line.carol.call(
        "holdinvoicesettle",
        json!({"preimage": held["payment_preimage"]}),
    );
    settled(&line.alice, &held);
}

#[test]
fn a_forwarder_that_dies_with_the_htlc_holds_up_no_answer() {
    let mut line = Line::with_far(1_000_000).known();
    let params = json!({"amount_msat": 40_000, "label": "held", "description": "test"});
    let invoice = line.carol.call("holdinvoice", params);
    let began = Instant::now();
    let asked = json!({"bolt11": invoice["bolt11"], "retry_for": 6});
    let asked = line.alice.call_later("pay", asked);
    wait_for("an invoice held", || {
        let listed = line.carol.call("listinvoices", json!({"label": "held"}));
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
    line.bob.kill();
    let told = match asked.join().unwrap().unwrap_err() {
        sendpay_rpc::client::CallError::Rpc(error) => error,
        other => panic!("{other:?}"),
    };
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(told.code, 200, "{told:?}");
    let data = told.data.unwrap();
    assert_eq!(data["htlcs"][0]["short_channel_id"], line.near.as_str());
    assert_eq!(data["safe_to_retry"], false);
    // The forwarder comes back, and it completes.
    line.bob.resume();
    let preimage = json!({"preimage": invoice["payment_preimage"]});
    line.carol.call("holdinvoicesettle", preimage);
    let records = settled(&line.alice, &invoice);
    assert_eq!(with(&records, "complete").len(), 1);
    let again = line.alice.call("pay", json!([invoice["bolt11"]]));
    assert_eq!(again["payment_preimage"], invoice["payment_preimage"]);
    assert_eq!(line.alice.payments().len(), 1);
}

#[test]
fn never_is_more_out_than_the_invoice_asks_for_however_many_pay_it() {
    let net = Diamond::with(FAR_SAT, LIQUIDITY_SAT);
    let invoice = net.dave.invoice("wanted", SPLIT_MSAT);
    let asked: Vec<_> = ["pay", "xpay"]
        .into_iter()
        .cycle()
        .take(12)
        .map(|method| net.alice.call_later(method, json!([invoice["bolt11"]])))
        .collect();
    // Looked at as fast as it can be, until all have their answer.
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    while asked.iter().any(|call| !call.is_finished()) {
        let listed = net.alice.call("listsendpays", hash.clone());
        let not_failed: u64 = listed["payments"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| record["status"] != "failed")
            .map(|record| msat(&record["amount_msat"]))
            .sum();
        assert!(not_failed <= SPLIT_MSAT, "{not_failed}");
    }
    let preimages: BTreeSet<String> = asked
        .into_iter()
        .map(|call| call.join().unwrap().unwrap()["payment_preimage"].to_string())
        .collect();
    assert_eq!(preimages.len(), 1);
    let records = settled(&net.alice, &invoice);
    let paid: u64 = with(&records, "complete")
        .iter()
        .map(|part| msat(&part["amount_msat"]))
        .sum();
    assert_eq!(paid, SPLIT_MSAT);
    assert_eq!(received(&net.dave, &invoice), SPLIT_MSAT);
}
