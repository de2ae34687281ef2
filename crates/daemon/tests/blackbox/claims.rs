//! Claims of what invoices are paid with: each pays one invoice, once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Node, Pair, direct, wait_for};

/// How often two pay the same invoice at about the same time.
const ROUNDS: u32 = 40;

fn status(node: &Node, by: &Value) -> Value {
    node.call("listinvoices", by.clone())["invoices"][0]["status"].clone()
}

#[test]
fn an_invoice_made_again_of_a_preimage_that_was_paid_for_is_unpaid_through_a_restart() {
    let mut pair = Pair::start();
    let by_label = json!({"label": "sold"});
    let preimage = "11".repeat(32);
    let params = json!({"amount_msat": 50_000_000, "label": "sold", "description": "a thing", "preimage": preimage});
    let invoice = pair.bob.call("invoice", params.clone());
    pair.sendpay(&invoice, 50_000_000);
    pair.bob.paid_invoice(&by_label);
    let delete = json!({"label": "sold", "status": "paid"});
    pair.bob.call("delinvoice", delete);
    let again = pair.bob.call("invoice", params);
    assert_eq!(again["payment_hash"], invoice["payment_hash"]);
    for _ in 0..2 {
        assert!(pair.bob.terminate().success());
        pair.bob.resume();
        // LDK has told what it remembers by the time when the channel is there.
        wait_for("a channel", || {
            let channels = pair.bob.call("listpeerchannels", json!({}));
            pair.bob
                .usable_channel(&channels["channels"][0]["channel_id"])
        });
        assert_eq!(status(&pair.bob, &by_label), "unpaid");
    }
    // As any other, it can be paid.
    let own = json!({"route": [], "payment_hash": again["payment_hash"], "amount_msat": 50_000_000,
        "payment_secret": again["payment_secret"]});
    assert_eq!(pair.bob.call("sendpay", own)["status"], "complete");
    assert_eq!(status(&pair.bob, &by_label), "paid");
}

#[test]
fn of_two_who_pay_an_invoice_at_once_one_has_paid_it() {
    let pair = Pair::start();
    let pay = |invoice: &Value| direct(&pair.bob, &pair.channel, invoice, 100_000);
    let first = pair.bob.invoice("first", 100_000);
    let begun = Instant::now();
    pair.alice.call("sendpay", pay(&first));
    pair.bob.paid_invoice(&json!({"label": "first"}));
    let longest = begun.elapsed().min(Duration::from_millis(100)) * 2;
    let (mut outside, mut inside) = (0, 0);
    for round in 0..ROUNDS {
        let invoice = pair.bob.invoice(&format!("round {round}"), 100_000);
        let hash = invoice["payment_hash"].clone();
        let from_alice = pair.alice.call_later("sendpay", pay(&invoice));
        // The instant is the subject; nothing is waited for.
        std::thread::sleep(longest * round / ROUNDS);
        let own = json!({"route": [], "payment_hash": hash, "amount_msat": 100_000,
            "payment_secret": invoice["payment_secret"]});
        let by_bob = pair.bob.try_call("sendpay", own);
        from_alice.join().unwrap().unwrap();
        let by_alice = pair.alice.try_call("waitsendpay", json!([hash]));
        assert_ne!(by_alice.is_ok(), by_bob.is_ok(), "{by_alice:?} {by_bob:?}");
        *(if by_alice.is_ok() {
            &mut outside
        } else {
            &mut inside
        }) += 1;
    }
    println!("{outside} times paid from outside, {inside} times by itself");
}
