//! Run again, the demo goes on with what is there; what carol decides reaches alice's record.

use std::path::Path;

use serde_json::{Value, json};

use crate::process::{
    Process, assert_whole, call, client, height, printed_commands, run_once, wait_for,
};

fn held(payments: &[Value]) -> &Value {
    let held = payments
        .iter()
        .find(|payment| payment["label"] == "carol holds it");
    held.unwrap()
}

fn records(alice: &Path) -> Vec<Value> {
    let listing = call(alice, "listsendpays", json!({}));
    listing["payments"].as_array().unwrap().clone()
}

#[test]
fn a_second_run_changes_nothing_and_carol_can_settle_in_a_third() {
    let temporary = tempfile::tempdir().unwrap();
    // A name that a shell would take apart.
    let dir = temporary.path().join("my demo");
    let first = run_once(&dir);
    assert_whole(&first);
    assert_eq!(first.len(), 8, "nothing was cut off: {first:#?}");
    let failures: Vec<(&Value, &Value)> = first
        .iter()
        .filter(|payment| payment["status"] == "failed")
        .map(|payment| (&payment["erring_index"], &payment["code"]))
        .collect();
    let expected = json!([[2, 203], [1, 204], [1, 204]]);
    assert_eq!(json!(failures), expected);
    let mined = height(&dir);
    assert_eq!(run_once(&dir), first);
    assert_eq!(height(&dir), mined);

    let (mut demo, text) = Process::demo(&dir, &[]);
    assert!(text.contains("8 rows"), "{text}");
    let commands = printed_commands(&text);
    let with = |word: &str| {
        let command = commands
            .iter()
            .find(|words| words.iter().any(|w| w == word));
        command.unwrap_or_else(|| panic!("no command with {word}: {text}"))
    };
    for command in &commands {
        if !command.iter().any(|word| word.starts_with("holdinvoice")) {
            client(command);
        }
    }
    assert_eq!(client(with("listsendpays"))["payments"], json!(first));
    let failed = client(with("status=failed"));
    assert_eq!(failed["payments"].as_array().unwrap().len(), 3);

    let settled = client(with("holdinvoicesettle"));
    assert_eq!(settled["state"], "settled");
    let hash = settled["payment_hash"].as_str().unwrap();
    let asked = with(&format!("payment_hash={hash}"));
    let record = wait_for("alice's record to complete", || {
        let record = client(asked)["payments"][0].clone();
        (record["status"] != "pending").then_some(record)
    });
    assert_eq!(record["status"], "complete");
    assert_eq!(record["payment_preimage"], settled["payment_preimage"]);
    assert!(demo.terminate().success());

    let last = run_once(&dir);
    assert_eq!(held(&last), &record);
    assert_eq!(last[..7], first[..7]);
    assert_eq!(last.len(), 8);
    assert_eq!(height(&dir), mined);
}

#[test]
fn the_nodes_run_by_themselves_and_carol_can_cancel() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("demo");
    let first = run_once(&dir);
    let start = |arguments: &[&str], name: &str| {
        Process::start(arguments, &temporary.path().join(format!("{name}.stderr")))
    };
    let _chain = start(&["regtest", "--dir", dir.to_str().unwrap()], "chain");
    let names = ["alice", "bob", "carol"];
    let nodes = names.map(|name| {
        let node = dir.join(name);
        let mut process = start(&["--dir", node.to_str().unwrap()], name);
        wait_for("a node's socket", || {
            assert!(process.is_running(), "{name} does not run by itself");
            std::os::unix::net::UnixStream::connect(node.join("regtest/lightning-rpc")).ok()
        });
        process
    });
    assert_eq!(records(&dir.join("alice")), first);
    let cancel = json!([held(&first)["payment_hash"]]);
    let cancelled = call(&dir.join("carol"), "holdinvoicecancel", cancel);
    assert_eq!(cancelled["state"], "cancelled");
    let record = wait_for("alice's record to fail", || {
        let record = held(&records(&dir.join("alice"))).clone();
        (record["status"] != "pending").then_some(record)
    });
    assert_eq!(record["status"], "failed");
    assert_eq!(record["failcode"], 0x400f);
    for mut node in nodes {
        assert!(node.terminate().success());
    }
}
