//! `sendpayd import cln`: a real process takes a CLN file over, also through `kill -9`, and a node
//! that starts on it shows the history, keeps pending payments from being sent again, and lets the
//! operator settle them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::cln::{Cln, hash, int, preimage, text};
use crate::harness::{Chain, Node, wait_for};

/// A node that nobody runs: the generator of the curve.
const SOMEBODY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn command(dir: &Path, file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendpayd"));
    command.args(["import", "cln"]).arg(file);
    command.arg("--dir").arg(dir).args(["--network", "regtest"]);
    command.stdin(Stdio::null());
    command
}

fn import(dir: &Path, file: &Path) -> Output {
    command(dir, file).output().unwrap()
}

fn imported(dir: &Path, file: &Path) -> String {
    let output = import(dir, file);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(dir: &Path, file: &Path) -> String {
    let output = import(dir, file);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(output.stdout, b"");
    assert!(stderr.starts_with("sendpayd: "), "{stderr}");
    stderr
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash_hex(number: u8) -> String {
    hex(&hash(number))
}

fn of(payments: &[Value], number: u8) -> Vec<Value> {
    let hash = hash_hex(number);
    let of = |payment: &&Value| payment["payment_hash"] == hash.as_str();
    payments.iter().filter(of).cloned().collect()
}

#[test]
fn a_node_shows_what_was_imported_and_sends_none_of_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lightningd.sqlite3");
    Cln::new(&file, 282).fill();
    let home = dir.path().join("alice");
    let told = imported(&home, &file);
    assert!(
        told.contains("22 payments and 5 invoices imported"),
        "{told}"
    );
    assert!(told.contains("4 of the payments are pending"), "{told}");
    assert!(told.contains("settleimported"), "{told}");
    let again = imported(&home, &file);
    assert!(again.contains("0 payments and 0 invoices"), "{again}");

    let chain = Chain::start(dir.path());
    chain.mine(101);
    let alice = Node::start(dir.path(), "alice", &chain, &[]);
    let payments = alice.payments();
    assert_eq!(payments.len(), 22);
    let complete = &of(&payments, 1)[0];
    assert_eq!(complete["status"], "complete");
    assert_eq!(complete["payment_preimage"], hex(&preimage(1).0).as_str());
    assert_eq!(complete["amount_msat"], "1000msat");
    assert_eq!(complete["amount_sent_msat"], "1007msat");
    assert_eq!(complete["created_at"], 1_600_000_001);
    assert_eq!(complete["completed_at"], 1_600_000_061);
    assert_eq!(complete["label"], "coffee");
    assert_eq!(complete["description"], "a cup of it");
    assert_eq!(
        of(&payments, 2)[0]["failcodename"],
        "WIRE_TEMPORARY_CHANNEL_FAILURE"
    );
    // Its start found nothing of them at LDK, and they are pending all the same.
    for number in [11, 20, 22, 23] {
        let pending = of(&payments, number);
        assert!(
            pending.iter().any(|part| part["status"] == "pending"),
            "{number}"
        );
    }
    let pays = alice.call("listpays", json!({"payment_hash": hash_hex(10)}));
    assert_eq!(pays["pays"][0]["status"], "complete");
    assert_eq!(pays["pays"][0]["number_of_parts"], 2);
    let invoices = alice.call("listinvoices", json!({}));
    let states: Vec<&str> = invoices["invoices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|invoice| invoice["status"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["expired", "paid", "expired", "unpaid", "paid"]);

    let send = |number: u8, groupid: Option<u64>| {
        let route = json!([{"id": SOMEBODY, "channel": "1x1x1", "direction": 0,
            "amount_msat": 20_000, "delay": 42, "style": "tlv"}]);
        let mut params = json!({"route": route, "payment_hash": hash_hex(number),
            "payment_secret": hex(&[1; 32])});
        if let Some(groupid) = groupid {
            params["groupid"] = json!(groupid);
        }
        alice.refused("sendpay", params)
    };
    for groupid in [None, Some(1), Some(9)] {
        let refused = send(20, groupid);
        assert_eq!(refused.code, 200, "{refused:?}");
        assert!(refused.message.contains("settleimported"), "{refused:?}");
    }
    settle(&alice);
}

/// Both ways, and each that is refused.
fn settle(alice: &Node) {
    let settle = |params: Value| alice.call("settleimported", params);
    let hash = hash_hex(20);
    let proof = hex(&preimage(20).0);
    for (params, code) in [
        (json!({"payment_hash": hash, "status": "complete"}), -32602),
        (
            json!({"payment_hash": hash, "status": "failed", "payment_preimage": proof}),
            -32602,
        ),
        (
            json!({"payment_hash": hash, "status": "complete",
                "payment_preimage": hex(&[7; 32])}),
            -32602,
        ),
        (
            json!({"payment_hash": hex(&[7; 32]), "status": "failed"}),
            208,
        ),
        (
            json!({"payment_hash": hash_hex(1), "status": "failed"}),
            211,
        ),
    ] {
        let refused = alice.refused("settleimported", params.clone());
        assert_eq!(refused.code, code, "{params}: {refused:?}");
    }
    let complete = json!({"payment_hash": hash, "status": "complete", "payment_preimage": proof});
    let settled = settle(complete.clone());
    assert_eq!(settled["payments"][0]["status"], "complete");
    assert_eq!(settled["payments"][0]["payment_preimage"], proof.as_str());
    assert_eq!(settle(complete), settled);
    let failed = json!({"payment_hash": hash_hex(22), "status": "failed"});
    assert_eq!(settle(failed)["payments"][0]["status"], "failed");
    let payments = alice.payments();
    assert_eq!(of(&payments, 20)[0]["status"], "complete");
    assert_eq!(of(&payments, 22)[0]["status"], "failed");
    assert_eq!(of(&payments, 23)[0]["status"], "pending");
}

#[test]
fn an_import_beside_a_running_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lightningd.sqlite3");
    Cln::new(&file, 282).fill();
    let chain = Chain::start(dir.path());
    let alice = Node::start(dir.path(), "alice", &chain, &[]);
    let why = refused(&alice.dir, &file);
    assert!(
        why.contains("in use by another process; stop that one first"),
        "{why}"
    );
    assert_eq!(alice.payments(), Vec::<Value>::new());
}

#[test]
fn a_file_that_cannot_be_read_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("alice");
    let file = dir.path().join("lightningd.sqlite3");
    std::fs::write(&file, "this is no database").unwrap();
    let why = refused(&home, &file);
    assert!(why.contains("no SQLite database, or is encrypted"), "{why}");
    let why = refused(&home, Path::new("postgres://cln@db/cln"));
    assert!(why.contains("Postgres"), "{why}");
    let why = refused(&home, &dir.path().join("none"));
    assert!(why.contains("is no file"), "{why}");
    assert!(!home.exists());
}

/// The rows of the tables that an import writes.
fn dump(dir: &Path) -> Vec<String> {
    let store = dir.join("regtest/sendpay.sqlite3");
    let store = rusqlite::Connection::open(store).unwrap();
    let mut dump = Vec::new();
    for table in [
        "sendpays",
        "invoices",
        "cln_payment",
        "cln_invoice",
        "counter",
        "total",
    ] {
        let mut statement = store.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let row: Vec<rusqlite::types::Value> =
                (0..width).map(|at| row.get(at).unwrap()).collect();
            dump.push(format!("{table} {row:?}"));
        }
    }
    dump
}

#[test]
fn an_import_that_is_killed_goes_on_to_what_one_run_comes_to() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lightningd.sqlite3");
    let cln = Cln::new(&file, 282);
    cln.connection.execute_batch("BEGIN").unwrap();
    for id in 0..20_000 {
        let number = u8::try_from(id % 250).unwrap();
        let more = [
            ("groupid", int(id / 250)),
            ("bolt11", text(&format!("lnbcrt{id}"))),
        ];
        cln.payment(id + 1, number, 1 + i64::from(id % 10 == 0), &more);
    }
    cln.connection.execute_batch("COMMIT").unwrap();
    drop(cln);
    let whole = dir.path().join("whole");
    imported(&whole, &file);
    let cut = dir.path().join("cut");
    let store = cut.join("regtest/sendpay.sqlite3");
    let recorded = || -> i64 {
        let count = |store: &Path| {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let store = rusqlite::Connection::open_with_flags(store, flags).ok()?;
            let count = "SELECT count(*) FROM cln_payment";
            store.query_row(count, [], |row| row.get(0)).ok()
        };
        count(&store).unwrap_or(0)
    };
    let mut kills = 0;
    for share in [1, 5_000, 12_000] {
        let mut process = command(&cut, &file).stdout(Stdio::null()).spawn().unwrap();
        let ended = wait_for("rows of an import", || {
            let ended = process.try_wait().unwrap().is_some();
            (ended || recorded() >= share).then_some(ended)
        });
        process.kill().unwrap();
        process.wait().unwrap();
        kills += u32::from(!ended && recorded() < 20_000);
    }
    assert!(kills > 0, "every import was over before it was killed");
    imported(&cut, &file);
    assert!(dump(&cut) == dump(&whole));
}
