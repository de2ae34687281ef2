//! Invoices that lapse, are deleted, or lose their description.

use rusqlite::Connection;
use sendpay_ledger::{
    Cancelled, DeleteInvoiceError, DeletedInvoice, HoldError, Index, Invoice, InvoiceFilter,
    InvoiceKey, InvoiceState, InvoiceStatus, Order, Paid,
};

use crate::invoices::{
    EXPIRES_AT_MS, add, cancel, claim, found, hold, hold_invoice, new_invoice, paid, pay,
};
use crate::scene::{NOW_MS, Scene, hash, preimage};

fn delete(scene: &Scene, number: u8, status: &str) -> Result<Invoice, DeleteInvoiceError> {
    let label = format!("label {number}");
    let deleted = scene
        .ledger
        .delete_invoice(label, status.to_owned(), NOW_MS);
    deleted.wait().unwrap()
}

fn forget(scene: &Scene, number: u8, status: &str) -> Result<Invoice, DeleteInvoiceError> {
    let label = format!("label {number}");
    let forgotten = scene
        .ledger
        .forget_description(label, status.to_owned(), NOW_MS);
    forgotten.wait().unwrap()
}

fn expire(scene: &Scene, number: u8, now_ms: u64) -> bool {
    let expired = scene.ledger.invoice_expired(hash(number), now_ms);
    expired.wait().unwrap().unwrap()
}

fn raw(scene: Scene) -> (Connection, tempfile::TempDir) {
    scene.store.close();
    let path = scene.directory.path().join("ledger.sqlite");
    (Connection::open(path).unwrap(), scene.directory)
}

#[test]
fn a_deleted_invoice_is_gone_numbered_and_its_label_and_hash_are_free() {
    let scene = Scene::new();
    let one = add(&scene, new_invoice(1));
    let two = add(&scene, new_invoice(2));
    pay(&scene, 2).unwrap();
    let waiter = scene.ledger.invoice_changed(hash(1));
    assert_eq!(delete(&scene, 1, "unpaid").unwrap(), one);
    futures_executor::block_on(waiter);
    let paid = delete(&scene, 2, "paid").unwrap();
    assert_eq!((paid.created_index, paid.state), (2, InvoiceState::Paid));
    assert_eq!(two.created_index, 2);
    for key in [hash(1), hash(2)] {
        assert_eq!(scene.ledger.invoice(InvoiceKey::Hash(key)).unwrap(), None);
    }
    assert_eq!(scene.ledger.counters().unwrap().invoices(Index::Deleted), 2);
    let deleted = |from| scene.ledger.first_deleted_invoice(from).unwrap();
    let first = deleted(0).unwrap();
    let kept = DeletedInvoice {
        created_index: 1,
        payment_hash: hash(1),
        label: "label 1".to_owned(),
        status: InvoiceStatus::Unpaid,
        deleted_at_ms: NOW_MS,
    };
    assert_eq!((first.index, first.record), (1, kept));
    let second = deleted(2).unwrap();
    assert_eq!(
        (second.index, second.record.status),
        (2, InvoiceStatus::Paid)
    );
    assert!(deleted(3).is_none());
    // No number is used twice, and the pay_index of the deleted one stays used.
    assert_eq!(add(&scene, new_invoice(1)).created_index, 3);
    let Paid::Now(again) = pay(&scene, 1).unwrap() else {
        panic!("not paid");
    };
    assert_eq!(again.pay_index, Some(2));
}

#[test]
fn a_deletion_names_the_status_or_changes_nothing() {
    let scene = Scene::new();
    assert!(matches!(
        delete(&scene, 1, "unpaid"),
        Err(DeleteInvoiceError::Unknown)
    ));
    add(&scene, new_invoice(1));
    let error = delete(&scene, 1, "paid").unwrap_err();
    assert_eq!(error.to_string(), "Invoice status is unpaid not paid");
    let error = delete(&scene, 1, "nonsense").unwrap_err();
    assert_eq!(error.to_string(), "Invoice status is unpaid not nonsense");
    // By the clock it has lapsed, recorded or not.
    let label = || "label 1".to_owned();
    let late = scene
        .ledger
        .delete_invoice(label(), "unpaid".to_owned(), EXPIRES_AT_MS);
    let error = late.wait().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "Invoice status is expired not unpaid");
    assert_eq!(found(&scene, 1).state, InvoiceState::Open);
    assert_eq!(scene.ledger.counters().unwrap().invoice_deleted, 0);
    let late = scene
        .ledger
        .delete_invoice(label(), "expired".to_owned(), EXPIRES_AT_MS);
    assert!(late.wait().unwrap().is_ok());
}

#[test]
fn a_held_invoice_is_never_deleted_and_a_cancelled_one_is_expired() {
    let scene = Scene::new();
    add(&scene, hold_invoice(1));
    hold(&scene, 1, NOW_MS).unwrap();
    assert!(matches!(
        delete(&scene, 1, "unpaid"),
        Err(DeleteInvoiceError::Held)
    ));
    assert_eq!(found(&scene, 1).state, InvoiceState::Held);
    assert!(matches!(cancel(&scene, 1), Ok(Cancelled::Now(_))));
    assert!(matches!(
        delete(&scene, 1, "unpaid"),
        Err(DeleteInvoiceError::Status {
            current: InvoiceStatus::Expired,
            ..
        })
    ));
    assert!(delete(&scene, 1, "expired").is_ok());
}

#[test]
fn a_description_is_removed_once_also_of_a_paid_invoice() {
    let scene = Scene::new();
    for number in [1, 2] {
        add(&scene, new_invoice(number));
    }
    pay(&scene, 2).unwrap();
    let one = forget(&scene, 1, "unpaid").unwrap();
    assert_eq!((one.description, one.updated_index), (None, Some(2)));
    let two = forget(&scene, 2, "paid").unwrap();
    assert_eq!(
        (two.description.clone(), two.updated_index),
        (None, Some(3))
    );
    assert_eq!(found(&scene, 2), two);
    assert!(matches!(
        forget(&scene, 2, "paid"),
        Err(DeleteInvoiceError::NoDescription)
    ));
    assert!(matches!(
        forget(&scene, 1, "paid"),
        Err(DeleteInvoiceError::Status {
            current: InvoiceStatus::Unpaid,
            ..
        })
    ));
    assert!(matches!(
        forget(&scene, 3, "paid"),
        Err(DeleteInvoiceError::Unknown)
    ));
    // What is open can still be paid.
    assert!(matches!(pay(&scene, 1), Ok(Paid::Now(_))));
}

#[test]
fn an_invoice_expires_once_and_only_when_its_time_is_over() {
    let scene = Scene::new();
    for number in [1, 2] {
        add(&scene, new_invoice(number));
    }
    add(&scene, hold_invoice(3));
    hold(&scene, 3, NOW_MS).unwrap();
    pay(&scene, 2).unwrap();
    let lapsing = scene.ledger.lapsing_invoices(0, 9).unwrap();
    assert_eq!(lapsing, [(hash(1), EXPIRES_AT_MS)]);
    assert!(
        scene
            .ledger
            .lapsing_invoices(EXPIRES_AT_MS + 1, 9)
            .unwrap()
            .is_empty()
    );
    assert!(!expire(&scene, 1, EXPIRES_AT_MS - 1));
    claim(&scene, 1).unwrap();
    let waiter = scene.ledger.invoice_changed(hash(1));
    assert!(expire(&scene, 1, EXPIRES_AT_MS));
    futures_executor::block_on(waiter);
    let expired = found(&scene, 1);
    assert_eq!(expired.state, InvoiceState::Expired);
    assert_eq!(expired.updated_index, Some(3));
    // Also if the clock goes back.
    assert_eq!(expired.status(NOW_MS), InvoiceStatus::Expired);
    assert!(matches!(hold(&scene, 1, NOW_MS), Err(HoldError::Expired)));
    for number in [1, 2, 3, 4] {
        assert!(!expire(&scene, number, EXPIRES_AT_MS), "{number}");
    }
    assert!(scene.ledger.lapsing_invoices(0, 9).unwrap().is_empty());
    // Money that has come all the same is not denied.
    assert!(matches!(paid(&scene, 1), Ok(Paid::Now(_))));
}

#[test]
fn the_next_paid_invoice_is_found_by_its_pay_index() {
    let scene = Scene::new();
    for number in [1, 2, 3] {
        add(&scene, new_invoice(number));
    }
    assert_eq!(scene.ledger.paid_after(0).unwrap(), None);
    for number in [3, 1] {
        pay(&scene, number).unwrap();
    }
    let after = |index| {
        let found = scene.ledger.paid_after(index).unwrap();
        found.map(|invoice| (invoice.payment_hash, invoice.pay_index))
    };
    assert_eq!(after(0), Some((hash(3), Some(1))));
    assert_eq!(after(1), Some((hash(1), Some(2))));
    assert_eq!(after(2), None);
    delete(&scene, 3, "paid").unwrap();
    assert_eq!(after(0), Some((hash(1), Some(2))));
}

#[test]
fn an_update_of_an_invoice_without_another_state_is_listed_by_updates() {
    let scene = Scene::new();
    for number in [1, 2] {
        add(&scene, new_invoice(number));
    }
    forget(&scene, 1, "unpaid").unwrap();
    let filter = InvoiceFilter {
        order: Order::Updated,
        start: 1,
        ..InvoiceFilter::default()
    };
    let mut listed = Vec::new();
    let end = scene
        .ledger
        .invoices_page(&filter, None, 9, &mut |invoice| {
            listed.push(invoice.created_index);
        });
    assert_eq!(end.unwrap(), None);
    assert_eq!(listed, [1]);
}

/// Raw SQL that would break a promise, and a word of what refuses it.
const BREACHES: &[(&str, &str)] = &[
    (
        "DELETE FROM invoice WHERE created_index = 1",
        "with a number",
    ),
    (
        "INSERT INTO deleted_invoice VALUES (9, 3, zeroblob(32), 'x', 0, 0);
         DELETE FROM invoice WHERE created_index = 3",
        "while it is held",
    ),
    ("DELETE FROM deleted_invoice", "never forgotten"),
    ("UPDATE deleted_invoice SET status = 1", "never changes"),
    (
        "UPDATE invoice SET description = 'x' WHERE created_index = 1",
        "only ever removed",
    ),
    (
        "UPDATE invoice SET label = 'x' WHERE created_index = 1",
        "only its state",
    ),
    (
        "UPDATE invoice SET paid_at = paid_at + 1 WHERE created_index = 2",
        "paid invoice",
    ),
    (
        "UPDATE invoice SET state = 0 WHERE created_index = 2",
        "paid invoice",
    ),
    (
        "UPDATE invoice SET state = 4 WHERE created_index = 1",
        "CHECK",
    ),
    (
        "UPDATE invoice SET state = 5, updated_index = 99 WHERE created_index = 1",
        "CHECK",
    ),
];

#[test]
fn the_schema_refuses_what_would_break_a_promise_about_invoices() {
    let scene = Scene::new();
    add(&scene, new_invoice(1));
    add(&scene, new_invoice(2));
    add(&scene, hold_invoice(3));
    add(&scene, new_invoice(4));
    pay(&scene, 2).unwrap();
    hold(&scene, 3, NOW_MS).unwrap();
    delete(&scene, 4, "unpaid").unwrap();
    assert_eq!(found(&scene, 2).preimage, Some(preimage(2)));
    let (raw, _directory) = raw(scene);
    for (sql, promise) in BREACHES {
        let refused = raw.execute_batch(sql).expect_err(sql).to_string();
        assert!(refused.contains(promise), "{sql}: {refused}");
    }
    // With its number an invoice goes: the table above refuses for its reasons.
    let gone = raw.execute_batch(
        "INSERT INTO deleted_invoice VALUES (8, 1, zeroblob(32), 'x', 0, 0);
         DELETE FROM invoice WHERE created_index = 1",
    );
    assert_eq!(gone, Ok(()));
}
