//! Input that makes no sense, and what it gets: the contract's error, no record, and a daemon that
//! lives. Stores that cannot be used are `unusable_stores.rs`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, Pair};

mod listings;
mod others;
mod parameters;
mod sendpays;

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

/// Equal, or where `wanted` has a `*`, beginning and ending as it does.
pub(crate) fn fits(message: &str, wanted: &str) -> bool {
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
    let mut rows = parameters::rows();
    rows.extend(listings::rows());
    rows.extend(sendpays::rows(&pair, &invoice));
    rows.extend(others::rows(&pair));
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
