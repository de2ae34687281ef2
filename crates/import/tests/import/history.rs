//! What each row of CLN becomes, that nothing of it is lost, and what a second import does.

use crate::fixture::{Cln, SCHEMAS, blob, columns, int, preimage, text};
use crate::scene::Scene;
use rusqlite::Connection;
use rusqlite::types::Value;
use sendpay_import::{ImportError, import};
use sendpay_ledger::{Imported, InvoiceState, Status};

#[test]
fn no_column_of_any_schema_is_lost() {
    for version in SCHEMAS {
        let scene = Scene::new();
        let cln = scene.cln(version);
        cln.fill();
        drop(cln);
        let summary = scene.import().unwrap();
        assert_eq!(
            (summary.added.payments, summary.added.invoices),
            (22, 5),
            "{version}"
        );
        let raw = scene.raw();
        raw.execute("ATTACH ?1 AS old", [scene.cln_path().to_str().unwrap()])
            .unwrap();
        for (table, kept, record) in [
            ("payments", "cln_payment", "payment"),
            ("invoices", "cln_invoice", "invoice"),
        ] {
            for column in columns(table, version) {
                let column = column.split(' ').next().unwrap();
                let lost = lost(&raw, table, kept, record, column);
                assert_eq!(lost, Vec::<i64>::new(), "{version}: {table}.{column}");
            }
        }
    }
}

/// Rows of whose column neither the kept row nor the record has the value.
fn lost(raw: &Connection, table: &str, kept: &str, record: &str, column: &str) -> Vec<i64> {
    let of_text = |of| format!("(SELECT body FROM text WHERE text.id = r.{of})");
    let in_record = match (table, column) {
        (_, "id") => "r.origin_id".to_owned(),
        (_, "payment_hash") => "r.payment_hash".to_owned(),
        ("payments", "destination") => {
            "(SELECT node_id FROM node WHERE node.id = r.destination)".to_owned()
        }
        ("payments", "payment_preimage") | ("invoices", "payment_key") => "r.preimage".to_owned(),
        ("payments", "bolt11") => of_text("bolt11"),
        ("payments", "description") => of_text("label"),
        ("payments", "paydescription") => of_text("description"),
        ("invoices", "label" | "bolt11" | "description") => format!("r.{column}"),
        _ => "NULL".to_owned(),
    };
    let in_kept = match column {
        "payment_hash" => "NULL".to_owned(),
        other => format!("k.{other}"),
    };
    // As bytes: a text that is none is kept as bytes.
    raw.prepare(&format!(
        "SELECT s.id FROM old.{table} AS s
         LEFT JOIN {kept} AS k ON k.id = s.id
         LEFT JOIN {record} AS r ON r.created_index = k.created_index
         WHERE NOT (CAST(s.{column} AS BLOB) IS
             CAST(coalesce({in_kept}, {in_record}) AS BLOB))
             AND NOT (s.{column} IS NULL AND {in_kept} IS NULL)"
    ))
    .unwrap()
    .query_map([], |row| row.get(0))
    .unwrap()
    .collect::<Result<_, _>>()
    .unwrap()
}

#[test]
fn each_kind_of_payment_becomes_the_record_it_should() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    cln.fill();
    drop(cln);
    let summary = scene.import().unwrap();
    assert_eq!((summary.pending, summary.unproven), (4, 2));
    for payment in scene.payments() {
        payment.invariants().unwrap();
        assert!(!payment.own);
    }
    let complete = &scene.of(1)[0];
    assert_eq!(complete.status, Status::Complete);
    assert_eq!(complete.preimage, Some(preimage(1)));
    assert_eq!((complete.groupid, complete.partid), (1, 0));
    assert_eq!(complete.amount_msat.msat(), 1_000);
    assert_eq!(complete.amount_sent_msat.msat(), 1_007);
    assert_eq!(complete.created_at_ms, 1_600_000_001_000);
    assert_eq!(complete.completed_at_ms, Some(1_600_000_061_000));
    assert_eq!(complete.label.as_deref(), Some("coffee"));
    assert_eq!(complete.description.as_deref(), Some("a cup of it"));
    assert_eq!(complete.bolt11.as_deref(), Some("lnbcrt1complete"));
    assert_eq!(complete.destination.unwrap().0, [3; 33]);

    let failure = |number| scene.of(number)[0].failure.clone();
    let reported = failure(2).unwrap();
    assert_eq!((reported.code, reported.failcode), (204, Some(0x1007)));
    assert_eq!(reported.erring_index, Some(2));
    assert_eq!(reported.erring_node.unwrap().0, [4; 33]);
    assert_eq!(reported.erring_channel, Some(103 << 40 | 2 << 16 | 1));
    assert_eq!(reported.erring_direction, Some(1));
    assert_eq!(reported.message, "reply from remote");
    let refused = failure(3).unwrap();
    assert_eq!((refused.code, refused.failcode), (203, Some(0x400f)));
    assert_eq!(refused.message, "unknown to it");
    assert_eq!(refused.erring_channel, None);
    let unreadable = failure(4).unwrap();
    assert_eq!((unreadable.code, unreadable.failcode), (202, None));
    assert_eq!(failure(5), None);
    let unknown = failure(6).unwrap();
    assert_eq!(unknown.code, 209);
    assert_eq!(unknown.message, "unspecified payment failure reason");
    // Failed by CLN without a time.
    assert_eq!(scene.of(5)[0].completed_at_ms, Some(1_600_000_005_000));
}

#[test]
fn parts_and_groups_stay_what_they_were_where_they_can() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    cln.fill();
    drop(cln);
    scene.import().unwrap();
    let parts = |number| -> Vec<(u64, u64, Status)> {
        let parts = scene.of(number);
        parts
            .iter()
            .map(|part| (part.groupid, part.partid, part.status))
            .collect()
    };
    use Status::{Complete, Failed, Pending};
    assert_eq!(
        parts(10),
        [(7, 1, Complete), (7, 2, Complete), (7, 3, Failed)]
    );
    assert_eq!(parts(11), [(7, 1, Complete), (7, 2, Pending)]);
    // Two rows without a partid: one is 0, the other the next.
    assert_eq!(parts(12), [(1, 0, Complete), (1, 1, Complete)]);
    let group = u64::MAX - 4 - (1 << 63);
    assert_eq!(parts(13), [(group, 4, Failed), (group, 5, Failed)]);
    assert_eq!(scene.of(11)[0].total_msat.msat(), 90);
}

#[test]
fn groups_of_before_there_were_any_are_group_0() {
    let scene = Scene::new();
    scene.cln(161).payment(1, 1, 1, &[]);
    scene.import().unwrap();
    let payment = &scene.payments()[0];
    assert_eq!((payment.groupid, payment.partid), (0, 0));
    // No column completed_at before v22.11: the time of the beginning.
    assert_eq!(payment.completed_at_ms, Some(1_600_000_001_000));
}

#[test]
fn what_cln_cannot_prove_stays_in_doubt_and_what_it_knows_is_not_lost() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    cln.fill();
    drop(cln);
    scene.import().unwrap();
    for number in [22, 23, 20] {
        assert_eq!(scene.of(number)[0].status, Status::Pending, "{number}");
    }
    let failed_and_paid = &scene.of(24)[0];
    assert_eq!(failed_and_paid.status, Status::Failed);
    assert_eq!(scene.ledger.warnings().unwrap().len(), 1);
    assert_eq!(
        scene.of(25)[0].label.as_deref(),
        Some("\0 \u{1f980} \"quoted\"")
    );
    assert_eq!(scene.of(26)[0].label.as_deref(), Some("\u{fffd}\0\u{fffd}"));
    let empty = &scene.of(21)[0];
    assert_eq!((empty.created_at_ms, empty.amount_msat.msat()), (0, 0));
    assert_eq!(empty.destination, None);
    assert!(scene.ledger.pending_own().unwrap().is_empty());
}

#[test]
fn each_kind_of_invoice_becomes_the_record_it_should() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    cln.fill();
    drop(cln);
    scene.import().unwrap();
    let invoices = scene.invoices();
    let [open, paid, expired, odd, unproven] = invoices.as_slice() else {
        panic!("{invoices:?}")
    };
    assert!(invoices.iter().all(|invoice| !invoice.own));
    assert_eq!(
        (open.state, open.label.as_str()),
        (InvoiceState::Open, "order 3")
    );
    assert_eq!((open.created_at_ms, open.cltv), (1_600_000_000_000, 18));
    assert_eq!(open.expires_at_ms, 1_600_003_603_000);
    assert_eq!(paid.state, InvoiceState::Paid);
    assert_eq!(paid.preimage, Some(preimage(102)));
    assert_eq!(paid.amount_received_msat.unwrap().msat(), 20_001);
    assert_eq!(paid.paid_at_ms, Some(1_600_000_104_000));
    assert_eq!(paid.pay_index, Some(1));
    assert_eq!(expired.state, InvoiceState::Expired);
    assert_eq!(odd.label, "a\"b\\ é\n");
    assert_eq!((odd.amount_msat, odd.bolt11.as_str()), (None, ""));
    assert_eq!(unproven.label, r"no json \q");
    assert_eq!(
        (unproven.state, unproven.preimage),
        (InvoiceState::Paid, None)
    );
}

#[test]
fn run_twice_it_adds_nothing_and_what_came_since_is_added() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    cln.fill();
    scene.import().unwrap();
    let before = scene.dump();
    assert_eq!(scene.import().unwrap().added, Imported::default());
    assert_eq!(scene.dump(), before);
    // A record that was removed does not come back.
    let hash = preimage(1).payment_hash();
    scene
        .ledger
        .delete(hash, Status::Complete, None, 0)
        .wait()
        .unwrap()
        .unwrap();
    assert_eq!(scene.import().unwrap().added, Imported::default());
    cln.payment(50, 50, 1, &[]);
    cln.invoice(50, 150, 0, &[]);
    let added = scene.import().unwrap().added;
    assert_eq!((added.payments, added.invoices), (1, 1));
    assert_eq!(scene.of(1), []);
    assert_eq!(scene.of(50).len(), 1);
}

#[test]
fn in_two_runs_it_comes_to_the_same_as_in_one() {
    let whole = Scene::new();
    whole.cln(282).fill();
    whole.import().unwrap();
    let all = whole.dump();
    for cut in [0, 3, 10, 14, 15, 17, 23, 30] {
        let scene = Scene::new();
        let cln = scene.cln(282);
        cln.fill();
        let path = scene.dir.path().join("all.sqlite3");
        std::fs::copy(&cln.path, &path).unwrap();
        let first = "DELETE FROM payments WHERE id > ?1";
        cln.connection.execute(first, [cut]).unwrap();
        cln.connection.execute("DELETE FROM invoices", []).unwrap();
        drop(cln);
        scene.import().unwrap();
        std::fs::copy(&path, scene.cln_path()).unwrap();
        scene.import().unwrap();
        assert_eq!(scene.dump(), all, "cut after {cut}");
    }
}

#[test]
fn a_row_that_no_lightningd_writes_refuses_the_file_and_records_nothing() {
    for (table, column, value) in [
        ("payments", "payment_hash", blob([1; 31])),
        ("payments", "payment_hash", Value::Null),
        ("payments", "status", int(7)),
        ("payments", "status", Value::Null),
        ("payments", "msatoshi", int(-1)),
        ("payments", "msatoshi", int(2_100_000_000_000_000_001)),
        ("payments", "timestamp", text("yesterday")),
        ("invoices", "state", int(3)),
        ("invoices", "payment_hash", blob([1; 33])),
    ] {
        let scene = Scene::new();
        let cln = scene.cln(282);
        cln.fill();
        let last =
            format!("UPDATE {table} SET {column} = ?1 WHERE id = (SELECT max(id) FROM {table})");
        cln.connection.execute(&last, [&value]).unwrap();
        let before = scene.dump();
        let refused = scene.import().unwrap_err().to_string();
        assert!(
            refused.contains(table) && refused.contains(column),
            "{table}.{column} {value:?}: {refused}"
        );
        assert_eq!(scene.dump(), before, "{table}.{column} {value:?}");
    }
}

#[test]
fn another_node_needs_another_name() {
    let scene = Scene::new();
    scene.cln(161).payment(1, 1, 1, &[]);
    scene.import().unwrap();
    std::fs::remove_file(scene.cln_path()).unwrap();
    scene.cln(161).payment(1, 2, 1, &[]);
    let refused = scene.import().unwrap_err();
    assert!(
        matches!(refused, ImportError::OtherNode { id: 1, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("--name"), "{refused}");
    assert_eq!(scene.payments().len(), 1);
    let other = import(
        &scene.ledger,
        &scene.open(),
        "other",
        &|_| None,
        &mut |_| {},
    );
    assert_eq!(other.unwrap().added.payments, 1);
}

#[test]
fn groups_labels_and_invoices_that_are_taken_make_room() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    let part = |partid| [("partid", int(partid)), ("groupid", int(1))];
    cln.payment(1, 1, 2, &part(1));
    cln.payment(2, 1, 2, &part(2));
    cln.invoice(1, 30, 0, &[]);
    // The same node under two names.
    import(&scene.ledger, &scene.open(), "one", &|_| None, &mut |_| {}).unwrap();
    cln.invoice(2, 31, 0, &[]);
    cln.connection
        .execute("UPDATE invoices SET label = 'order 1' WHERE id = 2", [])
        .unwrap_err();
    let summary = import(&scene.ledger, &scene.open(), "two", &|_| None, &mut |_| {}).unwrap();
    // The invoice of hash 30 is there already.
    assert_eq!((summary.added.payments, summary.added.invoices), (2, 1));
    let parts: Vec<_> = scene
        .of(1)
        .iter()
        .map(|part| (part.groupid, part.partid))
        .collect();
    assert_eq!(parts, [(1, 1), (1, 2), (2, 1), (2, 2)]);
    assert_eq!(scene.invoices().len(), 2);

    let path = scene.cln_path();
    std::fs::remove_file(&path).unwrap();
    Cln::new(&path, 282).invoice(9, 32, 0, &[("label", text("order 1"))]);
    import(
        &scene.ledger,
        &scene.open(),
        "three",
        &|_| None,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(scene.invoices()[2].label, "order 1 (imported 9)");
    let kept: Value = scene
        .raw()
        .query_row("SELECT label FROM cln_invoice WHERE id = 9", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(kept, text("order 1"));
}

#[test]
fn what_cln_has_settled_since_is_settled() {
    let scene = Scene::new();
    let cln = scene.cln(282);
    cln.payment(1, 1, 0, &[]);
    cln.payment(2, 2, 0, &[]);
    cln.payment(3, 3, 0, &[]);
    scene.import().unwrap();
    let update = |set: &str| {
        let statement = format!("UPDATE payments SET completed_at = 1700000000, {set}");
        cln.connection.execute(&statement, []).unwrap();
    };
    update("status = 1, payment_preimage = zeroblob(32) WHERE id = 1");
    // Without proof it stays in doubt.
    let summary = scene.import().unwrap();
    assert_eq!((summary.settled, summary.added.payments), (0, 0));
    let proof = "unhex('0101010101010101010101010101010101010101010101010101010101010101')";
    update(&format!("payment_preimage = {proof} WHERE id = 1"));
    update("status = 2 WHERE id = 2");
    assert_eq!(scene.import().unwrap().settled, 2);
    let statuses: Vec<_> = scene
        .payments()
        .iter()
        .map(|payment| payment.status)
        .collect();
    assert_eq!(
        statuses,
        [Status::Complete, Status::Failed, Status::Pending]
    );
    assert_eq!(scene.of(1)[0].preimage, Some(preimage(1)));
    assert_eq!(scene.of(1)[0].completed_at_ms, Some(1_700_000_000_000));
    assert_eq!(scene.import().unwrap().settled, 0);
}
