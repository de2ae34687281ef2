//! Filters and windows of listings that make no sense.

use serde_json::json;

use super::{INVALID, MAINNET, Row, should};

/// A row for each.
pub(super) fn rows() -> Vec<Row> {
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
