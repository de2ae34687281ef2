//! Requests with a key: one record for each key, whatever happens between (L7).

use sendpay_ledger::{BeginError, Begun, KeepRequestError, Ledger, NewPayment, RequestKey, Status};

use crate::scene::{NOW_MS, Scene, hash, part};

fn keyed(number: u8, partid: u64, key: &str, request: u8) -> NewPayment {
    NewPayment {
        groupid: None,
        request: Some(RequestKey {
            key: key.to_owned(),
            request_hash: [request; 32],
        }),
        ..part(number, 0, partid)
    }
}

fn begin(ledger: &Ledger, new: NewPayment) -> Result<Begun, BeginError> {
    let peeked = ledger.peek(&new);
    let begun = ledger.begin(new, NOW_MS).wait().unwrap();
    match (&peeked, &begun) {
        (Ok(Some(peeked)), Ok(begun)) => assert_eq!(peeked, begun),
        (Ok(None), Ok(begun)) => assert!(matches!(begun, Begun::New(_))),
        (Err(_), Err(_)) => {}
        other => panic!("{other:?}"),
    }
    begun
}

#[test]
fn a_key_answers_with_its_first_part_pending_failed_deleted_and_complete() {
    let scene = Scene::new();
    let asked = || keyed(1, 1, "order 7", 1);
    let first = scene.begin(asked());
    assert_eq!(
        begin(&scene.ledger, asked()).unwrap(),
        Begun::Pending(first.clone())
    );
    let failed = scene.fail(&first);
    assert_eq!(
        begin(&scene.ledger, asked()).unwrap(),
        Begun::Failed(failed)
    );
    // Without the key it is another try, which the key does not stand for.
    let second = scene.begin(NewPayment {
        request: None,
        ..asked()
    });
    assert_ne!(second.groupid, first.groupid);
    let Begun::Failed(still) = begin(&scene.ledger, asked()).unwrap() else {
        panic!("the key stands for its own try");
    };
    assert_eq!(still.created_index, first.created_index);
    // A key of the try that is complete stays with it, as a tombstone too.
    let other = || keyed(2, 1, "order 8", 2);
    let paid = scene.begin(other());
    let paid = scene.complete(&paid, 2);
    assert_eq!(
        begin(&scene.ledger, other()).unwrap(),
        Begun::Complete(paid.clone())
    );
    let gone = scene
        .ledger
        .delete(hash(2), Status::Complete, None, NOW_MS + 2000);
    assert_eq!(gone.wait().unwrap().unwrap().len(), 1);
    match begin(&scene.ledger, other()).unwrap() {
        Begun::Complete(kept) => assert_eq!(kept.preimage, paid.preimage),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_serves_no_other_request() {
    let scene = Scene::new();
    scene.begin(keyed(1, 1, "order 7", 1));
    let other = begin(&scene.ledger, keyed(1, 1, "order 7", 2));
    assert!(matches!(other, Err(BeginError::OtherRequest)), "{other:?}");
    let other = begin(&scene.ledger, keyed(3, 1, "order 7", 3));
    assert!(matches!(other, Err(BeginError::OtherRequest)), "{other:?}");
    // The same request for another hash, as a keysend that makes a new preimage: the old hash.
    let other = begin(&scene.ledger, keyed(2, 1, "order 7", 1));
    match other {
        Err(BeginError::KeyTaken { payment_hash, .. }) => assert_eq!(payment_hash, hash(1)),
        other => panic!("{other:?}"),
    }
    let counts = [1, 2, 3].map(|number| scene.ledger.pending_of(hash(number)).unwrap().len());
    assert_eq!(counts, [1, 0, 0]);
}

#[test]
fn what_the_repeat_rules_refuse_leaves_its_key_free() {
    let scene = Scene::new();
    let first = scene.begin(part(1, 5, 1));
    let refused = begin(&scene.ledger, keyed(1, 1, "order 7", 1));
    assert!(matches!(
        refused,
        Err(BeginError::OtherGroupInProgress { .. })
    ));
    assert_eq!(scene.ledger.request("order 7").unwrap(), None);
    scene.fail(&first);
    let begun = scene.begin(keyed(1, 1, "order 7", 1));
    let kept = scene.ledger.request("order 7").unwrap().unwrap();
    assert_eq!((kept.payment_hash, kept.groupid), (hash(1), begun.groupid));
}

#[test]
fn a_key_can_be_kept_for_a_try_of_before_and_for_one_request_only() {
    let scene = Scene::new();
    let key = |request: u8| RequestKey {
        key: "order 7".into(),
        request_hash: [request; 32],
    };
    let keep = |request: u8| {
        let kept = scene.ledger.keep_request(key(request), hash(1), 4, NOW_MS);
        kept.wait().unwrap()
    };
    keep(1).unwrap();
    keep(1).unwrap();
    assert!(matches!(keep(2), Err(KeepRequestError::OtherRequest)));
    let kept = scene.ledger.request("order 7").unwrap().unwrap();
    assert_eq!((kept.request_hash, kept.groupid), ([1; 32], 4));
}
