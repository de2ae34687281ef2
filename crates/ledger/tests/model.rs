//! Random histories of begin, complete, fail, delete, repeat and crash, events replayed and out of
//! order, against a plain model; L2, L3, L5 and L7 are checked after each step besides.
//!
//! `PROPTEST_CASES=10000 cargo test -p sendpay-ledger --test model` runs longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "model/mod.rs"]
mod reference;
#[path = "model/steps.rs"]
mod steps;

use std::collections::HashMap;
use std::path::PathBuf;

use proptest::prelude::*;
use reference::{Answer, Model, Record};
use sendpay_ledger::{
    BeginError, Begun, ChangeKind, DeleteError, Filter, Ledger, ListedPayment, Msat, NewPayment,
    Order, Payment, PaymentId, SettleError, Settled, Status, Store, Warning, payment_id,
};
use steps::{Step, hash, preimage, step};
use tempfile::TempDir;

/// The ledger, the model, and what was ever seen of both.
struct World {
    directory: TempDir,
    generation: u32,
    store: Store,
    ledger: Ledger,
    model: Model,
    /// Every record that was ever begun: number of its hash, id, created_index.
    issued: Vec<(u8, PaymentId, u64)>,
    /// L2: what each record was when it was settled.
    settled: HashMap<u64, Record>,
    now_ms: u64,
}

impl World {
    fn new() -> World {
        let directory = TempDir::new().unwrap();
        let (store, ledger) = Ledger::open(&directory.path().join("0.sqlite")).unwrap();
        World {
            directory,
            generation: 0,
            store,
            ledger,
            model: Model::default(),
            issued: Vec::new(),
            settled: HashMap::new(),
            now_ms: 1_000_000,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory
            .path()
            .join(format!("{}.sqlite", self.generation))
    }

    fn take(&mut self, step: Step) {
        // Clocks go back too.
        self.now_ms = match self.model.counters.change % 5 {
            0 => self.now_ms - 1500,
            _ => self.now_ms + 1000,
        };
        let now_ms = self.now_ms;
        match step {
            Step::Begin(new) => self.begin(new),
            Step::Parts(new) => {
                let groupid = new.groupid.or(Some(self.model.judge(&new).0));
                for partid in 1..=3 {
                    self.begin(NewPayment {
                        groupid,
                        partid,
                        amount_msat: Msat::new(1000).unwrap(),
                        total_msat: Msat::new(3000),
                        ..new.clone()
                    });
                }
            }
            Step::Complete(which) => {
                if let Some((number, id, index)) = self.pick(which) {
                    let answer = self
                        .ledger
                        .complete(id, hash(number), preimage(number), now_ms);
                    let expected =
                        self.model
                            .complete(index, hash(number), preimage(number), now_ms);
                    let answer = answer.wait().unwrap();
                    assert_eq!(self.settled(answer), expected);
                }
            }
            Step::CompleteWithoutProof(which) => {
                if let Some((number, id, index)) = self.pick(which) {
                    let wrong = preimage(number + 1);
                    let answer = self.ledger.complete(id, hash(number), wrong, now_ms);
                    let expected = self.model.complete(index, hash(number), wrong, now_ms);
                    let answer = answer.wait().unwrap();
                    assert_eq!(self.settled(answer), expected);
                }
            }
            Step::Fail(which, with_hash, failure) => {
                if let Some((number, id, index)) = self.pick(which) {
                    let named = with_hash.then(|| hash(number));
                    let answer = self.ledger.fail(id, named, failure.clone(), now_ms);
                    let expected = self.model.fail(index, with_hash, failure, now_ms);
                    let answer = answer.wait().unwrap();
                    assert_eq!(self.settled(answer), expected);
                }
            }
            Step::Stray(number) => {
                let id = payment_id(&hash(number), 77, 0, 7777);
                let answer = self
                    .ledger
                    .complete(id, hash(number), preimage(number), now_ms);
                let answer = answer.wait().unwrap();
                assert_eq!(self.settled(answer), Answer::Word("unknown"));
            }
            Step::Delete(number, status, part) => {
                let answer = self.ledger.delete(hash(number), status, part, now_ms);
                let expected = self.model.delete(hash(number), status, part);
                assert_eq!(deleted(answer.wait().unwrap()), expected);
            }
            Step::Crash(lost) => self.crash(lost),
        }
    }

    fn pick(&self, which: prop::sample::Index) -> Option<(u8, PaymentId, u64)> {
        (!self.issued.is_empty()).then(|| *which.get(&self.issued))
    }

    fn begin(&mut self, new: NewPayment) {
        let before = self.model.clone();
        let (_, foretold) = self.model.judge(&new);
        let peeked = self.ledger.peek(&new);
        let peeked = match peeked {
            Ok(None) => None,
            Ok(Some(answer)) => Some(begun(Ok(answer))),
            Err(error) => Some(begun(Err(error))),
        };
        assert_eq!(peeked, foretold);
        let expected = self.model.begin(&new, self.now_ms);
        let answer = begun(self.ledger.begin(new, self.now_ms).wait().unwrap());
        assert_eq!(answer, expected);
        if let Answer::New(record) = answer {
            self.check_l7(&before, &record);
            let number = (0..3).find(|number| hash(*number) == record.payment_hash);
            let id = payment_id(
                &record.payment_hash,
                record.groupid,
                record.partid,
                record.created_index,
            );
            self.issued
                .push((number.unwrap(), id, record.created_index));
        }
    }

    /// L7, said without the repeat rules: a new HTLC goes out only for a hash that nothing has
    /// paid, deleted or not, and beside no other group's.
    fn check_l7(&self, before: &Model, record: &Record) {
        for earlier in before.records.iter().chain(&before.deleted) {
            if earlier.payment_hash != record.payment_hash {
                continue;
            }
            assert_ne!(earlier.status, Status::Complete, "paid twice: {record:?}");
            if earlier.status == Status::Pending {
                assert_eq!(earlier.groupid, record.groupid, "two groups: {record:?}");
            }
            assert_ne!(
                (earlier.groupid, earlier.partid),
                (record.groupid, record.partid)
            );
        }
        let mut late = before.late.iter();
        assert!(late.all(|(hash, _)| *hash != record.payment_hash));
        // L5: no number twice.
        assert!(
            self.issued
                .iter()
                .all(|(.., index)| *index < record.created_index)
        );
    }

    /// The files as they are on disk now are all that is left.
    fn crash(&mut self, lost: Option<NewPayment>) {
        let from = self.path();
        self.generation += 1;
        let to = self.path();
        for suffix in ["", "-wal"] {
            let name = |path: &PathBuf| {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                PathBuf::from(name)
            };
            std::fs::copy(name(&from), name(&to)).unwrap();
        }
        if let Some(lost) = lost {
            drop(self.ledger.begin(lost, self.now_ms));
        }
        self.store.close();
        (self.store, self.ledger) = Ledger::open(&to).unwrap();
    }

    fn check(&mut self) {
        let listed = self.check_listings();
        for record in &listed {
            if record.status != Status::Pending {
                // L2: a settled record is for ever what it was when it was settled.
                let first = self.settled.entry(record.created_index);
                assert_eq!(first.or_insert_with(|| record.clone()), record);
            }
        }
        assert_eq!(self.ledger.totals().unwrap(), self.model.totals());
        // L5: every change has a number of its own.
        let counters = self.ledger.counters().unwrap();
        assert_eq!(counters, self.model.counters);
        assert_eq!(
            counters.change,
            counters.created + counters.updated + counters.deleted
        );
        let warned: Vec<_> = self
            .ledger
            .warnings()
            .unwrap()
            .into_iter()
            .map(
                |Warning::LatePreimage {
                     payment_hash,
                     created_index,
                     ..
                 }| (payment_hash, created_index),
            )
            .collect();
        let mut late = self.model.late.clone();
        late.sort_by_key(|(_, index)| *index);
        assert_eq!(warned, late);
        self.check_lookups();
        self.check_changes();
    }

    /// L5: the feed tells of every change there ever was, in order, of deleted records too.
    fn check_changes(&self) {
        let mut told = Vec::new();
        let page = 1 + self.model.changes.len() % 7;
        let mut after = 0;
        while let Some(last) = self
            .ledger
            .changes(after, page, &mut |change| {
                assert_eq!(change.number, told.len() as u64 + 1);
                change.payment.invariants().unwrap();
                let settled = change.kind != ChangeKind::Created;
                assert_eq!(change.payment.status != Status::Pending, settled);
                told.push((change.kind, change.payment.created_index));
            })
            .unwrap()
        {
            after = last;
        }
        assert_eq!(told, self.model.changes);
    }

    fn check_lookups(&self) {
        let pending = self.ledger.pending_own().unwrap();
        assert_eq!(
            records(&pending),
            self.model
                .list(None, Some(Status::Pending), Order::Created, 0)
        );
        for number in 0..3 {
            let of_hash = self.model.list(Some(hash(number)), None, Order::Created, 0);
            assert_eq!(
                self.ledger.last_groupid(hash(number)).unwrap(),
                of_hash.iter().map(|record| record.groupid).max()
            );
            for record in &of_hash {
                let found = self
                    .ledger
                    .payment(record.payment_hash, record.groupid, record.partid)
                    .unwrap();
                assert_eq!(found.as_ref().map(Record::from).as_ref(), Some(record));
                let mut group: Vec<Record> = of_hash
                    .iter()
                    .filter(|other| other.groupid == record.groupid)
                    .cloned()
                    .collect();
                group.sort_by_key(|record| record.partid);
                let found = self.ledger.group(record.payment_hash, record.groupid);
                assert_eq!(records(&found.unwrap()), group);
            }
        }
    }

    /// Compares every listing, in pages; returns all records.
    fn check_listings(&self) -> Vec<Record> {
        let change = self.model.counters.change;
        // Another size of page and another start each time.
        let (page, start) = (1 + change as usize % 4, change / 3);
        let hashes = [None, Some(hash((change % 3) as u8))];
        let statuses = [
            None,
            Some(Status::Pending),
            Some(Status::Complete),
            Some(Status::Failed),
        ];
        for payment_hash in hashes {
            for status in statuses {
                for order in [Order::Created, Order::Updated] {
                    for start in [0, start] {
                        let filter = Filter {
                            payment_hash,
                            status,
                            order,
                            start,
                            ..Filter::default()
                        };
                        assert_eq!(
                            self.list(&filter, page),
                            self.model.list(payment_hash, status, order, start),
                            "{filter:?}"
                        );
                        assert_eq!(
                            self.groups(&filter, page),
                            self.model.groups(payment_hash, status, order, start),
                            "{filter:?}"
                        );
                    }
                }
            }
        }
        self.list(&Filter::default(), 1000)
    }

    fn settled(&self, answer: Result<Settled, SettleError>) -> Answer {
        match answer {
            Ok(Settled::Changed(settled)) => {
                let filter = Filter {
                    payment_hash: Some(settled.payment_hash),
                    start: settled.created_index,
                    ..Filter::default()
                };
                let record = self.list(&filter, 1).into_iter().next();
                Answer::Changed(record.unwrap())
            }
            Ok(Settled::AlreadySo) => Answer::Word("already so"),
            Ok(Settled::Unknown) => Answer::Word("unknown"),
            Ok(Settled::CompleteStays) => Answer::Word("complete stays"),
            Ok(Settled::PreimageKept) => Answer::Word("preimage kept"),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    /// All of a record that was listed.
    fn whole(&self, listed: &ListedPayment<&str>) -> Record {
        let (hash, groupid, partid) = (listed.payment_hash, listed.groupid, listed.partid);
        let whole = self.ledger.payment(hash, groupid, partid).unwrap().unwrap();
        assert_eq!(whole.listed(), *listed);
        Record::from(&whole)
    }

    fn list(&self, filter: &Filter, page: usize) -> Vec<Record> {
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let had = listed.len();
            after = self
                .ledger
                .page(filter, after, page, &mut |payment| {
                    // L3, on what is read.
                    payment.invariants().unwrap();
                    listed.push(self.whole(payment));
                })
                .unwrap();
            assert!(listed.len() - had <= page);
            if after.is_none() {
                return listed;
            }
            assert_eq!(listed.len() - had, page, "a page short of its end");
        }
    }

    fn groups(&self, filter: &Filter, page: usize) -> Vec<sendpay_ledger::Group> {
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let had = listed.len();
            after = self
                .ledger
                .groups_page(filter, after, page, &mut |group| listed.push(group.clone()))
                .unwrap();
            assert!(listed.len() - had <= page);
            if after.is_none() {
                return listed;
            }
            assert_eq!(listed.len() - had, page, "a page short of its end");
        }
    }
}

fn records(payments: &[Payment]) -> Vec<Record> {
    payments.iter().map(Record::from).collect()
}

fn begun(answer: Result<Begun, BeginError>) -> Answer {
    match answer {
        Ok(Begun::New(payment)) => Answer::New(Record::from(&payment)),
        Ok(Begun::Pending(payment)) => Answer::Pending(Record::from(&payment)),
        Ok(Begun::Complete(payment)) => Answer::Complete(Record::from(&payment)),
        Ok(Begun::Failed(_)) => unreachable!("only of a request with a key"),
        Err(error) => Answer::Refused(error.to_string()),
    }
}

fn deleted(answer: Result<Vec<Payment>, DeleteError>) -> Answer {
    match answer {
        Ok(payments) => Answer::Deleted(records(&payments)),
        Err(error) => Answer::Refused(error.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(64),
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_ledger_answers_as_the_model_does(steps in prop::collection::vec(step(), 1..50)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
    }
}
