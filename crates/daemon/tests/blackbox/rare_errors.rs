//! Errors that only a network in trouble brings about: peers that refuse or say nothing, ways that carry
//! nothing, nodes that stop, and stores that hang. `errors.rs` keeps the list of all.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::Signal;
use sendpay_ledger::{Begun, Hop, Ledger, Msat, NewPayment, NodeId, PaymentHash};
use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::error::RpcError;
use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Line, Node, PATIENCE, Pair, wait_for};

/// As long as a settle waits for its claim, and some more.
const CLAIM_PATIENCE: Duration = Duration::from_secs(120);

fn rpc_error(outcome: Result<Value, CallError>) -> RpcError {
    match outcome {
        Err(CallError::Rpc(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_that_refuses_a_channel_is_quoted_and_the_coins_are_free_again() {
    let pair = Pair::start();
    // Bob would have more than the reserve leaves him.
    let unfair = json!({
        "id": pair.bob.id, "amount": 100_000, "push_msat": 60_000_000, "reserve": 50_000,
    });
    let told = pair.alice.refused("fundchannel", unfair);
    assert_eq!(told.code, -1, "{told:?}");
    assert!(told.message.starts_with("the opening failed: "), "{told:?}");
    assert!(told.message.contains("push_msat 60000000"), "{told:?}");
    assert_eq!(told.data, None);
    let all = json!({"id": pair.bob.id, "amount": "all", "announce": false});
    let opened = pair.alice.call("fundchannel", all);
    assert!(opened["tx"].is_string(), "{opened}");
}

#[test]
fn a_keysend_to_a_silent_peer_ends_with_its_time_and_may_complete_later() {
    let pair = Pair::start();
    pair.bob.signal(Signal::SIGSTOP);
    for (number, method) in ["keysend", "xkeysend"].into_iter().enumerate() {
        let ask = json!({"destination": pair.bob.id, "amount_msat": 5_000, "retry_for": 1});
        let told = pair.alice.refused(method, ask);
        assert_eq!(told.code, 200, "{method}: {told:?}");
        let data = told.data.unwrap();
        assert_eq!(data["safe_to_retry"], false);
        assert_eq!(data["attempts"].as_array().unwrap().len(), 1);
        assert_eq!(data["attempts"][0]["status"], "pending");
        let htlc = &data["htlcs"][0];
        assert_eq!(htlc["short_channel_id"], pair.channel.as_str());
        assert_eq!(pair.alice.payments().len(), number + 1);
    }
    pair.bob.signal(Signal::SIGCONT);
    wait_for("both to complete", || {
        let records = pair.alice.payments();
        let complete = |record: &Value| record["status"] == "complete";
        records.iter().all(complete).then_some(())
    });
}

#[test]
fn tries_that_run_out_of_routes_tell_each_and_that_it_is_safe_to_try_again() {
    let mut line = Line::with_far(1_000_000).known();
    let invoice = line.carol.invoice("away", 100_000_000);
    line.carol.kill();
    wait_for("bob to miss carol", || {
        let channels = line
            .bob
            .call("listpeerchannels", json!({"id": line.carol.id}));
        (channels["channels"][0]["reestablished"] == false).then_some(())
    });
    let to_carol = json!({"destination": line.carol.id, "amount_msat": 100_000_000});
    let rows = [
        ("pay", json!([invoice["bolt11"]]), 210),
        ("xpay", json!([invoice["bolt11"]]), 209),
        ("keysend", to_carol.clone(), 210),
        ("xkeysend", to_carol, 209),
    ];
    for (method, params, code) in rows {
        let before = line.alice.payments().len();
        let told = line.alice.refused(method, params);
        assert_eq!(told.code, code, "{method}: {told:?}");
        let tried = line.alice.payments().len() - before;
        assert!(tried > 0, "{method}");
        let text = format!("Ran out of routes to try after {tried} attempts: ");
        assert!(told.message.starts_with(&text), "{method}: {told:?}");
        let data = told.data.unwrap();
        assert_eq!(data["safe_to_retry"], true, "{method}");
        assert_eq!(data["htlcs"], json!([]), "{method}");
        let attempts = data["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), tried, "{method}");
        for attempt in attempts {
            assert_eq!(attempt["status"], "failed", "{method}");
            assert_eq!(attempt["failcode"], 0x1007, "{method}");
            assert_eq!(attempt["erring_channel"], line.far.as_str(), "{method}");
        }
    }
}

#[test]
fn an_onion_that_the_next_node_cannot_read_is_202_and_names_that_node() {
    let line = Line::with_far(1_000_000);
    let invoice = line.carol.invoice("garbled", 1_000_000);
    let mut params = line.sendpay(&invoice, 1_000_000);
    // Bob hands the onion to carol, and it was made for somebody else.
    let nobody = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    params["route"][1]["id"] = json!(nobody);
    line.alice.call("sendpay", params);
    let wait = json!({"payment_hash": invoice["payment_hash"]});
    let told = line.alice.refused("waitsendpay", wait.clone());
    let name = "WIRE_INVALID_ONION_HMAC";
    // CLN's words for all that concerns the onion itself.
    let text = "Malformed error reply";
    assert_eq!((told.code, told.message.as_str()), (202, text));
    let data = told.data.clone().unwrap();
    assert_eq!(data["failcode"], 0xc005);
    assert_eq!(data["failcodename"], name);
    assert_eq!(data["erring_index"], 2);
    assert_eq!(data["erring_node"], nobody);
    assert_eq!(data["erring_channel"], line.far.as_str());
    assert_eq!(data["status"], "failed");
    assert_eq!(line.alice.refused("waitsendpay", wait), told);
}

/// A record of a payment to bob that a crash left behind before LDK heard of it.
fn record_without_a_payment(pair: &Pair, payment_hash: [u8; 32]) {
    let id: [u8; 33] = hex(&pair.bob.id).try_into().unwrap();
    let amount_msat = Msat::new(50_000).unwrap();
    let hop = Hop {
        node_id: NodeId(id),
        short_channel_id: 1,
        direction: 0,
        amount_msat,
        delay: 42,
    };
    let new = NewPayment {
        payment_hash: PaymentHash(payment_hash),
        groupid: None,
        partid: 0,
        destination: Some(NodeId(id)),
        amount_msat,
        amount_sent_msat: amount_msat,
        total_msat: None,
        label: None,
        bolt11: None,
        description: None,
        route: vec![hop],
        cltv_expiry: Some(500),
        cap_msat: None,
        request: None,
    };
    let path = pair.alice.dir.join("regtest/sendpay.sqlite3");
    let (store, ledger) = Ledger::open(&path).unwrap();
    let begun = ledger.begin(new, 1_700_000_000_000).wait().unwrap();
    assert!(matches!(begun, Ok(Begun::New(_))), "{begun:?}");
    drop(ledger);
    store.close();
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn a_record_whose_htlc_never_left_is_209_after_the_next_start_and_can_be_paid() {
    let mut pair = Pair::start();
    let invoice = pair.bob.invoice("once", 50_000);
    let hash = invoice["payment_hash"].as_str().unwrap().to_owned();
    assert!(pair.alice.terminate().success());
    record_without_a_payment(&pair, hex(&hash).try_into().unwrap());
    pair.alice.resume();
    let told = pair.alice.refused("waitsendpay", json!([hash]));
    let text = "never sent: the node stopped before the HTLC could leave";
    assert_eq!(told.code, 209, "{told:?}");
    assert!(told.message.contains(text), "{told:?}");
    let data = told.data.unwrap();
    assert_eq!(data["status"], "failed");
    assert_eq!(data["erring_index"], 0);
    assert_eq!(data["erring_node"], pair.alice.id);
    wait_for("the channel", || {
        let listed = pair.alice.call("listpeerchannels", json!({}));
        (listed["channels"][0]["reestablished"] == true).then_some(())
    });
    let paid = pair.alice.call("pay", json!([invoice["bolt11"]]));
    assert_eq!(paid["status"], "complete");
}

#[test]
fn who_waits_for_a_change_is_told_when_the_daemon_stops() {
    let mut pair = Pair::start();
    let mut stream = UnixStream::connect(pair.alice.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for (id, method, params) in [
        (1, "wait", json!(["sendpays", "created", 1])),
        (2, "getinfo", json!([])),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        write!(stream, "{request}").unwrap();
    }
    let mut replies = BufReader::new(stream).lines();
    let mut reply = || -> Value {
        let line = replies.find(|line| !line.as_ref().unwrap().is_empty());
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    };
    // The second is answered while the first waits.
    assert_eq!(reply()["id"], 2);
    assert!(pair.alice.terminate().success());
    let told = reply();
    let error = json!({"code": -5, "message": "The daemon is shutting down"});
    assert_eq!((&told["id"], &told["error"]), (&json!(1), &error));
}

/// Two settles of one invoice at once, with time for what they wait for; what they came to.
fn settle_twice(node: &Node, invoice: &Value) -> mpsc::Receiver<Result<Value, CallError>> {
    let (ended, outcomes) = mpsc::channel();
    for _ in 0..2 {
        let mut client = Client::connect(&node.socket()).unwrap();
        client.set_timeout(Some(CLAIM_PATIENCE)).unwrap();
        let params = json!({"preimage": invoice["payment_preimage"]});
        let ended = ended.clone();
        std::thread::spawn(move || ended.send(client.call("holdinvoicesettle", &params)));
    }
    outcomes
}

#[test]
fn a_settle_that_is_not_durable_within_a_minute_is_told_so_and_is_done_later() {
    let pair = Pair::start();
    let hold = json!({"amount_msat": 40_000, "label": "held", "description": ""});
    let invoice = pair.bob.call("holdinvoice", hold);
    let pay = json!({"bolt11": invoice["bolt11"], "retry_for": 1});
    let told = pair.alice.refused("pay", pay);
    assert_eq!(told.code, 200, "{told:?}");
    let state = || pair.bob.call("listinvoices", json!({"label": "held"}))["invoices"][0].clone();
    wait_for("an invoice held", || {
        (state()["hold_state"] == "held").then_some(())
    });
    // Somebody holds the store's lock.
    let path = pair.bob.dir.join("regtest/sendpay.sqlite3");
    let lock = rusqlite::Connection::open(path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first waits for the store, the other one for the first.
    let outcomes = settle_twice(&pair.bob, &invoice);
    let told = rpc_error(outcomes.recv().unwrap());
    assert_eq!(told.code, 2000, "{told:?}");
    let text = "claimed, but not yet durable after 60 s; ask listinvoices";
    assert_eq!((told.message.as_str(), told.data), (text, None));
    assert_eq!(state()["status"], "unpaid");
    // So does who wants to cancel it.
    let cancel = json!({"payment_hash": invoice["payment_hash"]});
    let told = pair.bob.refused("holdinvoicecancel", cancel);
    let text = "a payment of the invoice is being claimed since 30 s; try again";
    assert_eq!((told.code, told.message.as_str()), (-1, text));
    lock.execute_batch("ROLLBACK").unwrap();
    let settled = outcomes.recv().unwrap().unwrap();
    assert_eq!(settled["state"], "settled", "{settled}");
    let wait = json!({"payment_hash": invoice["payment_hash"], "partid": 1});
    let sent = pair.alice.call("waitsendpay", wait);
    assert_eq!(sent["payment_preimage"], invoice["payment_preimage"]);
}

#[test]
fn an_opening_that_takes_over_a_minute_opens_no_channel_later() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), Backend::Embedded);
    let alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    alice.fund(&chain);
    alice.connect(&bob);
    let coins = alice.call("listfunds", json!({}))["outputs"].clone();
    // The funding transaction is kept before bob hears of it.
    let path = alice.dir.join("regtest/sendpay.sqlite3");
    let lock = rusqlite::Connection::open(path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut client = Client::connect(&alice.socket()).unwrap();
    client.set_timeout(Some(CLAIM_PATIENCE)).unwrap();
    let open = json!({"id": bob.id, "amount": 1_000_000});
    let told = rpc_error(client.call("fundchannel", &open));
    let text = "the peer did not answer within 60 s";
    assert_eq!((told.code, told.message.as_str()), (-1, text));
    lock.execute_batch("ROLLBACK").unwrap();
    wait_for("the coins", || {
        let now = alice.call("listfunds", json!({}))["outputs"].clone();
        (now == coins).then_some(())
    });
    wait_for("no channel", || {
        let of = |node: &Node| node.call("listpeerchannels", json!({}))["channels"].clone();
        (of(&alice) == json!([]) && of(&bob) == json!([])).then_some(())
    });
    assert_eq!(chain.ask("getrawmempool", &[]), json!([]));
}
