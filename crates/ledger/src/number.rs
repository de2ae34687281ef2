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

pub(crate) fn next_invoice_deleted(connection: &Connection) -> Result<i64, rusqlite::Error> {
    next_one(
        connection,
        "UPDATE counter SET invoice_deleted = invoice_deleted + 1 WHERE id = 0",
        "SELECT invoice_deleted FROM counter",
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

/// Numbers for many changes in one call: taken at its beginning, given back at its end.
pub(crate) struct Block {
    created: i64,
    updated: i64,
    change: i64,
    invoice_created: i64,
    invoice_updated: i64,
    pay_index: i64,
}

impl Block {
    pub(crate) fn open(connection: &Connection) -> Result<Block, rusqlite::Error> {
        connection
            .prepare_cached(
                "SELECT created, updated, change, invoice_created, invoice_updated, pay_index
                 FROM counter",
            )?
            .query_row([], |row| {
                Ok(Block {
                    created: row.get(0)?,
                    updated: row.get(1)?,
                    change: row.get(2)?,
                    invoice_created: row.get(3)?,
                    invoice_updated: row.get(4)?,
                    pay_index: row.get(5)?,
                })
            })
    }

    /// The numbers of a new payment: of its kind, and of all kinds together.
    pub(crate) fn created(&mut self) -> (i64, i64) {
        (next_of(&mut self.created), next_of(&mut self.change))
    }

    /// The numbers of its end.
    pub(crate) fn updated(&mut self) -> (i64, i64) {
        (next_of(&mut self.updated), next_of(&mut self.change))
    }

    pub(crate) fn invoice_created(&mut self) -> i64 {
        next_of(&mut self.invoice_created)
    }

    pub(crate) fn invoice_updated(&mut self) -> i64 {
        next_of(&mut self.invoice_updated)
    }

    pub(crate) fn pay_index(&mut self) -> i64 {
        next_of(&mut self.pay_index)
    }

    pub(crate) fn close(self, connection: &Connection) -> Result<(), rusqlite::Error> {
        connection
            .prepare_cached(
                "UPDATE counter SET created = ?1, updated = ?2, change = ?3, invoice_created = ?4,
                     invoice_updated = ?5, pay_index = ?6
                 WHERE id = 0",
            )?
            .execute((
                self.created,
                self.updated,
                self.change,
                self.invoice_created,
                self.invoice_updated,
                self.pay_index,
            ))?;
        Ok(())
    }
}

fn next_of(counter: &mut i64) -> i64 {
    *counter += 1;
    *counter
}
