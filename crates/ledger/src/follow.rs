//! The change feed: every change since one that the follower has seen, in the order of the numbers
//! (L5), page by page (L6).
//!
//! What was changed when is read from the records themselves: a record keeps the number of its
//! creation and that of its settlement, and by L2 it never changes in another way. So both can be
//! told exactly as they were, whenever somebody asks. A tombstone keeps those numbers too: of a record
//! that was deleted all three changes are told, with what the tombstone keeps of it. Who waits for new
//! changes is in `changed.rs`.

use crate::row::{COLUMNS, DELETED_COLUMNS, decode_payment, sql};
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
            let mut statement = connection.prepare_cached(&changes_statement())?;
            let mut rows = statement.query((sql(after), limit))?;
            let mut last = None;
            while let Some(row) = rows.next()? {
                let payment = decode_payment(row)?;
                let impossible = |column| Violation::Value {
                    created_index: payment.created_index,
                    column,
                };
                let kind = match row.get("kind")? {
                    0 => ChangeKind::Created,
                    1 => ChangeKind::Updated,
                    2 => ChangeKind::Deleted,
                    _ => return Err(impossible("kind").into()),
                };
                let number: i64 = row.get("change")?;
                let number = u64::try_from(number).map_err(|_| impossible("change"))?;
                last = Some(number);
                visit(Change {
                    number,
                    kind,
                    payment: match kind {
                        ChangeKind::Created => as_begun(payment),
                        ChangeKind::Updated | ChangeKind::Deleted => payment,
                    },
                });
            }
            Ok(last)
        })
    }
}

/// The statement of a page: ?1 is the change after which it begins, ?2 the limit. SQLite merges the
/// five, each walked in the order of its own index.
pub(crate) fn changes_statement() -> String {
    format!(
        "SELECT {COLUMNS}, created_change AS change, 0 AS kind FROM payment
         WHERE created_change > ?1
         UNION ALL
         SELECT {COLUMNS}, settled_change, 1 FROM payment WHERE settled_change > ?1
         UNION ALL
         SELECT {DELETED_COLUMNS}, created_change, 0 FROM deleted WHERE created_change > ?1
         UNION ALL
         SELECT {DELETED_COLUMNS}, settled_change, 1 FROM deleted WHERE settled_change > ?1
         UNION ALL
         SELECT {DELETED_COLUMNS}, change, 2 FROM deleted WHERE change > ?1
         ORDER BY change LIMIT ?2"
    )
}

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
