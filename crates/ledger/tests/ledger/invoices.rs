//! Invoices: what each state lets happen, and payments to ourselves.

use crate::scene::{NOW_MS, Scene, hash, msat, node, part, preimage};
use sendpay_ledger::{
    AddInvoiceError, Begun, CancelError, Cancelled, Hold, HoldError, Invoice, InvoiceFilter,
    InvoiceKey, InvoiceState, NewInvoice, NewPayment, Order, Paid, PaidError, SelfPayError, Status,
};

const SECRET: [u8; 32] = [9; 32];
pub(crate) const EXPIRES_AT_MS: u64 = NOW_MS + 60_000;

pub(crate) fn new_invoice(number: u8) -> NewInvoice {
    NewInvoice {
        label: format!("label {number}"),
        payment_hash: hash(number),
        preimage: Some(preimage(number)),
        payment_secret: Some(SECRET),
        bolt11: format!("lnbcrt{number}"),
        description: Some("coffee".to_owned()),
        amount_msat: Some(msat(1000)),
        expires_at_ms: EXPIRES_AT_MS,
        cltv: 42,
        hold: false,
    }
}

pub(crate) fn hold_invoice(number: u8) -> NewInvoice {
    NewInvoice {
        preimage: None,
        hold: true,
        ..new_invoice(number)
    }
}

pub(crate) fn add(scene: &Scene, new: NewInvoice) -> Invoice {
    scene
        .ledger
        .add_invoice(new, NOW_MS)
        .wait()
        .unwrap()
        .unwrap()
}

pub(crate) fn found(scene: &Scene, number: u8) -> Invoice {
    let by_hash = scene
        .ledger
        .invoice(InvoiceKey::Hash(hash(number)))
        .unwrap();
    let by_label = scene
        .ledger
        .invoice(InvoiceKey::Label(format!("label {number}")))
        .unwrap();
    assert_eq!(by_hash, by_label);
    by_hash.unwrap()
}

pub(crate) fn hold(scene: &Scene, number: u8, now_ms: u64) -> Result<Hold, HoldError> {
    let held = scene
        .ledger
        .invoice_held(hash(number), msat(1000), Some(500), now_ms);
    held.wait().unwrap()
}

/// As a claim begins.
pub(crate) fn claim(scene: &Scene, number: u8) -> Result<Invoice, PaidError> {
    let claiming = scene
        .ledger
        .invoice_claiming(hash(number), preimage(number));
    claiming.wait().unwrap()
}

/// A claim, from its beginning to its end.
pub(crate) fn pay(scene: &Scene, number: u8) -> Result<Paid, PaidError> {
    claim(scene, number)?;
    paid(scene, number)
}

/// As LDK tells the end of a claim.
pub(crate) fn paid(scene: &Scene, number: u8) -> Result<Paid, PaidError> {
    let paid = scene
        .ledger
        .invoice_paid(hash(number), preimage(number), msat(1001), NOW_MS + 10);
    paid.wait().unwrap()
}

pub(crate) fn cancel(scene: &Scene, number: u8) -> Result<Cancelled, CancelError> {
    scene
        .ledger
        .invoice_cancelled(hash(number), NOW_MS)
        .wait()
        .unwrap()
}

#[test]
fn an_invoice_has_a_label_and_a_hash_of_its_own() {
    let scene = Scene::new();
    let one = add(&scene, new_invoice(1));
    assert_eq!(found(&scene, 1), one);
    assert_eq!((one.created_index, one.updated_index), (1, None));
    assert_eq!(one.state, InvoiceState::Open);
    let again = |new| {
        scene
            .ledger
            .add_invoice(new, NOW_MS)
            .wait()
            .unwrap()
            .unwrap_err()
    };
    let error = again(new_invoice(1));
    assert!(matches!(error, AddInvoiceError::DuplicateLabel(_)));
    assert_eq!(error.to_string(), "Duplicate label 'label 1'");
    let error = again(NewInvoice {
        label: "other".to_owned(),
        ..new_invoice(1)
    });
    assert!(matches!(error, AddInvoiceError::DuplicateHash(_)));
    let error = again(NewInvoice {
        preimage: Some(preimage(3)),
        ..new_invoice(2)
    });
    assert!(matches!(error, AddInvoiceError::NoProof(_)));
    // What was refused took no number.
    assert_eq!(add(&scene, new_invoice(2)).created_index, 2);
    assert_eq!(
        scene.ledger.invoice(InvoiceKey::Hash(hash(7))).unwrap(),
        None
    );
}

#[test]
fn an_invoice_is_paid_once_with_the_next_pay_index() {
    let scene = Scene::new();
    add(&scene, new_invoice(1));
    add(&scene, new_invoice(2));
    let waiter = scene.ledger.invoice_changed(hash(2));
    let Paid::Now(two) = pay(&scene, 2).unwrap() else {
        panic!("not paid");
    };
    futures_executor::block_on(waiter);
    assert_eq!(two.state, InvoiceState::Paid);
    assert_eq!((two.pay_index, two.updated_index), (Some(1), Some(1)));
    assert_eq!(two.amount_received_msat, Some(msat(1001)));
    assert_eq!(two.paid_at_ms, Some(NOW_MS + 10));
    assert_eq!(pay(&scene, 2).unwrap(), Paid::Already(two));
    assert_eq!(scene.ledger.counters().unwrap().pay_index, 1);
    let Paid::Now(one) = pay(&scene, 1).unwrap() else {
        panic!("not paid");
    };
    assert_eq!(one.pay_index, Some(2));
    assert!(matches!(pay(&scene, 3), Err(PaidError::Unknown(_))));
    let wrong = scene
        .ledger
        .invoice_paid(hash(1), preimage(2), msat(1), NOW_MS);
    assert!(matches!(wrong.wait().unwrap(), Err(PaidError::NoProof(_))));
}

#[test]
fn an_invoice_made_again_is_not_paid_by_the_claim_of_the_one_before() {
    let scene = Scene::new();
    add(&scene, new_invoice(1));
    pay(&scene, 1).unwrap();
    let deleted = scene
        .ledger
        .delete_invoice(found(&scene, 1).label, "paid".to_owned(), NOW_MS);
    deleted.wait().unwrap().unwrap();
    add(&scene, new_invoice(1));
    // LDK tells of it at each start, as long as it remembers.
    assert!(matches!(paid(&scene, 1), Err(PaidError::NotClaimed(_))));
    assert_eq!(found(&scene, 1).state, InvoiceState::Open);
    assert_eq!(scene.ledger.counters().unwrap().pay_index, 1);
    assert!(matches!(pay(&scene, 1), Ok(Paid::Now(_))));
}

#[test]
fn a_hold_invoice_is_held_then_paid() {
    let scene = Scene::new();
    add(&scene, hold_invoice(1));
    let Hold::Held(held) = hold(&scene, 1, NOW_MS).unwrap() else {
        panic!("not held");
    };
    assert_eq!(held.state, InvoiceState::Held);
    assert_eq!(held.claim_deadline, Some(500));
    assert_eq!(held.amount_held_msat, Some(msat(1000)));
    // A held one does not lapse.
    assert!(!held.expired(EXPIRES_AT_MS + 1));
    let again = hold(&scene, 1, EXPIRES_AT_MS + 1).unwrap();
    assert_eq!(again, Hold::AlreadyHeld(held));
    let Paid::Now(paid) = pay(&scene, 1).unwrap() else {
        panic!("not paid");
    };
    assert_eq!(paid.preimage, Some(preimage(1)));
    assert!(matches!(
        hold(&scene, 1, NOW_MS),
        Err(HoldError::NotOpen(InvoiceState::Paid))
    ));
    assert!(matches!(cancel(&scene, 1), Err(CancelError::Paid)));
}

#[test]
fn a_hold_invoice_keeps_the_preimage_it_is_being_settled_with() {
    let scene = Scene::new();
    add(&scene, hold_invoice(1));
    let settling = |number| {
        let ticket = scene.ledger.invoice_claiming(hash(1), preimage(number));
        ticket.wait().unwrap()
    };
    let claimed = || {
        let paid = scene
            .ledger
            .invoice_paid(hash(1), None, msat(1000), NOW_MS + 10);
        paid.wait().unwrap()
    };
    // Nothing to settle yet, and nothing to be paid with.
    assert!(!settling(1).unwrap().claiming);
    assert!(matches!(claimed(), Err(PaidError::NoProof(_))));
    hold(&scene, 1, NOW_MS).unwrap();
    assert!(matches!(settling(2), Err(PaidError::NoProof(_))));
    assert!(settling(1).unwrap().claiming);
    assert!(found(&scene, 1).claiming);
    let Paid::Now(paid) = claimed().unwrap() else {
        panic!("not paid");
    };
    assert_eq!(paid.preimage, Some(preimage(1)));
}

#[test]
fn a_cancelled_or_expired_invoice_is_not_held() {
    let scene = Scene::new();
    add(&scene, hold_invoice(1));
    let Cancelled::Now(cancelled) = cancel(&scene, 1).unwrap() else {
        panic!("not cancelled");
    };
    assert_eq!(cancelled.state, InvoiceState::Cancelled);
    assert_eq!(cancel(&scene, 1).unwrap(), Cancelled::Already(cancelled));
    assert!(matches!(
        hold(&scene, 1, NOW_MS),
        Err(HoldError::NotOpen(InvoiceState::Cancelled))
    ));
    assert!(matches!(cancel(&scene, 9), Err(CancelError::Unknown(_))));
    let lapsing = add(&scene, hold_invoice(2));
    assert!(!lapsing.expired(EXPIRES_AT_MS - 1));
    assert!(lapsing.expired(EXPIRES_AT_MS));
    assert!(matches!(
        hold(&scene, 2, EXPIRES_AT_MS),
        Err(HoldError::Expired)
    ));
    assert!(matches!(
        hold(&scene, 9, NOW_MS),
        Err(HoldError::Unknown(_))
    ));
    // A held one can be cancelled.
    add(&scene, hold_invoice(3));
    hold(&scene, 3, NOW_MS).unwrap();
    assert!(matches!(cancel(&scene, 3), Ok(Cancelled::Now(_))));
}

#[test]
fn invoices_are_listed_in_both_orders_and_by_name() {
    let scene = Scene::new();
    for number in 1..=5 {
        add(&scene, new_invoice(number));
    }
    pay(&scene, 4).unwrap();
    cancel(&scene, 2).unwrap();
    let list = |filter: InvoiceFilter| {
        let (mut after, mut listed) = (None, Vec::new());
        loop {
            after = scene
                .ledger
                .invoices_page(&filter, after, 2, &mut |invoice| {
                    listed.push(invoice.created_index);
                })
                .unwrap();
            if after.is_none() {
                return listed;
            }
        }
    };
    let by = |order, start| InvoiceFilter {
        order,
        start,
        ..InvoiceFilter::default()
    };
    assert_eq!(list(by(Order::Created, 0)), [1, 2, 3, 4, 5]);
    assert_eq!(list(by(Order::Created, 4)), [4, 5]);
    assert_eq!(list(by(Order::Updated, 0)), [1, 3, 5, 4, 2]);
    assert_eq!(list(by(Order::Updated, 1)), [4, 2]);
    assert_eq!(list(by(Order::Updated, 2)), [2]);
    let by_label = InvoiceFilter {
        label: Some("label 3".to_owned()),
        ..InvoiceFilter::default()
    };
    assert_eq!(list(by_label), [3]);
    let by_hash = InvoiceFilter {
        payment_hash: Some(hash(2)),
        order: Order::Updated,
        ..InvoiceFilter::default()
    };
    assert_eq!(list(by_hash), [2]);
    hold(&scene, 5, NOW_MS).unwrap();
    let held = InvoiceFilter {
        held_only: true,
        ..InvoiceFilter::default()
    };
    assert_eq!(list(held), [5]);
}

#[test]
fn secrets_are_not_printed_by_debug() {
    let scene = Scene::new();
    let invoice = add(&scene, new_invoice(1));
    let printed = format!("{invoice:?}");
    assert!(printed.contains("label 1"), "{printed}");
    assert!(!printed.contains("lnbcrt"), "{printed}");
    assert!(!printed.contains("9, 9"), "{printed}");
}

/// A payment to ourselves of invoice `number`.
fn own(number: u8) -> NewPayment {
    NewPayment {
        groupid: None,
        destination: Some(node(1)),
        amount_sent_msat: msat(1000),
        route: Vec::new(),
        ..part(number, 0, 0)
    }
}

#[test]
fn paying_ourselves_completes_record_and_invoice_together() {
    let scene = Scene::new();
    add(&scene, new_invoice(1));
    let payments = scene.ledger.changed(hash(1));
    let invoices = scene.ledger.invoice_changed(hash(1));
    let commits = scene.store.commits();
    let begun = scene
        .ledger
        .self_pay(own(1), Some(SECRET), NOW_MS)
        .wait()
        .unwrap();
    assert_eq!(scene.store.commits(), commits + 1);
    let Ok(Begun::New(payment)) = begun else {
        panic!("not paid");
    };
    assert_eq!(payment.status, Status::Complete);
    assert_eq!(payment.preimage, Some(preimage(1)));
    payment.invariants().unwrap();
    futures_executor::block_on(payments);
    futures_executor::block_on(invoices);
    let invoice = found(&scene, 1);
    assert_eq!(invoice.state, InvoiceState::Paid);
    assert_eq!(invoice.amount_received_msat, Some(msat(1000)));
    // Asked again: the old result, nothing new.
    let again = scene
        .ledger
        .self_pay(own(1), Some(SECRET), NOW_MS)
        .wait()
        .unwrap();
    assert_eq!(again.unwrap(), Begun::Complete(payment));
    assert_eq!(scene.ledger.counters().unwrap().created, 1);
}

#[test]
fn a_payment_to_ourselves_that_the_invoice_refuses_is_recorded_as_failed() {
    let scene = Scene::new();
    add(&scene, new_invoice(1));
    add(&scene, hold_invoice(2));
    add(&scene, new_invoice(3));
    cancel(&scene, 3).unwrap();
    let with_amount = |msat| NewPayment {
        amount_msat: msat,
        ..own(1)
    };
    let cases = [
        (own(9), Some(SECRET), NOW_MS, "Unknown invoice"),
        (own(1), None, NOW_MS, "Wrong payment_secret"),
        (own(1), Some([8; 32]), NOW_MS, "Wrong payment_secret"),
        (own(1), Some(SECRET), EXPIRES_AT_MS, "Invoice expired"),
        (
            with_amount(msat(999)),
            Some(SECRET),
            NOW_MS,
            "Amount below that of the invoice",
        ),
        (
            with_amount(msat(2002)),
            Some(SECRET),
            NOW_MS,
            "Amount more than twice that of the invoice",
        ),
        (
            own(2),
            Some(SECRET),
            NOW_MS,
            "A hold invoice cannot be paid by its own node",
        ),
        (own(3), Some(SECRET), NOW_MS, "Invoice cancelled"),
    ];
    for (count, (new, secret, now_ms, why)) in cases.into_iter().enumerate() {
        let payment_hash = new.payment_hash;
        let refused = scene.ledger.self_pay(new, secret, now_ms).wait().unwrap();
        let Err(SelfPayError::Refused(payment)) = refused else {
            panic!("{why}: {refused:?}");
        };
        assert_eq!(payment.status, Status::Failed);
        let failure = payment.failure.clone().unwrap();
        assert_eq!((failure.code, failure.message.as_str()), (203, why));
        let kept = scene
            .ledger
            .payment(payment_hash, payment.groupid, 0)
            .unwrap();
        assert_eq!(kept, Some(*payment));
        assert_eq!(scene.ledger.counters().unwrap().created, count as u64 + 1);
    }
    // Nothing was paid by all that, and the right payment still is.
    assert_eq!(scene.ledger.counters().unwrap().pay_index, 0);
    let paid = scene
        .ledger
        .self_pay(own(1), Some(SECRET), NOW_MS)
        .wait()
        .unwrap();
    assert!(matches!(paid, Ok(Begun::New(_))));
}

#[test]
fn paying_ourselves_obeys_the_repeat_rules() {
    let scene = Scene::new();
    add(&scene, new_invoice(1));
    scene.begin(part(1, 1, 0));
    let refused = scene
        .ledger
        .self_pay(own(1), Some(SECRET), NOW_MS)
        .wait()
        .unwrap();
    assert!(
        matches!(refused, Err(SelfPayError::Begin(_))),
        "{refused:?}"
    );
    assert_eq!(found(&scene, 1).state, InvoiceState::Open);
}
