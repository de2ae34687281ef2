//! The `filter` member of requests: every method honours it, listings of any length too.

use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::error::RpcError;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, Pair};

/// A call with a filter.
fn filtered(node: &Node, method: &str, params: &Value, filter: &Value) -> Result<Value, RpcError> {
    let mut client = Client::connect(&node.socket()).unwrap();
    client.set_timeout(Some(PATIENCE)).unwrap();
    client.set_filter(Some(to_raw_value(filter).unwrap()));
    match client.call(method, params) {
        Ok(result) => Ok(result),
        Err(CallError::Rpc(error)) => Err(error),
        Err(other) => panic!("{method} {filter}: {other}"),
    }
}

/// The first member of an object, or of each object in an array, as a template, and what it leaves.
fn first_of(value: &Value) -> (Value, Value) {
    match value {
        Value::Object(members) => {
            let Some((name, value)) = members.iter().next() else {
                return (json!({}), json!({}));
            };
            let (template, left) = first_of(value);
            (json!({name: template}), json!({name: left}))
        }
        Value::Array(elements) => {
            let template = elements
                .first()
                .map_or(json!(true), |first| first_of(first).0);
            // All of our elements have the first member of the first one.
            let left = elements.iter().map(|element| first_of(element).1).collect();
            (json!([template]), left)
        }
        other => (json!(true), other.clone()),
    }
}

#[test]
fn every_method_leaves_out_what_a_filter_does_not_name() {
    let pair = Pair::start();
    let node = &pair.alice;
    let invoice = pair.bob.invoice("one", 50_000);
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    pair.sendpay(&invoice, 50_000);
    node.call("waitsendpay", hash.clone());
    node.invoice("ours", 1);
    for (method, params) in [
        ("check", json!(["getinfo"])),
        (
            "connect",
            json!([format!("{}@{}", pair.bob.id, pair.bob.address)]),
        ),
        ("countsendpays", json!([])),
        ("decode", json!([invoice["bolt11"]])),
        ("followsendpays", json!([0])),
        ("feerates", json!(["perkb"])),
        ("getinfo", json!([])),
        ("getroute", json!([pair.bob.id, 1, 1])),
        ("help", json!([])),
        ("listfunds", json!([])),
        ("listinvoices", json!([])),
        ("listchannels", json!([])),
        ("listnodes", json!([])),
        ("listpays", json!([])),
        ("listpeers", json!([])),
        ("listpeerchannels", json!([])),
        ("listsendpays", json!([])),
        ("pay", json!([invoice["bolt11"]])),
        ("wait", json!(["sendpays", "created", 1])),
        ("waitsendpay", hash.clone()),
    ] {
        let whole = node.call(method, params.clone());
        let (template, left) = first_of(&whole);
        let found = filtered(node, method, &params, &template).unwrap();
        assert_eq!(found, left, "{method} {template}");
        // The list of every listing is its first member, and there is something in it.
        if let Some(method) = method.strip_prefix("list") {
            let (_, first) = whole.as_object().unwrap().iter().next().unwrap();
            assert!(
                first.as_array().is_some_and(|list| !list.is_empty()),
                "{method}"
            );
        }
        let found = filtered(node, method, &params, &json!({"nonsense": true})).unwrap();
        assert_eq!(found, json!({}), "{method}");
    }
    // What changes something does so, whatever is shown of it.
    let deleted = json!({"payment_hash": invoice["payment_hash"], "status": "complete"});
    let template = json!({"payments": [{"partid": true, "status": true}]});
    let found = filtered(node, "delpay", &deleted, &template).unwrap();
    assert_eq!(found, json!({"payments": [{"status": "complete"}]}));
    assert!(node.payments().is_empty());
}

#[test]
fn a_filter_that_does_not_fit_gives_a_warning_and_one_that_is_none_an_error() {
    let pair = Pair::start();
    let node = &pair.alice;
    let none = json!([]);
    let found = filtered(node, "help", &none, &json!({"help": {"command": true}})).unwrap();
    let warned = json!({"help": [], "warning_parameter_filter": ".help is an array"});
    assert_eq!(found, warned);
    let of_type = json!({"channels": [{"channel_type": [true], "peer_id": true}]});
    let found = filtered(node, "listpeerchannels", &none, &of_type).unwrap();
    let warned = json!({"channels": [{"peer_id": pair.bob.id, "channel_type": {}}],
        "warning_parameter_filter": ".channels[].channel_type is an object"});
    assert_eq!(found, warned);

    // Errors are never filtered.
    let shown = filtered(node, "decode", &json!(["x"]), &json!({"code": true})).unwrap_err();
    assert_eq!(shown.code, -32602);
    assert!(shown.message.starts_with("Invalid invstring"), "{shown}");

    // CLN looks at the method first, then at the filter, then at the parameters.
    let tail = "invalid token (see logs for details)";
    let refused = filtered(node, "nonsense", &none, &json!(1)).unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (-32601, "Unknown command 'nonsense'")
    );
    let refused = filtered(node, "getinfo", &json!({"x": 1}), &json!(1)).unwrap_err();
    let expected = format!("filter: Expected object: {tail}");
    assert_eq!((refused.code, refused.message), (-32602, expected));
    // What is refused is not done.
    let deaf = filtered(node, "stop", &none, &json!({"result": false})).unwrap_err();
    assert_eq!(deaf.message, format!("filter: value must be true: {tail}"));
    node.call("getinfo", json!([]));
}
