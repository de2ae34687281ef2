//! `pay` and `listpays`: every part is in `listsendpays`, and no invoice is paid twice.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Line, Node, Pair, direction, hop, wait_for};

fn hold(receiver: &Node, label: &str, amount: &Value) -> Value {
    let params = json!({"amount_msat": amount, "label": label, "description": "test"});
    receiver.call("holdinvoice", params)
}

fn wait_until_held(receiver: &Node, label: &str) {
    wait_for("an invoice held", || {
        let listed = receiver.call("listinvoices", json!({"label": label}));
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
}

fn settle(receiver: &Node, invoice: &Value) {
    let preimage = invoice["payment_preimage"].clone();
    receiver.call("holdinvoicesettle", json!({"preimage": preimage}));
}

fn invoice_of_any_amount(receiver: &Node, label: &str) -> Value {
    let params = json!({"amount_msat": "any", "label": label, "description": "test"});
    receiver.call("invoice", params)
}

fn statuses(payments: &[Value]) -> Vec<&str> {
    payments
        .iter()
        .map(|payment| payment["status"].as_str().unwrap())
        .collect()
}

#[test]
fn an_invoice_is_paid_over_one_hop_and_over_two_and_never_again() {
    let line = Line::with_far(1_000_000).known();
    for (receiver, hops) in [(&line.bob, 1), (&line.carol, 2)] {
        let invoice = receiver.invoice(&format!("over {hops}"), 3_000_000);
        let params = json!({"bolt11": invoice["bolt11"], "label": "mine"});
        let paid = line.alice.call("pay", params.clone());
        assert_eq!(paid["status"], "complete");
        assert_eq!(paid["payment_hash"], invoice["payment_hash"]);
        assert_eq!(paid["destination"], receiver.id);
        assert_eq!(
            (&paid["amount_msat"], &paid["parts"]),
            (&json!("3000000msat"), &json!(1))
        );
        // CLN's default fees, of one node on the way: 1 sat and 10 millionths.
        let sent = if hops == 1 {
            "3000000msat"
        } else {
            "3001030msat"
        };
        assert_eq!(paid["amount_sent_msat"], sent);
        let received = receiver.paid_invoice(&json!({"label": format!("over {hops}")}));
        assert_eq!(received["payment_preimage"], paid["payment_preimage"]);

        let listed = line.alice.call("listsendpays", json!([invoice["bolt11"]]));
        let record = &listed["payments"][0];
        assert_eq!(listed["payments"].as_array().unwrap().len(), 1);
        for member in [
            "payment_preimage",
            "amount_msat",
            "amount_sent_msat",
            "status",
        ] {
            assert_eq!(record[member], paid[member], "{member}");
        }
        assert_eq!(
            (&record["label"], &record["partid"]),
            (&json!("mine"), &json!(1))
        );
        assert_eq!(record["bolt11"], invoice["bolt11"]);
        // Paid is paid: the old result, and nothing sent.
        assert_eq!(line.alice.call("pay", params), paid);
    }
    assert_eq!(line.alice.payments().len(), 2);
}

#[test]
fn pays_at_once_are_one_payment_and_another_amount_is_refused() {
    let pair = Pair::start();
    let invoice = hold(&pair.bob, "joined", &json!("any"));
    let params = json!({"bolt11": invoice["bolt11"], "amount_msat": 40_000});
    let calls: Vec<_> = (0..10)
        .map(|_| pair.alice.call_later("pay", params.clone()))
        .collect();
    wait_until_held(&pair.bob, "joined");
    let other = json!({"bolt11": invoice["bolt11"], "amount_msat": 50_000});
    let told = pair.alice.refused("pay", other);
    let text = "Already pending with amount 40000msat (not 50000msat)";
    assert_eq!((told.code, told.message.as_str()), (201, text));
    settle(&pair.bob, &invoice);
    let results: Vec<Value> = calls
        .into_iter()
        .map(|call| call.join().unwrap().unwrap())
        .collect();
    assert_eq!(results[0]["status"], "complete");
    assert!(results.iter().all(|result| *result == results[0]));
    assert_eq!(statuses(&pair.alice.payments()), ["complete"]);
    let received = pair.bob.call("listinvoices", json!({"label": "joined"}));
    assert_eq!(received["invoices"][0]["amount_received_msat"], 40_000);
}

#[test]
fn what_cannot_be_paid_is_refused_with_its_code_and_leaves_no_record() {
    let line = Line::with_far(1_000_000).known();
    let refused = |params: Value| {
        let told = line.alice.refused("pay", params);
        (told.code, told.message)
    };
    let far = line.carol.invoice("far", 3_000_000);
    let fee = json!({"bolt11": far["bolt11"], "maxfee": "1000msat"});
    assert_eq!(refused(fee).0, 206);
    let percent = json!({"bolt11": far["bolt11"], "maxfeepercent": 0.01, "exemptfee": 0});
    assert_eq!(refused(percent).0, 206);
    let delay = json!({"bolt11": far["bolt11"], "maxdelay": 60});
    assert_eq!(refused(delay).0, 206);
    let channel = format!("{}/{}", line.far, direction(&line.bob, &line.carol));
    let without = json!({"bolt11": far["bolt11"], "exclude": [channel]});
    assert_eq!(refused(without).0, 205);
    let without = json!({"bolt11": far["bolt11"], "exclude": [line.bob.id]});
    assert_eq!(refused(without).0, 205);
    let large = line.carol.invoice("large", 2_000_000_000);
    assert_eq!(refused(json!([large["bolt11"]])).0, 205);
    let none = invoice_of_any_amount(&line.carol, "none");
    assert_eq!(refused(json!([none["bolt11"]])).0, -32602);
    let named = json!({"bolt11": far["bolt11"], "amount_msat": 1});
    assert_eq!(refused(named).0, -32602);
    let both = json!({"bolt11": far["bolt11"], "maxfee": 1, "exemptfee": 1});
    assert_eq!(refused(both).0, -32602);

    let short = json!({"amount_msat": 1, "label": "short", "description": "", "expiry": 1});
    let short = line.carol.call("invoice", short);
    wait_for("an invoice expired", || {
        let listed = line.carol.call("listinvoices", json!({"label": "short"}));
        (listed["invoices"][0]["status"] == "expired").then_some(())
    });
    let (code, message) = refused(json!([short["bolt11"]]));
    assert_eq!(code, 207);
    assert!(message.starts_with("Invoice expired "), "{message}");
    assert!(line.alice.payments().is_empty());
    // The same invoice with enough of everything.
    let enough = json!({"bolt11": far["bolt11"], "maxfee": "1030msat"});
    assert_eq!(line.alice.call("pay", enough)["status"], "complete");
}

#[test]
fn what_no_channel_carries_alone_is_split_over_two() {
    let pair = Pair::start();
    pair.alice.open_channel(&pair.chain, &pair.bob, 10_000_000);
    let amount = 15_000_000_000;
    let invoice = pair.bob.invoice("large", amount);
    let paid = pair.alice.call("pay", json!([invoice["bolt11"]]));
    assert_eq!(
        (&paid["status"], &paid["amount_msat"]),
        (&json!("complete"), &json!("15000000000msat"))
    );
    // The proof may come with the first part; the others follow.
    let parts = wait_for("every part", || {
        let parts = pair.alice.payments();
        (!statuses(&parts).contains(&"pending")).then_some(parts)
    });
    assert_eq!(paid["parts"], parts.len());
    assert!(parts.len() >= 2);
    assert!(statuses(&parts).iter().all(|status| *status == "complete"));
    let partids: BTreeSet<u64> = parts
        .iter()
        .map(|part| part["partid"].as_u64().unwrap())
        .collect();
    assert_eq!(partids.len(), parts.len());
    let sum: u64 = parts
        .iter()
        .map(|part| {
            part["amount_msat"]
                .as_str()
                .unwrap()
                .strip_suffix("msat")
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    assert_eq!(sum, amount);
    let received = pair.bob.call("listinvoices", json!({}));
    assert_eq!(received["invoices"][0]["amount_received_msat"], amount);
    let pays = pair.alice.call("listpays", json!({}));
    assert_eq!(pays["pays"].as_array().unwrap().len(), 1);
    assert_eq!(pays["pays"][0]["number_of_parts"], parts.len());
    assert_eq!(pays["pays"][0]["amount_msat"], "15000000000msat");
}

#[test]
fn a_way_that_failed_is_not_tried_again_and_another_is() {
    let line = Line::with_far(100_000);
    // Carol's great channel to bob looks best from outside, and has nothing on bob's side.
    line.carol.fund(&line.chain);
    let great = line.carol.open_channel(&line.chain, &line.bob, 10_000_000);
    let dave = Node::start(line.dir.path(), "dave", &line.chain, &[]);
    dave.fund(&line.chain);
    line.alice.open_channel(&line.chain, &dave, 2_000_000);
    let small = dave.open_channel(&line.chain, &line.carol, 1_000_000);
    let line = line.known();
    for (channel, without, amount) in [(&great, &dave, 200_000_000), (&small, &line.bob, 1_000)] {
        let wanted = json!({
            "id": line.carol.id, "amount_msat": amount, "riskfactor": 1, "cltv": 42,
            "exclude": [without.id],
        });
        wait_for("gossip of both ways", || {
            let found = line.alice.try_call("getroute", wanted.clone()).ok()?;
            (found["route"][1]["channel"] == **channel).then_some(())
        });
    }
    let invoice = line.carol.invoice("learn", 600_000_000);
    let paid = line.alice.call("pay", json!([invoice["bolt11"]]));
    assert_eq!(paid["status"], "complete");
    let records = line.alice.payments();
    let blamed: Vec<&str> = records
        .iter()
        .filter(|record| record["status"] == "failed")
        .map(|record| record["erring_channel"].as_str().unwrap())
        .collect();
    assert_eq!(
        blamed,
        [great.as_str()],
        "bob's way is tried, and once: {records:#?}"
    );
    assert_eq!(records[0]["failcodename"], "WIRE_TEMPORARY_CHANNEL_FAILURE");
    assert_eq!(statuses(&records), ["failed", "complete"]);
    // One try at paying: one group, and a partid of its own for each part.
    assert_eq!(records[0]["groupid"], records[1]["groupid"]);
    assert_ne!(records[0]["partid"], records[1]["partid"]);
    let pays = line.alice.call("listpays", json!({"status": "failed"}));
    assert_eq!(pays["pays"], json!([]));
}

#[test]
fn parts_left_out_by_a_restart_are_waited_for() {
    let mut pair = Pair::start();
    for (label, settles) in [("settled", true), ("cancelled", false)] {
        let invoice = hold(&pair.bob, label, &json!(40_000));
        let before = pair.alice.payments().len();
        let first = pair.alice.call_later("pay", json!([invoice["bolt11"]]));
        wait_until_held(&pair.bob, label);
        pair.alice.kill();
        assert!(first.join().unwrap().is_err());
        pair.alice.resume();
        let again = pair.alice.call_later("pay", json!([invoice["bolt11"]]));
        // Joined by what is under way, whatever the time.
        let wait = json!({"payment_hash": invoice["payment_hash"], "timeout": 1});
        assert_eq!(pair.alice.refused("waitsendpay", wait).code, 200);
        assert_eq!(
            pair.alice.payments().len(),
            before + 1,
            "nothing is sent besides"
        );
        assert!(!again.is_finished());
        if settles {
            settle(&pair.bob, &invoice);
            assert_eq!(again.join().unwrap().unwrap()["status"], "complete");
        } else {
            let hash = json!({"payment_hash": invoice["payment_hash"]});
            pair.bob.call("holdinvoicecancel", hash);
            // A group of its own then asks bob once more, who refuses for good.
            let told = again.join().unwrap().unwrap_err();
            let told = match told {
                sendpay_rpc::client::CallError::Rpc(error) => error,
                other => panic!("{other:?}"),
            };
            assert_eq!(told.code, 203);
            let groups: BTreeSet<u64> = pair.alice.payments()[before..]
                .iter()
                .map(|record| record["groupid"].as_u64().unwrap())
                .collect();
            assert_eq!(groups.len(), 2);
        }
    }
}

#[test]
fn a_refused_payment_with_a_part_still_out_ends_at_once_when_it_is_cancelled() {
    let line = Line::with_far(1_000_000).known();
    // More than this channel carries goes by bob besides.
    line.alice.open_channel(&line.chain, &line.carol, 1_000_000);
    let invoice = hold(&line.carol, "refused", &json!(1_200_000_000));
    let params = json!({"bolt11": invoice["bolt11"], "retry_for": 600});
    let asked = line.alice.call_later("pay", params);
    wait_until_held(&line.carol, "refused");
    // His part stays out, and the other comes back refused for good.
    line.bob.signal(Signal::SIGSTOP);
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    line.carol.call("holdinvoicecancel", hash.clone());
    wait_for("the refusal of one part", || {
        let parts = line.alice.payments();
        let refused = |part: &Value| part["failcode"] == 0x400f;
        parts.iter().any(refused).then_some(())
    });
    let cancelled = line.alice.call("cancelpay", hash.clone());
    let out = &cancelled["htlcs"][0]["short_channel_id"];
    assert_eq!(*out, line.near.as_str());
    // The client's patience ends long before the time for tries does.
    let told = match asked.join().unwrap().unwrap_err() {
        sendpay_rpc::client::CallError::Rpc(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(told.code, 200, "{told:?}");
    let text = "Failed: the destination refused the payment. Parts are still in progress";
    assert!(told.message.starts_with(text), "{told:?}");
    assert_eq!(told.data.unwrap()["safe_to_retry"], false);
    assert_eq!(line.alice.refused("cancelpay", hash).code, 208);
    line.bob.signal(Signal::SIGCONT);
    wait_for("the end of the other part", || {
        let parts = line.alice.payments();
        let over = statuses(&parts).iter().all(|status| *status == "failed");
        over.then_some(())
    });
}

/// One part to bob, of a group of its own numbers.
fn part(pair: &Pair, invoice: &Value, groupid: u64, partid: u64, amount: u64, total: u64) -> Value {
    json!({
        "route": [hop(&pair.bob, &pair.channel, amount, 42)],
        "payment_hash": invoice["payment_hash"],
        "payment_secret": invoice["payment_secret"],
        "bolt11": invoice["bolt11"],
        "label": format!("part {partid}"),
        "amount_msat": total, "partid": partid, "groupid": groupid,
    })
}

#[test]
fn listpays_sums_up_whole_groups_whatever_is_asked_for() {
    let pair = Pair::start();
    let (first, second) = (
        pair.bob.invoice("first", 90_000),
        pair.bob.invoice("second", 7_000),
    );
    // A try of three parts, of which one is refused for a wrong secret while two complete it.
    let mut refused = part(&pair, &first, 5, 1, 30_000, 90_000);
    refused["payment_secret"] = json!("ee".repeat(32));
    pair.alice.call("sendpay", refused);
    let wait = json!({"payment_hash": first["payment_hash"], "partid": 1, "groupid": 5});
    assert_eq!(pair.alice.refused("waitsendpay", wait).code, 203);
    pair.alice
        .call("sendpay", part(&pair, &first, 5, 2, 45_000, 90_000));
    // Another payment begins between its parts.
    pair.sendpay(&second, 7_000);
    pair.alice
        .call("sendpay", part(&pair, &first, 5, 3, 45_000, 90_000));
    for partid in [2, 3] {
        let wait = json!({"payment_hash": first["payment_hash"], "partid": partid});
        assert_eq!(pair.alice.call("waitsendpay", wait)["status"], "complete");
    }
    let wait = json!({"payment_hash": second["payment_hash"]});
    pair.alice.call("waitsendpay", wait);
    // And one that fails.
    let third = pair.bob.invoice("third", 8_000);
    let mut wrong = part(&pair, &third, 1, 0, 8_000, 8_000);
    wrong["payment_secret"] = json!("ee".repeat(32));
    pair.alice.call("sendpay", wrong);
    let wait = json!({"payment_hash": third["payment_hash"]});
    pair.alice.refused("waitsendpay", wait);

    let pays = |params: Value| pair.alice.call("listpays", params)["pays"].clone();
    let all = pays(json!({}));
    let hashes: Vec<&Value> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|group| &group["payment_hash"])
        .collect();
    let in_order = [&first, &second, &third].map(|invoice| &invoice["payment_hash"]);
    assert_eq!(hashes, in_order);
    let records = pair.alice.payments();
    let group = &all[0];
    assert_eq!(group["status"], "complete");
    assert_eq!(group["number_of_parts"], 2);
    assert_eq!(group["amount_msat"], "90000msat");
    assert_eq!(group["amount_sent_msat"], "90000msat");
    assert_eq!(group["created_index"], records[0]["created_index"]);
    assert_eq!(group["label"], "part 1");
    assert_eq!(group["bolt11"], first["bolt11"]);
    assert_eq!(group["destination"], pair.bob.id);
    let newest = records
        .iter()
        .filter(|record| record["payment_hash"] == first["payment_hash"])
        .map(|record| record["updated_index"].as_u64().unwrap())
        .max();
    assert_eq!(group["updated_index"].as_u64(), newest);
    let preimage = group["preimage"].as_str().unwrap();
    let received = pair.bob.call("listinvoices", json!({"label": "first"}));
    assert_eq!(received["invoices"][0]["payment_preimage"], preimage);
    assert!(
        all[1].get("number_of_parts").is_none(),
        "one part is not counted"
    );
    assert_eq!(all[2]["status"], "failed");
    assert_eq!(all[2]["amount_sent_msat"], "0msat");
    for absent in ["amount_msat", "preimage", "completed_at"] {
        assert!(all[2].get(absent).is_none(), "{absent}");
    }

    // A status is that of a group, not of its parts.
    assert_eq!(pays(json!({"status": "failed"})), json!([all[2]]));
    assert_eq!(pays(json!({"status": "complete"})), json!([all[0], all[1]]));
    assert_eq!(pays(json!({"status": "pending"})), json!([]));
    // A limit counts groups; a window cuts none.
    assert_eq!(
        pays(json!({"index": "created", "limit": 1})),
        json!([all[0]])
    );
    assert_eq!(
        pays(json!({"index": "created", "limit": 2})),
        json!([all[0], all[1]])
    );
    let from_second = json!({"index": "created", "start": records[1]["created_index"]});
    assert_eq!(pays(from_second), json!([all[1], all[2]]));
    assert_eq!(pays(json!([first["bolt11"]])), json!([all[0]]));
    assert_eq!(
        pays(json!({"payment_hash": third["payment_hash"]})),
        json!([all[2]])
    );
    let failed_first = json!({"payment_hash": first["payment_hash"], "status": "failed"});
    assert_eq!(pays(failed_first), json!([]));
    assert_eq!(pays(json!({"payment_hash": "77".repeat(32)})), json!([]));
    let updated = pays(json!({"index": "updated"}));
    let indexes: Vec<u64> = updated
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["updated_index"].as_u64().unwrap())
        .collect();
    assert!(indexes.is_sorted() && indexes.len() == 3, "{indexes:?}");
}

#[test]
fn our_own_invoice_is_paid_once_and_an_expired_one_refused() {
    let pair = Pair::start();
    let ours = invoice_of_any_amount(&pair.alice, "ours");
    let params = json!({"bolt11": ours["bolt11"], "amount_msat": 5_000});
    let paid = pair.alice.call("pay", params.clone());
    assert_eq!(paid["amount_sent_msat"], "5000msat", "no fee to ourselves");
    assert_eq!(pair.alice.call("pay", params), paid);
    let records = pair.alice.payments();
    assert_eq!(statuses(&records), ["complete"]);
    assert_eq!(records[0]["destination"], pair.alice.id);
    let listed = pair.alice.call("listinvoices", json!({"label": "ours"}));
    assert_eq!(listed["invoices"][0]["status"], "paid");
    assert_eq!(listed["invoices"][0]["amount_received_msat"], 5_000);
}

#[test]
fn an_invoice_whose_records_were_deleted_is_still_paid() {
    let pair = Pair::start();
    pair.alice.open_channel(&pair.chain, &pair.bob, 10_000_000);
    let ours = pair.alice.invoice("ours", 5_000);
    let small = pair.bob.invoice("small", 50_000);
    let split = pair.bob.invoice("split", 15_000_000_000);
    for invoice in [&ours, &small, &split] {
        let paid = pair.alice.call("pay", json!([invoice["bolt11"]]));
        wait_for("every part", || {
            let settled = !statuses(&pair.alice.payments()).contains(&"pending");
            settled.then_some(())
        });
        let delete = json!([invoice["payment_hash"], "complete"]);
        pair.alice.call("delpay", delete);
        assert!(pair.alice.payments().is_empty());
        assert_eq!(pair.alice.call("pay", json!([invoice["bolt11"]])), paid);
        assert!(pair.alice.payments().is_empty(), "nothing was sent");
    }
}
