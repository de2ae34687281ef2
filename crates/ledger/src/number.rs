//! L5: every change is numbered, in commit order, and no number is given twice. The counters move
//! in the same savepoint as what they number.

use rusqlite::Connection;

/// The numbers of one change of a payment: of its kind, and of all kinds together.
pub(crate) struct Numbers {
    pub(crate) index: i64,
    pub(crate) change: i64,
}

pub(crate) fn next_created(connection: &Connection) -> Result<Numbers, rusqlite::Error> {
    next(
        connection,
        "UPDATE counter SET created = created + 1, change = change + 1 RETURNING created, change",
    )
}

pub(crate) fn next_updated(connection: &Connection) -> Result<Numbers, rusqlite::Error> {
    next(
        connection,
        "UPDATE counter SET updated = updated + 1, change = change + 1 RETURNING updated, change",
    )
}

pub(crate) fn next_deleted(connection: &Connection) -> Result<Numbers, rusqlite::Error> {
    next(
        connection,
        "UPDATE counter SET deleted = deleted + 1, change = change + 1 RETURNING deleted, change",
    )
}

fn next(connection: &Connection, sql: &str) -> Result<Numbers, rusqlite::Error> {
    connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Numbers {
            index: row.get(0)?,
            change: row.get(1)?,
        })
    })
}

pub(crate) fn next_invoice_created(connection: &Connection) -> Result<i64, rusqlite::Error> {
    next_one(
        connection,
        "UPDATE counter SET invoice_created = invoice_created + 1 RETURNING invoice_created",
    )
}

pub(crate) fn next_invoice_updated(connection: &Connection) -> Result<i64, rusqlite::Error> {
    next_one(
        connection,
        "UPDATE counter SET invoice_updated = invoice_updated + 1 RETURNING invoice_updated",
    )
}

pub(crate) fn next_pay_index(connection: &Connection) -> Result<i64, rusqlite::Error> {
    next_one(
        connection,
        "UPDATE counter SET pay_index = pay_index + 1 RETURNING pay_index",
    )
}

fn next_one(connection: &Connection, sql: &str) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
}
