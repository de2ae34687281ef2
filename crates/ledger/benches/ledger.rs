//! How fast payments are begun and settled, with fsync on: the ledger's part of each `sendpay`.
//!
//! One writer waits for each of its commits; of a hundred, each has one call in the queue at any
//! time, begins a record, waits until it is durable, settles it, waits again, and so on. Prints
//! records for each commit besides criterion's figures.
//!
//! `LEDGER_RECORDS=1000000 cargo bench -p sendpay-ledger --bench ledger` fills each ledger with so
//! many records first, by the same operations (a minute or two for a million).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sendpay_ledger::{
    BeginError, Begun, Closed, Hop, Ledger, Msat, NewPayment, NodeId, Preimage, SettleError,
    Settled, Ticket,
};
use tempfile::TempDir;

const NOW_MS: u64 = 1_700_000_000_000;

/// Writers that fill a ledger: as many as one commit takes calls of.
const FILLING_WRITERS: u64 = 1_024;

fn preimage(number: u64) -> Preimage {
    let mut bytes = [0; 32];
    for (byte, value) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *byte = value;
    }
    Preimage(bytes)
}

/// As a payment of an invoice over three hops: every text differs, the destinations repeat.
fn new_payment(number: u64) -> NewPayment {
    let amount_msat = Msat::new(1_000_000 + number % 1000).unwrap();
    let hop = |node: u8| Hop {
        node_id: NodeId([node; 33]),
        short_channel_id: 0x0b_0000_0100_0001 + u64::from(node),
        direction: node % 2,
        amount_msat,
        delay: 144,
    };
    NewPayment {
        payment_hash: preimage(number).payment_hash(),
        groupid: None,
        partid: 0,
        destination: Some(NodeId([(number % 100) as u8; 33])),
        amount_msat,
        amount_sent_msat: amount_msat,
        total_msat: None,
        label: None,
        bolt11: Some(format!("lnbcrt{number:0>300}")),
        description: None,
        route: vec![hop(2), hop(3), hop(4)],
        cltv_expiry: Some(800_000),
        cap_msat: None,
        request: None,
    }
}

enum Writer {
    Beginning(Ticket<Result<Begun, BeginError>>, Preimage),
    Settling(Ticket<Result<Settled, SettleError>>),
}

fn begin(ledger: &Ledger, next: &mut u64) -> Writer {
    *next += 1;
    let ticket = ledger.begin(new_payment(*next), NOW_MS);
    Writer::Beginning(ticket, preimage(*next))
}

/// Begins and settles `records` records with so many writers; `next` numbers the payments.
fn run(ledger: &Ledger, writers: u64, records: u64, next: &mut u64) -> Result<(), Closed> {
    let end = *next + records;
    let mut waiting: VecDeque<Writer> = VecDeque::new();
    while *next < end && (waiting.len() as u64) < writers {
        waiting.push_back(begin(ledger, next));
    }
    while let Some(writer) = waiting.pop_front() {
        match writer {
            Writer::Beginning(ticket, preimage) => {
                let Ok(Begun::New(payment)) = ticket.wait()? else {
                    panic!("was not begun");
                };
                let id = payment.payment_id();
                let ticket = ledger.complete(id, payment.payment_hash, preimage, NOW_MS + 1);
                waiting.push_back(Writer::Settling(ticket));
            }
            Writer::Settling(ticket) => {
                assert!(matches!(ticket.wait()?, Ok(Settled::Changed(_))));
                if *next < end {
                    waiting.push_back(begin(ledger, next));
                }
            }
        }
    }
    Ok(())
}

/// How many records there are before the measuring begins.
fn records_before() -> u64 {
    let records = std::env::var("LEDGER_RECORDS").ok();
    records.map_or(0, |records| records.parse().expect("LEDGER_RECORDS"))
}

fn begin_and_settle(criterion: &mut Criterion) {
    let before = records_before();
    let mut group = criterion.benchmark_group("begin and settle");
    group
        .throughput(Throughput::Elements(1))
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    for writers in [1, 100] {
        let directory = TempDir::new().unwrap();
        let (store, ledger) = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
        let mut next = 0;
        run(&ledger, FILLING_WRITERS, before, &mut next).unwrap();
        let commits = store.commits();
        group.bench_function(
            format!("{writers} writers after {before} records"),
            |bencher| {
                bencher.iter_custom(|records| {
                    let start = Instant::now();
                    run(&ledger, writers, records, &mut next).unwrap();
                    start.elapsed()
                });
            },
        );
        report(writers, next - before, store.commits() - commits);
    }
    group.finish();
}

fn report(writers: u64, records: u64, commits: u64) {
    println!(
        "{writers} writers: {records} records in {commits} commits, {:.2} records (begun and \
         settled) for each commit",
        records as f64 / commits as f64
    );
}

criterion_group!(benches, begin_and_settle);
criterion_main!(benches);
