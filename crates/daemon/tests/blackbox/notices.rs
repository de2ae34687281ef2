//! Notifications of a payment's tries: who asked for them is told what the records say, before the
//! answer, and nobody else is told anything.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use sendpay_rpc::client::CallError;
use sendpay_rpc::notification::{Level, Told};
use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, Pair};

/// A `pay` by a client that asked for notifications: what it was told, and the answer.
fn pay(node: &Node, params: &Value) -> (Vec<(Level, String)>, Result<Value, CallError>) {
    let mut client = node.client();
    client.enable_notifications().unwrap();
    let (mut told, mut result) = (Vec::new(), Vec::new());
    let outcome = client.call_telling(
        "pay",
        params,
        &mut |notification| match notification {
            Told::Message { level, message } => told.push((*level, message.clone())),
            other => panic!("{other:?}"),
        },
        &mut |bytes| {
            result.extend_from_slice(bytes);
            Ok(())
        },
    );
    let answer = outcome.map(|()| serde_json::from_slice(&result).unwrap());
    (told, answer)
}

#[test]
fn each_part_of_a_pay_is_told_of_when_it_is_sent_and_when_it_ends() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    let by_invoice = json!({"bolt11": invoice["bolt11"]});
    let (told, paid) = pay(&pair.alice, &by_invoice);
    assert_eq!(paid.unwrap()["status"], "complete");
    let record = &pair.alice.payments()[0];
    let name = format!("Part {} of try {}", record["partid"], record["groupid"]);
    let sent = format!(
        "{name}: 50000msat sent by {}, 50000msat with fees",
        pair.channel
    );
    let complete = format!("{name}: complete");
    assert_eq!(told, [(Level::Info, sent), (Level::Info, complete)]);
    // The second time nothing is sent, so there is nothing to tell.
    let (told, again) = pay(&pair.alice, &by_invoice);
    assert_eq!(
        (told, again.unwrap()["status"].as_str()),
        (vec![], Some("complete"))
    );
}

#[test]
fn a_part_that_fails_is_told_of_with_its_reason_before_the_error() {
    let pair = Pair::start();
    let hold = json!({"amount_msat": 60_000, "label": "held", "description": "d",
        "payment_hash": "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793"});
    let held = pair.bob.call("holdinvoice", hold);
    pair.bob.call(
        "holdinvoicecancel",
        json!({"payment_hash": held["payment_hash"]}),
    );
    let (told, refused) = pay(&pair.alice, &json!({"bolt11": held["bolt11"]}));
    assert!(matches!(refused, Err(CallError::Rpc(_))), "{refused:?}");
    let record = &pair.alice.payments()[0];
    assert_eq!(record["status"], "failed");
    let name = format!("Part {} of try {}", record["partid"], record["groupid"]);
    assert!(
        told[0]
            .1
            .starts_with(&format!("{name}: 60000msat sent by ")),
        "{told:?}"
    );
    let why = "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (reply from remote)";
    assert_eq!(told[1..], [(Level::Unusual, format!("{name}: {why}"))]);
}

#[test]
fn who_did_not_ask_reads_the_answer_and_nothing_else() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    let mut stream = UnixStream::connect(pair.alice.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "pay", "params": [invoice["bolt11"]]});
    // It asks on another connection, and too late on this one.
    pair.alice.client().enable_notifications().unwrap();
    let enable = json!({"jsonrpc": "2.0", "id": 2, "method": "notifications", "params": [true]});
    stream
        .write_all(format!("{request}{enable}").as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let mut answers: Vec<Value> = answers
        .split_terminator("\n\n")
        .map(|answer| serde_json::from_str(answer).unwrap())
        .collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(answers[0]["result"]["status"], "complete");
    assert_eq!(answers[1]["result"], json!({}));
}
