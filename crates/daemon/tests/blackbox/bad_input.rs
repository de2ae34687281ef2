//! Input that makes no sense, and what it gets: the contract's error, no record, and a daemon that
//! lives. Stores that cannot be used are `unusable_stores.rs`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, Pair, direct, direction, hop};

const INVALID: i32 = -32602;

/// BOLT 11's own example, for the main network.
const MAINNET: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

/// Method, parameters, code, and the message or (ending in `*`) its beginning.
type Row = (&'static str, Value, i32, String);

fn unknown(name: &str) -> String {
    format!("unknown parameter: {name}, this may be*")
}

fn should(name: &str, what: &str) -> String {
    format!("{name}: should be {what}: invalid token (see logs for details)")
}

fn missing(name: &str) -> String {
    format!("missing required parameter: {name}")
}

/// What every method refuses in the same way.
fn parameters() -> Vec<Row> {
    let mut rows = Vec::new();
    for method in [
        "getinfo",
        "stop",
        "listpeerchannels",
        "listsendpays",
        "pay",
        "sendpay",
    ] {
        rows.push((method, json!({"nonsense": 1}), INVALID, unknown("nonsense")));
        let text = "Expected array or object for params";
        rows.push((method, json!("text"), INVALID, text.into()));
    }
    for (method, first) in [
        ("sendpay", "route"),
        ("waitsendpay", "payment_hash"),
        ("pay", "bolt11"),
        ("invoice", "amount_msat"),
        ("holdinvoice", "amount_msat"),
        ("getroute", "id"),
        ("holdinvoicesettle", "preimage"),
        ("holdinvoicecancel", "payment_hash"),
        ("delpay", "payment_hash"),
        ("connect", "id"),
        ("fundchannel", "id"),
        ("decode", "string"),
    ] {
        rows.push((method, json!({}), INVALID, missing(first)));
    }
    let many = "too many parameters: got 1, expected 0";
    rows.push(("getinfo", json!([1]), INVALID, many.into()));
    rows.push((
        "nonsense",
        json!({}),
        -32601,
        "Unknown command 'nonsense'".into(),
    ));
    rows
}

fn listings() -> Vec<Row> {
    let hash = "11".repeat(32);
    let both = "Can only specify one of {bolt11} or {payment_hash}";
    let start = "Can only specify {start} with {index}";
    let limit = "Can only specify {limit} with {index}";
    let start_hash = "Cannot use start with bolt11 or payment_hash";
    let mut rows = Vec::new();
    for method in ["listsendpays", "listpays"] {
        let cases = [
            (json!(["lnbcrt1", hash]), both.to_owned()),
            (json!({"start": 1}), start.into()),
            (json!({"limit": 1}), limit.into()),
            (
                json!({"payment_hash": hash, "index": "created", "start": 1}),
                start_hash.into(),
            ),
            (json!(["lnbcrt1garbage"]), "Invalid invstring: *".into()),
            (
                json!([MAINNET]),
                "Invalid invstring: invoice is for another network*".into(),
            ),
            (
                json!({"payment_hash": "11"}),
                should("payment_hash", "a 32 byte hex value"),
            ),
            (
                json!({"payment_hash": "11".repeat(33)}),
                should("payment_hash", "a 32 byte hex value"),
            ),
            (
                json!({"payment_hash": "zz".repeat(32)}),
                should("payment_hash", "a 32 byte hex value"),
            ),
            (
                json!({"payment_hash": 7}),
                should("payment_hash", "a 32 byte hex value"),
            ),
            (
                json!({"status": "done"}),
                should("status", "an invoice status"),
            ),
            (json!({"index": "none"}), "index: unknown index*".into()),
            (
                json!({"index": "created", "start": 1.5}),
                should("start", "an unsigned 64 bit integer"),
            ),
            (
                json!({"index": "created", "limit": 4_294_967_296_u64}),
                should("limit", "an unsigned 32 bit integer"),
            ),
        ];
        rows.extend(cases.map(|(params, text)| (method, params, INVALID, text)));
        let order = "order: should be 'asc' or 'desc'*";
        rows.push((method, json!({"order": "newest"}), INVALID, order.into()));
    }
    for method in ["listsendpays", "listpays", "countsendpays"] {
        let cases = [
            (json!(["lnbcrt1", hash]), both.to_owned()),
            (
                json!({"created_from": 2, "created_to": 1}),
                "created_from: should not be after {created_to}".into(),
            ),
            (
                json!({"completed_from": 2, "completed_to": 1}),
                "completed_from: should not be after {completed_to}".into(),
            ),
            (
                json!({"amount_from_msat": "2sat", "amount_to_msat": 1999}),
                "amount_from_msat: should not be above {amount_to_msat}".into(),
            ),
            (
                json!({"destination": "02"}),
                should("destination", "a node id"),
            ),
            (
                json!({"groupid": -1}),
                "groupid: should be an integer from 0 to 9223372036854775807*".into(),
            ),
            (
                json!({"code": 16_394}),
                should("code", "an integer from 202 to 209"),
            ),
        ];
        rows.extend(cases.map(|(params, text)| (method, params, INVALID, text)));
    }
    rows
}

/// `sendpay` of that invoice of bob's, with something changed.
fn sendpays(pair: &Pair, invoice: &Value) -> Vec<Row> {
    let good = || direct(&pair.bob, &pair.channel, invoice, 50_000);
    let with = |member: &str, value: Value| {
        let mut params = good();
        params[member] = value;
        params
    };
    let in_hop = |member: &str, value: Value| {
        let mut params = good();
        params["route"][0][member] = value;
        params
    };
    let bob = |channel: &str, amount: u64, delay: u32| hop(&pair.bob, channel, amount, delay);
    let route = |hops: Vec<Value>| with("route", json!(hops));
    let us = json!({"id": pair.alice.id, "channel": "5x5x5", "amount_msat": 50_000, "delay": 42});
    let against = format!("{}/{}", pair.channel, 1 - direction(&pair.alice, &pair.bob));
    let secret = "a 32 byte hex value";
    let mut part = good();
    part["partid"] = json!(1);
    let mut other_amount = part.clone();
    other_amount["amount_msat"] = json!(40_000);
    let mut no_secret = good();
    no_secret["partid"] = json!(1);
    no_secret["amount_msat"] = json!(50_000);
    no_secret.as_object_mut().unwrap().remove("payment_secret");
    let limit = 2_100_000_000_000_000_000_u64;
    let cases = [
        (
            with("payment_hash", json!("11")),
            should("payment_hash", secret),
        ),
        (
            with("payment_hash", json!("11".repeat(31))),
            should("payment_hash", secret),
        ),
        (
            with("payment_secret", json!("11".repeat(33))),
            should("payment_secret", secret),
        ),
        (with("route", json!("x")), "route: must be an array*".into()),
        (
            with("route", json!([1])),
            "route: must have either short_channel_id_dir or channel*".into(),
        ),
        (
            with("route", json!([{"channel": "1x1x1"}])),
            "route: must have either node_id_out or id*".into(),
        ),
        (
            in_hop("channel", json!("1x1")),
            "route: bad short_channel_id*".into(),
        ),
        (
            in_hop("id", json!("02".repeat(32))),
            "route: bad node_id*".into(),
        ),
        (in_hop("amount_msat", json!(0)), "route: bad amount*".into()),
        (
            in_hop("amount_msat", json!(-1)),
            "route: bad amount*".into(),
        ),
        (in_hop("amount_msat", json!(limit + 1)), "route: *".into()),
        (
            in_hop("amount_msat", json!("1e9")),
            "route: bad amount*".into(),
        ),
        (
            in_hop("delay", json!(8)),
            "route: the final delay of 8 blocks*".into(),
        ),
        (
            in_hop("delay", json!(2_017)),
            "route: the total delay of 2017 blocks*".into(),
        ),
        (
            in_hop("delay", json!(4_294_967_296_u64)),
            "route: bad cltv_out/delay*".into(),
        ),
        (
            in_hop("channel", json!(against)),
            "route: hop 0 goes against its channel's direction".into(),
        ),
        (
            route(vec![
                bob(&pair.channel, 50_000, 42),
                bob("9x9x9", 50_001, 42),
            ]),
            "route: hop 0 forwards more*".into(),
        ),
        (
            route(vec![
                bob(&pair.channel, 50_000, 42),
                bob("9x9x9", 50_000, 43),
            ]),
            "route: hop 0 has a smaller delay*".into(),
        ),
        (
            route(vec![
                bob(&pair.channel, 50_000, 90),
                bob(&pair.channel, 50_000, 42),
            ]),
            "route: channel * is used twice".into(),
        ),
        (
            route(vec![bob(&pair.channel, 50_000, 42), us]),
            "route: hop 1 is this node itself".into(),
        ),
        (
            route(
                (0..28)
                    .map(|n| bob(&format!("{n}x1x1"), 50_000, 42))
                    .collect(),
            ),
            "route: 28 hops are more*".into(),
        ),
        (
            with("route", json!([])),
            "Self-payment requires amount_msat".into(),
        ),
        (
            with("amount_msat", json!(0)),
            "amount_msat: should be a *".into(),
        ),
        (
            with("amount_msat", json!(limit + 1)),
            "amount_msat: should be *".into(),
        ),
        (
            with("amount_msat", json!(40_000)),
            "Do not specify msatoshi (40000msat) without partid*".into(),
        ),
        (
            with("partid", json!(-1)),
            "partid: should be an integer from 0 to 9223372036854775807*".into(),
        ),
        (
            with("partid", json!(u64::MAX)),
            "partid: should be an integer from 0 to 9223372036854775807*".into(),
        ),
        (
            with("groupid", json!(u64::MAX)),
            "groupid: should be an integer from 0 to 9223372036854775807*".into(),
        ),
        (
            with("payment_metadata", json!("0")),
            should("payment_metadata", "a hex value"),
        ),
        (
            with("label", json!(7)),
            should("label", "a string (without \\u)"),
        ),
        (part, "Must specify msatoshi with partid".into()),
        (
            other_amount,
            "Final amount 50000msat is greater than 40000msat, despite MPP".into(),
        ),
        (no_secret, "partid requires payment_secret".into()),
    ];
    cases
        .map(|(params, text)| ("sendpay", params, INVALID, text))
        .into()
}

fn others(pair: &Pair) -> Vec<Row> {
    let (bob, hash) = (&pair.bob.id, "11".repeat(32));
    let integer = "an unsigned 32 bit integer";
    let fund = |amount: Value| json!({"id": bob, "amount": amount});
    let above = 2_100_000_000_000_000_001_u64;
    vec![
        (
            "pay",
            json!(["lnbcrt1garbage"]),
            INVALID,
            "Invalid *".into(),
        ),
        (
            "pay",
            json!([MAINNET]),
            INVALID,
            "Invalid invstring: invoice is for another network*".into(),
        ),
        (
            "pay",
            json!({"bolt11": MAINNET, "nonsense": 1}),
            INVALID,
            unknown("nonsense"),
        ),
        (
            "pay",
            json!({"bolt11": MAINNET, "retry_for": "soon"}),
            INVALID,
            "retry_for: should be an unsigned*".into(),
        ),
        (
            "pay",
            json!({"bolt11": MAINNET, "maxfeepercent": "-1"}),
            INVALID,
            "maxfeepercent: should be *".into(),
        ),
        (
            "pay",
            json!({"bolt11": MAINNET, "exclude": ["x"]}),
            INVALID,
            "exclude: *".into(),
        ),
        (
            "waitsendpay",
            json!(["11"]),
            INVALID,
            should("payment_hash", "a 32 byte hex value"),
        ),
        (
            "waitsendpay",
            json!([hash, "x"]),
            INVALID,
            should("timeout", integer),
        ),
        (
            "waitsendpay",
            json!([hash]),
            208,
            format!("Never attempted payment part 0 for '{hash}'"),
        ),
        (
            "delpay",
            json!([hash, "pending"]),
            INVALID,
            "status: *".into(),
        ),
        ("delpay", json!([hash, "done"]), INVALID, "status: *".into()),
        (
            "delpay",
            json!({"payment_hash": hash, "status": "failed", "partid": 1}),
            INVALID,
            "Must set both partid and groupid, or neither".into(),
        ),
        (
            "delpay",
            json!([hash, "failed"]),
            208,
            format!("Unknown payment with payment_hash: {hash}"),
        ),
        (
            "getroute",
            json!(["02", 1, 1]),
            INVALID,
            should("id", "a node id"),
        ),
        (
            "getroute",
            json!([bob, 0, 1]),
            INVALID,
            "amount_msat: should be a *".into(),
        ),
        (
            "getroute",
            json!([bob, above, 1]),
            INVALID,
            "amount_msat: should be *".into(),
        ),
        (
            "getroute",
            json!([bob, 1, "x"]),
            INVALID,
            "riskfactor: should be *".into(),
        ),
        (
            "invoice",
            json!([0, "a", "b"]),
            INVALID,
            "amount_msat: should be *".into(),
        ),
        (
            "invoice",
            json!([above, "a", "b"]),
            INVALID,
            "amount_msat: should be *".into(),
        ),
        (
            "invoice",
            json!([1, "a".repeat(129), "b"]),
            INVALID,
            "label: *".into(),
        ),
        (
            "invoice",
            json!([1, "a", "b".repeat(640)]),
            INVALID,
            "description: should be at most 639 bytes*".into(),
        ),
        (
            "invoice",
            json!({"amount_msat": 1, "label": "a", "description": "b", "preimage": "11"}),
            INVALID,
            should("preimage", "a 32 byte hex value"),
        ),
        (
            "invoice",
            json!({"amount_msat": 1, "label": "a", "description": "b", "cltv": 1}),
            INVALID,
            "cltv: should be between*".into(),
        ),
        (
            "holdinvoice",
            json!([1, "a", "b", "11"]),
            INVALID,
            should("payment_hash", "a 32 byte hex value"),
        ),
        (
            "listinvoices",
            json!({"label": "a", "payment_hash": hash}),
            INVALID,
            "Can only specify one of {label}, {invstring}, {payment_hash} or {offer_id}".into(),
        ),
        (
            "listinvoices",
            json!({"invstring": "x"}),
            INVALID,
            "Invalid invstring*".into(),
        ),
        ("connect", json!(["x"]), INVALID, "id: *".into()),
        ("fundchannel", fund(json!(0)), INVALID, "amount: *".into()),
        (
            "fundchannel",
            fund(json!("many")),
            INVALID,
            "amount: should be a satoshi amount*".into(),
        ),
        (
            "newaddr",
            json!(["p2pkh"]),
            INVALID,
            "addresstype: should be *".into(),
        ),
        (
            "decode",
            json!(["lnbcrt1garbage"]),
            INVALID,
            "Invalid invstring: *".into(),
        ),
        (
            "help",
            json!(["nonsense"]),
            -32601,
            "Unknown command nonsense".into(),
        ),
    ]
}

/// Equal, or where `wanted` has a `*`, beginning and ending as it does.
fn fits(message: &str, wanted: &str) -> bool {
    match wanted.split_once('*') {
        None => message == wanted,
        Some((start, end)) => message.starts_with(start) && message.ends_with(end),
    }
}

#[test]
fn what_makes_no_sense_gets_its_error_and_nothing_else() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("good", 50_000);
    // A good invoice, but of another network: that alone is what is refused below.
    let decoded = pair.alice.call("decode", json!([MAINNET]));
    assert_eq!(
        (&decoded["valid"], &decoded["currency"]),
        (&json!(true), &json!("bc"))
    );
    let mut rows = parameters();
    rows.extend(listings());
    rows.extend(sendpays(&pair, &invoice));
    rows.extend(others(&pair));
    let mut wrong = Vec::new();
    for (method, params, code, message) in rows {
        match pair.alice.try_call(method, params.clone()) {
            Err(sendpay_rpc::client::CallError::Rpc(error))
                if error.code == code && fits(&error.message, &message) => {}
            other => wrong.push(format!("{method}: wanted {code} {message}, got {other:?}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(pair.alice.payments().is_empty());
    for listing in ["listpays", "listinvoices"] {
        let listed = pair.alice.call(listing, json!({}));
        assert!(
            listed
                .as_object()
                .unwrap()
                .values()
                .all(|list| *list == json!([]))
        );
    }
    let invoices = pair.bob.call("listinvoices", json!({}));
    assert_eq!(invoices["invoices"][0]["status"], "unpaid");
    // It lives, and pays what makes sense.
    pair.sendpay(&invoice, 50_000);
    let wait = json!({"payment_hash": invoice["payment_hash"]});
    assert_eq!(pair.alice.call("waitsendpay", wait)["status"], "complete");
}

/// Sends bytes and reads one reply.
fn exchange(node: &Node, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The daemon may have answered and closed before all is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn bytes_that_are_no_request_get_an_error_and_leave_the_daemon_alive() {
    let pair = Pair::start();
    let request = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"listsendpays","params":{params}}}"#)
    };
    let long = request(&format!("[\"{}\"]", "a".repeat(2 << 20)));
    let deep = request(&format!("{}{}", "[".repeat(100), "]".repeat(100)));
    let mut invalid_utf8 = request("[\"x\"]").into_bytes();
    let place = invalid_utf8.iter().position(|byte| *byte == b'x').unwrap();
    invalid_utf8[place] = 0xff;
    let cases: [(&str, &[u8]); 8] = [
        ("too long", long.as_bytes()),
        ("too deep", deep.as_bytes()),
        ("invalid UTF-8", &invalid_utf8),
        ("no JSON", b"hello}\n"),
        ("no JSON, in brackets", b"{hello}\n"),
        ("no jsonrpc", br#"{"id":1,"method":"getinfo","params":[]}"#),
        (
            "an array",
            br#"[{"jsonrpc":"2.0","id":1,"method":"getinfo","params":[]}]"#,
        ),
        (
            "no id",
            br#"{"jsonrpc":"2.0","method":"getinfo","params":[]}"#,
        ),
    ];
    for (name, bytes) in cases {
        let answer = exchange(&pair.alice, bytes);
        let reply: Value = serde_json::from_str(answer.trim_end())
            .unwrap_or_else(|cause| panic!("{name}: {cause}: {answer}"));
        assert_eq!(reply["error"]["code"], -32600, "{name}: {reply}");
        assert_eq!(reply["id"], Value::Null, "{name}");
        assert!(answer.len() < 4_096, "{name}");
    }
    assert!(pair.alice.payments().is_empty());
}
