//! `idempotency_key`: the same request asked for again, at once, later or after a crash, is one payment.

use std::thread::JoinHandle;

use sendpay_rpc::client::CallError;
use sendpay_rpc::error::RpcError;
use serde_json::{Value, json};

use crate::harness::{Node, Pair, direct, wait_for};

fn hold(pair: &Pair, label: &str) -> Value {
    let params = json!({"amount_msat": 40_000, "label": label, "description": "test"});
    pair.bob.call("holdinvoice", params)
}

fn wait_until_held(receiver: &Node, label: &str) {
    wait_for("an invoice held", || {
        let listed = receiver.call("listinvoices", json!({"label": label}));
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
}

fn wait_until_failed(pair: &Pair, invoice: &Value) {
    let wait = json!({"payment_hash": invoice["payment_hash"]});
    assert_eq!(pair.alice.refused("waitsendpay", wait).code, 203);
}

#[test]
fn a_sendpay_with_a_key_is_sent_once_through_a_crash_and_after_its_failure() {
    let mut pair = Pair::start();
    let invoice = hold(&pair, "keyed");
    let mut params = direct(&pair.bob, &pair.channel, &invoice, 40_000);
    // As many blocks as a hold invoice wants at the end.
    params["route"][0]["delay"] = json!(186);
    params["idempotency_key"] = json!("order 7");
    let first = pair.alice.call("sendpay", params.clone());
    wait_until_held(&pair.bob, "keyed");
    assert_eq!(pair.alice.call("sendpay", params.clone()), first);
    pair.alice.kill();
    pair.alice.resume();
    assert_eq!(pair.alice.call("sendpay", params.clone()), first);
    // Another request is none of its business, whatever it pays.
    let mut other = params.clone();
    other["label"] = json!("mine");
    let told = pair.alice.refused("sendpay", other);
    assert_eq!(told.code, -32602);
    assert!(told.message.starts_with("idempotency_key: "), "{told:?}");
    pair.bob.call(
        "holdinvoicecancel",
        json!({"payment_hash": invoice["payment_hash"]}),
    );
    wait_until_failed(&pair, &invoice);
    // Its failure is its answer. Without the key it is a try of its own, as ever.
    let told = pair.alice.refused("sendpay", params.clone());
    assert_eq!(told.code, 203, "{told:?}");
    assert_eq!(told.data.unwrap()["created_index"], first["created_index"]);
    assert_eq!(pair.alice.payments().len(), 1);
    params.as_object_mut().unwrap().remove("idempotency_key");
    pair.alice.call("sendpay", params);
    assert_eq!(pair.alice.payments().len(), 2);
}

#[test]
fn a_pay_with_a_key_is_one_try_for_good() {
    let mut pair = Pair::start();
    for (method, invstring) in [("pay", "bolt11"), ("xpay", "invstring")] {
        let label = format!("keyed {method}");
        let invoice = hold(&pair, &label);
        let before = pair.alice.payments().len();
        let params = json!({invstring: invoice["bolt11"], "idempotency_key": label});
        let first = pair.alice.call_later(method, params.clone());
        wait_until_held(&pair.bob, &label);
        // Joined while it runs; refused for another request.
        let again = pair.alice.call_later(method, params.clone());
        let mut other = params.clone();
        other["retry_for"] = json!(7);
        assert_eq!(pair.alice.refused(method, other.clone()).code, -32602);
        pair.alice.kill();
        assert!(first.join().unwrap().is_err());
        assert!(again.join().unwrap().is_err());
        pair.alice.resume();
        assert_eq!(pair.alice.refused(method, other).code, -32602);
        let after = pair.alice.call_later(method, params.clone());
        let hash = json!({"payment_hash": invoice["payment_hash"]});
        pair.bob.call("holdinvoicecancel", hash);
        let told = match after.join().unwrap().unwrap_err() {
            sendpay_rpc::client::CallError::Rpc(error) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(told.code, 203, "{told:?}");
        assert_eq!(told.data.as_ref().unwrap()["safe_to_retry"], true);
        // A request without a key would try once more; this one has had its try.
        assert_eq!(pair.alice.refused(method, params).code, 203);
        assert_eq!(pair.alice.payments().len(), before + 1);
    }
}

#[test]
fn a_key_of_a_payment_that_is_complete_gives_the_same_result_for_ever() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("paid", 40_000);
    let params = json!({"invstring": invoice["bolt11"], "idempotency_key": "order 7"});
    let asked: Vec<_> = (0..20)
        .map(|_| pair.alice.call_later("xpay", params.clone()))
        .collect();
    let results: Vec<Value> = asked
        .into_iter()
        .map(|asked| asked.join().unwrap().unwrap())
        .collect();
    assert!(results.iter().all(|result| *result == results[0]));
    assert_eq!(pair.alice.call("xpay", params), results[0]);
    assert_eq!(pair.alice.payments().len(), 1);
    // Another invoice under the same key is refused, and nothing of it is sent.
    let second = pair.bob.invoice("second", 40_000);
    let other = json!({"invstring": second["bolt11"], "idempotency_key": "order 7"});
    let told = pair.alice.refused("xpay", other);
    assert_eq!(told.code, -32602);
    assert!(told.message.starts_with("idempotency_key: "), "{told:?}");
    assert_eq!(pair.alice.payments().len(), 1);
    for key in [json!(""), json!("x".repeat(129)), json!(7)] {
        let bad = json!({"invstring": second["bolt11"], "idempotency_key": key});
        let told = pair.alice.refused("xpay", bad);
        assert_eq!(told.code, -32602);
        let text = "idempotency_key: should be a string of 1 to 128 bytes";
        assert!(told.message.starts_with(text), "{told:?}");
    }
    let longest = json!({"invstring": second["bolt11"], "idempotency_key": "x".repeat(128)});
    assert_eq!(pair.alice.call("xpay", longest)["successful_parts"], 1);
}

#[test]
fn a_key_given_for_what_was_paid_before_it_is_taken_by_that() {
    let pair = Pair::start();
    let (paid, other) = (
        pair.bob.invoice("paid", 5_000),
        pair.bob.invoice("other", 5_000),
    );
    let first = pair.alice.call("pay", json!([paid["bolt11"]]));
    let keyed = |invoice: &Value| json!({"bolt11": invoice["bolt11"], "idempotency_key": "k"});
    assert_eq!(pair.alice.call("pay", keyed(&paid)), first);
    let told = pair.alice.refused("pay", keyed(&other));
    assert_eq!(told.code, -32602, "{told:?}");
    assert!(told.message.starts_with("idempotency_key: "), "{told:?}");
    assert_eq!(pair.alice.payments().len(), 1);
}

/// Asks with a key for what is being paid without one, or with another, and is one with that.
fn join(pair: &Pair, invoice: &Value, key: &str) -> JoinHandle<Result<Value, CallError>> {
    let joined = || pair.alice.log().matches("joined a payment").count();
    let before = joined();
    let asked = pair.alice.call_later("xpay", keyed(invoice, key));
    wait_for("a payment to be joined", || {
        (joined() > before).then_some(())
    });
    asked
}

fn keyed(invoice: &Value, key: &str) -> Value {
    json!({"invstring": invoice["bolt11"], "idempotency_key": key})
}

fn told(answer: Result<Value, CallError>) -> RpcError {
    match answer.unwrap_err() {
        CallError::Rpc(error) => error,
        other => panic!("{other:?}"),
    }
}

/// With another invoice the key is refused, and nothing of that is sent.
fn is_taken(pair: &Pair, key: &str, other: &Value) {
    let before = pair.alice.payments().len();
    let told = pair.alice.refused("xpay", keyed(other, key));
    assert_eq!(told.code, -32602, "{told:?}");
    assert!(told.message.starts_with("idempotency_key: "), "{told:?}");
    assert_eq!(pair.alice.payments().len(), before);
}

#[test]
fn a_key_that_joins_a_payment_without_one_is_kept_with_its_outcome() {
    let mut pair = Pair::with(&["log.level=debug"]);
    let other = pair.bob.invoice("other", 5_000);
    let invoice = hold(&pair, "paid");
    let first = pair.alice.call_later("xpay", json!([invoice["bolt11"]]));
    wait_until_held(&pair.bob, "paid");
    let joined = join(&pair, &invoice, "joined");
    let again = join(&pair, &invoice, "joined");
    let preimage = json!({"preimage": invoice["payment_preimage"]});
    pair.bob.call("holdinvoicesettle", preimage);
    let first = first.join().unwrap().unwrap();
    assert_eq!(joined.join().unwrap().unwrap(), first);
    assert_eq!(again.join().unwrap().unwrap(), first);
    // As often as it is asked for, before a crash and after it.
    for _ in 0..2 {
        assert_eq!(pair.alice.call("xpay", keyed(&invoice, "joined")), first);
        is_taken(&pair, "joined", &other);
        pair.alice.kill();
        pair.alice.resume();
    }
    // Without a key, or with one that comes later, it was paid before.
    let params = json!([invoice["bolt11"]]);
    assert_eq!(pair.alice.refused("xpay", params).code, 219);
    let late = keyed(&invoice, "late");
    assert_eq!(pair.alice.refused("xpay", late.clone()).code, 219);
    assert_eq!(pair.alice.refused("xpay", late).code, 219);
    assert_eq!(pair.alice.payments().len(), 1);
}

#[test]
fn a_key_that_joins_a_payment_that_fails_is_a_try_that_failed() {
    let pair = Pair::with(&["log.level=debug"]);
    let other = pair.bob.invoice("other", 5_000);
    let invoice = hold(&pair, "failed");
    let first = pair.alice.call_later("xpay", keyed(&invoice, "first"));
    wait_until_held(&pair.bob, "failed");
    let joined = join(&pair, &invoice, "joined");
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    pair.bob.call("holdinvoicecancel", hash);
    let first = told(first.join().unwrap());
    assert_eq!(first.code, 203, "{first:?}");
    assert_eq!(told(joined.join().unwrap()), first);
    for key in ["joined", "first"] {
        let told = pair.alice.refused("xpay", keyed(&invoice, key));
        assert_eq!(told.code, 203, "{told:?}");
        assert_eq!(told.data, first.data);
        is_taken(&pair, key, &other);
    }
    assert_eq!(pair.alice.payments().len(), 1);
    // A key that is taken joins nothing, however long that takes.
    let held = hold(&pair, "held");
    let asked = json!({"invstring": held["bolt11"], "retry_for": 600});
    let asked = pair.alice.call_later("xpay", asked);
    wait_until_held(&pair.bob, "held");
    is_taken(&pair, "joined", &held);
    let preimage = json!({"preimage": held["payment_preimage"]});
    pair.bob.call("holdinvoicesettle", preimage);
    assert_eq!(asked.join().unwrap().unwrap()["successful_parts"], 1);
}

#[test]
fn a_key_that_waited_for_what_a_crash_left_out_gives_the_same_result_again() {
    let mut pair = Pair::with(&["log.level=debug"]);
    let invoice = hold(&pair, "left out");
    let first = pair.alice.call_later("xpay", json!([invoice["bolt11"]]));
    wait_until_held(&pair.bob, "left out");
    pair.alice.kill();
    assert!(first.join().unwrap().is_err());
    pair.alice.resume();
    // Of two at once one joins the other: then that waits for what is out.
    let asked = [(), ()].map(|()| pair.alice.call_later("xpay", keyed(&invoice, "waits")));
    wait_for("a payment to be joined", || {
        pair.alice.log().contains("joined a payment").then_some(())
    });
    let preimage = json!({"preimage": invoice["payment_preimage"]});
    pair.bob.call("holdinvoicesettle", preimage);
    for asked in asked {
        let result = asked.join().unwrap().unwrap();
        assert_eq!(result["payment_preimage"], invoice["payment_preimage"]);
        assert_eq!(pair.alice.call("xpay", keyed(&invoice, "waits")), result);
    }
    assert_eq!(pair.alice.payments().len(), 1);
}
