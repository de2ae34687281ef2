//! Many clients at once: the same payment asked for by a hundred of them, through a crash too, and
//! waiters that come, go and are told.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::error::RpcError;
use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, Pair, direct, wait_for};

const CLIENTS: usize = 100;
const AMOUNT_MSAT: u64 = 1_234_567;

/// What one client was told; None if the daemon died first.
type Answer = Option<Result<Value, RpcError>>;

/// All clients make the same call in the same instant, each on a connection of its own; then, with
/// everybody asking, `meanwhile` looks at how many have their answer.
fn all_at_once(
    socket: &Path,
    method: &str,
    params: &Value,
    meanwhile: impl FnOnce(&AtomicUsize),
) -> Vec<Answer> {
    let connected = (0..CLIENTS).map(|_| {
        let mut client = Client::connect(socket).unwrap();
        client.set_timeout(Some(PATIENCE)).unwrap();
        client
    });
    let clients: Vec<Client> = connected.collect();
    let ready = Barrier::new(CLIENTS + 1);
    let told = AtomicUsize::new(0);
    let ask = |mut client: Client| {
        ready.wait();
        let answer = match client.call(method, params) {
            Ok(result) => Some(Ok(result)),
            Err(CallError::Rpc(error)) => Some(Err(error)),
            Err(_) => None,
        };
        told.fetch_add(1, Ordering::SeqCst);
        answer
    };
    std::thread::scope(|scope| {
        let ask = &ask;
        let asking: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || ask(client)))
            .collect();
        ready.wait();
        meanwhile(&told);
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

fn ask_all(node: &Node, method: &str, params: &Value) -> Vec<Result<Value, RpcError>> {
    let answers = all_at_once(&node.socket(), method, params, |_| ());
    answers.into_iter().map(Option::unwrap).collect()
}

/// The same, and the node is killed as soon as so many have their answer.
fn ask_all_and_kill(node: &Node, method: &str, params: &Value, after: usize) -> Vec<Answer> {
    all_at_once(&node.socket(), method, params, |told| {
        while told.load(Ordering::SeqCst) < after {
            std::thread::yield_now();
        }
        node.kill_now();
    })
}

/// The receiver got it exactly once: by its invoice, by the channel, and by the records.
fn paid_once(pair: &Pair, invoice: &Value, before_msat: u64) -> Value {
    let hash = &invoice["payment_hash"];
    let received = pair.bob.paid_invoice(&json!({"payment_hash": hash}));
    assert_eq!(received["amount_received_msat"], AMOUNT_MSAT);
    let paid = json!({"payment_hash": hash, "status": "complete"});
    let records = pair.alice.call("listsendpays", paid)["payments"].clone();
    assert_eq!(records.as_array().unwrap().len(), 1, "{records}");
    wait_for("the balance after one payment", || {
        (balance(&pair.bob) == before_msat + AMOUNT_MSAT).then_some(())
    });
    records[0].clone()
}

fn balance(node: &Node) -> u64 {
    let listed = node.call("listpeerchannels", json!({}));
    listed["channels"][0]["to_us_msat"].as_u64().unwrap()
}

fn records_of(pair: &Pair, invoice: &Value) -> Vec<Value> {
    let params = json!({"payment_hash": invoice["payment_hash"]});
    let listed = pair.alice.call("listsendpays", params);
    listed["payments"].as_array().unwrap().clone()
}

/// Whether `sendpay` may say this while, or after, one payment of this hash was sent once.
fn is_true_of_sendpay(answer: &Result<Value, RpcError>, records: &[Value], grouped: bool) {
    match answer {
        Ok(told) => {
            let record = records
                .iter()
                .find(|record| record["created_index"] == told["created_index"]);
            let record = record.unwrap_or_else(|| panic!("no record of what was told: {told}"));
            assert_ne!(told["status"], "failed");
            assert!(told["status"] == "pending" || told["status"] == record["status"]);
            assert_eq!(told["payment_hash"], record["payment_hash"]);
        }
        Err(error) if grouped => {
            // Only if the record never left us, which only a crash can do.
            assert_eq!(error.code, 201, "{error:?}");
            assert!(error.message.starts_with("There already is a payment"));
            assert_eq!(records[0]["status"], "failed");
        }
        Err(error) => {
            assert_eq!(error.code, 200, "{error:?}");
            let text = "still in progress, cannot retry before that completes.";
            assert!(error.message.ends_with(text), "{}", error.message);
        }
    }
}

fn wait_complete(node: &Node, invoice: &Value) -> Value {
    node.call(
        "waitsendpay",
        json!({"payment_hash": invoice["payment_hash"]}),
    )
}

fn a_hundred_sendpays(groupid: Option<u64>) {
    let pair = Pair::start();
    let before_msat = balance(&pair.bob);
    let invoice = pair.bob.invoice("one", AMOUNT_MSAT);
    let mut params = direct(&pair.bob, &pair.channel, &invoice, AMOUNT_MSAT);
    if let Some(groupid) = groupid {
        params["groupid"] = json!(groupid);
    }
    let answers = ask_all(&pair.alice, "sendpay", &params);
    let waited = wait_complete(&pair.alice, &invoice);
    let records = records_of(&pair, &invoice);
    assert_eq!(records, [waited]);
    assert!(answers.iter().any(Result::is_ok));
    for answer in &answers {
        is_true_of_sendpay(answer, &records, groupid.is_some());
    }
    paid_once(&pair, &invoice, before_msat);
    // Asked once more, all get the old result.
    for answer in ask_all(&pair.alice, "sendpay", &params) {
        assert_eq!(answer.unwrap(), records[0]);
    }
    assert_eq!(records_of(&pair, &invoice), records);
    paid_once(&pair, &invoice, before_msat);
}

#[test]
fn a_hundred_clients_send_the_same_part_of_a_group_and_it_is_paid_once() {
    a_hundred_sendpays(Some(7));
}

#[test]
fn a_hundred_clients_send_the_same_payment_without_a_group_and_it_is_paid_once() {
    a_hundred_sendpays(None);
}

#[test]
fn a_hundred_clients_pay_the_same_invoice_and_it_is_paid_once() {
    let pair = Pair::start();
    let before_msat = balance(&pair.bob);
    let invoice = pair.bob.invoice("one", AMOUNT_MSAT);
    let params = json!({"bolt11": invoice["bolt11"]});
    let mut told: Vec<Value> = Vec::new();
    for _ in 0..2 {
        let answers = ask_all(&pair.alice, "pay", &params);
        told.extend(answers.into_iter().map(Result::unwrap));
        let record = paid_once(&pair, &invoice, before_msat);
        assert_eq!(records_of(&pair, &invoice), std::slice::from_ref(&record));
        for paid in &told {
            assert_eq!(paid, &told[0]);
            assert_eq!(paid["payment_preimage"], record["payment_preimage"]);
            assert_eq!(paid["status"], "complete");
        }
    }
}

/// Instants at which the sender dies: when so many clients have their answer.
const DEATHS: [usize; 5] = [0, 1, 10, 50, 99];

fn wait_until_usable(pair: &Pair) {
    for node in [&pair.alice, &pair.bob] {
        wait_for("the channel to be usable again", || {
            let listed = node.call("listpeerchannels", json!({}));
            node.usable_channel(&listed["channels"][0]["channel_id"])
        });
    }
}

/// What all clients were told before the crash is still true after it.
fn check_after_crash(pair: &Pair, invoice: &Value, answers: &[Answer], grouped: bool) {
    let records = records_of(pair, invoice);
    for answer in answers.iter().flatten() {
        is_true_of_sendpay(answer, &records, grouped);
    }
    let mut indexes = BTreeSet::new();
    for record in &records {
        assert!(indexes.insert(record["created_index"].as_u64()));
    }
}

fn a_hundred_sendpays_through_a_crash(grouped: bool) {
    let mut pair = Pair::start();
    for after in DEATHS {
        let before_msat = balance(&pair.bob);
        let invoice = pair.bob.invoice(&format!("after {after}"), AMOUNT_MSAT);
        let mut params = direct(&pair.bob, &pair.channel, &invoice, AMOUNT_MSAT);
        if grouped {
            params["groupid"] = json!(7);
        }
        let answers = ask_all_and_kill(&pair.alice, "sendpay", &params, after);
        pair.alice.kill();
        pair.alice.resume();
        check_after_crash(&pair, &invoice, &answers, grouped);
        // Asked at once, before the peer is back: what was recorded is never refused as unknown.
        let recorded = !records_of(&pair, &invoice).is_empty();
        for answer in ask_all(&pair.alice, "sendpay", &params) {
            match answer {
                // The channel is not back: a first or a new try cannot be sent, and none is made.
                Err(error) if error.code == 204 => assert!(!(recorded && grouped), "{error:?}"),
                answer => is_true_of_sendpay(&answer, &records_of(&pair, &invoice), grouped),
            }
        }
        wait_until_usable(&pair);
        let answers = ask_all(&pair.alice, "sendpay", &params);
        let records = records_of(&pair, &invoice);
        for answer in &answers {
            is_true_of_sendpay(answer, &records, grouped);
        }
        if grouped && records[0]["status"] == "failed" {
            // It never left: that part of that group is over, as all are told; the next is free.
            assert!(answers.iter().all(Result::is_err));
            params["groupid"] = json!(8);
            for answer in ask_all(&pair.alice, "sendpay", &params) {
                assert!(answer.is_ok(), "{answer:?}");
            }
        }
        let complete = wait_complete(&pair.alice, &invoice);
        assert_eq!(paid_once(&pair, &invoice, before_msat), complete);
        let others = records_of(&pair, &invoice);
        let others = others.iter().filter(|record| **record != complete);
        assert!(
            others
                .map(|record| &record["status"])
                .all(|s| s == "failed")
        );
    }
}

#[test]
fn a_hundred_clients_send_the_same_part_of_a_group_through_a_crash_and_it_is_paid_once() {
    a_hundred_sendpays_through_a_crash(true);
}

#[test]
fn a_hundred_clients_send_the_same_payment_through_a_crash_and_it_is_paid_once() {
    a_hundred_sendpays_through_a_crash(false);
}

#[test]
fn a_hundred_clients_pay_the_same_invoice_through_a_crash_and_it_is_paid_once() {
    let mut pair = Pair::start();
    for after in DEATHS {
        let before_msat = balance(&pair.bob);
        let invoice = pair.bob.invoice(&format!("after {after}"), AMOUNT_MSAT);
        let params = json!({"bolt11": invoice["bolt11"]});
        let answers = ask_all_and_kill(&pair.alice, "pay", &params, after);
        pair.alice.kill();
        pair.alice.resume();
        wait_until_usable(&pair);
        let again = ask_all(&pair.alice, "pay", &params);
        let record = paid_once(&pair, &invoice, before_msat);
        // Before the crash or after it: who was told of success was told the truth.
        for answer in answers.into_iter().flatten().chain(again) {
            let paid = answer.unwrap();
            assert_eq!(paid["payment_preimage"], record["payment_preimage"]);
        }
    }
}

/// Asks, and does not wait for the answer.
fn ask_only(node: &Node, method: &str, params: &Value) -> UnixStream {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    stream.write_all(request.to_string().as_bytes()).unwrap();
    stream
}

/// The answer that comes at last.
fn answer_of(mut stream: UnixStream) -> Value {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while !bytes.ends_with(b"\n\n") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "no answer, and the end");
        bytes.extend_from_slice(&chunk[..read]);
    }
    serde_json::from_slice(&bytes).unwrap()
}

/// A payment that the receiver holds.
fn held(pair: &Pair, label: &str) -> Value {
    let params = json!({"amount_msat": AMOUNT_MSAT, "label": label, "description": "held"});
    let invoice = pair.bob.call("holdinvoice", params);
    let listed = pair.bob.call("listinvoices", json!({"label": label}));
    let decoded = pair
        .bob
        .call("decode", json!({"string": invoice["bolt11"]}));
    let delay = decoded["min_final_cltv_expiry"].as_u64().unwrap();
    let mut params = direct(&pair.bob, &pair.channel, &invoice, AMOUNT_MSAT);
    params["route"][0]["delay"] = json!(delay);
    pair.alice.call("sendpay", params);
    wait_for("the payment to be held", || {
        let params = json!({"payment_hash": listed["invoices"][0]["payment_hash"]});
        let listed = pair.bob.call("listinvoices", params);
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
    invoice
}

/// A hundred waiters of whom every third goes away; what the others are told.
fn waiters(pair: &Pair, invoice: &Value, end: impl FnOnce()) -> Vec<Value> {
    let params = json!({"payment_hash": invoice["payment_hash"]});
    let gone_before = pair.alice.log().matches("nobody waits any more").count();
    let mut waiting = Vec::new();
    let mut leaving = Vec::new();
    for client in 0..CLIENTS {
        let stream = ask_only(&pair.alice, "waitsendpay", &params);
        if client % 3 == 0 {
            leaving.push(stream);
        } else {
            waiting.push(stream);
        }
    }
    let left = leaving.len();
    drop(leaving);
    wait_for("the waits of those who left to end", || {
        let gone = pair.alice.log().matches("nobody waits any more").count();
        (gone - gone_before == left).then_some(())
    });
    end();
    waiting.into_iter().map(answer_of).collect()
}

#[test]
fn every_waiter_that_stays_is_told_of_success_and_of_failure_as_it_stands_in_the_ledger() {
    let pair = Pair::with(&["log.level=debug"]);
    let wait = |invoice: &Value| json!({"payment_hash": invoice["payment_hash"]});

    let settled = held(&pair, "settled");
    let told = waiters(&pair, &settled, || {
        let params = json!({"preimage": settled["payment_preimage"]});
        pair.bob.call("holdinvoicesettle", params);
    });
    let later = pair.alice.call("waitsendpay", wait(&settled));
    assert_eq!(later["status"], "complete");
    assert_eq!(later["payment_preimage"], settled["payment_preimage"]);
    for answer in told {
        assert_eq!(answer["result"], later);
    }

    let cancelled = held(&pair, "cancelled");
    let told = waiters(&pair, &cancelled, || {
        pair.bob.call("holdinvoicecancel", wait(&cancelled));
    });
    let later = pair.alice.refused("waitsendpay", wait(&cancelled));
    let data = later.data.clone().unwrap();
    assert_eq!((later.code, &data["status"]), (203, &json!("failed")));
    for answer in told {
        assert_eq!(answer["error"]["code"], 203);
        assert_eq!(answer["error"]["message"], later.message);
        assert_eq!(answer["error"]["data"], data);
    }
    assert_eq!(records_of(&pair, &cancelled), [data]);
}

/// Well under the grace that commands under way get (5 s).
const QUICK: Duration = Duration::from_secs(4);

#[test]
fn a_stop_is_quick_and_tells_those_who_wait_and_the_payment_goes_on_after_it() {
    let mut pair = Pair::start();
    let invoice = held(&pair, "held");
    let params = json!({"payment_hash": invoice["payment_hash"]});
    let waiting: Vec<UnixStream> = (0..CLIENTS)
        .map(|_| {
            let stream = ask_only(&pair.alice, "waitsendpay", &params);
            // Answered after the first request was taken, on the same connection.
            let mut probe = stream.try_clone().unwrap();
            let request = json!({"jsonrpc": "2.0", "id": 2, "method": "waitsendpay",
                "params": {"payment_hash": invoice["payment_hash"], "timeout": 0}});
            probe.write_all(request.to_string().as_bytes()).unwrap();
            let timed_out = answer_of(probe);
            assert_eq!(timed_out["id"], 2);
            assert_eq!(timed_out["error"]["code"], 200);
            assert_eq!(timed_out["error"]["message"], "Timed out while waiting");
            stream
        })
        .collect();
    let begun = Instant::now();
    assert!(pair.alice.terminate().success());
    let took = begun.elapsed();
    assert!(took < QUICK, "the stop took {took:?}");
    for stream in waiting {
        let answer = answer_of(stream);
        assert_eq!(answer["error"]["code"], -5, "{answer}");
    }
    pair.alice.resume();
    assert_eq!(records_of(&pair, &invoice)[0]["status"], "pending");
    wait_until_usable(&pair);
    let preimage = json!({"preimage": invoice["payment_preimage"]});
    pair.bob.call("holdinvoicesettle", preimage);
    assert_eq!(wait_complete(&pair.alice, &invoice)["status"], "complete");
}

/// What Core Lightning's `lightning-cli` reads its first reply into.
const CLI_FIRST_REPLY_MAX: usize = 100;

/// Sends bytes as they are, and reads until the reply's end.
fn replay(stream: &mut UnixStream, request: &str) -> Vec<u8> {
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while !bytes.ends_with(b"\n\n") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "no answer, and the end");
        bytes.extend_from_slice(&chunk[..read]);
    }
    bytes
}

#[test]
fn the_bytes_of_lightning_cli_get_what_it_reads() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", AMOUNT_MSAT);
    pair.sendpay(&invoice, AMOUNT_MSAT);
    let record = wait_complete(&pair.alice, &invoice);
    let bolt11 = invoice["bolt11"].as_str().unwrap();
    for (method, params, expected) in [
        ("listsendpays", String::new(), Some(json!([record]))),
        (
            "listsendpays",
            format!("\"{bolt11}\""),
            Some(json!([record])),
        ),
        (
            "listsendpays",
            "null, null, \"failed\"".to_owned(),
            Some(json!([])),
        ),
        ("listsendpays", "\"lnbc\"".to_owned(), None),
    ] {
        let mut stream = UnixStream::connect(pair.alice.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It enables notifications first, and gives up on a reply that does not fit.
        let first = replay(
            &mut stream,
            "{ \"jsonrpc\" : \"2.0\", \"method\" : \"notifications\", \
             \"id\" : \"cli:notifications#1234\", \"params\" :{\"enable\":true} }",
        );
        assert!(first.len() <= CLI_FIRST_REPLY_MAX, "{}", first.len());
        let first: Value = serde_json::from_slice(&first).unwrap();
        assert_eq!(first["id"], "cli:notifications#1234");
        let reply = replay(
            &mut stream,
            &format!(
                "{{ \"jsonrpc\" : \"2.0\", \"method\" : \"{method}\", \
                 \"id\" : \"cli:{method}#1234\", \"params\" :[ {params} ] }}"
            ),
        );
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply["id"], format!("cli:{method}#1234"));
        match expected {
            Some(expected) => assert_eq!(reply["result"]["payments"], expected),
            None => assert_eq!(reply["error"]["code"], -32602, "{reply}"),
        }
    }
}
