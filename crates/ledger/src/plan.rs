//! Which index each listing walks, as SQLite says: with the wrong one, a look-up among ten million
//! records would slow down unseen.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use rusqlite::Connection;

use crate::follow::{CHANGES, CREATED_FROM, UPDATED_FROM};
use crate::groups::following_statement;
use crate::heads::heads_statement;
use crate::indexed::first_statement;
use crate::page::{few_statement, page_statement};
use crate::position::{Began, Phase, Position};
use crate::retire::aged_statement;
use crate::schema::LEDGER_1;
use crate::walk::{self, Kind};
use crate::{Aged, Direction, Filter, NodeId, PaymentHash, Span, Status};

pub(crate) fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(LEDGER_1).unwrap();
    connection
}

/// The lines of the plan, one after the other, without the look-ups of texts and nodes.
pub(crate) fn plan(connection: &Connection, statement: &str) -> String {
    let mut explained = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
        .unwrap();
    let lines: Vec<String> = explained
        .raw_query()
        .mapped(|row| row.get(3))
        .map(Result::unwrap)
        .filter(|line: &String| {
            ["SCALAR SUBQUERY", "text USING", "node USING"]
                .iter()
                .all(|other| !line.contains(other))
        })
        .collect();
    lines.join("; ")
}

/// The plan of a page, with the index that is chosen for it.
fn plan_of_page(connection: &Connection, filter: &Filter, phase: Phase, kind: Kind) -> String {
    let position = Position {
        phase,
        next: 1,
        until: None,
        began: Began::NEVER,
    };
    let wanted = filter.look_up(connection).unwrap().unwrap();
    let walk = walk::choose(connection, &wanted, position, kind).unwrap();
    let statement = match kind {
        Kind::Records => page_statement(&wanted, walk, phase),
        Kind::Groups => heads_statement(&wanted, walk, phase),
    };
    plan(connection, &statement)
}

fn node() -> NodeId {
    NodeId([2; 33])
}

/// A ledger without records, but with the texts that the filters name.
fn with_texts() -> Connection {
    let connection = empty();
    connection
        .execute("INSERT INTO node (node_id) VALUES (?1)", [node().0])
        .unwrap();
    crate::text::text_row(&connection, "shop").unwrap();
    connection
}

/// Filters alone and together, by name.
fn filters() -> Vec<(&'static str, Filter)> {
    let none = Filter::default;
    let span = Span {
        from: Some(5),
        to: Some(6),
    };
    let label = Some("shop".to_owned());
    let status = |status| Filter {
        status: Some(status),
        ..none()
    };
    vec![
        ("none", none()),
        ("complete", status(Status::Complete)),
        ("pending", status(Status::Pending)),
        ("failed", status(Status::Failed)),
        (
            "hash",
            Filter {
                payment_hash: Some(PaymentHash([1; 32])),
                ..none()
            },
        ),
        (
            "hash and all else",
            Filter {
                payment_hash: Some(PaymentHash([1; 32])),
                groupid: Some(1),
                destination: Some(node()),
                label: label.clone(),
                amount_msat: span,
                ..status(Status::Failed)
            },
        ),
        (
            "label",
            Filter {
                label: label.clone(),
                ..none()
            },
        ),
        (
            "label and amount",
            Filter {
                label: label.clone(),
                amount_msat: span,
                ..status(Status::Complete)
            },
        ),
        (
            "destination",
            Filter {
                destination: Some(node()),
                ..none()
            },
        ),
        (
            "destination and times",
            Filter {
                destination: Some(node()),
                created_at_ms: span,
                completed_at_ms: span,
                ..none()
            },
        ),
        (
            "code",
            Filter {
                code: Some(204),
                failcode: Some(0x1007),
                ..none()
            },
        ),
        (
            "groupid, amount, times",
            Filter {
                groupid: Some(1),
                amount_msat: span,
                created_at_ms: span,
                completed_at_ms: span,
                ..none()
            },
        ),
    ]
}

const CREATED: Phase = Phase::Created;
const UNSETTLED: Phase = Phase::Unsettled;
const UPDATED: Phase = Phase::Updated;

const TABLE: &str = "SEARCH payment USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
const LABEL: &str = "SEARCH payment USING INDEX payment_label (label=? AND rowid>? AND rowid<?)";
const DESTINATION: &str =
    "SEARCH payment USING INDEX payment_destination (destination=? AND rowid>? AND rowid<?)";
const PENDING: &str =
    "SEARCH payment USING INDEX payment_pending (status=? AND rowid>? AND rowid<?)";
const FAILED: &str = "SEARCH payment USING INDEX payment_failed (status=? AND rowid>? AND rowid<?)";
const BY_UPDATE: &str =
    "SEARCH payment USING INDEX payment_updated (updated_index>? AND updated_index<?)";
const FAILED_BY_UPDATE: &str =
    "SEARCH payment USING INDEX payment_failed_updated (updated_index>? AND updated_index<?)";

/// What is sorted is only what the inner search finds.
const SORTED: &str = "sorted:";

/// Holds a plan against the expected one: the whole of it, or what is searched first and then sorted.
fn check(found: &str, expected: &str, what: &str) {
    match expected.strip_prefix(SORTED) {
        None => assert_eq!(found, expected, "{what}"),
        Some(inner) => {
            let searches: Vec<&str> = found.split("; ").collect();
            assert!(
                searches.iter().any(|line| line.starts_with(inner)),
                "{what}: {found}"
            );
        }
    }
    assert!(!found.contains("SCAN payment"), "{what}: {found}");
}

#[test]
fn each_listing_of_records_walks_its_index() {
    let connection = with_texts();
    const HASH_COVERING: &str = "sorted:SEARCH payment USING COVERING INDEX \
        payment_by_hash (payment_hash=?";
    const HASH: &str = "sorted:SEARCH payment USING INDEX payment_by_hash (payment_hash=?";
    let sorted = |inner: &str| format!("{SORTED}{inner}");
    let expected = [
        ("none", CREATED, TABLE.to_owned()),
        ("complete", CREATED, TABLE.into()),
        ("pending", CREATED, PENDING.into()),
        ("failed", CREATED, FAILED.into()),
        ("hash", CREATED, HASH_COVERING.into()),
        ("hash and all else", CREATED, HASH.into()),
        ("label", CREATED, LABEL.into()),
        ("label and amount", CREATED, LABEL.into()),
        ("destination", CREATED, DESTINATION.into()),
        ("destination and times", CREATED, DESTINATION.into()),
        ("code", CREATED, FAILED.into()),
        ("groupid, amount, times", CREATED, TABLE.into()),
        ("none", UPDATED, BY_UPDATE.into()),
        ("complete", UPDATED, BY_UPDATE.into()),
        ("failed", UPDATED, FAILED_BY_UPDATE.into()),
        ("code", UPDATED, FAILED_BY_UPDATE.into()),
        ("groupid, amount, times", UPDATED, BY_UPDATE.into()),
        ("hash", UPDATED, HASH.into()),
        (
            "label",
            UPDATED,
            sorted("SEARCH payment USING INDEX payment_label (label=?)"),
        ),
        (
            "destination and times",
            UPDATED,
            sorted("SEARCH payment USING INDEX payment_destination (destination=?)"),
        ),
        (
            "none",
            UNSETTLED,
            sorted(
                "SEARCH payment USING COVERING INDEX payment_pending (status=? AND rowid>? AND rowid<?)",
            ),
        ),
        (
            "none",
            UNSETTLED,
            sorted("SEARCH payment USING COVERING INDEX payment_updated (updated_index>?)"),
        ),
        ("label", UNSETTLED, LABEL.into()),
    ];
    let filters = filters();
    for (name, phase, expected) in expected {
        let (_, filter) = filters.iter().find(|(of, _)| *of == name).unwrap();
        for direction in [Direction::Ascending, Direction::Descending] {
            let filter = Filter {
                direction,
                ..filter.clone()
            };
            let found = plan_of_page(&connection, &filter, phase, Kind::Records);
            check(
                &found,
                &expected,
                &format!("{name} {phase:?} {direction:?}"),
            );
        }
    }
}

#[test]
fn the_few_records_of_a_hash_are_read_as_its_index_has_them() {
    let connection = with_texts();
    for (name, filter) in filters() {
        if filter.payment_hash.is_none() {
            continue;
        }
        let wanted = filter.look_up(&connection).unwrap().unwrap();
        for phase in [CREATED, UNSETTLED, UPDATED] {
            let found = plan(&connection, &few_statement(&wanted, phase));
            let expected = "SEARCH payment USING INDEX payment_by_hash (payment_hash=?";
            assert!(found.starts_with(expected), "{name} {phase:?}: {found}");
            assert!(!found.contains("TEMP"), "{name} {phase:?}: {found}");
        }
    }
}

#[test]
fn each_listing_of_groups_walks_its_index() {
    let connection = with_texts();
    let filters = filters();
    let at_head = |plan: &str| plan.replace("payment USING", "head USING");
    for (name, phase, expected) in [
        ("none", CREATED, at_head(TABLE)),
        ("complete", CREATED, at_head(TABLE)),
        ("failed", CREATED, at_head(FAILED)),
        ("code", CREATED, at_head(FAILED)),
        ("label", CREATED, at_head(LABEL)),
        ("label and amount", CREATED, at_head(LABEL)),
        ("destination and times", CREATED, at_head(DESTINATION)),
        ("groupid, amount, times", CREATED, at_head(TABLE)),
        (
            "pending",
            CREATED,
            "SEARCH head USING INDEX payment_pending (status=?)".to_owned(),
        ),
        (
            "hash",
            CREATED,
            "SEARCH head USING COVERING INDEX payment_by_hash (payment_hash=?)".into(),
        ),
        ("none", UPDATED, at_head(BY_UPDATE)),
        ("complete", UPDATED, at_head(BY_UPDATE)),
        ("failed", UPDATED, at_head(FAILED_BY_UPDATE)),
        (
            "hash",
            UPDATED,
            "SEARCH head USING COVERING INDEX payment_by_hash (payment_hash=?)".into(),
        ),
        (
            "label",
            UPDATED,
            "SEARCH head USING INDEX payment_label (label=?)".into(),
        ),
        (
            "none",
            UNSETTLED,
            "SEARCH head USING INTEGER PRIMARY KEY (rowid=?)".into(),
        ),
        ("destination", UNSETTLED, at_head(DESTINATION)),
    ] {
        let (_, filter) = filters.iter().find(|(of, _)| *of == name).unwrap();
        for direction in [Direction::Ascending, Direction::Descending] {
            let filter = Filter {
                direction,
                ..filter.clone()
            };
            let found = plan_of_page(&connection, &filter, phase, Kind::Groups);
            let (first, rest) = found.split_once("; ").unwrap_or((&found, ""));
            assert_eq!(first, expected, "{name} {phase:?} {direction:?}");
            assert!(!rest.contains("SCAN"), "{name} {phase:?}: {rest}");
        }
    }
}

/// A record that SQLite takes: with this label, to this node, pending.
fn insert_pending(connection: &Connection, number: i64, label: Option<i64>, node: Option<i64>) {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    connection
        .execute(
            "INSERT INTO payment (created_index, created_change, payment_hash, groupid, partid,
                 destination, amount_msat, amount_sent_msat, total_msat, created_at, label, route)
             VALUES (?1, ?1, ?2, 0, 0, ?3, 1, 1, 1, 1, ?4, x'01')",
            (number, hash, node, label),
        )
        .unwrap();
}

#[test]
fn of_several_indexes_the_most_selective_is_walked() {
    let connection = with_texts();
    let chosen = |filter: &Filter, phase| plan_of_page(&connection, filter, phase, Kind::Records);
    let filter = Filter {
        label: Some("shop".to_owned()),
        destination: Some(node()),
        ..Filter::default()
    };
    // Three with the label, two of them to the node.
    insert_pending(&connection, 1, Some(1), Some(1));
    insert_pending(&connection, 2, Some(1), Some(1));
    insert_pending(&connection, 3, Some(1), None);
    assert_eq!(chosen(&filter, CREATED), DESTINATION);
    let pending = Filter {
        status: Some(Status::Pending),
        ..filter.clone()
    };
    assert_eq!(chosen(&pending, CREATED), DESTINATION);
    // Two more to the node.
    insert_pending(&connection, 4, None, Some(1));
    insert_pending(&connection, 5, None, Some(1));
    assert_eq!(chosen(&filter, CREATED), LABEL);
    // A label of too many to be sorted for each page.
    for number in 6..5000 {
        insert_pending(&connection, number, Some(1), None);
    }
    assert_eq!(chosen(&filter, CREATED), DESTINATION);
    let label = Filter {
        destination: None,
        ..filter
    };
    assert_eq!(chosen(&label, UPDATED), BY_UPDATE);
}

#[test]
fn the_parts_that_follow_a_first_one_are_read_in_order() {
    let found = plan(&empty(), &following_statement());
    assert_eq!(
        found,
        "SEARCH payment USING INDEX payment_follows (follows=?)"
    );
}

#[test]
fn the_change_feed_walks_five_indexes_and_sorts_a_page_of_each_at_most() {
    let found = plan(&empty(), CHANGES);
    for walked in [
        "SEARCH payment USING INTEGER PRIMARY KEY (rowid>?)",
        "SEARCH payment USING INDEX payment_updated (updated_index>?)",
        "SEARCH deleted USING INDEX sqlite_autoindex_deleted_3 (created_change>?)",
        "SEARCH deleted USING INDEX sqlite_autoindex_deleted_4 (settled_change>?)",
        "SEARCH deleted USING INTEGER PRIMARY KEY (rowid>?)",
    ] {
        assert!(found.contains(walked), "{walked}: {found}");
    }
    // What is sorted is what the five walks gave, each with its limit.
    assert!(
        !found.contains("SCAN payment") && !found.contains("SCAN deleted"),
        "{found}"
    );
    for statement in [CREATED_FROM, UPDATED_FROM] {
        let found = plan(&empty(), statement);
        assert!(
            found.contains("SEARCH payment") && !found.contains("TEMP"),
            "{found}"
        );
    }
}

#[test]
fn the_sums_by_status_look_at_no_settled_record() {
    let found = plan(&empty(), crate::read::TOTALS);
    assert!(
        found.contains("SEARCH payment USING INDEX payment_pending (status=?)")
            && found.matches("payment").count() == 2,
        "{found}"
    );
}

#[test]
fn the_first_at_or_after_an_index_is_found_by_it() {
    for (table, index) in [
        ("payment", "created_index"),
        ("payment", "updated_index"),
        ("deleted", "created_index"),
        ("deleted", "deleted_index"),
    ] {
        let found = plan(&empty(), &first_statement(table, "*", index));
        let searches = found.starts_with("SEARCH") && !found.contains("TEMP");
        assert!(searches, "{table} {index}: {found}");
    }
}

#[test]
fn old_records_are_walked_in_the_order_of_their_settlement() {
    let (some, none) = (Some(1), None);
    for (complete_before_ms, failed_before_ms, index) in [
        (some, some, "payment_updated"),
        (some, none, "payment_updated"),
        (none, some, "payment_failed_updated"),
    ] {
        let aged = Aged {
            complete_before_ms,
            failed_before_ms,
        };
        let expected = format!("SEARCH payment USING INDEX {index} (updated_index>?)");
        assert_eq!(plan(&empty(), &aged_statement(&aged)), expected);
    }
}

#[test]
fn looking_up_and_settling_walk_an_index() {
    for statement in [
        "SELECT * FROM payment WHERE payment_hash = ?1",
        "SELECT * FROM payment WHERE payment_hash = ?1 AND groupid = ?2 AND partid = ?3",
        "SELECT max(groupid) FROM payment WHERE payment_hash = ?1",
        "SELECT * FROM deleted WHERE payment_hash = ?1",
        "SELECT * FROM payment WHERE status = 0 AND origin = 0 ORDER BY created_index",
        "UPDATE payment SET status = 1 WHERE created_index = ?1 AND status = 0",
        "SELECT * FROM payment WHERE label = ?1",
        "SELECT * FROM payment WHERE destination = ?1",
        "SELECT id FROM text WHERE hash = ?1 AND body = ?2",
        "SELECT text.id FROM payment JOIN text ON text.id = payment.bolt11
             WHERE payment.payment_hash = ?1 AND text.body = ?2 LIMIT 1",
        "SELECT id FROM node WHERE node_id = ?1",
        "SELECT * FROM invoice WHERE label = ?1",
        "SELECT * FROM invoice WHERE payment_hash = ?1",
        "SELECT * FROM invoice WHERE updated_index > ?1 ORDER BY updated_index",
        "SELECT * FROM invoice WHERE pay_index > ?1 ORDER BY pay_index",
        "SELECT * FROM invoice WHERE pay_index > ?1 ORDER BY pay_index LIMIT 1",
        "SELECT payment_hash, expires_at FROM invoice
             WHERE state = 0 AND origin = 0 AND expires_at >= ?1 ORDER BY expires_at LIMIT ?2",
        "SELECT * FROM deleted_invoice WHERE deleted_index >= ?1 ORDER BY deleted_index LIMIT 1",
    ] {
        let found = plan(&empty(), statement);
        let searches = found.is_empty() || found.starts_with("SEARCH");
        assert!(searches && !found.contains("TEMP"), "{statement}: {found}");
    }
}
