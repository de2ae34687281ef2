//! Listings of invoices while these change.

use crate::invoices::{add, cancel, hold, hold_invoice, new_invoice, pay};
use crate::scene::{NOW_MS, Scene};
use sendpay_ledger::{InvoiceFilter, Order};

/// Lists by updates, one by one; after the first page what is given is done.
fn listed_while(scene: &Scene, changed: impl FnOnce()) -> Vec<u64> {
    let filter = InvoiceFilter {
        order: Order::Updated,
        ..InvoiceFilter::default()
    };
    let mut listed = Vec::new();
    let mut page = |after| {
        let next = scene
            .ledger
            .invoices_page(&filter, after, 1, &mut |invoice| {
                listed.push(invoice.created_index);
            });
        next.unwrap()
    };
    let mut after = page(None);
    changed();
    while after.is_some() {
        after = page(after);
    }
    listed
}

#[test]
fn a_listing_by_updates_has_each_invoice_once_whatever_changes_meanwhile() {
    let three = || {
        let scene = Scene::new();
        for number in 1..=3 {
            add(&scene, hold_invoice(number));
        }
        scene
    };
    // Paid after it was listed; and before.
    for number in 1..=3 {
        let scene = three();
        let paid = || {
            hold(&scene, number, NOW_MS).unwrap();
            pay(&scene, number).unwrap();
            add(&scene, new_invoice(9));
        };
        assert_eq!(listed_while(&scene, paid), [1, 2, 3], "{number}");
    }
    // What was held when the listing began, and is paid before the listing comes to it, or after.
    let scene = three();
    hold(&scene, 1, NOW_MS).unwrap();
    hold(&scene, 2, NOW_MS).unwrap();
    let paid = || {
        pay(&scene, 1).unwrap();
        cancel(&scene, 3).unwrap();
    };
    assert_eq!(listed_while(&scene, paid), [3, 1, 2]);
    let scene = three();
    for number in 1..=3 {
        hold(&scene, number, NOW_MS).unwrap();
    }
    let paid = || {
        pay(&scene, 1).unwrap();
        pay(&scene, 2).unwrap();
    };
    assert_eq!(listed_while(&scene, paid), [1, 2, 3]);
    assert_eq!(listed_while(&scene, || ()), [3, 1, 2]);
    // What is removed is in no listing, and leaves no place behind.
    let gone = || {
        let removed =
            scene
                .ledger
                .delete_invoice("label 1".to_owned(), "paid".to_owned(), NOW_MS + 20);
        removed.wait().unwrap().unwrap();
    };
    assert_eq!(listed_while(&scene, gone), [3, 2]);
}
