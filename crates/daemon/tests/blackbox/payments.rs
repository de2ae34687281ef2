//! Payments between two nodes: what is asked, sent, waited for and listed.

use serde_json::json;

use crate::harness::{Pair, direct, wait_for};

#[test]
fn a_sendpay_completes_and_every_method_tells_the_same() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    let mut params = direct(&pair.bob, &pair.channel, &invoice, 50_000);
    params["label"] = json!("my label");
    let sent = pair.alice.call("sendpay", params);
    assert_eq!(
        sent["message"],
        "Monitor status with listpays or waitsendpay"
    );
    assert_eq!(sent["status"], "pending");

    let hash = &invoice["payment_hash"];
    let waited = pair
        .alice
        .call("waitsendpay", json!({"payment_hash": hash}));
    assert_eq!(waited["status"], "complete");
    assert_eq!(waited["destination"], pair.bob.id);
    assert_eq!(waited["amount_msat"], "50000msat");
    assert_eq!(waited["label"], "my label");
    assert_eq!(waited["bolt11"], invoice["bolt11"]);

    let listed = pair
        .alice
        .call("listsendpays", json!({"payment_hash": hash}));
    assert_eq!(listed["payments"], json!([waited]));
    let by_invoice = pair.alice.call("listsendpays", json!([invoice["bolt11"]]));
    assert_eq!(by_invoice, listed);
    assert_eq!(pair.alice.call("listsendpays", json!({})), listed);
    let failed = pair.alice.call(
        "listsendpays",
        json!({"payment_hash": hash, "status": "failed"}),
    );
    assert_eq!(failed["payments"], json!([]));

    let paid = pair.bob.paid_invoice(&json!({"label": "one"}));
    assert_eq!(paid["payment_preimage"], waited["payment_preimage"]);
    let listed = pair.bob.call("listinvoice", json!({"label": "one"}));
    assert_eq!(listed["invoices"], json!([paid]));
}

#[test]
fn an_unknown_payment_hash_is_refused_by_the_destination_with_its_code() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    let mut params = direct(&pair.bob, &pair.channel, &invoice, 50_000);
    params["payment_hash"] = json!("11".repeat(32));
    pair.alice.call("sendpay", params);
    let wait = json!({"payment_hash": "11".repeat(32)});
    let told = pair.alice.refused("waitsendpay", wait.clone());
    assert_eq!(told.code, 203);
    let text = "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (reply from remote)";
    assert_eq!(told.message, text);
    let data = told.data.clone().unwrap();
    assert_eq!(data["status"], "failed");
    assert_eq!(data["erring_index"], 1);
    assert_eq!(data["failcode"], 0x400f);
    assert_eq!(data["erring_node"], pair.bob.id);
    assert_eq!(data["erring_channel"], pair.channel);
    // Told again later, it is the same to the letter.
    assert_eq!(pair.alice.refused("waitsendpay", wait), told);
    assert_eq!(pair.alice.payments(), vec![data]);
}

#[test]
fn a_first_peer_that_is_not_there_is_told_at_once_and_leaves_no_record() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    let unknown = direct(&pair.bob, "999x1x0", &invoice, 50_000);
    let told = pair.alice.refused("sendpay", unknown);
    assert_eq!(
        (told.code, told.message.as_str()),
        (204, "No connection to first peer found")
    );
    let data = told.data.unwrap();
    assert_eq!(data["erring_index"], 0);
    assert_eq!(data["failcode"], 0x400a);
    assert_eq!(data["failcodename"], "WIRE_UNKNOWN_NEXT_PEER");
    assert_eq!(data["erring_node"], pair.alice.id);
    // More than the channel holds.
    let large = direct(&pair.bob, &pair.channel, &invoice, 20_000_000_000);
    let told = pair.alice.refused("sendpay", large);
    let text = "failed: WIRE_TEMPORARY_CHANNEL_FAILURE (First peer not ready)";
    assert_eq!((told.code, told.message.as_str()), (204, text));
    assert!(pair.alice.payments().is_empty());
}

#[test]
fn records_and_invoices_are_the_same_after_a_clean_restart() {
    let mut pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    pair.sendpay(&invoice, 50_000);
    pair.alice.call(
        "waitsendpay",
        json!({"payment_hash": invoice["payment_hash"]}),
    );
    let before = (
        pair.alice.payments(),
        pair.bob.call("listinvoices", json!({})),
    );
    assert!(pair.alice.terminate().success());
    assert!(pair.bob.terminate().success());
    pair.bob.resume();
    pair.alice.resume();
    assert_eq!(
        (
            pair.alice.payments(),
            pair.bob.call("listinvoices", json!({}))
        ),
        before
    );
}

#[test]
fn our_own_invoice_is_paid_by_ourselves() {
    let pair = Pair::start();
    let invoice = pair.alice.invoice("self", 7_000);
    let paid = pair.alice.call("pay", json!({"bolt11": invoice["bolt11"]}));
    assert_eq!(paid["status"], "complete");
    let listed = pair.alice.call("listinvoices", json!({"label": "self"}));
    assert_eq!(listed["invoices"][0]["status"], "paid");
    let again = pair.alice.call("pay", json!({"bolt11": invoice["bolt11"]}));
    assert_eq!(again["payment_preimage"], paid["payment_preimage"]);
    assert_eq!(pair.alice.payments().len(), 1);
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
                let listed = pair.bob.call("listinvoices", json!([format!("{number}")]));
                let over = listed["invoices"][0]["status"] == "paid";
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

#[test]
fn more_than_twice_of_what_was_asked_for_is_given_back() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("twice", 50_000);
    let hash = &invoice["payment_hash"];
    let send = |amount_msat: u64| {
        let params = direct(&pair.bob, &pair.channel, &invoice, amount_msat);
        pair.alice.call("sendpay", params)
    };
    send(100_001);
    let told = pair.alice.refused("waitsendpay", json!([hash]));
    assert_eq!(told.code, 203, "{told:?}");
    assert_eq!(told.data.unwrap()["failcode"], 0x400f);
    let unpaid = pair.bob.call("listinvoices", json!({"label": "twice"}));
    assert_eq!(unpaid["invoices"][0]["status"], "unpaid");
    send(100_000);
    let paid = pair.alice.call("waitsendpay", json!([hash]));
    assert_eq!(paid["status"], "complete");
    let paid = pair.bob.paid_invoice(&json!({"label": "twice"}));
    assert_eq!(paid["amount_received_msat"], 100_000);
}
