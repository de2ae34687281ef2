//! The promises, where they are kept by the schema: each is broken here by raw SQL, past the code,
//! and SQLite refuses. And the words that each outcome has, told live, again and late.

use crate::scene::{NOW_MS, Scene, failure, hash, part, preimage};
use rusqlite::Connection;
use sendpay_ledger::{Failure, Ledger, NewPayment, Settled, Status, Warning};

/// Breaking a promise by SQL, and what SQLite says. Record 1 is complete, 2 failed, 3 pending, 4
/// was complete and is deleted; the hash of 5 was claimed late.
const BREACHES: &[(&str, &str)] = &[
    (
        "UPDATE payment SET status = 2, preimage = NULL WHERE created_index = 1",
        "L2",
    ),
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32) WHERE created_index = 2",
        "L2",
    ),
    (
        "UPDATE payment SET completed_at = 9e15 WHERE created_index = 1",
        "L2",
    ),
    (
        "UPDATE payment SET message = NULL, code = NULL WHERE created_index = 2",
        "L2",
    ),
    (
        "UPDATE payment SET payment_hash = zeroblob(32) WHERE created_index = 3",
        "L2",
    ),
    (
        "UPDATE payment SET amount_msat = 5 WHERE created_index = 3",
        "L2",
    ),
    (
        "UPDATE payment SET created_index = 99 WHERE created_index = 3",
        "L2",
    ),
    (
        "UPDATE payment SET groupid = 9 WHERE created_index = 3",
        "L2",
    ),
    (
        "UPDATE payment SET route = x'01' WHERE created_index = 3",
        "L2",
    ),
    (
        "UPDATE payment SET follows = 1 WHERE created_index = 3",
        "L2",
    ),
    // L3: complete if and only if there is a preimage.
    (
        "UPDATE payment SET status = 1, completed_at = 9000000000000, updated_index = 99,
        settled_change = 99 WHERE created_index = 3",
        "CHECK",
    ),
    (
        "UPDATE payment SET preimage = zeroblob(32) WHERE created_index = 3",
        "CHECK",
    ),
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(31), completed_at = 9000000000000,
        updated_index = 99, settled_change = 99 WHERE created_index = 3",
        "CHECK",
    ),
    // Settled if and only if it has a time and its numbers; never before it began.
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32), updated_index = 99,
        settled_change = 99 WHERE created_index = 3",
        "CHECK",
    ),
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32), completed_at = 1,
        updated_index = 99, settled_change = 99 WHERE created_index = 3",
        "CHECK",
    ),
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32), completed_at = 9000000000000,
        settled_change = 99 WHERE created_index = 3",
        "CHECK",
    ),
    (
        "UPDATE payment SET status = 2, completed_at = 9000000000000, updated_index = 99,
        settled_change = 99 WHERE created_index = 3",
        "CHECK",
    ),
    (
        "UPDATE payment SET status = 3 WHERE created_index = 3",
        "CHECK",
    ),
    // L5: numbers.
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32), completed_at = 9000000000000,
        updated_index = 1, settled_change = 99 WHERE created_index = 3",
        "UNIQUE",
    ),
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32), completed_at = 9000000000000,
        updated_index = 99, settled_change = 2 WHERE created_index = 3",
        "CHECK",
    ),
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32), completed_at = 9000000000000,
        updated_index = 99, settled_change = 10 WHERE created_index = 3",
        "L5",
    ),
    (
        "UPDATE payment SET status = 1, preimage = zeroblob(32), completed_at = 9000000000000,
        updated_index = 0, settled_change = 99 WHERE created_index = 3",
        "L5",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      VALUES (99, 9, zeroblob(32), 1, 0, 1, 1, 1, 1, x'01')",
        "L5",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      VALUES (4, 99, zeroblob(32), 1, 0, 1, 1, 1, 1, x'01')",
        "L5",
    ),
    (
        "INSERT INTO payment (created_index, created_change, updated_index, settled_change,
        payment_hash, groupid, partid, amount_msat, amount_sent_msat, total_msat, created_at,
        completed_at, status, preimage, route)
      VALUES (99, 98, 1000, 99, zeroblob(32), 1, 0, 1, 1, 1, 1, 1, 1, zeroblob(32), x'01'),
        (100, 100, 999, 101, zeroblob(32), 1, 1, 1, 1, 1, 1, 1, 1, zeroblob(32), x'01')",
        "L5",
    ),
    ("UPDATE counter SET change = change - 1", "L5"),
    ("UPDATE counter SET created = 0", "L5"),
    ("UPDATE counter SET invoice_deleted = -1", "L5"),
    ("DELETE FROM counter", "L5"),
    ("DELETE FROM payment WHERE created_index = 3", "L5"),
    ("DELETE FROM payment WHERE created_index = 1", "L5"),
    // L7: the same part, what is paid, what is out in another group, what was deleted, late.
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      SELECT 99, 99, payment_hash, groupid, partid, 1, 1, 1, 1, x'01' FROM payment
      WHERE created_index = 3",
        "UNIQUE",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      SELECT 99, 99, payment_hash, 77, 0, 1, 1, 1, 1, x'01' FROM payment
      WHERE created_index = 1",
        "L7",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      SELECT 99, 99, payment_hash, 77, 0, 1, 1, 1, 1, x'01' FROM payment
      WHERE created_index = 3",
        "L7",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      SELECT 99, 99, payment_hash, 77, 0, 1, 1, 1, 1, x'01' FROM deleted",
        "L7",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      SELECT 99, 99, payment_hash, 77, 0, 1, 1, 1, 1, x'01' FROM late_preimage",
        "L7",
    ),
    ("DELETE FROM deleted", "L7"),
    ("UPDATE deleted SET status = 2, preimage = NULL", "L7"),
    ("DELETE FROM late_preimage", "L4"),
    ("DELETE FROM text", "may share stays"),
    ("UPDATE text SET body = 'x'", "never changes"),
    // Shapes.
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      VALUES (99, 99, zeroblob(31), 1, 0, 1, 1, 1, 1, x'01')",
        "CHECK",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      VALUES (99, 99, zeroblob(32), 1, 0, 2100000000000000001, 1, 1, 1, x'01')",
        "CHECK",
    ),
    (
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
        amount_msat, amount_sent_msat, total_msat, created_at, route)
      VALUES (99, 99, zeroblob(32), -1, 0, 1, 1, 1, 1, x'01')",
        "CHECK",
    ),
];

fn scene_of_all_kinds() -> Scene {
    let scene = Scene::new();
    scene.complete(&scene.begin(part(1, 1, 0)), 1);
    scene.fail(&scene.begin(part(2, 1, 0)));
    scene.begin(part(3, 1, 0));
    scene.complete(&scene.begin(part(4, 1, 0)), 4);
    let deleted = scene.ledger.delete(hash(4), Status::Complete, None, NOW_MS);
    assert_eq!(deleted.wait().unwrap().unwrap().len(), 1);
    let late = scene.begin(part(5, 1, 0));
    scene.fail(&late);
    let kept = scene
        .ledger
        .complete(late.payment_id(), hash(5), preimage(5), NOW_MS);
    assert_eq!(kept.wait().unwrap().unwrap(), Settled::PreimageKept);
    scene
}

#[test]
fn the_schema_refuses_what_would_break_a_promise() {
    let scene = scene_of_all_kinds();
    scene.store.close();
    let raw = Connection::open(scene.directory.path().join("ledger.sqlite")).unwrap();
    for (sql, promise) in BREACHES {
        let refused = raw.execute(sql, []).expect_err(sql).to_string();
        assert!(refused.contains(promise), "{sql}: {refused}");
    }
    // The same rows, settled as they should be, are let in: the table above refuses for its reason.
    let settled = raw.execute(
        "UPDATE payment SET status = 1, preimage = zeroblob(32), completed_at = 9000000000000,
            updated_index = 99, settled_change = 99 WHERE created_index = 3",
        [],
    );
    assert_eq!(settled, Ok(1));
}

#[test]
fn an_outcome_told_again_or_too_late_changes_nothing() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 0));
    let settled = scene.complete(&one, 1);
    assert_eq!(settled.status, Status::Complete);
    assert_eq!(settled.completed_at_ms, Some(NOW_MS + 1000));
    let counters = scene.ledger.counters().unwrap();
    let (id, payment_hash) = (one.payment_id(), one.payment_hash);
    let complete = |now_ms| {
        let ticket = scene.ledger.complete(id, payment_hash, preimage(1), now_ms);
        ticket.wait().unwrap()
    };
    let fail = |payment_hash| {
        let ticket = scene
            .ledger
            .fail(id, payment_hash, failure(), NOW_MS + 9000);
        ticket.wait().unwrap().unwrap()
    };
    assert_eq!(complete(NOW_MS + 9000).unwrap(), Settled::AlreadySo);
    assert_eq!(fail(Some(payment_hash)), Settled::CompleteStays);
    assert_eq!(fail(None), Settled::Unknown);
    assert_eq!(scene.ledger.counters().unwrap(), counters);
    let found = scene.ledger.payment(payment_hash, 1, 0).unwrap().unwrap();
    assert_eq!(found, settled);
    // Deleted: even of a later record of the same hash the old event changes nothing.
    scene
        .ledger
        .delete(payment_hash, Status::Complete, None, NOW_MS)
        .wait()
        .unwrap()
        .unwrap();
    assert_eq!(complete(NOW_MS).unwrap(), Settled::Unknown);
    assert_eq!(fail(Some(payment_hash)), Settled::Unknown);
}

#[test]
fn an_event_of_a_deleted_record_never_meets_a_later_one() {
    let scene = Scene::new();
    let old = scene.begin(part(1, 1, 0));
    scene.fail(&old);
    scene
        .ledger
        .delete(hash(1), Status::Failed, None, NOW_MS)
        .wait()
        .unwrap()
        .unwrap();
    let new = scene.begin(part(1, 2, 0));
    let again = scene
        .ledger
        .fail(old.payment_id(), Some(hash(1)), failure(), NOW_MS);
    assert_eq!(again.wait().unwrap().unwrap(), Settled::Unknown);
    let found = scene.ledger.payment(hash(1), 2, 0).unwrap();
    assert_eq!(found, Some(new));
}

#[test]
fn a_failure_without_a_hash_finds_its_pending_record() {
    let scene = Scene::new();
    scene.begin(part(1, 1, 0));
    let second = scene.begin(part(2, 1, 0));
    let failed = scene
        .ledger
        .fail(second.payment_id(), None, failure(), NOW_MS);
    let Settled::Changed(failed) = failed.wait().unwrap().unwrap() else {
        panic!("not changed");
    };
    let failed = scene.record(failed);
    assert_eq!(failed.created_index, second.created_index);
    assert_eq!(failed.failure, Some(failure()));
}

#[test]
fn a_preimage_that_proves_nothing_is_refused() {
    let scene = Scene::new();
    let payment = scene.begin(part(1, 1, 0));
    let wrong = scene
        .ledger
        .complete(payment.payment_id(), hash(1), preimage(2), NOW_MS);
    assert!(wrong.wait().unwrap().is_err());
    let found = scene.ledger.payment(hash(1), 1, 0).unwrap();
    assert_eq!(found, Some(payment));
}

#[test]
fn a_claim_after_failure_is_kept_warned_of_and_told_once() {
    let scene = Scene::new();
    let payment = scene.begin(part(1, 1, 0));
    let failed = scene.fail(&payment);
    for seen in [NOW_MS + 2000, NOW_MS + 3000] {
        let late = scene
            .ledger
            .complete(payment.payment_id(), hash(1), preimage(1), seen);
        assert_eq!(late.wait().unwrap().unwrap(), Settled::PreimageKept);
    }
    let warning = Warning::LatePreimage {
        payment_hash: hash(1),
        created_index: 1,
        seen_at_ms: NOW_MS + 2000,
    };
    assert_eq!(scene.ledger.warnings().unwrap(), [warning]);
    // L2: the record itself stays as it was.
    assert_eq!(scene.ledger.payment(hash(1), 1, 0).unwrap(), Some(failed));
    // Deleting the record does not make the hash payable again.
    scene
        .ledger
        .delete(hash(1), Status::Failed, None, NOW_MS)
        .wait()
        .unwrap()
        .unwrap();
    let again = scene.ledger.begin(part(1, 2, 0), NOW_MS);
    assert!(again.wait().unwrap().is_err());
}

#[test]
fn a_clock_that_goes_back_never_settles_a_record_before_it_began() {
    let scene = Scene::new();
    let payment = scene.begin(part(1, 1, 0));
    let settled = scene
        .ledger
        .complete(payment.payment_id(), hash(1), preimage(1), 5);
    let Settled::Changed(settled) = settled.wait().unwrap().unwrap() else {
        panic!("not changed");
    };
    let settled = scene.record(settled);
    assert_eq!(settled.completed_at_ms, Some(NOW_MS));
}

#[test]
fn a_failure_code_out_of_its_range_changes_nothing() {
    let scene = Scene::new();
    let payment = scene.begin(part(1, 1, 0));
    let wrong = Failure {
        code: 1,
        ..failure()
    };
    let counters = scene.ledger.counters().unwrap();
    let refused = scene
        .ledger
        .fail(payment.payment_id(), Some(hash(1)), wrong, NOW_MS);
    assert!(refused.wait().unwrap().is_err());
    assert_eq!(scene.ledger.counters().unwrap(), counters);
    assert_eq!(scene.ledger.payment(hash(1), 1, 0).unwrap(), Some(payment));
}

#[test]
fn who_waits_is_told_after_the_commit_and_only_of_its_hash() {
    let scene = Scene::new();
    let payment = scene.begin(part(1, 1, 0));
    let other = scene.begin(part(2, 1, 0));
    let mut waiter = Box::pin(scene.ledger.changed(hash(1)));
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    scene.fail(&other);
    assert!(waiter.as_mut().poll(&mut context).is_pending());
    let ticket = scene
        .ledger
        .complete(payment.payment_id(), hash(1), preimage(1), NOW_MS);
    futures_executor::block_on(waiter);
    // Told: so it is there to be read, whether or not its ticket was looked at.
    let found = scene.ledger.payment(hash(1), 1, 0).unwrap().unwrap();
    assert_eq!(found.status, Status::Complete);
    drop(ticket);
    let deleted = scene.ledger.changed(hash(1));
    drop(scene.ledger.delete(hash(1), Status::Complete, None, NOW_MS));
    futures_executor::block_on(deleted);
    assert_eq!(scene.ledger.payment(hash(1), 1, 0).unwrap(), None);
}

#[test]
fn all_is_as_it_was_after_the_file_is_opened_again() {
    let scene = scene_of_all_kinds();
    let seen = |ledger: &Ledger| {
        let mut all = Vec::new();
        let end = ledger.page(&Default::default(), None, 100, &mut |payment| {
            all.push((payment.payment_hash, payment.groupid, payment.partid));
        });
        assert_eq!(end.unwrap(), None);
        let whole =
            |(hash, groupid, partid)| ledger.payment(hash, groupid, partid).unwrap().unwrap();
        let all: Vec<_> = all.into_iter().map(whole).collect();
        let (counters, totals) = (ledger.counters().unwrap(), ledger.totals().unwrap());
        (all, counters, totals, ledger.warnings().unwrap())
    };
    let before = seen(&scene.ledger);
    assert_eq!(before.0.len(), 4);
    scene.store.close();
    let (_store, again) = Ledger::open(&scene.directory.path().join("ledger.sqlite")).unwrap();
    assert_eq!(seen(&again), before);
}

#[test]
fn the_views_read_as_the_records_do() {
    let scene = scene_of_all_kinds();
    let raw = Connection::open(scene.directory.path().join("ledger.sqlite")).unwrap();
    let row = raw.query_row(
        "SELECT payment_hash, status, payment_preimage, destination FROM sendpays
         WHERE created_index = 1",
        [],
        |row| <(String, String, String, String)>::try_from(row),
    );
    let expected = (
        hash(1).to_string(),
        "complete".to_owned(),
        preimage(1).to_string(),
        crate::scene::node(2).to_string(),
    );
    assert_eq!(row.unwrap(), expected);
    let why: (i64, String) = raw
        .query_row(
            "SELECT failcode, message FROM sendpays WHERE status = 'failed' AND created_index = 2",
            [],
            |row| row.try_into(),
        )
        .unwrap();
    assert_eq!(why, (0x1007, "reply from remote".to_owned()));
    let deleted: String = raw
        .query_row("SELECT payment_hash FROM deleted_sendpays", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(deleted, hash(4).to_string());
    let invoices: i64 = raw
        .query_row("SELECT count(*) FROM invoices", [], |row| row.get(0))
        .unwrap();
    assert_eq!(invoices, 0);
}

#[test]
fn an_invoice_is_stored_once_for_all_parts_and_tries_of_it() {
    let scene = Scene::new();
    let with = |number, groupid, partid, bolt11: &str| NewPayment {
        bolt11: Some(bolt11.to_owned()),
        label: Some("a label of many".to_owned()),
        ..part(number, groupid, partid)
    };
    scene.begin(with(1, 1, 1, "lnbc one"));
    scene.begin(with(1, 1, 2, "lnbc one"));
    let third = scene.begin(with(2, 1, 0, "lnbc two"));
    scene.fail(&third);
    let again = scene.begin(with(2, 2, 0, "lnbc two"));
    assert_eq!(again.bolt11.as_deref(), Some("lnbc two"));
    let stored = scene.store.read(|connection| {
        connection
            .prepare("SELECT body FROM text ORDER BY body")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<Vec<String>, rusqlite::Error>>()
    });
    let wanted = ["a label of many", "lnbc one", "lnbc two"];
    let mut stored = stored.unwrap();
    stored.retain(|body| wanted.contains(&body.as_str()));
    assert_eq!(stored, wanted);
}
