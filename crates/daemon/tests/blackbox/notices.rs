//! Notifications of what a request does: who asked for them is told what the records say, before the
//! answer, and nobody else is told anything.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use sendpay_rpc::client::CallError;
use sendpay_rpc::notification::{Level, Told};
use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, Pair, wait_for};

/// What a client that asked for notifications is told, and the answer.
type ToldAndAnswer = (Vec<(Level, String)>, Result<Value, CallError>);

fn pay(node: &Node, params: &Value) -> ToldAndAnswer {
    telling(node, "pay", params)
}

fn telling(node: &Node, method: &str, params: &Value) -> ToldAndAnswer {
    let mut client = node.client();
    client.enable_notifications().unwrap();
    let (mut told, mut result) = (Vec::new(), Vec::new());
    let outcome = client.call_telling(
        method,
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

#[test]
fn a_keysend_tells_of_its_part_as_a_pay_does() {
    let pair = Pair::start();
    for method in ["keysend", "xkeysend"] {
        let ask =
            json!({"destination": pair.bob.id, "amount_msat": 5_000, "idempotency_key": method});
        let (told, answer) = telling(&pair.alice, method, &ask);
        let answer = answer.unwrap();
        let sent = format!(
            "Part 1 of try 1: 5000msat sent by {}, 5000msat with fees",
            pair.channel
        );
        let complete = "Part 1 of try 1: complete".to_owned();
        assert_eq!(told, [(Level::Info, sent), (Level::Info, complete)]);
        // The same key: nothing is sent, so there is nothing to tell.
        let (told, again) = telling(&pair.alice, method, &ask);
        assert_eq!(told, []);
        assert_eq!(
            again.unwrap()["payment_preimage"],
            answer["payment_preimage"]
        );
    }
}

/// The texts of what was told, all of which are for everybody.
fn texts(told: Vec<(Level, String)>) -> Vec<String> {
    let text = |(level, text)| {
        assert_eq!(level, Level::Info);
        text
    };
    told.into_iter().map(text).collect()
}

#[test]
fn an_opening_tells_of_each_step_and_so_does_a_close() {
    let mut pair = Pair::start();
    let open = json!({"id": pair.bob.id, "amount": 200_000});
    let (told, opened) = telling(&pair.alice, "fundchannel", &open);
    let opened = opened.unwrap();
    let made = format!(
        "The peer agreed: it is funded by transaction {}",
        opened["txid"].as_str().unwrap()
    );
    assert_eq!(
        texts(told),
        [
            "Asking the peer for a channel of 200000 sat",
            made.as_str(),
            "Both have signed: sending the funding transaction",
        ]
    );
    let unfair = json!({
        "id": pair.bob.id, "amount": 100_000, "push_msat": 60_000_000, "reserve": 50_000,
    });
    let (told, refused) = telling(&pair.alice, "fundchannel", &unfair);
    assert!(refused.is_err());
    assert_eq!(texts(told), ["Asking the peer for a channel of 100000 sat"]);

    let (told, closed) = telling(&pair.alice, "close", &json!([pair.channel]));
    assert_eq!(closed.unwrap()["type"], "mutual");
    assert_eq!(
        texts(told),
        ["The peer is asked to close the channel with us"]
    );
    pair.bob.kill();
    wait_for("bob to be away", || {
        let listed = pair.alice.call("listpeerchannels", json!({}));
        (listed["channels"][0]["peer_connected"] == false).then_some(())
    });
    let close = json!({"id": opened["channel_id"], "unilateraltimeout": 1});
    let (told, closed) = telling(&pair.alice, "close", &close);
    assert_eq!(closed.unwrap()["type"], "unilateral");
    assert_eq!(
        texts(told),
        [
            "peer is offline, will negotiate once they reconnect (1 seconds before unilateral close).",
            "Timed out, forcing close.",
        ]
    );
}
