//! The change feed: every change since one that the follower has seen, in the order of the numbers
//! (L5), page by page (L6).
//!
//! What was changed when is read from the records themselves: a record keeps the number of its
//! creation and that of its settlement, and by L2 it never changes in another way. So both can be
//! told exactly as they were, whenever somebody asks. A tombstone keeps those numbers too: of a record
//! that was deleted all three changes are told, with what the tombstone keeps of it. Who waits for new
//! changes is in `changed.rs`.

use rusqlite::{Connection, OptionalExtension as _};

use crate::position::Began;
use crate::row::{deleted_payment, live_payment, sql};
use crate::walk::with_last_numbers;
use crate::{Ledger, Payment, ReadError, Status, Violation};

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was begun.
    Created,
    /// It was settled.
    Updated,
    /// It was removed.
    Deleted,
}

/// One change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number among all changes, in commit order. None is left out, and none comes twice.
    pub number: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The record as it was right after the change: a created one is pending, whatever became of
    /// it later. Of one that is deleted by now, what its tombstone keeps, whichever change it is.
    pub payment: Payment,
}

impl Ledger {
    /// Visits the changes after that number, in order, at most `rows_max`. `visit` must not block: a
    /// snapshot of the database is held while it runs (L6). Returns the number of the last one
    /// visited; `None` if there is none after it yet.
    ///
    /// All are read in one snapshot, and commits number their changes in order: so once a page was
    /// read, no change at or before its last one ever appears.
    pub fn changes(
        &self,
        after: u64,
        rows_max: usize,
        visit: &mut dyn FnMut(Change),
    ) -> Result<Option<u64>, ReadError> {
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        self.store.read(|connection| {
            with_last_numbers(connection, |began| {
                let mut last = None;
                for next in next_changes(connection, &began, after, limit)? {
                    last = Some(next.number);
                    visit(next.read(connection)?);
                }
                Ok(last)
            })
        })
    }
}

/// A change, before its record is read.
struct Next {
    number: u64,
    kind: ChangeKind,
    created_index: i64,
    deleted: bool,
}

impl Next {
    fn read(self, connection: &Connection) -> Result<Change, ReadError> {
        let payment = match self.deleted {
            true => deleted_payment(connection, self.created_index)?,
            false => live_payment(connection, self.created_index)?,
        };
        let payment = payment.ok_or(ReadError::Store(rusqlite::Error::QueryReturnedNoRows))?;
        Ok(Change {
            number: self.number,
            kind: self.kind,
            payment: match self.kind {
                ChangeKind::Created => as_begun(payment),
                ChangeKind::Updated | ChangeKind::Deleted => payment,
            },
        })
    }
}

/// The changes after that number, in order.
fn next_changes(
    connection: &Connection,
    began: &Began,
    after: u64,
    limit: i64,
) -> Result<Vec<Next>, ReadError> {
    let created = last_record(connection, CREATED_FROM, after, began.created)?;
    let updated = last_record(connection, UPDATED_FROM, after, began.updated)?;
    let mut statement = connection.prepare_cached(CHANGES)?;
    let mut rows = statement.query((sql(after), limit, created, updated))?;
    let mut next = Vec::new();
    while let Some(row) = rows.next()? {
        let created_index: i64 = row.get(2)?;
        let impossible = |column| Violation::Value {
            created_index: created_index.cast_unsigned(),
            column,
        };
        let number: i64 = row.get(0)?;
        next.push(Next {
            number: u64::try_from(number).map_err(|_| impossible("change"))?,
            kind: match row.get(1)? {
                0 => ChangeKind::Created,
                1 => ChangeKind::Updated,
                2 => ChangeKind::Deleted,
                _ => return Err(impossible("kind").into()),
            },
            created_index,
            deleted: row.get(3)?,
        });
    }
    Ok(next)
}

/// The first record from a number on, and the number of its change: in the order of creation, and in
/// that of settlement. In both orders the changes are numbered upwards (triggers say so).
pub(crate) const CREATED_FROM: &str = "\
    SELECT created_index, created_change FROM payment
    WHERE created_index >= ?1 ORDER BY created_index LIMIT 1";
pub(crate) const UPDATED_FROM: &str = "\
    SELECT updated_index, settled_change FROM payment
    WHERE updated_index >= ?1 ORDER BY updated_index LIMIT 1";

/// The number after which the records come whose change is after that one, found by halving; at most
/// the last number given. No record has a higher number than its change.
fn last_record(
    connection: &Connection,
    statement: &str,
    after: u64,
    last: u64,
) -> Result<i64, rusqlite::Error> {
    let mut statement = connection.prepare_cached(statement)?;
    // What is wanted is not before `low`, and not after `high`.
    let (mut low, mut high) = (0, sql(after.min(last)));
    let after = sql(after);
    while low < high {
        let middle = low + (high - low) / 2 + 1;
        let found: Option<(i64, i64)> = statement
            .query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((number, change)) if change <= after => low = number,
            _ => high = middle - 1,
        }
    }
    Ok(low)
}

/// A page of changes: ?1 is the change after which it begins, ?2 the limit, ?3 and ?4 the last numbers
/// of records that were created and settled by then. Of each of the five kinds as many as are wanted,
/// in their own order; then those of all that come first.
pub(crate) const CHANGES: &str = "\
    SELECT * FROM (SELECT created_change AS change, 0, created_index, 0 FROM payment
        WHERE created_index > ?3 ORDER BY created_index LIMIT ?2)
    UNION ALL
    SELECT * FROM (SELECT settled_change, 1, created_index, 0 FROM payment
        WHERE updated_index > ?4 ORDER BY updated_index LIMIT ?2)
    UNION ALL
    SELECT * FROM (SELECT created_change, 0, created_index, 1 FROM deleted
        WHERE created_change > ?1 ORDER BY created_change LIMIT ?2)
    UNION ALL
    SELECT * FROM (SELECT settled_change, 1, created_index, 1 FROM deleted
        WHERE settled_change > ?1 ORDER BY settled_change LIMIT ?2)
    UNION ALL
    SELECT * FROM (SELECT change, 2, created_index, 1 FROM deleted
        WHERE change > ?1 ORDER BY change LIMIT ?2)
    ORDER BY change LIMIT ?2";

/// The record as it was before its end: a settlement changes nothing else (L2).
fn as_begun(payment: Payment) -> Payment {
    Payment {
        updated_index: None,
        completed_at_ms: None,
        status: Status::Pending,
        preimage: None,
        failure: None,
        ..payment
    }
}
