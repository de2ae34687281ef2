//! Removing old records: by age and status, never a part of what is still out, and without ever
//! making a hash payable twice.

use rusqlite::Connection;
use sendpay_ledger::{
    Aged, BeginError, Begun, ChangeKind, NewPayment, RETIRED_A_COMMIT_MAX, RetireError, Settled,
    Status,
};

use crate::scene::{NOW_MS, Scene, failure, hash, part, preimage};

/// When the records of a scene are settled.
const SETTLED_MS: u64 = NOW_MS + 1000;

const EVERYTHING: Aged = Aged {
    complete_before_ms: Some(u64::MAX),
    failed_before_ms: Some(u64::MAX),
};

/// The numbers of what is old.
fn old(scene: &Scene, aged: &Aged) -> Vec<u64> {
    let (mut found, mut position) = (Vec::new(), Some(0));
    while let Some(after) = position {
        let page = scene.ledger.aged(aged, after, 3).unwrap();
        assert!(page.payments.len() <= 3);
        found.extend(page.payments.iter().map(|payment| payment.created_index));
        position = page.next;
    }
    found
}

fn retire(scene: &Scene, created_indexes: &[u64]) -> usize {
    let retired = scene.ledger.retire(created_indexes.to_vec(), NOW_MS + 5000);
    retired.wait().unwrap().unwrap()
}

#[test]
fn records_are_old_by_their_status_and_the_time_of_their_end() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 0));
    scene.complete(&one, 1);
    let two = scene.begin(part(2, 1, 0));
    scene.fail(&two);
    scene.begin(part(3, 1, 0));
    let (before, at, after) = (Some(SETTLED_MS - 1), Some(SETTLED_MS), Some(SETTLED_MS + 1));
    for (complete_before_ms, failed_before_ms, expected) in [
        (None, None, &[][..]),
        (before, before, &[]),
        (at, at, &[]),
        (after, None, &[1]),
        (None, after, &[2]),
        (after, at, &[1]),
        (before, after, &[2]),
        (after, after, &[1, 2]),
    ] {
        let aged = Aged {
            complete_before_ms,
            failed_before_ms,
        };
        assert_eq!(old(&scene, &aged), expected, "{aged:?}");
    }
}

#[test]
fn a_group_with_a_pending_part_is_left_alone_until_it_has_ended() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 1));
    let two = scene.begin(part(1, 1, 2));
    scene.fail(&one);
    assert_eq!(old(&scene, &EVERYTHING), []);
    // Also if somebody asks for it by its number.
    assert_eq!(retire(&scene, &[1, 2]), 0);
    assert_eq!(scene.ledger.counters().unwrap().deleted, 0);
    scene.fail(&two);
    assert_eq!(old(&scene, &EVERYTHING), [1, 2]);
    assert_eq!(retire(&scene, &[1, 2]), 2);
    assert_eq!(old(&scene, &EVERYTHING), []);
}

#[test]
fn a_record_whose_failure_was_none_stays_as_evidence() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 0));
    scene.fail(&one);
    let id = one.payment_id();
    let late = scene.ledger.complete(id, hash(1), preimage(1), NOW_MS);
    assert_eq!(late.wait().unwrap().unwrap(), Settled::PreimageKept);
    assert_eq!(old(&scene, &EVERYTHING), []);
    assert_eq!(retire(&scene, &[1]), 0);
}

#[test]
fn what_was_removed_is_numbered_and_never_paid_twice() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 0));
    let one = scene.complete(&one, 1);
    let two = scene.begin(part(2, 1, 0));
    scene.fail(&two);
    assert_eq!(retire(&scene, &[1, 2]), 2);
    assert_eq!(retire(&scene, &[1, 2]), 0, "once");
    let counters = scene.ledger.counters().unwrap();
    assert_eq!((counters.deleted, counters.change), (2, 6));
    let mut told = Vec::new();
    let mut tell = |change: sendpay_ledger::Change| told.push((change.number, change.kind));
    scene.ledger.changes(4, 10, &mut tell).unwrap();
    assert_eq!(told, [(5, ChangeKind::Deleted), (6, ChangeKind::Deleted)]);
    let totals = scene.ledger.totals().unwrap();
    assert_eq!((totals.complete.count, totals.failed.count), (0, 0));
    // L7: the old result, for the same part and for any other.
    for new in [part(1, 1, 0), part(1, 2, 0)] {
        match scene.ledger.begin(new, NOW_MS).wait().unwrap().unwrap() {
            Begun::Complete(payment) => assert_eq!(payment.preimage, one.preimage),
            other => panic!("{other:?}"),
        }
    }
    let again = scene.ledger.begin(part(2, 1, 0), NOW_MS).wait().unwrap();
    assert!(
        matches!(again, Err(BeginError::GroupPartFailed { .. })),
        "{again:?}"
    );
    assert_eq!(scene.begin(part(2, 2, 0)).status, Status::Pending);
}

#[test]
fn a_commit_takes_no_more_than_its_bound() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 0));
    scene.fail(&one);
    let many = vec![1; RETIRED_A_COMMIT_MAX + 1];
    let refused = scene.ledger.retire(many, NOW_MS).wait().unwrap();
    assert!(
        matches!(refused, Err(RetireError::TooMany(_))),
        "{refused:?}"
    );
    assert_eq!(old(&scene, &EVERYTHING), [1]);
}

#[test]
fn a_look_is_bounded_goes_on_past_what_is_kept_and_ends_at_what_is_young() {
    let scene = Scene::new();
    // More than one look takes in.
    for group in 1..1100 {
        let begun = scene
            .ledger
            .begin(part(1, group, 0), NOW_MS)
            .wait()
            .unwrap();
        let Ok(Begun::New(payment)) = begun else {
            panic!("{begun:?}");
        };
        let id = payment.payment_id();
        let failed = scene.ledger.fail(id, Some(hash(1)), failure(), SETTLED_MS);
        assert!(matches!(failed.wait().unwrap(), Ok(Settled::Changed(_))));
    }
    let last = scene.begin(part(2, 1, 0));
    scene.complete(&last, 2);
    let complete = Aged {
        complete_before_ms: Some(u64::MAX),
        failed_before_ms: None,
    };
    let first = scene.ledger.aged(&complete, 0, 10).unwrap();
    assert_eq!((first.payments.len(), first.next), (0, Some(1024)));
    assert_eq!(old(&scene, &complete), [last.created_index]);
    // The first thousand are younger than that: so is what settled after them.
    let young = Aged {
        complete_before_ms: Some(u64::MAX),
        failed_before_ms: Some(SETTLED_MS),
    };
    assert_eq!(old(&scene, &young), []);
    assert_eq!(old(&scene, &EVERYTHING).len(), 1100);
}

#[test]
fn an_invoice_goes_with_its_last_record_and_a_label_stays() {
    let scene = Scene::new();
    let with_texts = |number, groupid| NewPayment {
        label: Some("shop".to_owned()),
        bolt11: Some(format!("lnbcrt{number}")),
        ..part(number, groupid, 0)
    };
    let first = scene.begin(with_texts(1, 1));
    scene.fail(&first);
    let second = scene.begin(with_texts(1, 2));
    let second = scene.fail(&second);
    let other = scene.begin(with_texts(2, 1));
    let other = scene.complete(&other, 2);
    let texts = || {
        let raw = Connection::open(scene.directory.path().join("ledger.sqlite")).unwrap();
        let mut statement = raw
            .prepare("SELECT body FROM text WHERE body <> ?1 ORDER BY body")
            .unwrap();
        let bodies = statement.query_map([failure().message], |row| row.get(0));
        let bodies: Vec<String> = bodies.unwrap().map(Result::unwrap).collect();
        bodies
    };
    assert_eq!(texts(), ["lnbcrt1", "lnbcrt2", "shop"]);
    assert_eq!(retire(&scene, &[first.created_index]), 1);
    assert_eq!(texts(), ["lnbcrt1", "lnbcrt2", "shop"]);
    let left = scene.ledger.payment(hash(1), 2, 0).unwrap();
    assert_eq!(left.unwrap().bolt11, second.bolt11);
    assert_eq!(retire(&scene, &[second.created_index]), 1);
    assert_eq!(texts(), ["lnbcrt2", "shop"]);
    let left = scene.ledger.payment(hash(2), 1, 0).unwrap();
    assert_eq!(left, Some(other));
}
