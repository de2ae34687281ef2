//! HTLCs of others: every one that was resolved is recorded once, and what was earned adds up.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{FORWARD_FEE_MSAT, Line, Node, hop, wait_for};

fn forwards(node: &Node, params: Value) -> Vec<Value> {
    let listed = node.call("listforwards", params);
    listed["forwards"].as_array().unwrap().clone()
}

/// Waits until so many forwards are recorded.
fn recorded(node: &Node, count: usize) -> Vec<Value> {
    wait_for("forwards to be recorded", || {
        let all = forwards(node, json!({}));
        (all.len() == count).then_some(all)
    })
}

#[test]
fn forwards_are_recorded_with_how_they_ended_and_what_they_earned() {
    let mut line = Line::with_far(500_000);
    assert_eq!(forwards(&line.bob, json!({})), Vec::<Value>::new());
    // One that settles.
    let invoice = line.carol.invoice("settled", 20_000_000);
    line.alice
        .call("sendpay", line.sendpay(&invoice, 20_000_000));
    line.carol.paid_invoice(&json!({"label": "settled"}));
    let [settled] = &recorded(&line.bob, 1)[..] else {
        panic!("one forward")
    };
    let expected = json!({
        "created_index": 1, "in_channel": line.near, "in_htlc_id": 0,
        "in_msat": 20_000_000 + FORWARD_FEE_MSAT, "status": "settled", "received_time": 0,
        "out_channel": line.far, "fee_msat": FORWARD_FEE_MSAT, "out_msat": 20_000_000,
        "resolved_time": settled["resolved_time"],
    });
    assert_eq!(*settled, expected);
    assert!(settled["resolved_time"].as_u64().unwrap() > 1_600_000_000);

    // One that carol does not know: it fails after bob.
    let mut unknown = line.sendpay(&invoice, 20_000_000);
    unknown["payment_hash"] = json!("11".repeat(32));
    line.alice.call("sendpay", unknown);
    let failed = recorded(&line.bob, 2)[1].clone();
    assert_eq!(
        (&failed["status"], &failed["in_htlc_id"]),
        (&json!("failed"), &json!(1))
    );
    assert_eq!(failed["in_msat"], 20_000_000 + FORWARD_FEE_MSAT);
    assert_eq!(failed["failcode"], Value::Null);

    // One for which bob has too little, and one over a channel that he does not have.
    let big = line.carol.invoice("big", 800_000_000);
    line.alice.call("sendpay", line.sendpay(&big, 800_000_000));
    let local = recorded(&line.bob, 3)[2].clone();
    assert_eq!(local["status"], "local_failed");
    assert_eq!(local["out_channel"], line.far);
    assert_eq!(local["failcode"], 0x1007);
    assert_eq!(local["failreason"], "WIRE_TEMPORARY_CHANNEL_FAILURE");
    let mut nowhere = line.sendpay(&invoice, 20_000_000);
    nowhere["payment_hash"] = json!("22".repeat(32));
    nowhere["route"][1] = hop(&line.carol, "5x5x5", 20_000_000, 42);
    line.alice.call("sendpay", nowhere);
    let nowhere = recorded(&line.bob, 4)[3].clone();
    assert_eq!(nowhere["status"], "local_failed");
    assert_eq!(nowhere["out_channel"], "5x5x5");
    assert_eq!(nowhere["failreason"], "WIRE_UNKNOWN_NEXT_PEER");

    let all = recorded(&line.bob, 4);
    filters_find_them(&line, &all);
    // All of it outlives the process, and what was earned with it.
    line.bob.kill();
    line.bob.resume();
    assert_eq!(forwards(&line.bob, json!({})), all);
    let info = line.bob.call("getinfo", json!({}));
    assert_eq!(info["fees_collected_msat"], FORWARD_FEE_MSAT);
    for other in [&line.alice, &line.carol] {
        assert_eq!(forwards(other, json!({})), Vec::<Value>::new());
        let info = other.call("getinfo", json!({}));
        assert_eq!(info["fees_collected_msat"], 0);
    }
}

/// A payment of alice's that carol holds.
fn held(line: &Line, label: &str, amount_msat: u64) -> Value {
    let params = json!({"amount_msat": amount_msat, "label": label, "description": "held"});
    let invoice = line.carol.call("holdinvoice", params);
    let mut params = line.sendpay(&invoice, amount_msat);
    // As many blocks as a hold invoice wants at the end.
    params["route"] = line.route(amount_msat, 186);
    line.alice.call("sendpay", params);
    wait_for("a payment to be held", || {
        let listed = line.carol.call("listinvoices", json!({"label": label}));
        (listed["invoices"][0]["hold_state"] == "held").then_some(())
    });
    invoice
}

fn cancel(line: &Line, invoice: &Value) {
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    line.carol.call("holdinvoicecancel", hash);
}

#[test]
fn one_that_fails_while_another_has_not_left_its_channel_is_not_taken_for_that() {
    let line = Line::with_far(500_000);
    let first = held(&line, "first", 20_000_000);
    let second = held(&line, "second", 30_000_000);
    // Alice takes back nothing meanwhile, so the first stays in her channel when it has failed.
    line.alice.signal(Signal::SIGSTOP);
    cancel(&line, &first);
    recorded(&line.bob, 1);
    wait_for("the first to be on its way out", || {
        let listed = line
            .bob
            .call("listpeerchannels", json!({"id": line.alice.id}));
        let htlcs = listed["channels"][0]["htlcs"].as_array()?;
        let first = htlcs
            .iter()
            .find(|htlc| htlc["payment_hash"] == first["payment_hash"])?;
        (first["state"] == "SENT_REMOVE_COMMIT").then_some(())
    });
    cancel(&line, &second);
    for forward in recorded(&line.bob, 2) {
        assert_eq!(forward["status"], "failed");
        assert_eq!(forward["in_channel"], line.near);
        // Either of them may have failed first, for all that can be known.
        assert_eq!(forward["in_htlc_id"], Value::Null, "{forward}");
        assert_eq!(forward["in_msat"], 0, "{forward}");
    }
    line.alice.signal(Signal::SIGCONT);
}

#[test]
fn the_channel_of_a_forward_is_known_after_it_was_closed_and_the_node_restarted() {
    let mut line = Line::with_far(500_000);
    let settles = held(&line, "settles", 20_000_000);
    let fails = held(&line, "fails", 30_000_000);
    let close = json!({"id": line.near, "unilateraltimeout": 1});
    assert_eq!(line.bob.call("close", close)["type"], "unilateral");
    line.bob.terminate();
    line.bob.resume();
    cancel(&line, &fails);
    let failed = recorded(&line.bob, 1)[0].clone();
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["in_channel"], line.near, "{failed}");
    let preimage = json!({"preimage": settles["payment_preimage"]});
    line.carol.call("holdinvoicesettle", preimage);
    let settled = recorded(&line.bob, 2)[1].clone();
    assert_eq!(settled["status"], "settled");
    assert_eq!(settled["in_channel"], line.near, "{settled}");
    assert_eq!(settled["in_htlc_id"], 0);
}

fn filters_find_them(line: &Line, all: &[Value]) {
    let some = |places: &[usize]| -> Vec<Value> {
        places.iter().map(|place| all[*place].clone()).collect()
    };
    let rows = [
        (json!({"status": "settled"}), vec![0]),
        (json!({"status": "failed"}), vec![1]),
        (json!({"status": "local_failed"}), vec![2, 3]),
        (json!({"status": "offered"}), vec![]),
        (json!({"in_channel": line.near}), vec![0, 1, 2, 3]),
        (json!({"in_channel": line.far}), vec![]),
        (json!({"out_channel": line.far}), vec![0, 1, 2]),
        (
            json!({"out_channel": line.far, "status": "local_failed"}),
            vec![2],
        ),
        (
            json!({"index": "created", "start": 2, "limit": 2}),
            vec![1, 2],
        ),
        (json!({"index": "updated", "limit": 3}), vec![0, 1, 2]),
        (json!({"index": "updated", "start": 1}), vec![]),
    ];
    for (params, places) in rows {
        assert_eq!(
            forwards(&line.bob, params.clone()),
            some(&places),
            "{params}"
        );
    }
    let refused = [
        (json!({"start": 1}), "Can only specify {start} with {index}"),
        (json!({"limit": 1}), "Can only specify {limit} with {index}"),
        (
            json!({"in_channel": line.near, "index": "created", "start": 1}),
            "Cannot use start with in_channel or out_channel",
        ),
        (
            json!({"status": "done"}),
            "status: Unrecognized status: invalid token (see logs for details)",
        ),
    ];
    for (params, text) in refused {
        let error = line.bob.refused("listforwards", params);
        assert_eq!((error.code, error.message.as_str()), (-32602, text));
    }
}

#[test]
fn the_configuration_is_shown_with_who_set_it() {
    let dir = tempfile::tempdir().unwrap();
    let chain = crate::harness::Chain::start(dir.path());
    let node = Node::start(dir.path(), "alice", &chain, &["amounts=integer"]);
    let configs = node.call("listconfigs", json!({}))["configs"].clone();
    let command_line = |value: &str| json!({"value_str": value, "source": "cmdline"});
    assert_eq!(configs["network"], command_line("regtest"));
    assert_eq!(configs["amounts"], command_line("integer"));
    assert_eq!(
        configs["lightning-dir"]["value_str"],
        node.dir.to_str().unwrap()
    );
    assert_eq!(
        configs["log-level"],
        json!({"value_str": "info", "source": "default"})
    );
    assert_eq!(configs["bind-addr"]["sources"], json!(["cmdline"]));
    let one = node.call("listconfigs", json!(["rpc-file"]));
    let rpc_file = json!({"value_str": "lightning-rpc", "source": "default"});
    assert_eq!(one, json!({"configs": {"rpc-file": rpc_file}}));
    let error = node.refused("listconfigs", json!(["nonsense"]));
    let text = "config: Unknown config option: invalid token (see logs for details)";
    assert_eq!((error.code, error.message.as_str()), (-32602, text));
}
