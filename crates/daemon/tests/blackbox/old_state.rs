//! A node that was given an old copy of its database: a peer proves it, and it never runs again.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{Pair, wait_for};
use crate::recover::confirmed_msat;

impl Pair {
    fn pay_some(&self, label: &str) {
        for number in 0..3 {
            let invoice = self.bob.invoice(&format!("{label} {number}"), 1_000_000);
            self.sendpay(&invoice, 1_000_000);
            let hash = json!({"payment_hash": invoice["payment_hash"]});
            assert_eq!(self.alice.call("waitsendpay", hash)["status"], "complete");
        }
    }
}

/// The database and what belongs to it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths
        .filter(|path| name(path).starts_with("sendpay.sqlite3"))
        .collect()
}

fn move_files(from: &Path, to: &Path) {
    for old in files(to) {
        std::fs::remove_file(old).unwrap();
    }
    for file in files(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_node_whose_channel_state_is_proven_old_ends_and_does_not_start_again() {
    let mut pair = Pair::start();
    pair.pay_some("before");
    let funds = confirmed_msat(&pair.alice);
    assert!(pair.alice.terminate().success());
    let running = pair.alice.dir.join("regtest");
    let copy = tempfile::tempdir().unwrap();
    move_files(&running, copy.path());
    pair.alice.resume();
    wait_for("the channel", || {
        let channels = pair.alice.call("listpeerchannels", json!({}));
        (channels["channels"][0]["reestablished"] == true).then_some(())
    });
    pair.pay_some("after");
    assert!(pair.alice.terminate().success());

    move_files(copy.path(), &running);
    pair.alice.spawn();
    let (code, log) = wait_for("the end of alice", || pair.alice.ended());
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("a peer has proven that the channel state in"));
    assert!(running.join("channel-state-is-old").exists());
    // Nothing of the channel went to the chain.
    assert_eq!(pair.chain.ask("getrawmempool", &[]), json!([]));

    let before = log.len();
    pair.alice.spawn();
    let (code, log) = wait_for("the end of alice", || pair.alice.ended());
    assert_eq!(code, 3, "{log}");
    let said = &log[before..];
    assert!(said.starts_with("sendpayd: a peer has proven"), "{said}");
    assert!(
        said.contains("`sendpayd recover` with this directory"),
        "{said}"
    );

    // The one thing that starts there: bob closes, and what that pays goes into the wallet. The list
    // of channels is the one beside the store.
    pair.alice.spawn_as(&["recover"]);
    pair.alice.wait_for_socket();
    assert!(!running.join("channel-state-is-old").exists());
    pair.recover_alice(funds, 9_980_000_000);
    // What was recorded is there, and from now on the node starts as any other.
    assert_eq!(pair.alice.payments().len(), 3);
    pair.alice.kill();
    pair.alice.resume();
    assert_eq!(pair.alice.payments().len(), 3);
}
