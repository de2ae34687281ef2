//! Filters, order and counts, as a client asks for them. What each finds among many records is tested
//! in the ledger; here, that every parameter gets there.

use sendpay_rpc::client::Extent;
use sendpay_rpc::method::find;
use serde_json::{Value, json};

use crate::harness::{Pair, direct};

/// The created_index of each part, and of each try, that a filter finds.
fn found(pair: &Pair, filter: &Value) -> (Vec<Value>, Vec<Value>) {
    let indexes = |method: &str, member: &str| -> Vec<Value> {
        let listed = pair.alice.call(method, filter.clone());
        let rows = listed[member].as_array().unwrap().iter();
        rows.map(|row| row["created_index"].clone()).collect()
    };
    (
        indexes("listsendpays", "payments"),
        indexes("listpays", "pays"),
    )
}

#[test]
fn every_filter_reaches_the_ledger_and_counts_are_those_of_the_records() {
    let pair = Pair::start();
    let invoice = pair.bob.invoice("one", 50_000);
    let mut complete = direct(&pair.bob, &pair.channel, &invoice, 50_000);
    complete["label"] = json!("rent");
    pair.alice.call("sendpay", complete);
    let wait = json!({"payment_hash": invoice["payment_hash"]});
    let paid = pair.alice.call("waitsendpay", wait);
    let unknown = "11".repeat(32);
    let mut failed = direct(&pair.bob, &pair.channel, &invoice, 60_000);
    failed["payment_hash"] = json!(unknown);
    failed["groupid"] = json!(7);
    failed.as_object_mut().unwrap().remove("bolt11");
    pair.alice.call("sendpay", failed);
    pair.alice
        .refused("waitsendpay", json!({"payment_hash": unknown}));

    let at = paid["created_at"].as_u64().unwrap();
    let (first, second) = (vec![json!(1)], vec![json!(2)]);
    let both = vec![json!(1), json!(2)];
    let reversed = vec![json!(2), json!(1)];
    for (filter, parts) in [
        (json!({}), &both),
        (json!({"order": "desc"}), &reversed),
        (
            json!({"index": "updated", "order": "desc", "limit": 1}),
            &second,
        ),
        (
            json!({"index": "updated", "order": "desc", "start": 1}),
            &first,
        ),
        // Cursors from elsewhere: beyond all there is.
        (json!({"index": "created", "start": 3}), &vec![]),
        (json!({"index": "created", "start": u64::MAX}), &vec![]),
        (
            json!({"index": "updated", "start": u64::MAX, "limit": 5}),
            &vec![],
        ),
        (
            json!({"index": "created", "start": u64::MAX, "order": "desc"}),
            &reversed,
        ),
        (json!({"index": "created", "limit": 0}), &vec![]),
        (json!({"destination": pair.bob.id}), &both),
        (json!({"destination": pair.alice.id}), &vec![]),
        (json!({"label": "rent"}), &first),
        (json!({"label": "Rent"}), &vec![]),
        (json!({"groupid": 7}), &second),
        (json!({"created_from": at, "created_to": at + 600}), &both),
        (json!({"created_to": at - 1}), &vec![]),
        (json!({"completed_to": at - 1}), &vec![]),
        (json!({"code": 203, "failcode": 0x400f}), &second),
        (json!({"code": 204}), &vec![]),
        (
            json!({"label": "rent", "status": "complete", "amount_to_msat": "50sat"}),
            &first,
        ),
        (json!({"label": "rent", "status": "failed"}), &vec![]),
    ] {
        assert_eq!(
            found(&pair, &filter),
            (parts.clone(), parts.clone()),
            "{filter}"
        );
    }
    // A try that failed delivers nothing and is never completed; its part has both.
    let amount = json!({"amount_from_msat": 50_001});
    assert_eq!(found(&pair, &amount), (second.clone(), vec![]));
    let completed = json!({"completed_from": at});
    assert_eq!(found(&pair, &completed), (both, first));

    // Where a listing ends is known before it has begun.
    for (node, method, params, last) in [
        (&pair.alice, "listsendpays", json!({}), 2),
        (&pair.alice, "listpays", json!({"index": "updated"}), 2),
        (&pair.alice, "listinvoices", json!({}), 0),
        (&pair.bob, "listinvoices", json!([]), 1),
    ] {
        let extent = Extent::of(find(method).unwrap(), &params).unwrap();
        assert_eq!(extent.last(&mut node.client()).unwrap(), last, "{method}");
    }

    let counted = pair.alice.call("countsendpays", json!({}));
    let none = json!({"count": 0, "amount_msat": "0msat", "amount_sent_msat": "0msat"});
    let with_fees = |mut count: Value| {
        count["fees_msat"] = json!("0msat");
        count
    };
    let one = json!({"count": 1, "amount_msat": "50000msat", "amount_sent_msat": "50000msat"});
    let lost = json!({"count": 1, "amount_msat": "60000msat", "amount_sent_msat": "60000msat"});
    let pending = with_fees(none.clone());
    let complete = with_fees(one);
    let expected = json!({"count": 2, "pending": pending, "complete": complete, "failed": lost});
    assert_eq!(counted, expected);
    let rent = json!({"count": 1, "pending": pending, "complete": complete, "failed": none});
    for filter in [json!({"label": "rent"}), json!({"status": "complete"})] {
        assert_eq!(pair.alice.call("countsendpays", filter), rent);
    }
}
