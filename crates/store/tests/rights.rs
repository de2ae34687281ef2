//! A directory in which this user may not write. In a program of its own: it starts a child, which has for a
//! moment the locks that other tests hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use sendpay_store::{OpenError, Options, Store};
use tempfile::TempDir;

#[test]
#[ignore = "a child of a_directory_without_the_right_to_write_is_refused"]
fn child_in_a_read_only_directory() {
    let directory = std::env::var_os("STORE_CHILD_DIRECTORY").unwrap();
    let opened = Store::open(Options {
        path: Path::new(&directory).join("store.sqlite"),
        migrations: &["CREATE TABLE entry (value INTEGER PRIMARY KEY) STRICT;"],
        application_id: 1,
        readers: 1,
        queue_bytes_max: 1 << 20,
        wal_bytes_max: 1 << 20,
    });
    let error = opened.err().unwrap();
    assert!(error.to_string().contains("store.sqlite"), "{error}");
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
}

#[test]
fn a_directory_without_the_right_to_write_is_refused() {
    let directory = TempDir::new().unwrap();
    let inside = directory.path().join("read-only");
    fs::create_dir(&inside).unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&inside, Permissions::from_mode(0o555)).unwrap();
    // root may write anywhere, so the child runs as another user then; it runs a copy of this
    // program, as that user may not be allowed to enter the build directory.
    let program = directory.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(&program);
    child
        .args(["--exact", "child_in_a_read_only_directory", "--ignored"])
        .env("STORE_CHILD_DIRECTORY", &inside);
    if fs::write(inside.join("probe"), b"").is_ok() {
        child.uid(65534).gid(65534);
    }
    let output = child.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}
