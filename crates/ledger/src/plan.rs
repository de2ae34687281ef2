//! Which index each listing walks, as SQLite says: with the wrong one, a look-up among ten million
//! records would slow down unseen.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;

use crate::follow::changes_statement;
use crate::groups::heads_statement;
use crate::indexed::first_statement;
use crate::read::{Position, page_statement};
use crate::retire::aged_statement;
use crate::schema::LEDGER_1;
use crate::{Aged, Filter, GroupFilter, Order, PaymentHash, Status};

/// The lines of the plan, one after the other, without the look-ups of texts and nodes.
fn plan(statement: &str) -> String {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(LEDGER_1).unwrap();
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

const HASH: Option<PaymentHash> = Some(PaymentHash([1; 32]));
const CREATED: Position = Position::Created(0);
const NEVER: Position = Position::NeverUpdated(0);
const UPDATED: Position = Position::Updated(0);

#[test]
fn each_listing_of_records_walks_its_index() {
    let pending = Some(Status::Pending);
    let complete = Some(Status::Complete);
    let failed = Some(Status::Failed);
    let by_hash = "SEARCH payment USING INTEGER PRIMARY KEY (rowid=?); LIST SUBQUERY 7; \
        SEARCH payment USING COVERING INDEX sqlite_autoindex_payment_2 (payment_hash=?); \
        USE TEMP B-TREE FOR ORDER BY; USE TEMP B-TREE FOR ORDER BY";
    let table = "SEARCH payment USING INTEGER PRIMARY KEY (rowid>?)";
    let in_pending = "SEARCH payment USING INDEX payment_pending (status=? AND rowid>?)";
    let in_failed = "SEARCH payment USING INDEX payment_failed (status=? AND rowid>?)";
    let in_updated = "SEARCH payment USING INDEX payment_updated (updated_index>?)";
    let failed_updated = "SEARCH payment USING INDEX payment_failed_updated (updated_index>?)";
    for (payment_hash, status, position, expected) in [
        (None, None, CREATED, table),
        (None, complete, CREATED, table),
        (None, pending, CREATED, in_pending),
        (None, failed, CREATED, in_failed),
        (None, None, NEVER, in_pending),
        (None, None, UPDATED, in_updated),
        (None, complete, UPDATED, in_updated),
        (None, failed, UPDATED, failed_updated),
        // Sorts the records of the one hash, and of these the numbers only.
        (HASH, None, CREATED, by_hash),
    ] {
        let filter = Filter {
            payment_hash,
            status,
            order: Order::Created,
            start: 0,
        };
        let found = plan(&page_statement(&filter, position));
        assert_eq!(found, expected, "{filter:?} {position:?}");
    }
}

#[test]
fn each_listing_of_groups_walks_its_index() {
    for (payment_hash, status, position, expected) in [
        (
            None,
            None,
            CREATED,
            "SEARCH head USING INTEGER PRIMARY KEY (rowid>?)",
        ),
        (
            None,
            Some(Status::Failed),
            CREATED,
            "SEARCH head USING INDEX payment_failed (status=? AND rowid>?)",
        ),
        (
            None,
            Some(Status::Pending),
            CREATED,
            "SEARCH head USING INDEX payment_pending (status=?)",
        ),
        (
            None,
            None,
            NEVER,
            "SEARCH head USING INDEX payment_pending (status=? AND rowid>?)",
        ),
        (
            None,
            None,
            UPDATED,
            "SEARCH head USING INDEX payment_updated (updated_index>?)",
        ),
        (
            None,
            Some(Status::Failed),
            UPDATED,
            "SEARCH head USING INDEX payment_failed_updated (updated_index>?)",
        ),
        (
            HASH,
            None,
            CREATED,
            "SEARCH payment USING COVERING INDEX sqlite_autoindex_payment_2 (payment_hash=?)",
        ),
    ] {
        let filter = GroupFilter {
            payment_hash,
            status,
            ..GroupFilter::default()
        };
        let found = plan(&heads_statement(&filter, position));
        let (first, rest) = found.split_once("; ").unwrap_or((&found, ""));
        assert_eq!(first, expected, "{filter:?} {position:?}");
        assert!(!rest.contains("SCAN"), "{rest}");
    }
}

#[test]
fn the_change_feed_merges_three_indexes_and_sorts_nothing() {
    let found = plan(&changes_statement());
    for walked in [
        "SEARCH payment USING INDEX sqlite_autoindex_payment_1 (created_change>?)",
        "SEARCH payment USING INDEX payment_settled (settled_change>?)",
        "SEARCH deleted USING INTEGER PRIMARY KEY (rowid>?)",
    ] {
        assert!(found.contains(walked), "{walked}: {found}");
    }
    assert!(
        !found.contains("TEMP") && !found.contains("SCAN"),
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
        let found = plan(&first_statement(table, "*", index));
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
        assert_eq!(plan(&aged_statement(&aged)), expected);
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
        "SELECT id FROM node WHERE node_id = ?1",
        "SELECT * FROM invoice WHERE label = ?1",
        "SELECT * FROM invoice WHERE payment_hash = ?1",
        "SELECT * FROM invoice WHERE updated_index > ?1 ORDER BY updated_index",
        "SELECT * FROM invoice WHERE pay_index > ?1 ORDER BY pay_index",
    ] {
        let found = plan(statement);
        let searches = found.is_empty() || found.starts_with("SEARCH");
        assert!(searches && !found.contains("TEMP"), "{statement}: {found}");
    }
}
