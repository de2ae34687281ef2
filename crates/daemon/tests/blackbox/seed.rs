//! A seed with a passphrase: what opens it, what does not, and what is said.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Output;

use serde_json::json;

use crate::harness::{Chain, Node, wait_for};

/// CLN's exit codes for the same.
const NO_PASSPHRASE: i32 = 21;
const WRONG_PASSPHRASE: i32 = 22;

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

struct Scene {
    node: Node,
    dir: tempfile::TempDir,
    // Last: the node goes first.
    _chain: Chain,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::start(dir.path());
        let node = Node::start(dir.path(), "alice", &chain, &[]);
        Scene {
            node,
            dir,
            _chain: chain,
        }
    }

    fn passphrase(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        format!("seed.passphrase_file={}", path.display())
    }

    fn seed(&self) -> PathBuf {
        self.node.dir.join("regtest/seed")
    }

    fn run(&self, subcommand: &[&str], more: &str) -> Output {
        let mut program = self.node.program(subcommand);
        program.arg("--set").arg(more).output().unwrap()
    }
}

#[test]
fn an_encrypted_seed_starts_with_its_passphrase_only() {
    let mut scene = Scene::new();
    let words = fs::read_to_string(scene.seed()).unwrap();
    let (right, wrong) = (
        scene.passphrase("right", "correct horse battery staple\n"),
        scene.passphrase("wrong", "correct horse battery stable\n"),
    );
    assert!(scene.node.terminate().success());
    let encrypted = scene.run(&["seed", "encrypt"], &right);
    assert!(encrypted.status.success(), "{}", said(&encrypted));
    let kept = fs::read_to_string(scene.seed()).unwrap();
    assert!(kept.starts_with("sendpay encrypted seed 1\n"), "{kept}");
    assert!(
        words
            .split_whitespace()
            .all(|word| !kept.contains(&format!(" {word} ")))
    );

    let refused = scene.node.program(&[]).output().unwrap();
    assert_eq!(
        refused.status.code(),
        Some(NO_PASSPHRASE),
        "{}",
        said(&refused)
    );
    assert!(said(&refused).contains("no passphrase was given"));
    let refused = scene.run(&[], &wrong);
    assert_eq!(
        refused.status.code(),
        Some(WRONG_PASSPHRASE),
        "{}",
        said(&refused)
    );
    assert!(said(&refused).contains("does not open the seed"));
    for subcommand in [&["seed", "decrypt"][..], &["backup", "/dev/null"]] {
        let refused = scene.run(subcommand, &wrong);
        assert_eq!(
            refused.status.code(),
            Some(WRONG_PASSPHRASE),
            "{}",
            said(&refused)
        );
    }
    let refused = scene.run(&["seed", "encrypt"], &right);
    assert!(
        said(&refused).contains("encrypted already"),
        "{}",
        said(&refused)
    );
    assert_eq!(fs::read_to_string(scene.seed()).unwrap(), kept);

    scene.node.set(&right);
    scene.node.resume();
    assert_eq!(
        scene.node.call("getinfo", json!({}))["id"],
        scene.node.id.as_str()
    );
    assert!(scene.node.terminate().success());
    let decrypted = scene.run(&["seed", "decrypt"], &right);
    assert!(decrypted.status.success(), "{}", said(&decrypted));
    assert_eq!(fs::read_to_string(scene.seed()).unwrap(), words);
    // One that needs none passes over the one it is given.
    scene.node.resume();
}

#[test]
fn a_passphrase_comes_by_a_file_descriptor_too_and_a_new_seed_is_encrypted_with_it() {
    let mut scene = Scene::new();
    assert!(scene.node.terminate().success());
    fs::remove_dir_all(&scene.node.dir).unwrap();
    let path = scene.dir.path().join("passphrase");
    fs::write(&path, "by a descriptor").unwrap();
    let open = |descriptor: u32| {
        let mut program = scene.node.program(&[]);
        program.env("SENDPAYD_SEED_PASSPHRASE_FD", descriptor.to_string());
        program
    };
    // Standard input is a descriptor as good as another.
    let file = fs::File::open(&path).unwrap();
    assert!(file.as_raw_fd() > 0);
    let mut process = open(0).stdin(file).spawn().unwrap();
    wait_for("a seed", || {
        let kept = fs::read_to_string(scene.seed()).ok()?;
        kept.starts_with("sendpay encrypted seed 1\n").then_some(())
    });
    process.kill().unwrap();
    process.wait().unwrap();
    let refused = open(9999).output().unwrap();
    assert!(said(&refused).contains("cannot read the passphrase from /dev/fd/9999"));
}

#[test]
fn a_seed_that_is_killed_while_it_is_encrypted_is_whole() {
    let mut scene = Scene::new();
    let right = scene.passphrase("right", "passphrase");
    let words = fs::read_to_string(scene.seed()).unwrap();
    assert!(scene.node.terminate().success());
    for (number, subcommand) in ["encrypt", "decrypt"]
        .into_iter()
        .cycle()
        .take(24)
        .enumerate()
    {
        let mut program = scene.node.program(&["seed", subcommand]);
        let mut process = program.arg("--set").arg(&right).spawn().unwrap();
        let number = u64::try_from(number).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(number * 40));
        process.kill().unwrap();
        process.wait().unwrap();
        let decrypted = scene.run(&["seed", "decrypt"], &right);
        let said = said(&decrypted);
        assert!(
            decrypted.status.success() || said.contains("is not encrypted"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(scene.seed()).unwrap(), words);
    }
}
