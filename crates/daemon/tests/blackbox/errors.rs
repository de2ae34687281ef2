//! The errors of each method that are not about one parameter alone: code, message and data. Those
//! about parameters are in `bad_input.rs`. Those that need more than two nodes at rest are in other
//! files, which a list names: no error that a method's page lists is without a test.

use std::collections::BTreeSet;

use sendpay_rpc::client::CallError;
use sendpay_rpc::method::METHODS;
use serde_json::{Value, json};

use crate::bad_input::fits;
use crate::harness::{Pair, direct};

/// Method, parameters, code, the message or (with a `*`) how it begins and ends, and what of the data
/// must be so; null for an error without data.
type Row = (&'static str, Value, i32, String, Value);

/// A node that nobody has heard of.
const NOBODY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// Errors that need more than two nodes at rest, and the file that has each; two are tests of their
/// own below.
const ELSEWHERE: &[(&str, i32, &str)] = &[
    ("bumpfee", -1, "stuck"),
    ("bumpfee", 301, "stuck"),
    ("connect", 402, "errors"),
    ("fundchannel", 313, "anchors"),
    ("withdraw", 313, "anchors"),
    ("followsendpays", -1, "errors"),
    ("close", -5, "closes"),
    ("close", -1, "peers"),
    ("fundchannel", -1, "rare_errors"),
    ("fundchannel", 303, "openings"),
    ("setchannel", -1, "peers"),
    ("holdinvoicecancel", 906, "holds"),
    ("holdinvoicesettle", 906, "holds"),
    ("holdinvoicesettle", 2000, "rare_errors"),
    ("keysend", 203, "keysends"),
    ("keysend", 206, "keysends"),
    ("keysend", 200, "rare_errors"),
    ("keysend", 210, "rare_errors"),
    ("pay", 200, "pays"),
    ("pay", 201, "pays"),
    ("pay", 203, "pays"),
    ("pay", 205, "pays"),
    ("pay", 206, "pays"),
    ("pay", 210, "rare_errors"),
    ("sendpay", 200, "clients"),
    ("sendpay", 201, "clients"),
    ("sendpay", 203, "payments"),
    ("settleimported", 211, "imports"),
    ("wait", -5, "rare_errors"),
    ("waitanyinvoice", -5, "invoices"),
    ("waitinvoice", -5, "invoices"),
    ("waitsendpay", 200, "clients"),
    ("waitsendpay", 204, "failures"),
    ("waitsendpay", 202, "rare_errors"),
    ("waitsendpay", 209, "rare_errors"),
    ("xkeysend", 203, "keysends"),
    ("xkeysend", 206, "keysends"),
    ("xkeysend", 200, "rare_errors"),
    ("xkeysend", 209, "rare_errors"),
    ("xpay", 200, "splits"),
    ("xpay", 201, "splits"),
    ("xpay", 203, "xpays"),
    ("xpay", 205, "xpays"),
    ("xpay", 206, "xpays"),
    ("xpay", 219, "splits"),
    ("xpay", 209, "rare_errors"),
];

fn row(method: &'static str, params: Value, code: i32, message: &str, data: Value) -> Row {
    (method, params, code, message.to_owned(), data)
}

/// Of invoices: what is taken, what is not there, what has another status.
fn invoices(expired: &Value) -> Vec<Row> {
    let (hash, preimage) = ("11".repeat(32), "07".repeat(32));
    let again = |label: &str| json!({"amount_msat": 1, "label": label, "description": "d", "preimage": preimage});
    let mut rows = Vec::new();
    for method in ["invoice", "holdinvoice"] {
        let taken = "Duplicate label 'taken'";
        rows.push(row(method, again("taken"), 900, taken, Value::Null));
        let used = "preimage already used";
        rows.push(row(method, again("new"), 901, used, Value::Null));
    }
    let hint = json!({"amount_msat": 1, "label": "new", "description": "d",
        "exposeprivatechannels": "1x1x1"});
    let none = "None of those hints were suitable local channels";
    rows.push(row("invoice", hint, 902, none, Value::Null));
    let nowhere = json!({"amount_msat": 1, "label": "new", "description": "d",
        "fallbacks": ["nowhere"]});
    let invalid = "Fallback address not valid";
    rows.push(row("invoice", nowhere, -1, invalid, Value::Null));
    let status = json!({"current_status": "unpaid", "expected_status": "paid"});
    rows.extend([
        row(
            "delinvoice",
            json!(["nobody's", "unpaid"]),
            905,
            "Unknown invoice",
            Value::Null,
        ),
        row(
            "delinvoice",
            json!(["taken", "paid"]),
            906,
            "Invoice status is unpaid not paid",
            status,
        ),
        row(
            "delinvoice",
            json!({"label": "bare", "status": "unpaid", "desconly": true}),
            908,
            "Invoice description already removed",
            Value::Null,
        ),
        row(
            "waitinvoice",
            json!(["nobody's"]),
            -1,
            "Label not found",
            Value::Null,
        ),
        row(
            "waitinvoice",
            json!(["expired"]),
            903,
            "invoice expired during wait",
            json!({"label": "expired", "status": "expired",
                "payment_hash": expired["payment_hash"]}),
        ),
        row(
            "waitanyinvoice",
            json!([0, 0]),
            904,
            "Timed out while waiting for invoice to be paid",
            Value::Null,
        ),
        row(
            "holdinvoicecancel",
            json!([hash]),
            905,
            "Unknown invoice with payment_hash: *",
            Value::Null,
        ),
        row(
            "holdinvoicesettle",
            json!([hash]),
            905,
            "Unknown invoice with payment_hash: *",
            Value::Null,
        ),
    ]);
    rows
}

/// Of payments: what is unknown, what has no way, what is over.
fn payments(pair: &Pair, good: &Value, expired: &Value, failed: &str) -> Vec<Row> {
    let hash = "11".repeat(32);
    let mut gone = direct(&pair.bob, "9x9x9", good, 50_000);
    gone["route"][0]["id"] = json!(NOBODY);
    let request = "22".repeat(32);
    let mut rows = vec![
        row(
            "cancelpay",
            json!([hash]),
            208,
            &format!("No payment of payment_hash {hash} is running"),
            Value::Null,
        ),
        row(
            "delpay",
            json!([hash, "failed"]),
            208,
            &format!("Unknown payment with payment_hash: {hash}"),
            Value::Null,
        ),
        row(
            "delpay",
            json!([failed, "complete"]),
            208,
            &format!("Payment with hash {failed} has failed status but it different from *"),
            Value::Null,
        ),
        row(
            "delpay",
            json!([failed, "failed", 7, 7]),
            208,
            "No payment for that payment_hash with that partid and groupid",
            Value::Null,
        ),
        row(
            "settleimported",
            json!({"payment_hash": hash, "status": "failed"}),
            208,
            "No imported *",
            Value::Null,
        ),
        row(
            "waitsendpay",
            json!([hash]),
            208,
            &format!("Never attempted payment part 0 for '{hash}'"),
            Value::Null,
        ),
        row(
            "waitsendpay",
            json!([failed]),
            203,
            "failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS (reply from remote)",
            json!({"status": "failed", "payment_hash": failed, "erring_index": 1,
                "failcode": 0x400f, "erring_node": pair.bob.id}),
        ),
        row(
            "sendpay",
            gone,
            204,
            "No connection to first peer found",
            json!({"erring_index": 0, "failcode": 0x400a, "erring_node": pair.alice.id,
                "failcodename": "WIRE_UNKNOWN_NEXT_PEER"}),
        ),
        row(
            "getroute",
            json!([NOBODY, 1, 1]),
            -32602,
            &format!("{NOBODY}: unknown destination node_id (no public channels?)"),
            Value::Null,
        ),
        row(
            "getroute",
            json!({"id": pair.bob.id, "amount_msat": 1, "riskfactor": 1, "fromid": NOBODY}),
            -32602,
            &format!("{NOBODY}: unknown source node_id (no public channels?)"),
            Value::Null,
        ),
        row(
            "getroute",
            json!([pair.bob.id, u64::from(u32::MAX) * 1000, 1]),
            205,
            "Could not find a route*",
            Value::Null,
        ),
    ];
    for method in ["pay", "xpay"] {
        let params = json!([expired["bolt11"]]);
        rows.push(row(
            method,
            params,
            207,
            "Invoice expired * seconds ago",
            Value::Null,
        ));
    }
    for method in ["keysend", "xkeysend"] {
        let params = json!({"destination": NOBODY, "amount_msat": 1, "retry_for": 1});
        let data = json!({"attempts": [], "htlcs": [], "safe_to_retry": true});
        rows.push(row(
            method,
            params,
            205,
            "Failed: could not find a route*",
            data,
        ));
        let us = json!([pair.alice.id, 1]);
        rows.push(row(
            method,
            us,
            -32602,
            "We are the destination. *",
            Value::Null,
        ));
    }
    let with_request = json!({"bolt11": good["bolt11"], "localinvreqid": request});
    rows.push(row(
        "pay",
        with_request,
        212,
        "localinvreqid: *",
        Value::Null,
    ));
    let mut with_request = direct(&pair.bob, &pair.channel, good, 50_000);
    with_request["localinvreqid"] = json!(request);
    rows.push(row(
        "sendpay",
        with_request,
        212,
        "localinvreqid: *",
        Value::Null,
    ));
    rows
}

/// Of peers, channels, coins and the daemon itself.
fn others(pair: &Pair) -> Vec<Row> {
    let bob = &pair.bob.id;
    let address = pair.bob.call("newaddr", json!({"addresstype": "bech32"}))["bech32"].clone();
    vec![
        row(
            "connect",
            json!([NOBODY]),
            400,
            "no address known for *",
            Value::Null,
        ),
        row(
            "connect",
            json!([format!("{NOBODY}@127.0.0.1:1")]),
            401,
            "cannot connect to 127.0.0.1:1: *",
            Value::Null,
        ),
        row(
            "disconnect",
            json!([NOBODY]),
            -32602,
            &format!("Unknown peer '{NOBODY}'"),
            Value::Null,
        ),
        row(
            "disconnect",
            json!([bob]),
            -1,
            "Peer has (at least one) channel in state CHANNELD_NORMAL",
            Value::Null,
        ),
        row(
            "fundchannel",
            json!([NOBODY, 100_000]),
            305,
            "Peer not connected",
            Value::Null,
        ),
        row(
            "fundchannel",
            json!([pair.alice.id, 100_000]),
            305,
            "Peer not connected",
            Value::Null,
        ),
        row(
            "fundchannel",
            json!({"id": bob, "amount": 100_000, "minconf": 100_000}),
            301,
            "Could not afford *",
            Value::Null,
        ),
        row(
            "fundchannel",
            json!({"id": bob, "amount": 10_000_000, "utxos": [format!("{}:0", "11".repeat(32))]}),
            -32602,
            "Unknown UTXO *",
            Value::Null,
        ),
        row(
            "close",
            json!([NOBODY]),
            -32602,
            "id: should be a channel ID or short channel ID: *",
            Value::Null,
        ),
        row(
            "setchannel",
            json!([NOBODY, 1]),
            -32602,
            "id: should be a channel ID or short channel ID: *",
            Value::Null,
        ),
        row(
            "withdraw",
            json!(["nowhere", 100_000]),
            -1,
            "Could not parse destination address, destination should be a valid address",
            Value::Null,
        ),
        row(
            "withdraw",
            json!([address, 2_000_000_000_000_000_u64]),
            301,
            "Could not afford *",
            Value::Null,
        ),
        row(
            "withdraw",
            json!([address, 1]),
            302,
            "Receive amount is below dust limit",
            Value::Null,
        ),
        row(
            "check",
            json!(["nonsense"]),
            -32601,
            "Unknown command 'nonsense'",
            Value::Null,
        ),
        row(
            "help",
            json!(["nonsense"]),
            -32601,
            "Unknown command nonsense",
            Value::Null,
        ),
        row(
            "followsendpays",
            json!([99_999]),
            -32602,
            "from: *",
            Value::Null,
        ),
        row(
            "wait",
            json!(["htlcs", "created", 0]),
            -32602,
            "subsystem: *",
            Value::Null,
        ),
    ]
}

/// Whether an error's data has all that is wanted of it.
fn has(data: Option<&Value>, wanted: &Value) -> bool {
    match (data, wanted) {
        (None, Value::Null) => true,
        (Some(data), Value::Object(members)) => members
            .iter()
            .all(|(name, value)| data.get(name) == Some(value)),
        _ => false,
    }
}

/// All rows, of a network at rest in which one payment has failed.
fn rows(pair: &Pair) -> Vec<Row> {
    let invoice = |more: Value| {
        let mut params = json!({"amount_msat": 50_000, "description": "d"});
        let more = more.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(more);
        pair.alice.call("invoice", params)
    };
    invoice(json!({"label": "taken", "preimage": "07".repeat(32)}));
    invoice(json!({"label": "bare"}));
    let bare = json!({"label": "bare", "status": "unpaid", "desconly": true});
    pair.alice.call("delinvoice", bare);
    let expired = invoice(json!({"label": "expired", "expiry": 1}));
    let params = json!({"amount_msat": 50_000, "label": "over", "description": "d", "expiry": 1});
    let over = pair.bob.call("invoice", params);
    pair.bob.refused("waitinvoice", json!(["over"]));
    pair.alice.refused("waitinvoice", json!(["expired"]));
    let good = pair.bob.invoice("good", 50_000);
    let mut unknown = good.clone();
    unknown["payment_hash"] = json!("33".repeat(32));
    pair.sendpay(&unknown, 50_000);
    let wait = json!({"payment_hash": unknown["payment_hash"]});
    assert_eq!(pair.alice.refused("waitsendpay", wait).code, 203);
    let mut rows = invoices(&expired);
    rows.extend(payments(pair, &good, &over, &"33".repeat(32)));
    rows.extend(others(pair));
    rows
}

#[test]
fn every_error_of_every_method_has_its_code_its_message_and_its_data() {
    let pair = Pair::start();
    let rows = rows(&pair);
    let mut wrong = Vec::new();
    let mut seen: BTreeSet<(&str, i32)> = BTreeSet::new();
    for (method, params, code, message, data) in rows {
        seen.insert((method, code));
        match pair.alice.try_call(method, params) {
            Err(CallError::Rpc(error))
                if error.code == code
                    && fits(&error.message, &message)
                    && has(error.data.as_ref(), &data) => {}
            other => wrong.push(format!(
                "{method}: wanted {code} {message} {data}, got {other:?}"
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for entry in METHODS {
        for (code, when) in entry.errors {
            let code = code.number();
            let known = code == -32602
                || seen.contains(&(entry.name, code))
                || ELSEWHERE
                    .iter()
                    .any(|one| (one.0, one.1) == (entry.name, code));
            assert!(known, "no test of {} {code}: {when}", entry.name);
        }
    }
}

#[test]
fn a_node_that_hangs_up_before_the_handshake_gives_402() {
    let pair = Pair::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hangs_up = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let id = format!("{NOBODY}@{address}");
    let error = pair.alice.refused("connect", json!([id]));
    hangs_up.join().unwrap();
    assert_eq!(error.code, 402);
    let text = format!("{NOBODY} did not complete the Lightning handshake");
    assert_eq!((error.message, error.data), (text, None));
}

#[test]
fn a_connection_follows_once() {
    let pair = Pair::start();
    let mut client = pair.alice.client();
    client.call("followsendpays", &json!([0])).unwrap();
    match client.call("followsendpays", &json!([0])) {
        Err(CallError::Rpc(error)) => assert_eq!((error.code, error.data), (-1, None)),
        other => panic!("{other:?}"),
    }
}
