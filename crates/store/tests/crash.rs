//! The end of the process: kill -9 at any instant loses nothing that was acknowledged, and an
//! untrusted file ends the process before anything is acknowledged. A child process, this program
//! again, does the writing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use sendpay_store::{Options, Store};
use tempfile::TempDir;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

fn open(directory: &Path) -> Store {
    Store::open(Options {
        path: directory.join("store.sqlite"),
        migrations: &["CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
             CREATE TABLE entry (value INTEGER PRIMARY KEY, filler BLOB,
                                 parent INTEGER REFERENCES parent) STRICT;"],
        application_id: 0x7465_7374,
        readers: 1,
        queue_bytes_max: 1 << 20,
        wal_bytes_max: 256 << 10,
    })
    .unwrap()
}

fn child(test: &str, directory: &Path, start: i64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("STORE_CHILD_DIRECTORY", directory)
        .env("STORE_CHILD_START", start.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn child_directory() -> PathBuf {
    std::env::var_os("STORE_CHILD_DIRECTORY").unwrap().into()
}

fn say(word: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{word}").unwrap();
    stdout.flush().unwrap();
}

fn add(connection: &Connection, value: i64) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("INSERT INTO entry VALUES (?1, zeroblob(700), NULL)")?
        .execute([value])
        .map(|_| ())
}

#[test]
#[ignore = "a child of kill_at_any_instant_loses_nothing_acknowledged"]
fn child_that_writes_until_killed() {
    let store = open(&child_directory());
    let start: i64 = std::env::var("STORE_CHILD_START").unwrap().parse().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for value in (start + writer..).step_by(8) {
                    store
                        .enqueue(0, move |connection| add(connection, value))
                        .wait()
                        .unwrap()
                        .unwrap();
                    say(&format!("ack {value}"));
                }
            });
        }
    });
}

#[test]
fn kill_at_any_instant_loses_nothing_acknowledged() {
    let directory = TempDir::new().unwrap();
    let mut acknowledged = Vec::new();
    // A plain generator with a fixed seed: which acknowledgement the kill waits for.
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..24i64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = child(
            "child_that_writes_until_killed",
            directory.path(),
            round * 1_000_000,
        );
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        for line in &mut lines {
            let line = line.unwrap();
            // The first one may stand behind what the test harness prints.
            let Some((_, value)) = line.rsplit_once("ack ") else {
                continue;
            };
            acknowledged.push(value.parse::<i64>().unwrap());
            heard += 1;
            if heard > random % 400 {
                break;
            }
        }
        child.kill().unwrap();
        // What it said before it died counts too, but for a line cut short.
        let mut rest = String::new();
        for line in lines.map_while(Result::ok) {
            rest.push_str(&line);
            rest.push('\n');
        }
        let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut said: Vec<&str> = whole.lines().collect();
        said.pop();
        acknowledged.extend(
            said.iter()
                .filter_map(|line| line.strip_prefix("ack "))
                .map(|value| value.parse::<i64>().unwrap()),
        );
        assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));

        let store = open(directory.path());
        let missing: Vec<i64> = acknowledged
            .iter()
            .copied()
            .filter(|value| {
                !store
                    .read(|connection| {
                        connection
                            .prepare_cached("SELECT 1 FROM entry WHERE value = ?1")?
                            .exists([value])
                    })
                    .unwrap()
            })
            .collect();
        assert_eq!(missing, [], "round {round}");
        let sound: String = store
            .read(|connection| connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(sound, "ok", "round {round}");
    }
    assert!(acknowledged.len() > 24);
}

/// Runs the child and returns what it printed; it must have been aborted after it said `ready`.
fn aborted(test: &str) -> (String, String, TempDir) {
    let directory = TempDir::new().unwrap();
    let mut child = child(test, directory.path(), 0);
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(SIGABRT), "{stdout}\n{stderr}");
    assert!(stdout.contains("ready"), "{stdout}");
    assert!(!stdout.contains("resolved"), "{stdout}");
    (stdout, stderr, directory)
}

fn entries(directory: &TempDir) -> i64 {
    open(directory.path())
        .read(|connection| connection.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)))
        .unwrap()
}

#[test]
#[ignore = "a child of a_full_disk_ends_the_process_before_any_ticket_resolves"]
fn child_whose_disk_is_full() {
    let store = open(&child_directory());
    let limit = store.enqueue(0, |connection| {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        connection.pragma_update_and_check(None, "max_page_count", pages + 4, |_| Ok(()))?;
        say("ready");
        Ok::<_, rusqlite::Error>(())
    });
    // All in the group of the one that finds the disk full, or in a later one.
    limit.wait().unwrap().unwrap();
    let tickets: Vec<_> = (0..100)
        .map(|value| store.enqueue(0, move |connection| add(connection, value)))
        .collect();
    for ticket in tickets.into_iter().skip(50) {
        let _ = ticket.wait();
        say("resolved");
    }
}

#[test]
fn a_full_disk_ends_the_process_before_any_ticket_resolves() {
    let (_, stderr, directory) = aborted("child_whose_disk_is_full");
    assert!(stderr.contains("fatal: the store failed"), "{stderr}");
    assert!(stderr.contains("full"), "{stderr}");
    assert!(entries(&directory) < 50);
}

#[test]
#[ignore = "a child of a_failed_commit_ends_the_process_before_any_ticket_resolves"]
fn child_whose_commit_fails() {
    let store = open(&child_directory());
    // One group: a good call, and one whose broken reference is found at the commit only.
    let (release, released) = std::sync::mpsc::channel::<()>();
    drop(store.enqueue(0, move |_| {
        let _ = released.recv();
        Ok::<_, rusqlite::Error>(())
    }));
    let good = store.enqueue(0, |connection| add(connection, 1));
    drop(store.enqueue(0, |connection| {
        connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON; INSERT INTO entry VALUES (2, NULL, 99);",
        )
    }));
    say("ready");
    drop(release);
    let _ = good.wait();
    say("resolved");
}

#[test]
fn a_failed_commit_ends_the_process_before_any_ticket_resolves() {
    let (_, stderr, directory) = aborted("child_whose_commit_fails");
    assert!(stderr.contains("failed at COMMIT"), "{stderr}");
    assert_eq!(entries(&directory), 0);
}

#[test]
#[ignore = "a child of a_panic_in_a_call_ends_the_process"]
fn child_whose_call_panics() {
    let store = open(&child_directory());
    say("ready");
    let ticket = store.enqueue(0, |connection| {
        add(connection, 1)?;
        if connection.is_autocommit() {
            return Ok::<_, rusqlite::Error>(());
        }
        panic!("a bug in a call");
    });
    let _ = ticket.wait();
    say("resolved");
}

#[test]
fn a_panic_in_a_call_ends_the_process() {
    let (_, stderr, directory) = aborted("child_whose_call_panics");
    assert!(stderr.contains("a bug in a call"), "{stderr}");
    assert!(
        stderr.contains("fatal: a call to the store panicked"),
        "{stderr}"
    );
    assert_eq!(entries(&directory), 0);
}

#[derive(Debug, thiserror::Error)]
#[error("wrapped")]
struct Wrapped(#[from] rusqlite::Error);

#[test]
#[ignore = "a child of an_untrusted_file_ends_the_process_though_the_call_wraps_the_error"]
fn child_whose_file_is_damaged() {
    let store = open(&child_directory());
    say("ready");
    let ticket = store.enqueue(0, |_| {
        // What SQLite says of a damaged page, wrapped as the ledger's errors wrap it.
        let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err::<(), _>(Wrapped(rusqlite::Error::SqliteFailure(damaged, None)))
    });
    let _ = ticket.wait();
    say("resolved");
}

#[test]
fn an_untrusted_file_ends_the_process_though_the_call_wraps_the_error() {
    let (_, stderr, _directory) = aborted("child_whose_file_is_damaged");
    assert!(stderr.contains("fatal: the store failed"), "{stderr}");
}
