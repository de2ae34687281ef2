//! What is imported is history: no event ends it, a pending one keeps its hash from being sent, and
//! the operator settles it as L2, L3 and L4 demand.

use crate::scene::{NOW_MS, Scene, failure, hash, msat, node, part, preimage};
use sendpay_ledger::{
    BeginError, Begun, ClnPayment, Filter, ImportBatch, ImportError, ImportedEnd, ImportedInvoice,
    ImportedPayment, InvoiceState, SelfPayError, SettleImportedError, Settled, Span, Status,
    Warning,
};

fn imported(id: i64, number: u8, partid: u64, end: ImportedEnd) -> ImportedPayment {
    ImportedPayment {
        origin_id: id,
        payment_hash: hash(number),
        groupid: 1,
        partid,
        destination: Some(node(2)),
        amount_msat: msat(1000),
        amount_sent_msat: msat(1001),
        total_msat: msat(3000),
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

fn failed() -> ImportedEnd {
    ImportedEnd::Failed {
        failure: None,
        at_ms: NOW_MS,
        claimed: None,
    }
}

fn import(scene: &Scene, payments: Vec<ImportedPayment>) -> Result<u64, ImportError> {
    let batch = ImportBatch {
        payments,
        ..ImportBatch::default()
    };
    let imported = scene.ledger.import("cln", batch).wait().unwrap()?;
    Ok(imported.payments)
}

#[test]
fn a_pending_import_keeps_its_hash_from_being_sent() {
    let scene = Scene::new();
    let pending = vec![
        imported(1, 1, 1, ImportedEnd::Pending),
        imported(2, 1, 2, ImportedEnd::Pending),
    ];
    assert_eq!(import(&scene, pending).unwrap(), 2);
    // Another group, another part of the same, the same part.
    for new in [part(1, 2, 0), part(1, 1, 3), part(1, 1, 1)] {
        let refused = scene.ledger.begin(new, NOW_MS).wait().unwrap();
        assert!(
            matches!(refused, Err(BeginError::ImportedPending(of)) if of == hash(1)),
            "{refused:?}"
        );
    }
    assert_eq!(scene.ledger.pending_own().unwrap(), []);
}

#[test]
fn no_event_ends_a_pending_import() {
    let scene = Scene::new();
    import(&scene, vec![imported(1, 1, 0, ImportedEnd::Pending)]).unwrap();
    let record = scene.ledger.payment(hash(1), 1, 0).unwrap().unwrap();
    let id = record.payment_id();
    let complete = scene.ledger.complete(id, hash(1), preimage(1), NOW_MS);
    assert_eq!(complete.wait().unwrap().unwrap(), Settled::Unknown);
    for of in [None, Some(hash(1))] {
        let fail = scene.ledger.fail(id, of, failure(), NOW_MS);
        assert_eq!(fail.wait().unwrap().unwrap(), Settled::Unknown);
    }
    let after = scene.ledger.payment(hash(1), 1, 0).unwrap().unwrap();
    assert_eq!(after, record);
}

#[test]
fn the_operator_settles_all_pending_parts_once() {
    let scene = Scene::new();
    let parts = vec![
        imported(1, 1, 1, ImportedEnd::Pending),
        imported(2, 1, 2, failed()),
        imported(3, 1, 3, ImportedEnd::Pending),
        imported(4, 2, 0, ImportedEnd::Pending),
    ];
    import(&scene, parts).unwrap();
    let mut groups = Vec::new();
    let page = scene
        .ledger
        .groups_page(&Filter::default(), None, 10, &mut |group| {
            groups.push((group.created_index, group.number_of_parts));
        });
    assert_eq!(page.unwrap(), None);
    assert_eq!(groups, [(1, 2), (4, 1)]);
    let settle = |number, outcome| {
        let settled = scene
            .ledger
            .settle_imported(hash(number), outcome, NOW_MS + 5);
        settled.wait().unwrap()
    };
    let no_proof = settle(1, Ok(preimage(9)));
    assert!(
        matches!(no_proof, Err(SettleImportedError::NoProof(_))),
        "{no_proof:?}"
    );
    let unknown = settle(7, Ok(preimage(7)));
    assert!(
        matches!(unknown, Err(SettleImportedError::Unknown(_))),
        "{unknown:?}"
    );

    let settled = settle(1, Ok(preimage(1))).unwrap();
    let ended: Vec<_> = settled
        .iter()
        .map(|part| (part.partid, part.status))
        .collect();
    assert_eq!(ended, [(1, Status::Complete), (3, Status::Complete)]);
    assert!(
        settled
            .iter()
            .all(|part| part.preimage == Some(preimage(1)))
    );
    assert!(
        settled
            .iter()
            .all(|part| part.completed_at_ms == Some(NOW_MS + 5))
    );
    // Said again: the same. Said otherwise: refused.
    assert_eq!(settle(1, Ok(preimage(1))).unwrap(), settled);
    let otherwise = settle(1, Err(failure()));
    let complete = Status::Complete;
    assert!(
        matches!(otherwise, Err(SettleImportedError::Settled { status, .. }) if status == complete),
        "{otherwise:?}"
    );

    let settled = settle(2, Err(failure())).unwrap();
    assert_eq!(settled[0].status, Status::Failed);
    assert_eq!(settled[0].failure, Some(failure()));
    // Now the hash may be sent, in another group.
    scene.begin(part(2, 2, 0));
}

#[test]
fn a_proof_after_the_operator_said_failed_is_kept_and_stops_new_sends() {
    let scene = Scene::new();
    import(&scene, vec![imported(1, 1, 0, failed())]).unwrap();
    let late = scene
        .ledger
        .settle_imported(hash(1), Ok(preimage(1)), NOW_MS);
    let late = late.wait().unwrap();
    assert!(
        matches!(
            late,
            Err(SettleImportedError::Settled {
                status: Status::Failed,
                ..
            })
        ),
        "{late:?}"
    );
    let warnings = scene.ledger.warnings().unwrap();
    assert!(matches!(
        warnings.as_slice(),
        [Warning::LatePreimage { .. }]
    ));
    let refused = scene.ledger.begin(part(1, 2, 0), NOW_MS).wait().unwrap();
    assert!(
        matches!(refused, Err(BeginError::LatePreimage(_))),
        "{refused:?}"
    );
}

#[test]
fn own_records_are_not_settled_by_the_operator() {
    let scene = Scene::new();
    scene.begin(part(1, 1, 0));
    let settled = scene
        .ledger
        .settle_imported(hash(1), Ok(preimage(1)), NOW_MS);
    let settled = settled.wait().unwrap();
    assert!(
        matches!(settled, Err(SettleImportedError::Unknown(_))),
        "{settled:?}"
    );
}

#[test]
fn an_import_beside_own_records_leaves_them_and_takes_another_group() {
    let scene = Scene::new();
    let own = scene.begin(part(1, 1, 1));
    let proof = ImportedEnd::Complete {
        preimage: preimage(1),
        at_ms: NOW_MS,
    };
    let parts = vec![imported(1, 1, 1, proof.clone()), imported(2, 1, 2, proof)];
    import(&scene, parts).unwrap();
    assert_eq!(scene.ledger.payment(hash(1), 1, 1).unwrap().unwrap(), own);
    let group = scene.ledger.group(hash(1), 2).unwrap();
    let parts: Vec<_> = group
        .iter()
        .map(|part| (part.partid, part.status))
        .collect();
    assert_eq!(parts, [(1, Status::Complete), (2, Status::Complete)]);
    // An imported payment that is complete is the answer to being asked again.
    let again = scene.ledger.begin(part(1, 9, 2), NOW_MS).wait().unwrap();
    assert!(
        again.is_err() || matches!(again, Ok(Begun::Complete(_))),
        "{again:?}"
    );
}

#[test]
fn a_batch_with_a_false_proof_is_refused_whole() {
    let scene = Scene::new();
    let proof = |number| ImportedEnd::Complete {
        preimage: preimage(number),
        at_ms: NOW_MS,
    };
    let before = scene.ledger.counters().unwrap();
    let parts = vec![imported(1, 1, 0, proof(1)), imported(2, 2, 0, proof(3))];
    let refused = import(&scene, parts);
    assert!(
        matches!(refused, Err(ImportError::NoProof(2))),
        "{refused:?}"
    );
    assert_eq!(scene.ledger.counters().unwrap(), before);
    assert_eq!(scene.ledger.payment(hash(1), 1, 0).unwrap(), None);
}

#[test]
fn an_imported_invoice_is_never_paid_here() {
    let scene = Scene::new();
    let invoice = ImportedInvoice {
        origin_id: 1,
        label: "old".to_owned(),
        payment_hash: hash(1),
        preimage: Some(preimage(1)),
        bolt11: "lnbcrt1".to_owned(),
        description: None,
        amount_msat: Some(msat(1000)),
        created_at_ms: NOW_MS,
        expires_at_ms: NOW_MS * 2,
        cltv: 18,
        state: InvoiceState::Open,
        amount_received_msat: msat(0),
        paid_at_ms: 0,
        cln: Default::default(),
    };
    let batch = ImportBatch {
        invoices: vec![invoice],
        ..ImportBatch::default()
    };
    scene.ledger.import("cln", batch).wait().unwrap().unwrap();
    let mut own = part(1, 1, 0);
    own.route = Vec::new();
    let paid = scene.ledger.self_pay(own, None, NOW_MS).wait().unwrap();
    assert!(
        matches!(&paid, Err(SelfPayError::Refused(record)) if record.status == Status::Failed),
        "{paid:?}"
    );
    // Nor by an event, whatever the code does: the schema refuses.
    let event = scene
        .ledger
        .invoice_paid(hash(1), preimage(1), msat(1000), NOW_MS);
    assert!(event.wait().unwrap().is_err());
    let raw = rusqlite::Connection::open(scene.directory.path().join("ledger.sqlite")).unwrap();
    let state: i64 = raw
        .query_row("SELECT state FROM invoice", [], |row| row.get(0))
        .unwrap();
    assert_eq!(state, 0);
    for (statement, words) in [
        ("UPDATE cln_invoice SET state = 2", "never changes"),
        ("DELETE FROM cln_invoice", "never forgotten"),
        (
            "UPDATE invoice SET origin = 0, origin_id = NULL",
            "is history",
        ),
    ] {
        let refused = raw.execute(statement, []).unwrap_err().to_string();
        assert!(refused.contains(words), "{statement}: {refused}");
    }
}

#[test]
fn the_schema_refuses_a_send_beside_a_pending_import() {
    let scene = Scene::new();
    import(&scene, vec![imported(1, 1, 0, ImportedEnd::Pending)]).unwrap();
    let raw = rusqlite::Connection::open(scene.directory.path().join("ledger.sqlite")).unwrap();
    let refused = raw.execute(
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
            amount_msat, amount_sent_msat, total_msat, created_at, route)
         SELECT 99, 99, payment_hash, groupid, 5, 1, 1, 1, 1, x'01' FROM payment",
        [],
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("L7"), "{refused}");
    // The same row of the other node again.
    let again = raw.execute(
        "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
            amount_msat, amount_sent_msat, total_msat, created_at, route, origin, origin_id)
         SELECT 99, 99, payment_hash, groupid, 5, 1, 1, 1, 1, x'01', origin, origin_id
         FROM payment",
        [],
    );
    let again = again.unwrap_err().to_string();
    assert!(again.contains("UNIQUE"), "{again}");
}

/// More than two of the ledger's blocks of numbers, each of which knows what times are in it.
const MANY: i64 = 9_000;

#[test]
fn imported_records_are_found_by_their_times_which_do_not_grow_with_their_numbers() {
    let scene = Scene::new();
    let hour_ms = 3_600_000;
    let created_at_ms = |id: i64| NOW_MS + u64::try_from(MANY - id).unwrap() * hour_ms;
    let payments = (1..=MANY).map(|id| {
        let end = match id % 3 {
            0 => ImportedEnd::Pending,
            1 => ImportedEnd::Failed {
                failure: None,
                at_ms: created_at_ms(id) + 5,
                claimed: None,
            },
            _ => ImportedEnd::Complete {
                preimage: preimage(7),
                at_ms: created_at_ms(id) + 5,
            },
        };
        ImportedPayment {
            groupid: id.unsigned_abs(),
            created_at_ms: created_at_ms(id),
            ..imported(id, 7, 0, end)
        }
    });
    import(&scene, payments.collect()).unwrap();
    // Each range lies in another block; the last is empty.
    for ids in [10..=20, 5_000..=5_010, 8_990..=9_000, 9_001..=9_002] {
        let span = Span {
            from: Some(created_at_ms(*ids.end().min(&MANY)) - u64::from(*ids.end() > MANY)),
            to: Some(created_at_ms(*ids.start().min(&MANY)) - u64::from(*ids.start() > MANY)),
        };
        let by_created = Filter {
            created_at_ms: span,
            ..Filter::default()
        };
        let later = |at_ms: Option<u64>| at_ms.map(|at_ms| at_ms + 5);
        let by_completed = Filter {
            completed_at_ms: Span {
                from: later(span.from),
                to: later(span.to),
            },
            ..Filter::default()
        };
        let expected: Vec<i64> = ids.clone().filter(|id| *id <= MANY).collect();
        assert_eq!(found(&scene, &by_created), expected);
        let settled: Vec<i64> = expected.into_iter().filter(|id| id % 3 != 0).collect();
        assert_eq!(found(&scene, &by_completed), settled);
    }
}

/// The numbers of the records that a filter finds.
fn found(scene: &Scene, filter: &Filter) -> Vec<i64> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let next = scene.ledger.page(filter, after, 100, &mut |payment| {
            found.push(i64::try_from(payment.created_index).unwrap());
        });
        after = next.unwrap();
        if after.is_none() {
            return found;
        }
    }
}
