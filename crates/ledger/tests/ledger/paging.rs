//! Listings while others write: a thread begins, settles and adds parts all the time, and yet no
//! record or group that was there when a listing began is missing from it, and none is in it twice.

use std::collections::HashSet;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::scene::{NOW_MS, Scene, failure, msat, node};
use proptest::prelude::*;
use sendpay_ledger::{
    Begun, Direction, Filter, Ledger, ListedPayment, NewPayment, Order, Payment, PaymentHash,
    Preimage, Status,
};

/// Groups of parts that are there before, some of them settled, some half settled.
const GROUPS_BEFORE: u64 = 20;
const PARTS: u64 = 3;
/// What the writer does while a page is read, and before the next but one.
const STEPS_A_PAGE: usize = 2;
/// Pages of a listing beside which it works: more, and the ledger grows faster than it is read.
const PAGES_BESIDE: usize = 20;

fn preimage(number: u64) -> Preimage {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Preimage(bytes)
}

fn part(number: u64, partid: u64) -> NewPayment {
    NewPayment {
        payment_hash: preimage(number).payment_hash(),
        groupid: Some(1),
        partid,
        destination: Some(node((number % 3) as u8)),
        amount_msat: msat(1000),
        amount_sent_msat: msat(1000 + number % 5),
        total_msat: Some(msat(3000)),
        label: Some(["shop", "rent"][(number % 2) as usize].to_owned()),
        bolt11: None,
        description: None,
        route: Vec::new(),
        cltv_expiry: None,
        cap_msat: None,
        request: None,
    }
}

/// A writer with the payments that it has out. What it does next is decided by a small generator, so
/// that a failing case can be run again.
struct Writer {
    ledger: Ledger,
    seed: u64,
    next: u64,
    out: Vec<(u64, Payment)>,
}

impl Writer {
    fn random(&mut self, below: usize) -> usize {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as usize % below
    }

    fn begin(&mut self) {
        self.next += 1;
        for partid in 1..=PARTS {
            let begun = self.ledger.begin(part(self.next, partid), NOW_MS);
            match begun.wait().unwrap() {
                Ok(Begun::New(payment)) => self.out.push((self.next, payment)),
                other => panic!("not new: {other:?}"),
            }
        }
    }

    fn settle(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let place = self.random(self.out.len());
        let (number, payment) = self.out.swap_remove(place);
        let (id, hash) = (payment.payment_id(), payment.payment_hash);
        let ticket = match self.random(2) {
            0 => self.ledger.complete(id, hash, preimage(number), NOW_MS),
            _ => self.ledger.fail(id, Some(hash), failure(), NOW_MS),
        };
        ticket.wait().unwrap().unwrap();
    }

    fn step(&mut self) {
        // A group of three for every three settles: as many stay out as were out before.
        match self.random(4) {
            0 => self.begin(),
            _ => self.settle(),
        }
    }
}

fn all(ledger: &Ledger, filter: &Filter) -> Vec<ListedPayment> {
    let mut payments = Vec::new();
    let next = ledger.page(filter, None, 1_000_000, &mut |payment| {
        payments.push(payment.into_owned());
    });
    assert_eq!(next.unwrap(), None);
    payments
}

/// Reads page by page; the writer goes on beside each page, and has done its steps of one before the
/// next but one.
fn by_pages<C>(steps: &SyncSender<()>, mut page: impl FnMut(Option<C>) -> Option<C>) {
    let mut after = None;
    for read in 0.. {
        if read < PAGES_BESIDE {
            steps.send(()).unwrap();
        }
        after = page(after);
        if after.is_none() {
            return;
        }
    }
}

fn check_records(ledger: &Ledger, steps: &SyncSender<()>, filter: &Filter, rows: usize) {
    let before = all(ledger, filter);
    let mut indexes: Vec<u64> = Vec::new();
    by_pages(steps, |after| {
        let page = ledger.page(filter, after, rows, &mut |payment| {
            indexes.push(payment.created_index);
        });
        page.unwrap()
    });
    let once: HashSet<u64> = indexes.iter().copied().collect();
    assert_eq!(once.len(), indexes.len(), "twice: {filter:?} {indexes:?}");
    for payment in &before {
        assert!(
            once.contains(&payment.created_index),
            "skipped {payment:?}: {filter:?}"
        );
    }
    if filter.order == Order::Created {
        let mut sorted = indexes.clone();
        sorted.sort_unstable();
        if filter.direction == Direction::Descending {
            sorted.reverse();
        }
        assert_eq!(indexes, sorted);
    }
}

fn check_groups(ledger: &Ledger, steps: &SyncSender<()>, filter: &Filter, rows: usize) {
    let payments = all(ledger, &Filter::default()).into_iter();
    let before: HashSet<PaymentHash> = payments
        .filter(|payment| filter.label.is_none() || payment.label == filter.label)
        .map(|payment| payment.payment_hash)
        .collect();
    let mut listed = Vec::new();
    by_pages(steps, |after| {
        let page = ledger.groups_page(filter, after, rows, &mut |group| {
            listed.push(group.payment_hash);
        });
        page.unwrap()
    });
    let once: HashSet<PaymentHash> = listed.iter().copied().collect();
    assert_eq!(once.len(), listed.len(), "twice: {filter:?}");
    let skipped: Vec<_> = before.difference(&once).collect();
    assert!(skipped.is_empty(), "skipped {skipped:?}: {filter:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A case is a ledger, a writer and sixteen listings: `PROPTEST_CASES` runs more.
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(4),
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_listing_neither_skips_nor_repeats_while_others_write(
        seed in any::<u64>(),
        rows in 1..4usize,
    ) {
        let scene = Scene::new();
        let ledger = &scene.ledger;
        let mut writer = Writer { ledger: ledger.clone(), seed, next: 0, out: Vec::new() };
        for _ in 0..GROUPS_BEFORE {
            writer.begin();
            writer.settle();
            writer.settle();
        }
        std::thread::scope(|scope| {
            let (steps, asked) = sync_channel(1);
            scope.spawn(move || {
                for () in asked {
                    (0..STEPS_A_PAGE).for_each(|_| writer.step());
                }
            });
            for order in [Order::Created, Order::Updated] {
                for direction in [Direction::Ascending, Direction::Descending] {
                    for label in [None, Some("shop".to_owned())] {
                        let filter = Filter { order, direction, label, ..Filter::default() };
                        check_records(ledger, &steps, &filter, rows);
                        check_groups(ledger, &steps, &filter, rows);
                    }
                }
            }
        });
    }
}

/// Payments that are made, fail and are removed while it is listed.
const REMOVED: u64 = 400;

/// A removed payment's invoice leaves its row to the next one: a page that read the records before
/// and the texts after that would show an invoice of somebody else.
#[test]
fn a_record_is_never_listed_with_the_invoice_of_another() {
    let scene = Scene::new();
    let ledger = scene.ledger.clone();
    let invoice = |hash: &PaymentHash| format!("lnbcrt{hash}");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..REMOVED {
                let new = part(number, 1);
                let hash = new.payment_hash;
                let bolt11 = Some(invoice(&hash));
                let begun = ledger.begin(NewPayment { bolt11, ..new }, NOW_MS);
                let Ok(Begun::New(payment)) = begun.wait().unwrap() else {
                    panic!("not new");
                };
                let failed = ledger.fail(payment.payment_id(), Some(hash), failure(), NOW_MS);
                failed.wait().unwrap().unwrap();
                let removed = ledger.delete(hash, Status::Failed, None, NOW_MS);
                assert_eq!(removed.wait().unwrap().unwrap().len(), 1);
            }
        });
        while !writer.is_finished() {
            let page = scene
                .ledger
                .page(&Filter::default(), None, 10, &mut |payment| {
                    let expected = invoice(&payment.payment_hash);
                    assert_eq!(payment.bolt11, Some(expected.as_str()));
                });
            page.unwrap();
            let groups = scene
                .ledger
                .groups_page(&Filter::default(), None, 10, &mut |group| {
                    assert_eq!(group.bolt11, Some(invoice(&group.payment_hash)));
                });
            groups.unwrap();
        }
    });
}

/// The groups of the ledger: the number where each stands, and how many parts are out or paid.
fn groups(scene: &Scene, rows: usize) -> Vec<(u64, u64)> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = scene
            .ledger
            .groups_page(&Filter::default(), after, rows, &mut |group| {
                listed.push((group.created_index, group.number_of_parts));
            });
        match page.unwrap() {
            Some(next) => after = Some(next),
            None => return listed,
        }
    }
}

#[test]
fn a_group_stands_at_the_first_part_that_is_left_of_it() {
    let scene = Scene::new();
    let begin = |partid| scene.begin(crate::scene::part(1, 1, partid));
    let (first, _second) = (begin(1), begin(2));
    let other = scene.begin(crate::scene::part(2, 1, 0));
    scene.fail(&first);
    scene.fail(&other);
    let remove = |payment: &Payment| {
        let place = Some((payment.groupid, payment.partid));
        let removed =
            scene
                .ledger
                .delete(payment.payment_hash, Status::Failed, place, NOW_MS + 2000);
        assert_eq!(removed.wait().unwrap().unwrap().len(), 1);
    };
    for rows in [1, 10] {
        assert_eq!(groups(&scene, rows), [(1, 1), (3, 0)]);
    }
    remove(&first);
    begin(3);
    for rows in [1, 10] {
        assert_eq!(groups(&scene, rows), [(2, 2), (3, 0)]);
    }
    // Of this group nothing is left: what comes then is its first part that is there.
    remove(&other);
    scene.begin(crate::scene::part(2, 1, 4));
    for rows in [1, 10] {
        assert_eq!(groups(&scene, rows), [(2, 2), (5, 1)]);
    }
}
