//! What is refused at the start, and how the files are made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;
use sendpay_store::{OpenError, Options, Store, kv};
use tempfile::TempDir;

const APPLICATION_ID: i32 = 0x7465_7374;
const FIRST: &[&str] = &["CREATE TABLE entry (value INTEGER PRIMARY KEY) STRICT;"];
const BOTH: &[&str] = &[
    "CREATE TABLE entry (value INTEGER PRIMARY KEY) STRICT;",
    kv::SCHEMA,
];
const BROKEN: &[&str] = &[
    "CREATE TABLE entry (value INTEGER PRIMARY KEY) STRICT;",
    "CREATE TABLE half (value INTEGER); INSERT INTO missing VALUES (1);",
];

fn open(directory: &Path, migrations: &'static [&'static str]) -> Result<Store, OpenError> {
    Store::open(Options {
        path: directory.join("store.sqlite"),
        migrations,
        application_id: APPLICATION_ID,
        readers: 1,
        queue_bytes_max: 1 << 20,
        wal_bytes_max: 1 << 20,
    })
}

/// The error of opening, and that its message names the file and says something to do.
fn refused(directory: &Path, migrations: &'static [&'static str]) -> OpenError {
    let Err(error) = open(directory, migrations) else {
        panic!("was opened");
    };
    let message = error.to_string();
    assert!(message.contains("store.sqlite"), "{message}");
    error
}

fn fill(store: &Store) {
    store
        .enqueue(0, |connection| {
            connection.execute_batch(
                "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 9999)
                 INSERT INTO entry SELECT value FROM n",
            )
        })
        .wait()
        .unwrap()
        .unwrap();
}

#[test]
fn a_store_is_open_once() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), FIRST).unwrap();
    let error = refused(directory.path(), FIRST);
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(store);
    open(directory.path(), FIRST).unwrap();
}

#[test]
fn migrations_are_applied_once_and_a_newer_file_is_refused() {
    let directory = TempDir::new().unwrap();
    fill(&open(directory.path(), FIRST).unwrap());
    open(directory.path(), BOTH)
        .unwrap()
        .kv_write("", "", "key", vec![1])
        .wait()
        .unwrap()
        .unwrap();
    let store = open(directory.path(), BOTH).unwrap();
    assert_eq!(store.kv_read("", "", "key").unwrap(), Some(vec![1]));
    drop(store);
    let error = refused(directory.path(), FIRST);
    assert!(
        matches!(
            error,
            OpenError::NewerVersion {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_failed_migration_leaves_the_file_as_it_was() {
    let directory = TempDir::new().unwrap();
    fill(&open(directory.path(), FIRST).unwrap());
    let error = refused(directory.path(), BROKEN);
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error}");
    let store = open(directory.path(), FIRST).unwrap();
    let tables: i64 = store
        .read(|connection| {
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        })
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let directory = TempDir::new().unwrap();
    let other = Connection::open(directory.path().join("store.sqlite")).unwrap();
    other.execute_batch("CREATE TABLE other (a)").unwrap();
    drop(other);
    let error = refused(directory.path(), FIRST);
    assert!(
        matches!(error, OpenError::NotOurs { found: 0, .. }),
        "{error}"
    );
    Connection::open(directory.path().join("store.sqlite"))
        .unwrap()
        .pragma_update(None, "application_id", 77)
        .unwrap();
    let error = refused(directory.path(), FIRST);
    assert!(
        matches!(error, OpenError::NotOurs { found: 77, .. }),
        "{error}"
    );
}

#[test]
fn damaged_files_are_refused() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("no database at all", |bytes| {
            *bytes = b"this is a letter, not a database. ".repeat(400);
        }),
        ("the first page overwritten", |bytes| {
            bytes[..100].fill(0xff)
        }),
        ("the schema overwritten", |bytes| {
            bytes[100..4096].fill(0xff)
        }),
        ("cut short", |bytes| bytes.truncate(8192)),
    ];
    for (what, damage) in damages {
        let directory = TempDir::new().unwrap();
        fill(&open(directory.path(), FIRST).unwrap());
        let path = directory.path().join("store.sqlite");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = refused(directory.path(), FIRST);
        assert!(
            matches!(error, OpenError::Corrupt { .. }),
            "{what}: {error:?}"
        );
    }
}

#[test]
fn a_start_that_was_cut_short_is_begun_again() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("store.sqlite"), b"").unwrap();
    fill(&open(directory.path(), FIRST).unwrap());
}

#[test]
fn all_files_are_their_owners_alone() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path(), FIRST).unwrap();
    fill(&store);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "store.sqlite",
            "store.sqlite-shm",
            "store.sqlite-wal",
            "store.sqlite.lock"
        ]
    );
}

#[test]
fn a_missing_directory_is_refused() {
    let directory = TempDir::new().unwrap();
    let error = refused(&directory.path().join("missing"), FIRST);
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}
