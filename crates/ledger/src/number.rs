//! L5: every change is numbered, in commit order, and no number is given twice. The counters move
//! in the same savepoint as what they number.

use rusqlite::Connection;

/// The numbers of one change of a payment: of its kind, and of all kinds together.
pub(crate) struct Numbers {
    pub(crate) index: i64,
    pub(crate) change: i64,
}

// An UPDATE and a SELECT each, and the id of the only row: RETURNING, and an UPDATE that might meet
// several rows, make SQLite build a temporary table each time.

pub(crate) fn next_created(connection: &Connection) -> Result<Numbers, rusqlite::Error> {
    next(
        connection,
        "UPDATE counter SET created = created + 1, change = change + 1 WHERE id = 0",
        "SELECT created, change FROM counter",
    )
}

pub(crate) fn next_updated(connection: &Connection) -> Result<Numbers, rusqlite::Error> {
    next(
        connection,
        "UPDATE counter SET updated = updated + 1, change = change + 1 WHERE id = 0",
        "SELECT updated, change FROM counter",
    )
}

pub(crate) fn next_deleted(connection: &Connection) -> Result<Numbers, rusqlite::Error> {
    next(
        connection,
        "UPDATE counter SET deleted = deleted + 1, change = change + 1 WHERE id = 0",
        "SELECT deleted, change FROM counter",
    )
}

fn next(connection: &Connection, update: &str, select: &str) -> Result<Numbers, rusqlite::Error> {
    connection.prepare_cached(update)?.execute([])?;
    connection.prepare_cached(select)?.query_row([], |row| {
        Ok(Numbers {
            index: row.get(0)?,
            change: row.get(1)?,
        })
    })
}

pub(crate) fn next_invoice_created(connection: &Connection) -> Result<i64, rusqlite::Error> {
    next_one(
        connection,
        "UPDATE counter SET invoice_created = invoice_created + 1 WHERE id = 0",
        "SELECT invoice_created FROM counter",
    )
}

pub(crate) fn next_invoice_updated(connection: &Connection) -> Result<i64, rusqlite::Error> {
    next_one(
        connection,
        "UPDATE counter SET invoice_updated = invoice_updated + 1 WHERE id = 0",
        "SELECT invoice_updated FROM counter",
    )
}

pub(crate) fn next_pay_index(connection: &Connection) -> Result<i64, rusqlite::Error> {
    next_one(
        connection,
        "UPDATE counter SET pay_index = pay_index + 1 WHERE id = 0",
        "SELECT pay_index FROM counter",
    )
}

fn next_one(connection: &Connection, update: &str, select: &str) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached(update)?.execute([])?;
    connection
        .prepare_cached(select)?
        .query_row([], |row| row.get(0))
}
