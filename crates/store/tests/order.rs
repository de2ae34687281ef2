//! The one order: what a call sees, what a refused one undoes, when a ticket resolves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use sendpay_store::{Closed, Options, Queued, Store, kv};
use tempfile::TempDir;

const TABLE: &str = "CREATE TABLE entry (value INTEGER PRIMARY KEY) STRICT;";

fn options(directory: &TempDir) -> Options {
    Options {
        path: directory.path().join("store.sqlite"),
        migrations: &[TABLE, kv::SCHEMA],
        application_id: 0x7465_7374,
        readers: 2,
        queue_bytes_max: 1 << 20,
        wal_bytes_max: 8 << 20,
    }
}

fn open() -> (TempDir, Store) {
    let directory = TempDir::new().unwrap();
    let store = Store::open(options(&directory)).unwrap();
    (directory, store)
}

#[derive(Debug, thiserror::Error)]
enum AddError {
    #[error("refused")]
    Refused,
    #[error("sqlite")]
    Sqlite(#[from] rusqlite::Error),
}

fn add(connection: &Connection, value: i64) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("INSERT INTO entry VALUES (?1)")?
        .execute([value])
        .map(|_| ())
}

fn values(connection: &Connection) -> Result<Vec<i64>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT value FROM entry ORDER BY value")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Keeps the writer busy until the sender is dropped, so that what follows is one group.
fn block(store: &Store) -> std::sync::mpsc::Sender<()> {
    let (release, released) = channel();
    let (began_tell, began) = channel();
    drop(store.enqueue(0, move |_| {
        began_tell.send(()).unwrap();
        let _ = released.recv();
        Ok::<_, rusqlite::Error>(())
    }));
    began.recv().unwrap();
    release
}

#[test]
fn a_call_sees_those_before_it_and_a_refused_one_undoes_only_itself() {
    let (_directory, store) = open();
    let release = block(&store);
    let commits = store.commits();
    let one = store.enqueue(0, |connection| add(connection, 1));
    let refused = store.enqueue(0, |connection| {
        add(connection, 2)?;
        assert_eq!(values(connection)?, [1, 2]);
        Err::<(), _>(AddError::Refused)
    });
    let doubled = store.enqueue(0, |connection| {
        add(connection, 3)?;
        add(connection, 1)
    });
    let seen = store.enqueue(0, |connection| {
        add(connection, 4)?;
        values(connection)
    });
    drop(release);
    one.wait().unwrap().unwrap();
    assert!(matches!(refused.wait().unwrap(), Err(AddError::Refused)));
    let constraint = doubled.wait().unwrap().unwrap_err();
    assert_eq!(
        constraint.sqlite_error_code(),
        Some(rusqlite::ErrorCode::ConstraintViolation)
    );
    assert_eq!(seen.wait().unwrap().unwrap(), [1, 4]);
    assert_eq!(store.read(values).unwrap(), [1, 4]);
    // All in one commit: those that came while the first of it ran have joined it.
    assert_eq!(store.commits() - commits, 1);
    assert_eq!(store.calls(), 5);
}

#[test]
fn a_ticket_resolves_only_after_its_commit() {
    let (directory, store) = open();
    let outside = Connection::open(directory.path().join("store.sqlite")).unwrap();
    for value in 0..200 {
        store
            .enqueue(0, move |connection| add(connection, value))
            .wait()
            .unwrap()
            .unwrap();
        let last: i64 = outside
            .query_row("SELECT max(value) FROM entry", [], |row| row.get(0))
            .unwrap();
        assert_eq!(last, value);
    }
    // And not before: while the group runs, another connection sees nothing of it.
    let path = directory.path().join("store.sqlite");
    let seen_inside = store
        .enqueue(0, move |connection| {
            add(connection, 1000)?;
            values(&Connection::open(&path)?)
        })
        .wait()
        .unwrap()
        .unwrap();
    assert!(!seen_inside.contains(&1000));
}

#[test]
fn what_follows_a_call_runs_after_its_commit_in_the_order_of_the_calls() {
    let (directory, store) = open();
    let order = Arc::new(Mutex::new(Vec::new()));
    let release = block(&store);
    let tickets: Vec<_> = (0..50)
        .map(|value| {
            let order = Arc::clone(&order);
            let path = directory.path().join("store.sqlite");
            store.enqueue_then(
                0,
                move |connection| add(connection, value),
                move |outcome| {
                    let durable = values(&Connection::open(path).unwrap()).unwrap();
                    assert_eq!(durable.len(), 50);
                    assert!(outcome.is_ok());
                    order.lock().unwrap().push(value);
                },
            )
        })
        .collect();
    drop(release);
    for (value, ticket) in tickets.into_iter().enumerate() {
        ticket.wait().unwrap().unwrap();
        assert!(order.lock().unwrap().len() > value);
    }
    assert!(order.lock().unwrap().is_sorted());
}

#[test]
fn many_writers_share_commits_and_lose_nothing() {
    let (_directory, store) = open();
    std::thread::scope(|scope| {
        for writer in 0..32i64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..50 {
                    let value = writer * 1000 + number;
                    store
                        .enqueue(0, move |connection| add(connection, value))
                        .wait()
                        .unwrap()
                        .unwrap();
                    // A read sees all that was acknowledged before it began.
                    let found: bool = store
                        .read(|connection| {
                            connection
                                .prepare_cached("SELECT 1 FROM entry WHERE value = ?1")?
                                .exists([value])
                        })
                        .unwrap();
                    assert!(found);
                }
            });
        }
    });
    assert_eq!(store.read(values).unwrap().len(), 1600);
    assert_eq!(store.calls(), 1600);
    assert!(store.commits() < 1600, "{} commits", store.commits());
}

#[test]
fn a_read_cannot_write() {
    let (_directory, store) = open();
    let refused = store.read(|connection| add(connection, 1)).unwrap_err();
    assert_eq!(
        refused.sqlite_error_code(),
        Some(rusqlite::ErrorCode::ReadOnly)
    );
}

#[test]
fn room_waits_while_too_much_is_queued() {
    let (_directory, store) = open();
    store.room().wait().unwrap();
    let release = block(&store);
    let large = store.enqueue(2 << 20, |connection| add(connection, 1));
    // A call that must not wait is let in all the same.
    let late = store.enqueue(0, |connection| add(connection, 2));
    let Queued { calls, bytes } = store.queued();
    assert_eq!(calls, 3);
    assert!(bytes >= 2 << 20);
    let mut room = Box::pin(store.room());
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    assert!(room.as_mut().poll(&mut context).is_pending());
    drop(release);
    futures_executor::block_on(room).unwrap();
    large.wait().unwrap().unwrap();
    late.wait().unwrap().unwrap();
    store.room().wait().unwrap();
}

#[test]
fn closing_commits_what_is_queued_and_refuses_what_comes_later() {
    let (directory, store) = open();
    let release = block(&store);
    let queued: Vec<_> = (0..3000)
        .map(|value| store.enqueue(0, move |connection| add(connection, value)))
        .collect();
    drop(release);
    store.close();
    for ticket in queued {
        ticket.wait().unwrap().unwrap();
    }
    let late = store.enqueue(0, |connection| add(connection, 9999));
    assert_eq!(late.wait().unwrap_err(), Closed);
    assert_eq!(store.room().wait(), Err(Closed));
    assert!(store.read(values).is_err());
    assert!(!directory.path().join("store.sqlite-wal").exists());
    // Another can open it now, though the first handle still lives.
    let again = Store::open(options(&directory)).unwrap();
    assert_eq!(again.read(values).unwrap().len(), 3000);
}

#[test]
fn a_call_runs_though_its_ticket_was_dropped() {
    let (_directory, store) = open();
    drop(store.enqueue(0, |connection| add(connection, 1)));
    let seen = store.enqueue(0, values).wait().unwrap().unwrap();
    assert_eq!(seen, [1]);
}

#[test]
fn state_reads_see_the_writes_before_them() {
    let (directory, store) = open();
    let release = block(&store);
    drop(store.kv_write("a", "", "one", vec![1]));
    drop(store.kv_write("a", "", "two", vec![2]));
    drop(store.kv_write("a", "b", "three", vec![3]));
    drop(store.kv_write("a", "", "one", vec![4, 4]));
    drop(store.kv_remove("a", "", "two"));
    drop(store.kv_remove("a", "", "never there"));
    drop(release);
    assert_eq!(store.kv_read("a", "", "one").unwrap(), Some(vec![4, 4]));
    assert_eq!(store.kv_read("a", "", "two").unwrap(), None);
    assert_eq!(store.kv_read("b", "", "one").unwrap(), None);
    assert_eq!(store.kv_list("a", "").unwrap(), ["one"]);
    assert_eq!(store.kv_list("a", "b").unwrap(), ["three"]);
    store.close();
    assert!(store.kv_read("a", "", "one").is_err());
    let again = Store::open(options(&directory)).unwrap();
    assert_eq!(again.kv_read("a", "", "one").unwrap(), Some(vec![4, 4]));
}

#[test]
fn the_log_stays_below_twice_its_limit() {
    const LIMIT: u64 = 2 << 20;
    let directory = TempDir::new().unwrap();
    let store = Store::open(Options {
        wal_bytes_max: LIMIT,
        ..options(&directory)
    })
    .unwrap();
    let log = directory.path().join("store.sqlite-wal");
    let (mut written, mut largest, mut number) = (0, 0, 0u32);
    while written < 10 * LIMIT {
        let key = (number % 16).to_string();
        let value = vec![number as u8; 50_000];
        written += value.len() as u64;
        store
            .kv_write("log", "", &key, value)
            .wait()
            .unwrap()
            .unwrap();
        largest = largest.max(log.metadata().unwrap().len());
        number += 1;
    }
    assert!(largest > LIMIT / 2, "{largest}: nothing was measured");
    assert!(largest < 2 * LIMIT, "{largest}");
}

#[test]
fn another_process_that_holds_the_lock_is_waited_for() {
    let (directory, store) = open();
    let other = Connection::open(directory.path().join("store.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ticket = store.enqueue(0, |connection| add(connection, 1));
    let mut ticket = Box::pin(ticket);
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    assert!(ticket.as_mut().poll(&mut context).is_pending());
    other.execute_batch("COMMIT").unwrap();
    futures_executor::block_on(ticket).unwrap().unwrap();
}

#[test]
fn a_reader_that_holds_its_snapshot_stops_no_writer() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(Options {
        wal_bytes_max: 64 << 10,
        ..options(&directory)
    })
    .unwrap();
    for value in 0..3 {
        drop(store.enqueue(0, move |connection| add(connection, value)));
    }
    store.enqueue(0, values).wait().unwrap().unwrap();
    let seen = store
        .read(|connection| {
            let mut statement = connection.prepare("SELECT value FROM entry ORDER BY value")?;
            let mut rows = statement.query([])?;
            rows.next()?;
            // Far more than the log's limit, while the statement stands in its first row.
            for number in 0..10 {
                let written = store.kv_write("log", "", &number.to_string(), vec![0; 50_000]);
                written.wait().unwrap().unwrap();
            }
            drop(store.enqueue(0, |connection| add(connection, 99)).wait());
            let mut seen = 1;
            while rows.next()?.is_some() {
                seen += 1;
            }
            Ok::<_, rusqlite::Error>(seen)
        })
        .unwrap();
    assert_eq!(seen, 3);
    assert_eq!(store.read(values).unwrap().len(), 4);
}
