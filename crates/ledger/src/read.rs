//! Reading records: by name, and page by page in constant memory (L6).

use crate::row::{COLUMNS, DELETED_COLUMNS, decode_payment, find_payment, find_payments, sql};
use crate::{Ledger, Payment, PaymentHash, Status, Violation};

/// Most warnings told at once: each is a breach that should never happen, so the first tell all.
const WARNINGS_MAX: i64 = 100;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store refused.
    #[error("the ledger could not be read")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

/// In which order records are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By `created_index`.
    #[default]
    Created,
    /// By `updated_index`; with a start of 0, what never changed comes first, by `created_index`.
    Updated,
}

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only records of this hash.
    pub payment_hash: Option<PaymentHash>,
    /// Only records with this status.
    pub status: Option<Status>,
    /// In which order.
    pub order: Order,
    /// The first index to list, in that order's numbers.
    pub start: u64,
}

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub(crate) Position);

/// The last row of a page, in the numbers of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// By `created_index`.
    Created(u64),
    /// Among what never changed, by `created_index`.
    NeverUpdated(u64),
    /// By `updated_index`.
    Updated(u64),
}

/// The records of one status, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Their amounts together, in msat (may be above 21 million bitcoin).
    pub amount_msat: u128,
    /// What left us for them together, in msat.
    pub amount_sent_msat: u128,
}

/// All records, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Those pending.
    pub pending: Sum,
    /// Those complete.
    pub complete: Sum,
    /// Those failed.
    pub failed: Sum,
}

/// The last number given of each kind (L5); 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of creations of payments.
    pub created: u64,
    /// Of updates of payments.
    pub updated: u64,
    /// Of deletions of payments.
    pub deleted: u64,
    /// Of all three together, in commit order.
    pub change: u64,
    /// Of creations of invoices.
    pub invoice_created: u64,
    /// Of updates of invoices.
    pub invoice_updated: u64,
    /// Of payments of invoices.
    pub pay_index: u64,
}

/// Something the operator must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// L4 was broken: a record was called failed, and was claimed at that time all the same.
    LatePreimage {
        /// The hash; it takes no new send.
        payment_hash: PaymentHash,
        /// The record.
        created_index: u64,
        /// When the preimage came, in ms since 1970.
        seen_at_ms: u64,
    },
}

/// The errors of every operation have the two causes of [`ReadError`].
macro_rules! from_read_error {
    ($error:ident) => {
        impl From<$crate::ReadError> for $error {
            fn from(error: $crate::ReadError) -> $error {
                match error {
                    $crate::ReadError::Store(error) => $error::Store(error),
                    $crate::ReadError::Damaged(violation) => $error::Damaged(violation),
                }
            }
        }
    };
}
pub(crate) use from_read_error;

impl Ledger {
    /// The record of this part, if there is one.
    pub fn payment(
        &self,
        payment_hash: PaymentHash,
        groupid: u64,
        partid: u64,
    ) -> Result<Option<Payment>, ReadError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM payment WHERE payment_hash = ?1 AND groupid = ?2 AND partid = ?3"
        );
        let (Ok(groupid), Ok(partid)) = (i64::try_from(groupid), i64::try_from(partid)) else {
            return Ok(None);
        };
        self.store.read(|connection| {
            find_payment(
                connection,
                &statement,
                (payment_hash.as_bytes(), groupid, partid),
            )
        })
    }

    /// The largest groupid of the records of this hash (deleted ones not counted, as in CLN).
    pub fn last_groupid(&self, payment_hash: PaymentHash) -> Result<Option<u64>, ReadError> {
        self.store.read(|connection| {
            let groupid: Option<i64> = connection
                .prepare_cached("SELECT max(groupid) FROM payment WHERE payment_hash = ?1")?
                .query_row([payment_hash.as_bytes()], |row| row.get(0))?;
            Ok(groupid.map(i64::cast_unsigned))
        })
    }

    /// All parts of one group, by partid: as many as were sent in one try.
    pub fn group(
        &self,
        payment_hash: PaymentHash,
        groupid: u64,
    ) -> Result<Vec<Payment>, ReadError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM payment WHERE payment_hash = ?1 AND groupid = ?2 ORDER BY partid"
        );
        let Ok(groupid) = i64::try_from(groupid) else {
            return Ok(Vec::new());
        };
        self.store.read(|connection| {
            find_payments(connection, &statement, (payment_hash.as_bytes(), groupid))
        })
    }

    /// What is kept of deleted complete records of the hash, by `created_index`: it stays paid.
    pub fn deleted_complete(&self, payment_hash: PaymentHash) -> Result<Vec<Payment>, ReadError> {
        let statement = format!(
            "SELECT {DELETED_COLUMNS} FROM deleted
             WHERE payment_hash = ?1 AND status = 1 ORDER BY created_index"
        );
        self.store
            .read(|connection| find_payments(connection, &statement, [payment_hash.as_bytes()]))
    }

    /// Our own records that are pending, for the start check: as many as HTLCs were out.
    pub fn pending_own(&self) -> Result<Vec<Payment>, ReadError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM payment WHERE status = 0 AND origin = 0 ORDER BY created_index"
        );
        self.store
            .read(|connection| find_payments(connection, &statement, []))
    }

    /// Visits the next records, at most `rows_max`, in one statement (two where, by
    /// `updated_index`, those that never changed end). `visit` must not block: a snapshot of the
    /// database is held while it runs (L6). Returns where to go on; `None` at the end.
    pub fn page(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        rows_max: usize,
        visit: &mut dyn FnMut(&Payment),
    ) -> Result<Option<Cursor>, ReadError> {
        let mut position = after.map_or(first_position(filter.order, filter.start), |at| at.0);
        let mut room = rows_max;
        loop {
            let last = self.page_of(filter, position, room, &mut |payment| {
                room -= 1;
                visit(payment);
            })?;
            match (last, position) {
                (Some(last), _) if room == 0 => return Ok(Some(Cursor(last))),
                (_, Position::NeverUpdated(_)) => position = Position::Updated(0),
                _ => return Ok(None),
            }
        }
    }

    /// One statement's worth of a page. Returns the position of its last row.
    fn page_of(
        &self,
        filter: &Filter,
        position: Position,
        rows_max: usize,
        visit: &mut dyn FnMut(&Payment),
    ) -> Result<Option<Position>, ReadError> {
        let statement = page_statement(filter, position);
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let hash = filter.payment_hash.map(|hash| hash.0);
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(&statement)?;
            let mut rows = match hash {
                Some(hash) => statement.query((sql(position.number()), limit, hash))?,
                None => statement.query((sql(position.number()), limit))?,
            };
            let mut last = None;
            while let Some(row) = rows.next()? {
                let payment = decode_payment(row)?;
                last = Some(match position {
                    Position::Created(_) => Position::Created(payment.created_index),
                    Position::NeverUpdated(_) => Position::NeverUpdated(payment.created_index),
                    Position::Updated(_) => {
                        Position::Updated(payment.updated_index.unwrap_or_default())
                    }
                });
                visit(&payment);
            }
            Ok(last)
        })
    }

    /// All records summed up, by status; kept up to date by the commits themselves.
    pub fn totals(&self) -> Result<Totals, ReadError> {
        self.store.read(|connection| {
            let mut totals = Totals::default();
            let mut statement = connection.prepare_cached(
                "SELECT status, count, amount_hi, amount_lo, sent_hi, sent_lo FROM total",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let msat = |hi, lo| -> Result<u128, rusqlite::Error> {
                    let (hi, lo): (i64, i64) = (row.get(hi)?, row.get(lo)?);
                    Ok(u128::from(hi.cast_unsigned()) * 1_000_000_000
                        + u128::from(lo.cast_unsigned()))
                };
                let sum = Sum {
                    count: row.get::<_, i64>(1)?.cast_unsigned(),
                    amount_msat: msat(2, 3)?,
                    amount_sent_msat: msat(4, 5)?,
                };
                match Status::from_code(row.get(0)?) {
                    Some(Status::Pending) => totals.pending = sum,
                    Some(Status::Complete) => totals.complete = sum,
                    Some(Status::Failed) => totals.failed = sum,
                    None => {}
                }
            }
            Ok(totals)
        })
    }

    /// The last number given of each kind (L5).
    pub fn counters(&self) -> Result<Counters, ReadError> {
        self.store.read(|connection| {
            let counters = connection
                .prepare_cached(
                    "SELECT created, updated, deleted, change, invoice_created, invoice_updated,
                         pay_index
                     FROM counter",
                )?
                .query_row([], |row| {
                    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
                    Ok(Counters {
                        created: number(0)?,
                        updated: number(1)?,
                        deleted: number(2)?,
                        change: number(3)?,
                        invoice_created: number(4)?,
                        invoice_updated: number(5)?,
                        pay_index: number(6)?,
                    })
                })?;
            Ok(counters)
        })
    }

    /// What the operator must know. The first 100.
    pub fn warnings(&self) -> Result<Vec<Warning>, ReadError> {
        self.store.read(|connection| {
            let warnings = connection
                .prepare_cached(
                    "SELECT payment_hash, created_index, seen_at FROM late_preimage
                     ORDER BY created_index LIMIT ?1",
                )?
                .query_map([WARNINGS_MAX], |row| {
                    Ok(Warning::LatePreimage {
                        payment_hash: PaymentHash(row.get(0)?),
                        created_index: row.get::<_, i64>(1)?.cast_unsigned(),
                        seen_at_ms: row.get::<_, i64>(2)?.cast_unsigned(),
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(warnings)
        })
    }
}

/// Where a listing begins. Numbers begin at 1, so a start of 0 or 1 is all of them.
pub(crate) fn first_position(order: Order, start: u64) -> Position {
    match order {
        Order::Created => Position::Created(start.saturating_sub(1)),
        Order::Updated if start == 0 => Position::NeverUpdated(0),
        Order::Updated => Position::Updated(start - 1),
    }
}

impl Position {
    pub(crate) fn number(self) -> u64 {
        match self {
            Position::Created(number)
            | Position::NeverUpdated(number)
            | Position::Updated(number) => number,
        }
    }
}

/// The statement of a page: ?1 is the position, ?2 the limit, ?3 the hash.
///
/// The status stands in the statement as a number, as SQLite uses a partial index only if it sees
/// its condition. With a hash the rows are chosen inside the index of hashes first and read
/// after that, so that a page of a hash with very many records does not read them all.
pub(crate) fn page_statement(filter: &Filter, position: Position) -> String {
    let status = match (filter.status, position) {
        (Some(status), _) => format!("AND status = {}", status.code()),
        // What never changed is pending (a constraint says so), and these have an index.
        (None, Position::NeverUpdated(_)) => "AND status = 0".to_owned(),
        (None, _) => String::new(),
    };
    let index = failed_index(filter.status, position);
    let (condition, order) = match position {
        Position::Created(_) => ("created_index > ?1", "created_index"),
        Position::NeverUpdated(_) => (
            "updated_index IS NULL AND created_index > ?1",
            "created_index",
        ),
        Position::Updated(_) => ("updated_index > ?1", "updated_index"),
    };
    match filter.payment_hash {
        None => format!(
            "SELECT {COLUMNS} FROM payment {index} WHERE {condition} {status}
             ORDER BY {order} LIMIT ?2"
        ),
        // The plus signs keep SQLite from walking all records in order instead.
        Some(_) => format!(
            "SELECT {COLUMNS} FROM payment WHERE created_index IN (
                 SELECT created_index FROM payment
                 WHERE payment_hash = ?3 AND +{condition} {status} ORDER BY +{order} LIMIT ?2)
             ORDER BY +{order}"
        ),
    }
}

/// Failed records by `updated_index` have an index that SQLite does not choose by itself: it would
/// rather sort all failed ones.
pub(crate) fn failed_index(status: Option<Status>, position: Position) -> &'static str {
    match (status, position) {
        (Some(Status::Failed), Position::Updated(_)) => "INDEXED BY payment_failed_updated",
        _ => "",
    }
}
