//! Every filter, alone and together, in every order, by pages that may look at few rows: held
//! against the same question asked of all records in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::{
    Begun, Cursor, Direction, Failure, Filter, Group, Ledger, ListedPayment, Msat, NewPayment,
    NodeId, Order, Payment, PaymentHash, Preimage, Span, Status, Totals,
};

const LABELS: [&str; 2] = ["shop", "rent"];
const CODES: [i32; 2] = [203, 204];
const FAILCODES: [u16; 2] = [0x1007, 0x400a];

fn preimage(number: u8) -> Preimage {
    Preimage([number; 32])
}

fn node(number: u8) -> NodeId {
    NodeId([number; 33])
}

/// What is done for one record.
#[derive(Clone, Debug)]
struct Made {
    number: u8,
    groupid: u64,
    partid: u64,
    destination: Option<u8>,
    label: Option<usize>,
    amount: u64,
    /// In seconds; clocks go back too.
    at: u64,
    outcome: usize,
    failure: usize,
}

prop_compose! {
    fn made()(
        number in 0..6u8,
        groupid in 0..3u64,
        partid in 0..5u64,
        destination in prop::option::of(0..2u8),
        label in prop::option::of(0..2usize),
        amount in 0..5u64,
        at in 0..5u64,
        outcome in 0..3usize,
        failure in 0..4usize,
    ) -> Made {
        Made { number, groupid, partid, destination, label, amount, at, outcome, failure }
    }
}

/// Makes the record if the rules allow it, and settles it, or leaves it for later.
fn make(ledger: &Ledger, made: &Made) -> Option<(Payment, Made)> {
    let at_ms = 1_000_000_000 + made.at * 1000;
    let amount = Msat::new(made.amount).unwrap();
    let begun = ledger.begin(
        NewPayment {
            payment_hash: preimage(made.number).payment_hash(),
            groupid: Some(made.groupid),
            partid: made.partid,
            destination: made.destination.map(node),
            amount_msat: amount,
            amount_sent_msat: Msat::new(made.amount + made.at).unwrap(),
            total_msat: Some(Msat::new(1000).unwrap()),
            label: made.label.map(|label| LABELS[label].to_owned()),
            bolt11: None,
            description: None,
            route: Vec::new(),
            cltv_expiry: None,
            cap_msat: None,
            request: None,
        },
        at_ms,
    );
    let Ok(Begun::New(payment)) = begun.wait().unwrap() else {
        return None;
    };
    match made.outcome {
        0 => return Some((payment, made.clone())),
        _ => settle(ledger, &payment, made, at_ms + 1000 * made.amount),
    }
    None
}

fn settle(ledger: &Ledger, payment: &Payment, made: &Made, at_ms: u64) {
    let (id, hash) = (payment.payment_id(), payment.payment_hash);
    let failure = Failure {
        code: CODES[made.failure % 2],
        failcode: Some(FAILCODES[made.failure / 2]),
        erring_index: None,
        erring_node: None,
        erring_channel: None,
        erring_direction: None,
        message: "failed".to_owned(),
    };
    let ticket = match made.outcome {
        1 => ledger.complete(id, hash, preimage(made.number), at_ms),
        _ => ledger.fail(id, Some(hash), failure, at_ms),
    };
    ticket.wait().unwrap().unwrap();
}

fn span(range: std::ops::Range<u64>, unit: u64) -> impl Strategy<Value = Span> {
    let end = || prop::option::weighted(0.3, range.clone());
    (end(), end()).prop_map(move |(from, to)| Span {
        from: from.map(|from| from * unit),
        to: to.map(|to| to * unit),
    })
}

fn sometimes<T: std::fmt::Debug + Clone + 'static>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.2, strategy)
}

prop_compose! {
    fn filter()(
        payment_hash in sometimes((0..7u8).prop_map(|number| preimage(number).payment_hash())),
        groupid in sometimes(0..3u64),
        status in sometimes(prop::sample::select(
            &[Status::Pending, Status::Complete, Status::Failed][..],
        )),
        destination in sometimes((0..3u8).prop_map(node)),
        label in sometimes(prop::sample::select(&["shop", "rent", "none"][..])),
        created_at_ms in span(999_999..1_000_006, 1000),
        completed_at_ms in span(999_999..1_000_010, 1000),
        amount_msat in span(0..12, 1),
        code in sometimes(prop::sample::select(&[202, 203, 204][..])),
        failcode in sometimes(prop::sample::select(&FAILCODES[..])),
        order in prop::sample::select(&[Order::Created, Order::Updated][..]),
        direction in prop::sample::select(&[Direction::Ascending, Direction::Descending][..]),
        start in prop_oneof![3 => Just(0u64), 1 => 0..40u64, 1 => Just(u64::MAX)],
    ) -> Filter {
        Filter {
            payment_hash,
            groupid,
            status,
            destination,
            label: label.map(str::to_owned),
            created_at_ms,
            completed_at_ms,
            amount_msat,
            code,
            failcode,
            order,
            direction,
            start,
        }
    }
}

pub(crate) fn matches(filter: &Filter, payment: &ListedPayment) -> bool {
    let failure = payment.failure.as_ref();
    let within = |span: Span, number: Option<u64>| match (span.from, span.to) {
        (None, None) => true,
        (from, to) => number
            .is_some_and(|number| from.unwrap_or(0) <= number && number <= to.unwrap_or(u64::MAX)),
    };
    filter
        .payment_hash
        .is_none_or(|hash| hash == payment.payment_hash)
        && filter
            .groupid
            .is_none_or(|groupid| groupid == payment.groupid)
        && filter.status.is_none_or(|status| status == payment.status)
        && (filter.destination.is_none() || filter.destination == payment.destination)
        && (filter.label.is_none() || filter.label == payment.label)
        && within(filter.created_at_ms, Some(payment.created_at_ms))
        && within(filter.completed_at_ms, payment.completed_at_ms)
        && within(
            filter.amount_msat,
            Some(payment.amount_msat.msat()).filter(|amount| *amount != 0),
        )
        && filter
            .code
            .is_none_or(|code| failure.is_some_and(|failure| failure.code == code))
        && filter
            .failcode
            .is_none_or(|code| failure.is_some_and(|failure| failure.failcode == Some(code)))
}

/// In the order of the filter, from its start on.
pub(crate) fn arranged<T: Clone>(
    filter: &Filter,
    rows: &[T],
    indexes: impl Fn(&T) -> (u64, Option<u64>),
) -> Vec<T> {
    let mut rows: Vec<T> = rows.to_vec();
    let number = |row: &T| match filter.order {
        Order::Created => indexes(row).0,
        Order::Updated => indexes(row).1.unwrap_or(0),
    };
    rows.sort_by_key(|row| (number(row), indexes(row).0));
    if filter.direction == Direction::Descending {
        rows.reverse();
    }
    rows.retain(|row| {
        filter.start == 0
            || match filter.direction {
                Direction::Ascending => number(row) >= filter.start,
                // What never changed is listed with a start of 0 only.
                Direction::Descending => number(row) <= filter.start && number(row) > 0,
            }
    });
    rows
}

fn group_matches(filter: &Filter, group: &Group, parts: &[ListedPayment]) -> bool {
    let mut as_record = parts[0].clone();
    as_record.status = group.status;
    as_record.completed_at_ms = group.completed_at_ms;
    as_record.amount_msat = group.amount_msat.unwrap_or_default();
    as_record.failure = None;
    let rest = Filter {
        code: None,
        failcode: None,
        ..filter.clone()
    };
    let all = Span::default();
    let codes = |part: &ListedPayment| {
        let only = Filter {
            code: filter.code,
            failcode: filter.failcode,
            ..Filter::default()
        };
        matches(&only, part)
    };
    let asked = filter.code.is_some() || filter.failcode.is_some();
    matches(&rest, &as_record)
        && (filter.amount_msat == all || group.amount_msat.is_some())
        && (!asked || group.status == Status::Failed && parts.iter().any(codes))
}

type Parts = BTreeMap<(PaymentHash, u64), Vec<ListedPayment>>;

fn check(ledger: &Ledger, filter: &Filter, looked_at: usize, page: usize) {
    let mut records = Vec::new();
    ledger
        .page(&Filter::default(), None, 10_000, &mut |payment| {
            records.push(payment.into_owned());
        })
        .unwrap();
    let mut listed = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let had = listed.len();
        after = ledger
            .page_looking_at(looked_at, filter, after, page, &mut |payment| {
                listed.push(payment.into_owned());
            })
            .unwrap();
        assert!(listed.len() - had <= page);
        if after.is_none() {
            break;
        }
    }
    let wanted: Vec<ListedPayment> = records
        .iter()
        .filter(|payment| matches(filter, payment))
        .cloned()
        .collect();
    let indexes = |payment: &ListedPayment| (payment.created_index, payment.updated_index);
    assert_eq!(listed, arranged(filter, &wanted, indexes), "{filter:?}");
    let mut by_stretches = Vec::new();
    stretches(
        |after| ledger.ahead(filter, after, looked_at).unwrap(),
        |after| {
            let next = ledger.page_looking_at(looked_at, filter, after, page, &mut |payment| {
                by_stretches.push(payment.into_owned());
            });
            next.unwrap()
        },
    );
    assert_eq!(by_stretches, listed, "{filter:?}");
    check_count(ledger, filter, looked_at, &wanted);
    check_groups(ledger, filter, looked_at, page, &records);
}

/// Reads a listing to its end, wherever possible up to where the page after the next begins.
pub(crate) fn stretches(
    ahead: impl Fn(Cursor) -> Option<Cursor>,
    mut page: impl FnMut(Option<Cursor>) -> Option<Cursor>,
) {
    let mut next = page(None);
    while let Some(from) = next {
        let Some(end) = ahead(from) else {
            next = page(Some(from));
            continue;
        };
        let mut at = Some(from.until(end));
        while at.is_some() {
            at = page(at);
        }
        next = Some(end);
    }
}

fn check_count(ledger: &Ledger, filter: &Filter, looked_at: usize, wanted: &[ListedPayment]) {
    let mut expected = Totals::default();
    for payment in wanted {
        let sum = expected.of_mut(payment.status);
        sum.count += 1;
        sum.amount_msat += u128::from(payment.amount_msat.msat());
        let sent = u128::from(payment.amount_sent_msat.msat());
        sum.amount_sent_msat += sent;
        if payment.amount_msat == Msat::ZERO {
            sum.sent_for_unknown_msat += sent;
        }
    }
    let mut counted = Totals::default();
    let mut after = None;
    loop {
        after = ledger
            .count_page_looking_at(looked_at, filter, after, &mut counted)
            .unwrap();
        if after.is_none() {
            break;
        }
    }
    assert_eq!(counted, expected);
    let mut counted = Totals::default();
    assert_eq!(ledger.count_page(filter, None, &mut counted).unwrap(), None);
    assert_eq!(counted, expected);
}

fn check_groups(
    ledger: &Ledger,
    filter: &Filter,
    looked_at: usize,
    page: usize,
    records: &[ListedPayment],
) {
    let mut parts = Parts::new();
    for payment in records {
        let key = (payment.payment_hash, payment.groupid);
        parts.entry(key).or_default().push(payment.clone());
    }
    // The sums themselves are held against the model in another test.
    let mut groups = Vec::new();
    ledger
        .groups_page(&Filter::default(), None, 10_000, &mut |group| {
            groups.push(group.clone());
        })
        .unwrap();
    assert_eq!(groups.len(), parts.len());
    groups
        .retain(|group| group_matches(filter, group, &parts[&(group.payment_hash, group.groupid)]));
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        after = ledger
            .groups_page_looking_at(looked_at, filter, after, page, &mut |group| {
                listed.push(group.clone());
            })
            .unwrap();
        if after.is_none() {
            break;
        }
    }
    let mut by_stretches = Vec::new();
    stretches(
        |after| ledger.groups_ahead(filter, after, looked_at).unwrap(),
        |after| {
            let next =
                ledger.groups_page_looking_at(looked_at, filter, after, page, &mut |group| {
                    by_stretches.push(group.clone());
                });
            next.unwrap()
        },
    );
    assert_eq!(by_stretches, listed, "{filter:?}");
    let indexes = |group: &Group| (group.created_index, group.updated_index);
    assert_eq!(listed, arranged(filter, &groups, indexes), "{filter:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(24),
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_filter_finds_what_a_look_at_all_records_finds(
        made in prop::collection::vec(made(), 1..40),
        filters in prop::collection::vec((filter(), 1..6usize, 1..4usize), 60),
    ) {
        let directory = TempDir::new().unwrap();
        let (_, ledger) = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
        let pending: Vec<_> = made.iter().filter_map(|made| make(&ledger, made)).collect();
        // Every other one is settled late, so that updates are not in the order of creation.
        for (place, (payment, made)) in pending.iter().enumerate() {
            let outcome = made.failure % 2 + 1;
            if place % 2 == 0 {
                let made = Made { outcome, ..made.clone() };
                settle(&ledger, payment, &made, 1_000_003_000);
            }
        }
        for (filter, looked_at, page) in &filters {
            check(&ledger, filter, *looked_at, *page);
        }
    }
}
