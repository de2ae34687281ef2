//! The words around paying: errors of `pay`, `xpay`, `paystatus` and `cancelpay` as a table, and what
//! `listpays` and `paystatus` say of tries.

use serde_json::{Value, json};

use crate::harness::{Node, Pair, direct, wait_for};

const INVALID: i32 = -32602;

/// Method, parameters, code, and the beginning of the message.
type Row<'a> = (&'a str, Value, i32, &'a str);

#[test]
fn each_request_that_cannot_be_done_gets_its_error_and_leaves_no_record() {
    let pair = Pair::start();
    let named = pair.bob.invoice("named", 50_000)["bolt11"].clone();
    let any = json!({"amount_msat": "any", "label": "any", "description": "test"});
    let any = pair.bob.call("invoice", any)["bolt11"].clone();
    let own = pair.alice.invoice("own", 50_000)["bolt11"].clone();
    let hashed = json!({
        "amount_msat": 1_000, "label": "hashed", "description": "tea", "deschashonly": true,
    });
    let hashed = pair.bob.call("invoice", hashed)["bolt11"].clone();
    let large = pair.bob.invoice("large", 20_000_000_000)["bolt11"].clone();
    let hash = "11".repeat(32);
    let rows: Vec<Row<'_>> = vec![
        (
            "xpay",
            json!([]),
            INVALID,
            "missing required parameter: invstring",
        ),
        ("xpay", json!(["lnbcrt1x"]), INVALID, "Invalid invstring: "),
        (
            "xpay",
            json!(["lno1qcp4256y"]),
            INVALID,
            "invstring: bolt12 and BIP 353",
        ),
        (
            "xpay",
            json!(["lni1qcp4256y"]),
            INVALID,
            "invstring: bolt12 and BIP 353",
        ),
        (
            "xpay",
            json!(["₿bob@example.com"]),
            INVALID,
            "invstring: bolt12 and BIP 353",
        ),
        (
            "xpay",
            json!([any]),
            INVALID,
            "amount_msat: parameter required",
        ),
        (
            "xpay",
            json!([named, 50_000]),
            INVALID,
            "amount_msat: parameter unnecessary",
        ),
        ("xpay", json!([any, 0]), INVALID, "amount_msat: should be "),
        (
            "xpay",
            json!([named, null, -1]),
            INVALID,
            "maxfee: should be ",
        ),
        (
            "xpay",
            json!([named, null, null, ["fast"]]),
            INVALID,
            "layers: this daemon",
        ),
        (
            "xpay",
            json!([named, null, null, "fast"]),
            INVALID,
            "layers: should be an array",
        ),
        (
            "xpay",
            json!({"invstring": named, "retry_for": "soon"}),
            INVALID,
            "retry_for: ",
        ),
        (
            "xpay",
            json!({"invstring": named, "retry_for": -1}),
            INVALID,
            "retry_for: ",
        ),
        (
            "xpay",
            json!({"invstring": named, "partial_msat": 0}),
            INVALID,
            "partial_msat: ",
        ),
        (
            "xpay",
            json!({"invstring": named, "partial_msat": 50_001}),
            INVALID,
            "partial_msat: must be less or equal to total amount 50000msat",
        ),
        (
            "xpay",
            json!({"invstring": own, "partial_msat": 1}),
            INVALID,
            "partial_msat: an invoice of this node itself",
        ),
        (
            "xpay",
            json!({"invstring": named, "maxdelay": "x"}),
            INVALID,
            "maxdelay: ",
        ),
        (
            "xpay",
            json!({"invstring": named, "maxdelay": 20}),
            206,
            "Failed: every route",
        ),
        (
            "xpay",
            json!({"invstring": named, "payer_note": "hi"}),
            INVALID,
            "payer_note: only",
        ),
        (
            "xpay",
            json!({"invstring": named, "localinvreqid": hash}),
            INVALID,
            "Cannot use localinvreqid with BOLT11 payment",
        ),
        (
            "xpay",
            json!({"invstring": named, "riskfactor": 1}),
            INVALID,
            "unknown parameter",
        ),
        (
            "xpay",
            json!({"bolt11": named}),
            INVALID,
            "unknown parameter: bolt11",
        ),
        (
            "xpay",
            json!([large]),
            205,
            "Failed: could not find a route: ",
        ),
        (
            "pay",
            json!([large]),
            205,
            "Failed: could not find a route: ",
        ),
        (
            "pay",
            json!({"bolt11": named, "localinvreqid": hash}),
            212,
            "localinvreqid: invoice requests are not supported",
        ),
        (
            "pay",
            json!({"bolt11": named, "maxdelay": 70_000}),
            INVALID,
            "maxdelay: ",
        ),
        (
            "pay",
            json!({"bolt11": named, "layers": []}),
            INVALID,
            "unknown parameter: layers",
        ),
        (
            "pay",
            json!({"bolt11": hashed, "description": "coffee"}),
            INVALID,
            "description: ",
        ),
        (
            "pay",
            json!({"bolt11": named, "exclude": [pair.bob.id]}),
            205,
            "Failed: could not",
        ),
        (
            "pay",
            json!({"bolt11": named, "idempotency_key": ""}),
            INVALID,
            "idempotency_key: ",
        ),
        (
            "sendpay",
            json!({"idempotency_key": "", "route": []}),
            INVALID,
            "idempotency_key: ",
        ),
        (
            "paystatus",
            json!(["lnbcrt1x"]),
            INVALID,
            "Invalid invstring: ",
        ),
        (
            "paystatus",
            json!([named, 1]),
            INVALID,
            "too many parameters",
        ),
        (
            "cancelpay",
            json!([]),
            INVALID,
            "missing required parameter: payment_hash",
        ),
        (
            "cancelpay",
            json!(["11"]),
            INVALID,
            "payment_hash: should be a 32 byte hex value",
        ),
        (
            "cancelpay",
            json!([hash]),
            208,
            "No payment of payment_hash 1111",
        ),
        (
            "listpays",
            json!({"attempts": 7}),
            INVALID,
            "attempts: should be ",
        ),
    ];
    for (method, params, code, message) in rows {
        let told = pair.alice.refused(method, params.clone());
        assert_eq!(told.code, code, "{method} {params}: {told:?}");
        assert!(
            told.message.starts_with(message),
            "{method} {params}: {told:?}"
        );
    }
    assert!(pair.alice.payments().is_empty());
    // What was refused is still to be had.
    let described = json!({"bolt11": hashed, "description": "tea"});
    assert_eq!(pair.alice.call("pay", described)["parts"], 1);
    assert_eq!(
        pair.alice.call("xpay", json!([named, null, null, []]))["failed_parts"],
        0
    );
    assert_eq!(
        pair.alice.call("xpay", json!([any, 7_000]))["amount_msat"],
        "7000msat"
    );
    assert_eq!(
        pair.alice.call("xpay", json!([own]))["amount_sent_msat"],
        "50000msat"
    );
}

fn of(node: &Node, method: &str, member: &str, params: Value) -> Vec<Value> {
    let listed = node.call(method, params);
    listed[member].as_array().unwrap().clone()
}

#[test]
fn of_each_try_it_is_known_what_is_out_and_whether_paying_again_is_safe() {
    let pair = Pair::start();
    let params = json!({"amount_msat": 40_000, "label": "held", "description": "test"});
    let invoice = pair.bob.call("holdinvoice", params);
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    // A first try fails: its delay is too short for what it pays.
    let mut wrong = direct(&pair.bob, &pair.channel, &invoice, 40_000);
    wrong["payment_secret"] = json!("ee".repeat(32));
    pair.alice.call("sendpay", wrong);
    pair.alice.refused("waitsendpay", hash.clone());
    let tries = || of(&pair.alice, "listpays", "pays", hash.clone());
    let first = &tries()[0];
    assert_eq!(first["safe_to_retry"], true, "{first}");
    assert!(first.get("htlcs").is_none());
    assert!(first.get("attempts").is_none());
    // The second is out: nothing of this hash is safe to pay in another way.
    let asked = pair.alice.call_later("pay", json!([invoice["bolt11"]]));
    wait_for("an invoice held", || {
        let listed = pair.bob.call("listinvoices", json!({"label": "held"}));
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
    let height = pair.chain.height();
    pair.alice.wait_for_height(height);
    let both = tries();
    assert_eq!(
        (both[0]["status"].as_str(), both.len()),
        (Some("failed"), 2)
    );
    assert_eq!(both[0]["safe_to_retry"], false);
    assert_eq!(
        both[0]["safe_to_retry_reason"],
        "another try at this payment_hash is pending"
    );
    assert_eq!(both[1]["safe_to_retry"], false);
    let record = &pair.alice.payments()[1];
    let htlc = &both[1]["htlcs"][0];
    assert_eq!(both[1]["htlcs"].as_array().unwrap().len(), 1);
    assert_eq!(htlc["short_channel_id"], pair.channel.as_str());
    assert_eq!(htlc["partid"], record["partid"]);
    assert_eq!(htlc["cltv_expiry"], record["cltv_expiry"]);
    assert_eq!(htlc["amount_sent_msat"], record["amount_sent_msat"]);
    let blocks = |htlc: &Value| htlc["blocks_left"].as_u64().unwrap();
    let left = record["cltv_expiry"].as_u64().unwrap() - u64::from(height);
    assert_eq!(blocks(htlc), left);
    // A block less with each block.
    pair.chain.mine(1);
    pair.alice.wait_for_height(height + 1);
    assert_eq!(blocks(&tries()[1]["htlcs"][0]), left - 1);

    let preimage = json!({"preimage": invoice["payment_preimage"]});
    pair.bob.call("holdinvoicesettle", preimage);
    asked.join().unwrap().unwrap();
    let both = tries();
    assert_eq!(
        both[0]["safe_to_retry_reason"],
        "another try at this payment_hash has paid it"
    );
    assert_eq!(both[1]["safe_to_retry"], false);
    assert!(both[1].get("htlcs").is_none());
    // With the parts, their ways, and why they failed.
    let mut with_parts = hash.clone();
    with_parts["attempts"] = json!(true);
    let both = of(&pair.alice, "listpays", "pays", with_parts);
    let failed = &both[0]["attempts"][0];
    assert_eq!(
        failed["failcodename"],
        "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"
    );
    for part in [failed, &both[1]["attempts"][0]] {
        let step = &part["route"][0];
        assert_eq!(step["channel"], pair.channel.as_str());
        assert_eq!(step["id"], pair.bob.id);
        assert_eq!(step["amount_msat"], "40000msat");
    }

    let status = of(&pair.alice, "paystatus", "pay", json!([invoice["bolt11"]]));
    assert_eq!(status.len(), 2);
    assert_eq!(status[0]["destination"], pair.bob.id);
    assert_eq!(status[0]["amount_msat"], 40_000);
    let failure = &status[0]["attempts"][0]["failure"];
    assert_eq!(
        (&failure["code"], &failure["data"]["id"]),
        (&json!(203), &json!(1))
    );
    assert_eq!(
        failure["data"]["failcodename"],
        "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"
    );
    let paid = &status[1]["attempts"][0];
    assert_eq!(paid["state"], "completed");
    assert_eq!(
        paid["success"]["payment_preimage"],
        invoice["payment_preimage"]
    );
    assert!(paid["start_time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(of(&pair.alice, "paystatus", "pay", json!([])), status);
}
