//! Stores that cannot be used end a start with a clear message, before the chain is asked and
//! anything is sent, and are left as they are.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::harness::{Pair, wait_for};

/// Runs `sendpayd` in a directory until it ends, against a chain that must never be asked.
fn start(dir: &Path) -> Output {
    let cookie = dir.join("cookie");
    std::fs::write(&cookie, "__cookie__:secret").unwrap();
    let chain = TcpListener::bind("127.0.0.1:0").unwrap();
    chain.set_nonblocking(true).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_sendpayd"))
        .arg("--dir")
        .arg(dir)
        .args([
            "--network",
            "regtest",
            "--set",
            "listen=127.0.0.1:0",
            "--set",
        ])
        .arg(format!("chain.rpc_address={}", chain.local_addr().unwrap()))
        .arg("--set")
        .arg(format!("chain.cookie_file={}", cookie.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the end of a start", || {
        if chain.accept().is_ok() {
            process.kill().unwrap();
            process.wait().unwrap();
            panic!("the store was opened and the chain asked");
        }
        process.try_wait().unwrap()
    });
    process.wait_with_output().unwrap()
}

/// A start that must fail with that text, before the chain is asked and the socket is there.
fn assert_refused_at_start(dir: &Path, words: &[&str]) {
    let output = start(dir);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{stderr}");
    assert!(
        output.status.code().is_some(),
        "a signal ended it: {stderr}"
    );
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("sendpayd: "), "{stderr}");
    for word in words {
        assert!(last.contains(word), "{word:?} is not in {last}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// A directory with the store of a node that ran and paid, and the node's settings gone.
fn stopped() -> (Pair, std::path::PathBuf) {
    let mut pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    pair.sendpay(&invoice, 50_000);
    let wait = json!({"payment_hash": invoice["payment_hash"]});
    pair.alice.call("waitsendpay", wait);
    assert!(pair.alice.terminate().success());
    let store = pair.alice.dir.join("regtest/sendpay.sqlite3");
    assert!(store.exists());
    (pair, store)
}

#[test]
fn a_store_that_is_in_use_is_left_alone() {
    let pair = Pair::start();
    let dir = pair.alice.dir.clone();
    assert_refused_at_start(&dir, &["sendpay.sqlite3", "in use by another process"]);
    // The first one goes on.
    let invoice = pair.bob.invoice("one", 50_000);
    pair.sendpay(&invoice, 50_000);
    let wait = json!({"payment_hash": invoice["payment_hash"]});
    assert_eq!(pair.alice.call("waitsendpay", wait)["status"], "complete");
}

#[test]
fn a_store_that_is_damaged_or_newer_or_of_another_program_is_refused_and_left_as_it_is() {
    let (mut pair, store) = stopped();
    let dir = pair.alice.dir.clone();
    let good = std::fs::read(&store).unwrap();
    // SQLite keeps user_version at byte 60 and application_id at byte 68, four bytes each.
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let cases: [(Vec<u8>, &[&str]); 5] = [
        (
            changed(0, b"no database at all"),
            &["sendpay.sqlite3", "damaged"],
        ),
        (
            good[..good.len() / 2].to_vec(),
            &["sendpay.sqlite3", "damaged"],
        ),
        (
            changed(100, &[0xff; 3_996]),
            &["sendpay.sqlite3", "damaged"],
        ),
        (
            changed(60, &[0, 0, 3, 0xe7]),
            &["sendpay.sqlite3", "newer version", "999"],
        ),
        (
            changed(68, &[0, 0, 0, 77]),
            &["sendpay.sqlite3", "another program"],
        ),
    ];
    for (file, words) in cases {
        std::fs::write(&store, &file).unwrap();
        assert_refused_at_start(&dir, words);
        assert_eq!(
            std::fs::read(&store).unwrap(),
            file,
            "{words:?}: it was changed"
        );
        assert!(!pair.alice.socket().exists());
    }
    // With the good file back it is the node it was.
    std::fs::write(&store, good).unwrap();
    pair.alice.resume();
    assert_eq!(pair.alice.payments().len(), 1);
}

#[test]
fn a_directory_that_cannot_be_written_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let network_dir = dir.path().join("regtest");
    std::fs::create_dir(&network_dir).unwrap();
    let rights = |mode| {
        let rights = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&network_dir, rights).unwrap();
    };
    rights(0o500);
    if std::fs::write(network_dir.join("probe"), "").is_err() {
        assert_refused_at_start(dir.path(), &["sendpay.sqlite3", "cannot be written"]);
    }
    rights(0o700);
    // Rights do not stop root: a file where the directory should be does.
    std::fs::remove_dir_all(&network_dir).unwrap();
    std::fs::write(&network_dir, "").unwrap();
    assert_refused_at_start(dir.path(), &["regtest"]);
}
