//! Another node may have kept no amount of a payment: it is imported as 0, which no payment of ours
//! has. That is not an amount: no sum is told where a part of it is missing, no range has it, and it
//! makes no fee.

use crate::scene::{NOW_MS, Scene, hash, msat, part, preimage};
use sendpay_ledger::{
    ClnPayment, Direction, Filter, ImportBatch, ImportedEnd, ImportedPayment, Msat, Order, Span,
    Status, Totals,
};

/// A part of the payment `number` that delivered so much, and had a fee of 1 msat.
fn imported(id: i64, number: u8, amount: Option<u64>, complete: bool) -> ImportedPayment {
    let amount_msat = amount.map_or(Msat::ZERO, msat);
    let end = match complete {
        true => ImportedEnd::Complete {
            preimage: preimage(number),
            at_ms: NOW_MS,
        },
        false => ImportedEnd::Failed {
            failure: None,
            at_ms: NOW_MS,
            claimed: None,
        },
    };
    ImportedPayment {
        origin_id: id,
        payment_hash: hash(number),
        groupid: 1,
        partid: id.cast_unsigned(),
        destination: None,
        amount_msat,
        amount_sent_msat: msat(amount.unwrap_or(1000) + 1),
        total_msat: amount_msat,
        created_at_ms: NOW_MS,
        end,
        label: None,
        bolt11: None,
        description: None,
        cln: ClnPayment {
            groupid: Some(1),
            ..ClnPayment::default()
        },
    }
}

/// Payments 1 to 4: unknown; unknown before and after known; known beside a failed part of an unknown
/// amount; pending and unknown. And 5, of our own.
fn scene() -> Scene {
    let scene = Scene::new();
    let mut pending = imported(8, 4, None, true);
    pending.end = ImportedEnd::Pending;
    let payments = vec![
        imported(1, 1, None, true),
        imported(2, 2, None, true),
        imported(3, 2, Some(300), true),
        imported(4, 2, None, true),
        imported(5, 2, Some(200), true),
        imported(6, 3, None, false),
        imported(7, 3, Some(500), true),
        pending,
    ];
    let batch = ImportBatch {
        payments,
        ..ImportBatch::default()
    };
    scene.ledger.import("cln", batch).wait().unwrap().unwrap();
    let own = scene.begin(part(5, 1, 0));
    scene.complete(&own, 5);
    scene
}

fn groups(scene: &Scene, filter: &Filter) -> Vec<(u64, Option<u64>)> {
    let mut found = Vec::new();
    let page = scene.ledger.groups_page(filter, None, 100, &mut |group| {
        found.push((group.created_index, group.amount_msat.map(Msat::msat)));
    });
    assert_eq!(page.unwrap(), None);
    found
}

#[test]
fn a_group_has_no_amount_if_one_of_its_parts_has_none() {
    let groups = groups(&scene(), &Filter::default());
    let expected = [
        (1, None),
        (2, None),
        (6, Some(500)),
        (8, None),
        (9, Some(1000)),
    ];
    assert_eq!(groups, expected);
}

#[test]
fn what_has_no_amount_is_in_no_range_of_amounts() {
    let scene = scene();
    for (from, to, records, of_groups) in [
        (None, Some(600), vec![3, 5, 7], vec![6]),
        (Some(0), None, vec![3, 5, 7, 9], vec![6, 9]),
        (Some(0), Some(0), vec![], vec![]),
        (Some(400), None, vec![7, 9], vec![6, 9]),
    ] {
        for (order, direction) in [Order::Created, Order::Updated]
            .into_iter()
            .flat_map(|order| {
                [Direction::Ascending, Direction::Descending].map(|direction| (order, direction))
            })
        {
            let filter = Filter {
                amount_msat: Span { from, to },
                order,
                direction,
                ..Filter::default()
            };
            let mut found = Vec::new();
            let page = scene.ledger.page(&filter, None, 100, &mut |payment| {
                found.push(payment.created_index);
            });
            assert_eq!(page.unwrap(), None);
            found.sort_unstable();
            assert_eq!(found, records, "{filter:?}");
            let mut found: Vec<u64> = groups(&scene, &filter)
                .iter()
                .map(|group| group.0)
                .collect();
            found.sort_unstable();
            assert_eq!(found, of_groups, "{filter:?}");
            let mut totals = Totals::default();
            let page = scene.ledger.count_page(&filter, None, &mut totals);
            assert_eq!(page.unwrap(), None);
            let count = totals.complete.count + totals.failed.count + totals.pending.count;
            assert_eq!(count, records.len() as u64, "{filter:?}");
        }
    }
}

#[test]
fn what_was_sent_for_an_unknown_amount_is_no_fee() {
    let scene = scene();
    let fees = |filter: &Filter| {
        let mut totals = Totals::default();
        let page = scene.ledger.count_page(filter, None, &mut totals);
        assert_eq!(page.unwrap(), None);
        let of = [totals.pending, totals.complete, totals.failed];
        of.map(|sum| (sum.count, sum.amount_sent_msat, sum.fees_msat()))
    };
    // By the counters, and record by record.
    let by_counters = Filter::default();
    let record_by_record = Filter {
        created_at_ms: Span {
            from: Some(1),
            to: None,
        },
        ..Filter::default()
    };
    for filter in [&by_counters, &record_by_record] {
        assert_eq!(fees(filter), [(1, 1001, 0), (7, 5007, 4), (1, 1001, 0)]);
    }
    // What is removed is taken out of the sums as it was put into them.
    for (number, partid, status) in [
        (1, 1, Status::Complete),
        (2, 5, Status::Complete),
        (3, 6, Status::Failed),
    ] {
        let deleted = scene
            .ledger
            .delete(hash(number), status, Some((1, partid)), NOW_MS);
        assert!(deleted.wait().unwrap().is_ok());
    }
    for filter in [&by_counters, &record_by_record] {
        assert_eq!(fees(filter), [(1, 1001, 0), (5, 3805, 3), (0, 0, 0)]);
    }
}
