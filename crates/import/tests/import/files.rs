//! Which files are read, which are refused and with what words; and that none is touched.

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rusqlite::Connection;
use sendpay_import::{Chain, ClnFile};

use crate::fixture::{Cln, SCHEMAS};
use crate::scene::{OURS, Scene};

/// The names and bytes of everything in a directory, but for the ledger's.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    files
        .filter(|file| file.file_type().unwrap().is_file())
        .map(|file| (file.file_name().into_string().unwrap(), file.path()))
        .filter(|(name, _)| !name.starts_with("ledger."))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

/// The file is refused with these words, and everything is as it was.
fn assert_refused(scene: &Scene, words: &[&str]) {
    let before = contents(scene.dir.path());
    let refused = scene.try_open().err().expect("it was opened").to_string();
    for word in words {
        assert!(refused.contains(word), "{word:?} is not in {refused}");
    }
    assert_eq!(contents(scene.dir.path()), before, "{words:?}");
}

fn filled(version: i64) -> Scene {
    let scene = Scene::new();
    scene.cln(version).fill();
    scene
}

#[test]
fn a_good_file_is_read_and_left_as_it_is() {
    for version in SCHEMAS {
        let scene = filled(version);
        let before = contents(scene.dir.path());
        assert_eq!(scene.import().unwrap().added.payments, 22);
        assert!(contents(scene.dir.path()) == before, "{version}");
    }
}

#[test]
fn a_file_that_is_no_database_of_a_stopped_lightningd_is_refused_by_name() {
    let good = std::fs::read(filled(282).cln_path()).unwrap();
    let cases: [(Vec<u8>, &[&str]); 6] = [
        (Vec::new(), &["is empty"]),
        (b"hello".to_vec(), &["no SQLite database", "encrypted"]),
        // What SQLCipher leaves looks like this.
        (
            (0..16_384u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect(),
            &["no SQLite database", "sqlcipher_export"],
        ),
        (good[..50].to_vec(), &["cut short"]),
        (
            good[..good.len() / 2].to_vec(),
            &["cut short", "lightningd stopped"],
        ),
        (good[..good.len() - 1].to_vec(), &["cut short"]),
    ];
    for (bytes, words) in cases {
        let scene = Scene::new();
        std::fs::write(scene.cln_path(), bytes).unwrap();
        assert_refused(&scene, words);
    }
    let scene = Scene::new();
    assert_refused(&scene, &["is no file", "lightningd.sqlite3"]);
    std::fs::create_dir(scene.cln_path()).unwrap();
    assert_refused(&scene, &["is no file"]);
}

#[test]
fn a_damaged_page_refuses_the_file_and_records_nothing() {
    let scene = filled(282);
    let mut bytes = std::fs::read(scene.cln_path()).unwrap();
    // All but the first page, which holds the list of tables.
    bytes[4096..].fill(0xff);
    std::fs::write(scene.cln_path(), bytes).unwrap();
    let before = scene.dump();
    match scene.try_open() {
        Err(refused) => assert!(refused.to_string().contains("is damaged"), "{refused}"),
        Ok(_) => panic!("it was opened"),
    }
    assert_eq!(scene.dump(), before);
}

#[test]
fn other_programs_and_schemas_that_are_not_read_are_refused_by_name() {
    let scene = Scene::new();
    let other = Connection::open(scene.cln_path()).unwrap();
    other
        .execute_batch("CREATE TABLE version (version INTEGER); CREATE TABLE vars (x);")
        .unwrap();
    drop(other);
    assert_refused(&scene, &["no database of lightningd", "payments"]);
    for (version, words) in [
        (150, "older than v0.10 (schema 150)"),
        (
            200,
            "development version of lightningd after v0.12 (schema 200)",
        ),
        (283, "later than v26.06 (schema 283)"),
    ] {
        let scene = filled(282);
        Connection::open(scene.cln_path())
            .unwrap()
            .execute("UPDATE version SET version = ?1", [version])
            .unwrap();
        assert_refused(&scene, &[words, "v0.10 to v26.06"]);
    }
}

#[test]
fn a_database_elsewhere_is_refused_without_its_password() {
    let scene = Scene::new();
    for url in [
        "postgres://me:secret@db/cln",
        "postgresql://me:secret@db/cln",
    ] {
        let scratch = || Ok(scene.dir.path().to_owned());
        let opened = ClnFile::open(Path::new(url), &scratch, OURS, &[]);
        let refused = opened.err().unwrap().to_string();
        assert!(refused.contains("Postgres"), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
    // CLN's own way to name the file.
    scene.cln(282);
    let url = format!("sqlite3://{}", scene.cln_path().display());
    let scratch = || Ok(scene.dir.path().to_owned());
    ClnFile::open(Path::new(&url), &scratch, OURS, &[]).unwrap();
}

#[test]
fn a_file_of_another_network_is_refused_by_name() {
    let scene = Scene::new();
    scene.cln(282).variable("genesis_hash", &[7; 32]);
    let known = Chain {
        name: "signet",
        genesis: [7; 32],
    };
    let scratch = || Ok(scene.dir.path().to_owned());
    let opened = ClnFile::open(&scene.cln_path(), &scratch, OURS, &[OURS, known]);
    let refused = opened.err().unwrap().to_string();
    assert!(refused.contains("--network signet"), "{refused}");
    assert_refused(&scene, &["0707", "not regtest"]);
}

#[test]
fn a_lightningd_that_runs_is_told_to_stop() {
    let scene = filled(282);
    let socket = UnixListener::bind(scene.dir.path().join("lightning-rpc")).unwrap();
    assert_refused(&scene, &["in use by lightningd", "lightning-cli stop"]);
    // The socket of one that has ended does not matter.
    drop(socket);
    scene.import().unwrap();
}

#[test]
fn a_file_that_is_locked_is_refused() {
    let scene = filled(282);
    let other = Connection::open(scene.cln_path()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = scene.try_open().err().unwrap().to_string();
    assert!(refused.contains("locked by another program"), "{refused}");
    other.execute_batch("ROLLBACK").unwrap();
    scene.import().unwrap();
}

#[test]
fn an_unfinished_commit_is_left_to_lightningd() {
    let scene = filled(282);
    let journal = scene.dir.path().join("lightningd.sqlite3-journal");
    std::fs::write(&journal, [0xd9, 0xd5, 5, 0xf9]).unwrap();
    assert_refused(&scene, &["unfinished commit", "start lightningd once"]);
    // One that is done with.
    std::fs::write(&journal, [0; 512]).unwrap();
    scene.import().unwrap();
}

#[test]
fn what_is_committed_in_the_log_is_read_and_the_log_left() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    cln.connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    cln.payment(1, 1, 1, &[]);
    cln.connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    // In the main file, and nothing in the log.
    let main = std::fs::read(&cln.path).unwrap();
    cln.payment(2, 2, 1, &[]);
    let log = std::fs::read(scene.dir.path().join("lightningd.sqlite3-wal")).unwrap();
    drop(cln);
    let other = Scene::new();
    std::fs::write(other.cln_path(), &main).unwrap();
    let before = contents(other.dir.path());
    assert_eq!(other.import().unwrap().added.payments, 1);
    assert_eq!(contents(other.dir.path()), before);

    std::fs::write(other.dir.path().join("lightningd.sqlite3-wal"), &log).unwrap();
    let before = contents(other.dir.path());
    assert_eq!(other.import().unwrap().added.payments, 1);
    assert_eq!(contents(other.dir.path()), before);
    assert_eq!(other.payments().len(), 2);
}

#[test]
fn what_stands_beside_the_file_that_a_link_leads_to_counts() {
    let scene = Scene::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("lightningd.sqlite3");
    let cln = Cln::new(&path, 282);
    cln.connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    cln.payment(1, 1, 1, &[]);
    std::os::unix::fs::symlink(&path, scene.cln_path()).unwrap();
    // All of it is in the log.
    assert_eq!(scene.import().unwrap().added.payments, 1);
    let socket = UnixListener::bind(elsewhere.path().join("lightning-rpc")).unwrap();
    assert_refused(&scene, &["in use by lightningd"]);
    drop(socket);
    drop(cln);
    std::fs::write(elsewhere.path().join("lightningd.sqlite3-journal"), [1]).unwrap();
    assert_refused(&scene, &["lightningd.sqlite3"]);
}

#[test]
fn a_path_of_odd_characters_is_a_path() {
    let scene = Scene::new();
    let dir = scene.dir.path().join("a?b#c%20 d\u{e9}");
    std::fs::create_dir(&dir).unwrap();
    let path = dir.join("x?mode=rwc");
    Cln::new(&path, 282).fill();
    let scratch = || Ok(scene.dir.path().to_owned());
    let file = ClnFile::open(&path, &scratch, OURS, &[]).unwrap();
    assert_eq!(file.release(), "v26.04 to v26.06");
    assert_eq!(file.node_id(), Some([2; 33]));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}
