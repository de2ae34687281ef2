//! A ledger backed up and restored: every row as it was, and everything refused that was refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(dead_code)]

#[path = "../../ledger/tests/ledger/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use scene::{NOW_MS, Scene, hash, part, preimage};
use sendpay_backup::{
    BackupKey, Kind, KvRow, OpenError, Opener, RestoreError, Restored, Sealer, Snapshot,
    begin_again, read_manifest, restore, write_whole,
};
use sendpay_ledger::{BeginError, Begun, Ledger, Status};

fn key() -> BackupKey {
    BackupKey::new([3; 32])
}

/// Numbers that a restored ledger leaves out.
const LEFT_OUT: u64 = 1_000_000;

/// Complete, failed, deleted, half complete, pending: one of each.
fn scene() -> Scene {
    let scene = Scene::new();
    let complete = scene.begin(part(1, 1, 0));
    scene.complete(&complete, 1);
    let failed = scene.begin(part(2, 1, 0));
    scene.fail(&failed);
    let half = scene.begin(part(3, 1, 1));
    scene.begin(part(3, 1, 2));
    scene.complete(&half, 3);
    scene.begin(part(4, 1, 0));
    let kept = b"channel state".to_vec();
    let write = |primary, name, value| scene.store.kv_write(primary, "", name, value);
    write("", "manager", kept.clone()).wait().unwrap().unwrap();
    write("monitors", "one", kept).wait().unwrap().unwrap();
    write("sendpay", "peers", vec![7]).wait().unwrap().unwrap();
    scene
}

fn file(scene: &Scene) -> std::path::PathBuf {
    scene.directory.path().join("ledger.sqlite")
}

fn backup(scene: &Scene) -> Vec<u8> {
    let snapshot = Snapshot::open(&file(scene)).unwrap();
    let mut sealed = Vec::new();
    let dumped = write_whole(&mut sealed, &key(), b"channels", &snapshot, &mut |_| {}).unwrap();
    assert_eq!(dumped.payments, 5);
    sealed
}

fn restored(sealed: &[u8], to: &Path) -> Result<Restored, RestoreError> {
    let mut opener = Opener::new(sealed, &key())?;
    assert_eq!(opener.kind(), Kind::Whole);
    assert_eq!(read_manifest(&mut opener)?, b"channels");
    restore(opener, to, &mut |_| {})
}

/// Every row of every table, and what makes the schema.
fn everything(file: &Path) -> BTreeMap<String, Vec<Vec<Value>>> {
    let connection = Connection::open(file).unwrap();
    let rows = |sql: &str| -> Vec<Vec<Value>> {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
        statement
            .query_map([], row)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    };
    let schema = rows("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name");
    let mut all = BTreeMap::from([("schema".to_owned(), schema)]);
    for table in rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'counter'") {
        let Value::Text(name) = &table[0] else {
            panic!("a table without a name");
        };
        all.insert(name.clone(), rows(&format!("SELECT * FROM {name}")));
    }
    all
}

#[test]
fn every_row_comes_back_as_it_was_and_nothing_of_the_nodes_own() {
    let scene = scene();
    // The log of the store that is open is not in its file yet: read as others read it.
    let sealed = backup(&scene);
    let before = everything(&file(&scene));
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("restored.sqlite");
    let counts = restored(&sealed, &to).unwrap();
    assert_eq!((counts.payments, counts.invoices), (5, 0));
    let mut after = everything(&to);
    assert_eq!(
        after.insert("kv".to_owned(), before["kv"].clone()),
        Some(vec![])
    );
    assert_eq!(after, before);
    let (_store, ledger) = Ledger::open(&to).unwrap();
    let (numbers, had) = (ledger.counters().unwrap(), scene.ledger.counters().unwrap());
    assert_eq!(numbers.created, had.created + LEFT_OUT);
    assert_eq!(numbers.change, had.change + LEFT_OUT);
    assert_eq!(ledger.totals().unwrap(), scene.ledger.totals().unwrap());
}

#[test]
fn what_was_pending_is_unknown_and_takes_no_new_send_until_an_operator_settles_it() {
    let scene = scene();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("restored.sqlite");
    restored(&backup(&scene), &to).unwrap();
    let (store, ledger) = Ledger::open(&to).unwrap();
    let row = KvRow {
        primary: "sendpay".to_owned(),
        secondary: "recovery".to_owned(),
        key: "state".to_owned(),
        value: vec![1],
    };
    let begun = store.enqueue::<_, sendpay_backup::SetAsideError, _>(0, move |connection| {
        begin_again(connection, |_, _, _| true, &[row])
    });
    assert_eq!(begun.wait().unwrap().unwrap(), 2);
    assert_eq!(ledger.pending_own().unwrap(), vec![]);
    assert_eq!(ledger.imported_pending("recovered").unwrap().len(), 2);
    let kept = store.kv_read("sendpay", "recovery", "state").unwrap();
    assert_eq!(kept, Some(vec![1]));
    // Neither the same part, nor another of the group, nor another group.
    for (number, group, partid) in [(4, 1, 0), (4, 2, 0), (3, 1, 3)] {
        let begun = ledger.begin(part(number, group, partid), NOW_MS).wait();
        match begun.unwrap() {
            Err(BeginError::ImportedPending(of)) => assert_eq!(of, hash(number)),
            // Half of it is paid, which is known before that.
            Err(BeginError::AlreadySucceededOtherParts) => assert_eq!(number, 3),
            other => panic!("{number} {group} {partid}: {other:?}"),
        }
    }
    let settled = ledger
        .settle_imported(hash(4), Ok(preimage(4)), NOW_MS + 9)
        .wait();
    assert_eq!(settled.unwrap().unwrap()[0].status, Status::Complete);
    // What can be paid again could before, and has a number that no lost record had.
    match ledger.begin(part(2, 2, 0), NOW_MS).wait().unwrap() {
        Ok(Begun::New(payment)) => assert_eq!(payment.created_index, 5 + LEFT_OUT + 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn channel_state_is_set_aside_and_what_is_no_state_stays() {
    let scene = scene();
    let state = |primary: &str, _: &str, name: &str| primary == "monitors" || name == "manager";
    let begin = || {
        let done = scene
            .store
            .enqueue::<_, sendpay_backup::SetAsideError, _>(0, move |connection| {
                begin_again(connection, state, &[])
            });
        done.wait().unwrap().unwrap()
    };
    // As often as it takes.
    assert_eq!((begin(), begin()), (2, 2));
    let read = |primary: &str, secondary: &str, name: &str| {
        scene.store.kv_read(primary, secondary, name).unwrap()
    };
    assert_eq!(read("", "", "manager"), None);
    assert_eq!(read("monitors", "", "one"), None);
    assert_eq!(read("set_aside", "/", "manager").unwrap(), b"channel state");
    assert_eq!(read("sendpay", "", "peers"), Some(vec![7]));
}

#[test]
fn a_backup_of_a_later_schema_is_refused() {
    let mut sealer = Sealer::new(Vec::new(), &key(), Kind::Whole).unwrap();
    sealer.write_all(&8u32.to_be_bytes()).unwrap();
    sealer.write_all(b"channels").unwrap();
    let later = u32::try_from(Ledger::SCHEMA_VERSION).unwrap() + 1;
    sealer.write_all(&later.to_be_bytes()).unwrap();
    sealer.write_all(&[0]).unwrap();
    let sealed = sealer.finish().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let refused = restored(&sealed, &dir.path().join("none")).unwrap_err();
    assert!(
        matches!(refused, RestoreError::NewerVersion { .. }),
        "{refused}"
    );
}

#[test]
fn a_backup_that_is_damaged_far_inside_is_refused() {
    let scene = scene();
    let sealed = backup(&scene);
    let dir = tempfile::tempdir().unwrap();
    for at in [sealed.len() / 2, sealed.len() - 1] {
        let mut damaged = sealed.clone();
        damaged[at] ^= 1;
        let refused = Opener::new(&damaged[..], &key()).and_then(|mut opener| {
            read_manifest(&mut opener)?;
            Ok(restore(
                opener,
                &dir.path().join(at.to_string()),
                &mut |_| {},
            ))
        });
        match refused {
            Ok(Err(RestoreError::Backup(OpenError::Damaged(_)))) | Err(OpenError::Damaged(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
