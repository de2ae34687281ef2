//! The change feed and the indexes of `wait`: nothing missed, nothing twice, in the order of the
//! commits, while others write.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_executor::block_on;
use proptest::prelude::*;
use sendpay_ledger::{Change, ChangeKind, Index, Ledger, Payment, Status};

use crate::scene::{NOW_MS, Scene, hash, part};

/// Every change after that number, a page of that size at a time.
fn all_after(ledger: &Ledger, mut after: u64, rows_max: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        let before = changes.len();
        let last = ledger.changes(after, rows_max, &mut |change| changes.push(change));
        assert!(changes.len() - before <= rows_max);
        match last.unwrap() {
            Some(last) => after = last,
            None => return changes,
        }
    }
}

fn delete(scene: &Scene, payment: &Payment) {
    let part = Some((payment.groupid, payment.partid));
    let deleted = scene
        .ledger
        .delete(payment.payment_hash, payment.status, part, NOW_MS + 2000);
    assert_eq!(deleted.wait().unwrap().unwrap().len(), 1);
}

#[test]
fn every_change_is_told_as_it_was_and_of_a_deleted_record_all_three() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 0));
    let two = scene.begin(part(2, 1, 0));
    let one_complete = scene.complete(&one, 1);
    let two_failed = scene.fail(&two);
    let told = |after| {
        let changes = all_after(&scene.ledger, after, 10).into_iter();
        let plain = changes.map(|change| (change.number, change.kind, change.payment));
        plain.collect::<Vec<_>>()
    };
    let expected = [
        (1, ChangeKind::Created, one),
        (2, ChangeKind::Created, two.clone()),
        (3, ChangeKind::Updated, one_complete.clone()),
        (4, ChangeKind::Updated, two_failed.clone()),
    ];
    assert_eq!(told(0), expected);
    assert_eq!(told(2), expected[2..]);
    assert_eq!(told(4), []);
    delete(&scene, &two_failed);
    let after_deletion = told(0);
    let order: Vec<_> = after_deletion
        .iter()
        .map(|(number, kind, payment)| (*number, *kind, payment.created_index, payment.status))
        .collect();
    let expected = [
        (1, ChangeKind::Created, 1, Status::Pending),
        (2, ChangeKind::Created, 2, Status::Pending),
        (3, ChangeKind::Updated, 1, Status::Complete),
        (4, ChangeKind::Updated, 2, Status::Failed),
        (5, ChangeKind::Deleted, 2, Status::Failed),
    ];
    assert_eq!(order, expected);
    // Of the one that is gone, what its tombstone keeps; of its beginning, nothing of its end.
    for (number, _, payment) in after_deletion
        .iter()
        .filter(|(.., payment)| payment.created_index == two.created_index)
    {
        let lived = if *number == 2 { &two } else { &two_failed };
        assert_eq!(kept(payment), kept(lived), "change {number}");
        assert_eq!((&payment.failure, &payment.label), (&None, &None));
        assert_eq!(payment.route().unwrap(), []);
    }
}

/// What a tombstone keeps of a record, in words.
fn kept(payment: &Payment) -> String {
    let Payment {
        created_index,
        updated_index,
        payment_hash,
        groupid,
        partid,
        destination,
        amount_msat,
        amount_sent_msat,
        total_msat,
        created_at_ms,
        completed_at_ms,
        status,
        preimage,
        ..
    } = payment;
    let part = (created_index, updated_index, payment_hash, groupid, partid);
    let amounts = (destination, amount_msat, amount_sent_msat, total_msat);
    let end = (created_at_ms, completed_at_ms, status, preimage);
    format!("{part:?} {amounts:?} {end:?}")
}

#[test]
fn who_was_away_while_a_record_came_and_went_is_told_of_its_whole_life() {
    let scene = Scene::new();
    scene.begin(part(1, 1, 0));
    // Away from here on.
    let seen = scene.ledger.counters().unwrap().change;
    let short = scene.begin(part(2, 1, 0));
    let short_complete = scene.complete(&short, 2);
    delete(&scene, &short_complete);
    for page in [1, 2, 10] {
        let told = all_after(&scene.ledger, seen, page).into_iter();
        let told: Vec<_> = told
            .map(|change| (change.number, change.kind, kept(&change.payment)))
            .collect();
        let expected = [
            (2, ChangeKind::Created, kept(&short)),
            (3, ChangeKind::Updated, kept(&short_complete)),
            (4, ChangeKind::Deleted, kept(&short_complete)),
        ];
        assert_eq!(told, expected, "pages of {page}");
    }
}

#[test]
fn who_waits_for_any_change_hears_of_each_and_reads_it() {
    let scene = Scene::new();
    let changed = scene.ledger.any_changed();
    let one = scene.begin(part(1, 1, 0));
    block_on(changed);
    assert_eq!(scene.ledger.counters().unwrap().change, 1);
    let changed = scene.ledger.any_changed();
    let one = scene.fail(&one);
    block_on(changed);
    assert_eq!(scene.ledger.counters().unwrap().change, 2);
    let changed = scene.ledger.any_changed();
    delete(&scene, &one);
    block_on(changed);
    assert_eq!(scene.ledger.counters().unwrap().change, 3);
}

#[test]
fn the_first_at_or_after_an_index_is_found_deleted_or_not() {
    let scene = Scene::new();
    let one = scene.begin(part(1, 1, 0));
    let two = scene.begin(part(2, 1, 0));
    let two = scene.fail(&two);
    scene.complete(&one, 1);
    delete(&scene, &two);
    let first = |index, from| {
        let found = scene.ledger.first_payment(index, from).unwrap();
        found.map(|found| (found.index, found.record.payment_hash, found.record.status))
    };
    let complete = Status::Complete;
    for (index, from, expected) in [
        (Index::Created, 0, Some((1, hash(1), complete))),
        (Index::Created, 2, Some((2, hash(2), Status::Failed))),
        (Index::Created, 3, None),
        // The first update was of the record that is gone.
        (Index::Updated, 1, Some((2, hash(1), complete))),
        (Index::Updated, 3, None),
        (Index::Deleted, 1, Some((1, hash(2), Status::Failed))),
        (Index::Deleted, 2, None),
    ] {
        assert_eq!(first(index, from), expected, "{index:?} {from}");
    }
}

/// What one writer does to payments of its own.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Complete(prop::sample::Index),
    Fail(prop::sample::Index),
    Delete(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<prop::sample::Index>;
    let step = prop_oneof![
        5 => Just(Step::Begin),
        2 => which().prop_map(Step::Complete),
        2 => which().prop_map(Step::Fail),
        2 => which().prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..120)
}

/// Takes the steps, each durable before the next.
fn write(scene: &Scene, steps: &[Step]) {
    let mut records: Vec<(u8, Option<Payment>)> = Vec::new();
    for step in steps {
        let at =
            |which: prop::sample::Index, length: usize| (length > 0).then(|| which.index(length));
        let (Step::Complete(which) | Step::Fail(which) | Step::Delete(which)) = *step else {
            let number = u8::try_from(records.len()).unwrap();
            records.push((number, Some(scene.begin(part(number, 1, 0)))));
            continue;
        };
        let Some(at) = at(which, records.len()) else {
            continue;
        };
        let (number, record) = records[at].clone();
        let Some(record) = record else { continue };
        let pending = record.status == Status::Pending;
        records[at].1 = match step {
            Step::Complete(_) if pending => Some(scene.complete(&record, number)),
            Step::Fail(_) if pending => Some(scene.fail(&record)),
            Step::Delete(_) if !pending => {
                delete(scene, &record);
                None
            }
            _ => Some(record),
        };
    }
}

/// What a follower knows from the changes alone.
#[derive(Default)]
struct Follower {
    seen: u64,
    live: BTreeMap<u64, Payment>,
    gone: HashMap<u64, Payment>,
}

impl Follower {
    fn take(&mut self, change: Change) {
        assert_eq!(change.number, self.seen + 1, "after {}", self.seen);
        self.seen = change.number;
        let index = change.payment.created_index;
        match change.kind {
            ChangeKind::Created => {
                assert_eq!(change.payment.status, Status::Pending);
                assert_eq!(self.live.insert(index, change.payment), None);
            }
            ChangeKind::Updated => {
                // Its creation was told before, by L5.
                let before = self.live.insert(index, change.payment).unwrap();
                assert_eq!(before.status, Status::Pending);
            }
            ChangeKind::Deleted => {
                // Its end was told before, whenever this follower came.
                let before = self.live.remove(&index).unwrap();
                assert_ne!(before.status, Status::Pending);
                assert_eq!(self.gone.insert(index, change.payment), None);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A follower reads pages of any size while the writer runs, is cut off after some of them and
    /// comes back with the last number that it took: it ends with exactly what the ledger has.
    #[test]
    fn a_follower_of_a_running_writer_misses_nothing_and_sees_nothing_twice(
        steps in steps(),
        page in 1..9usize,
        taken in prop::collection::vec(0..9usize, 1..6),
    ) {
        let scene = Scene::new();
        let done = AtomicBool::new(false);
        let mut follower = Follower::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                write(&scene, &steps);
                done.store(true, Ordering::SeqCst);
            });
            let mut taken = taken.iter().cycle();
            loop {
                let was_done = done.load(Ordering::SeqCst);
                let mut read = Vec::new();
                let changes = &scene.ledger;
                changes.changes(follower.seen, page, &mut |change| read.push(change)).unwrap();
                if read.is_empty() && was_done {
                    break;
                }
                // Cut off in the middle of a page: the rest of it was never acknowledged.
                let take = (*taken.next().unwrap()).max(usize::from(was_done));
                read.into_iter().take(take).for_each(|change| follower.take(change));
            }
        });
        let counters = scene.ledger.counters().unwrap();
        prop_assert_eq!(follower.seen, counters.change);
        let mut live = BTreeMap::new();
        for payment in follower.live.keys().chain(follower.gone.keys()) {
            let hash = hash(u8::try_from(*payment - 1).unwrap());
            if let Some(payment) = scene.ledger.payment(hash, 1, 0).unwrap() {
                live.insert(payment.created_index, payment);
            }
        }
        prop_assert_eq!(&follower.live, &live);
        let records = follower.live.len() + follower.gone.len();
        prop_assert_eq!(records as u64, counters.created);
    }
}

#[test]
fn a_waiter_of_a_busy_ledger_is_woken_until_it_has_seen_the_last_change() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..100 {
                scene.begin(part(number, 1, 0));
            }
        });
        let mut seen = 0;
        while seen < 100 {
            // Registered before the look, so that no change falls in between.
            let changed = scene.ledger.any_changed();
            let last = scene.ledger.changes(seen, 7, &mut |_| {}).unwrap();
            match last {
                Some(last) => seen = last,
                None => block_on(changed),
            }
        }
    });
}
