//! The other methods: one by one.

use serde_json::{Value, json};

use super::{INVALID, MAINNET, Row, should, unknown};
use crate::harness::Pair;

/// A row for each.
pub(super) fn rows(pair: &Pair) -> Vec<Row> {
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
