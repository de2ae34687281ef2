//! Ranges of times among many records, whose blocks are left out; the filters themselves are
//! `filtering.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::ops::Range;

use tempfile::TempDir;

use crate::filtering::{arranged, matches, stretches};
use crate::{
    Begun, Direction, Filter, Ledger, ListedPayment, Msat, NewPayment, Order, Preimage, Span,
};

/// Ten thousand records whose times go forward, and between these two stand far back as those of an
/// import do; one in so many is settled a day later.
fn of_many_times(ledger: &Ledger, far: Range<u64>, one_in: u64) {
    const DAY_MS: u64 = 86_400_000;
    let made = |number: u64| {
        let at_ms = match far.contains(&number) {
            true => number * 1000,
            false => 1_700_000_000_000 + number * 1000,
        };
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        (Preimage(bytes), at_ms)
    };
    let begun = |number| {
        let (preimage, at_ms) = made(number);
        let new = NewPayment {
            payment_hash: preimage.payment_hash(),
            groupid: None,
            partid: 0,
            destination: None,
            amount_msat: Msat::ZERO,
            amount_sent_msat: Msat::ZERO,
            total_msat: None,
            label: None,
            bolt11: None,
            description: None,
            route: Vec::new(),
            cltv_expiry: None,
            cap_msat: None,
            request: None,
        };
        ledger.begin(new, at_ms)
    };
    let tickets: Vec<_> = (0..10_000).map(begun).collect();
    let mut settled = Vec::new();
    for (number, ticket) in (0..).zip(tickets) {
        let Ok(Begun::New(payment)) = ticket.wait().unwrap() else {
            panic!("not new");
        };
        if number % one_in == 0 {
            let (preimage, at_ms) = made(number);
            let (id, hash) = (payment.payment_id(), payment.payment_hash);
            settled.push(ledger.complete(id, hash, preimage, at_ms + DAY_MS));
        }
    }
    settled
        .into_iter()
        .for_each(|ticket| assert!(ticket.wait().unwrap().is_ok()));
}

#[test]
fn a_range_of_times_finds_its_records_wherever_they_stand_and_skips_the_other_blocks() {
    let directory = TempDir::new().unwrap();
    let (_, ledger) = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
    of_many_times(&ledger, 4000..6000, 3);
    let mut records = Vec::new();
    let everything = Filter::default();
    let whole = ledger.page(&everything, None, usize::MAX, &mut |payment| {
        records.push(payment.into_owned());
    });
    assert_eq!((whole.unwrap(), records.len()), (None, 10_000));
    let span = |from: u64, to: u64| Span {
        from: Some(from),
        to: Some(to),
    };
    let ranges = [
        span(4_500_000, 5_500_000),
        span(1_700_000_001_000, 1_700_000_009_000),
        span(1_700_009_000_000, u64::MAX),
        span(1_700_086_400_000, 1_700_087_000_000),
        span(90_000_000, 91_000_000),
        span(10, 20),
    ];
    for (range, order, direction, by_created) in ranges.iter().flat_map(|range| {
        let both = [Direction::Ascending, Direction::Descending];
        let orders = [Order::Created, Order::Updated];
        orders.into_iter().flat_map(move |order| {
            both.into_iter().flat_map(move |way| {
                [true, false].map(move |by_created| (*range, order, way, by_created))
            })
        })
    }) {
        let mut filter = Filter {
            order,
            direction,
            ..Filter::default()
        };
        match by_created {
            true => filter.created_at_ms = range,
            false => filter.completed_at_ms = range,
        }
        let wanted: Vec<ListedPayment> = records
            .iter()
            .filter(|payment| matches(&filter, payment))
            .cloned()
            .collect();
        let (mut listed, mut pages, mut after) = (Vec::new(), 0, None);
        loop {
            // Looking at 100 rows for each page, all 10,000 would be 100 pages.
            after = ledger
                .page_looking_at(100, &filter, after, 5000, &mut |payment| {
                    listed.push(payment.into_owned());
                })
                .unwrap();
            pages += 1;
            if after.is_none() {
                break;
            }
        }
        let indexes = |payment: &ListedPayment| (payment.created_index, payment.updated_index);
        assert!(listed == arranged(&filter, &wanted, indexes), "{filter:?}");
        if wanted.is_empty() && order == Order::Created {
            assert!(pages < 90, "{pages} pages for nothing: {filter:?}");
        }
    }
    let none = Filter {
        created_at_ms: span(10, 20),
        ..Filter::default()
    };
    let page = ledger.page_looking_at(100, &none, None, 10, &mut |_| panic!("none is wanted"));
    assert_eq!(page.unwrap(), None, "no block has such times");
}

#[test]
fn a_range_of_times_read_by_stretches_skips_the_other_blocks_too() {
    let directory = TempDir::new().unwrap();
    let (_, ledger) = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
    // All are settled: few are deleted, so that numbers are as good as rows.
    of_many_times(&ledger, 0..4000, 1);
    let span = |from: u64, to: u64| Span {
        from: Some(from),
        to: Some(to),
    };
    // In the first block only, of which the last thousand are read, and in the last block only.
    for (created_at_ms, direction, start, wanted) in [
        (span(3_500_000, 3_599_000), Direction::Ascending, 3000, 100),
        (
            span(1_700_009_000_000, u64::MAX),
            Direction::Descending,
            0,
            1000,
        ),
    ] {
        for order in [Order::Created, Order::Updated] {
            let filter = Filter {
                created_at_ms,
                order,
                direction,
                start,
                ..Filter::default()
            };
            let (mut found, mut pages) = (0, 0);
            stretches(
                |after| ledger.ahead(&filter, after, 100).unwrap(),
                |after| {
                    pages += 1;
                    let next = ledger.page_looking_at(200, &filter, after, 1000, &mut |_| {
                        found += 1;
                    });
                    next.unwrap()
                },
            );
            assert_eq!(found, wanted, "{filter:?}");
            // All 10,000 would be about 100, and those after 3,000 some 70.
            assert!(pages < 30, "{pages} pages: {filter:?}");
        }
    }
}
