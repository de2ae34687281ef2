//! What every method refuses in the same way.

use serde_json::json;

use super::{INVALID, Row, missing, unknown};

/// A row for each method and each thing that is wrong.
pub(super) fn rows() -> Vec<Row> {
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
