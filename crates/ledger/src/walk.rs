//! Which index a page walks, and how far: so that no page looks at more than a named number of rows,
//! however few of them match (L6).
//!
//! The hash is always walked if it is given. Else the most selective of label, destination, pending
//! and failed is, counted up to a limit where several are given; else all records in their order.
//! Ranges of times leave out the blocks of records that have none of these times. All other tests
//! are made row by row.

use rusqlite::Connection;

use crate::filter::{Numbers, Wanted};
use crate::position::{Began, Phase, Position};
use crate::{Direction, Status};

/// Most rows looked at for one page: some milliseconds of a snapshot (L6).
pub(crate) const ROWS_LOOKED_AT_MAX: usize = 4096;

/// Most rows of an index that are sorted into another order for one page. Above, the index of that
/// order is walked instead and the rows are tested.
const ROWS_SORTED_MAX: usize = 4096;

/// How many numbers share a row of `created_block` and `updated_block`; the schema's triggers know
/// it too.
const BLOCK_NUMBERS: u64 = 4096;

/// What a page is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Records,
    Groups,
}

/// What a page walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    Hash,
    Label,
    Pending,
    Destination,
    Failed,
    /// What is pending, and what was when the listing began.
    Unsettled,
    All,
}

/// The condition of [`Phase::Unsettled`].
const UNSETTLED: &str = "(updated_index IS NULL OR updated_index > :as_of)";

impl Phase {
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Phase::Created | Phase::Unsettled => "created_index",
            Phase::Updated => "updated_index",
        }
    }
}

impl Direction {
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        }
    }
}

impl Walk {
    /// The index, by name: SQLite would sometimes rather sort all of another one.
    pub(crate) const fn index(self, phase: Phase) -> &'static str {
        match (self, phase) {
            (Walk::Hash, _) => "INDEXED BY payment_by_hash",
            (Walk::Label, _) => "INDEXED BY payment_label",
            (Walk::Destination, _) => "INDEXED BY payment_destination",
            (Walk::Pending, _) => "INDEXED BY payment_pending",
            (Walk::Failed, Phase::Updated) => "INDEXED BY payment_failed_updated",
            (Walk::Failed, _) => "INDEXED BY payment_failed",
            (Walk::All, Phase::Updated) => "INDEXED BY payment_updated",
            (Walk::All | Walk::Unsettled, _) => "NOT INDEXED",
        }
    }

    const fn test(self) -> Option<&'static str> {
        match self {
            Walk::Hash => Some("payment_hash = :hash"),
            Walk::Label => Some("label = :label"),
            Walk::Destination => Some("destination = :destination"),
            Walk::Pending => Some("status = 0"),
            Walk::Failed => Some("status = 2"),
            Walk::Unsettled | Walk::All => None,
        }
    }

    /// Whether its rows are not in the order of the listing, and are sorted for each page.
    pub(crate) fn sorts(self, phase: Phase, kind: Kind) -> bool {
        match self {
            Walk::Hash => true,
            Walk::Label | Walk::Destination => phase == Phase::Updated,
            // The pending parts of a group are not its first.
            Walk::Pending => kind == Kind::Groups,
            Walk::Failed | Walk::Unsettled | Walk::All => false,
        }
    }
}

/// Decides what a page walks.
pub(crate) fn choose(
    connection: &Connection,
    wanted: &Wanted<'_>,
    position: Position,
    kind: Kind,
) -> Result<Walk, rusqlite::Error> {
    if wanted.filter.payment_hash.is_some() {
        return Ok(Walk::Hash);
    }
    let phase = position.phase;
    let pending = match kind {
        Kind::Records => phase == Phase::Created,
        Kind::Groups => phase != Phase::Unsettled,
    };
    let candidates = [
        (Walk::Label, wanted.label.is_some()),
        (
            Walk::Pending,
            pending && wanted.status() == Some(Status::Pending),
        ),
        (Walk::Destination, wanted.destination.is_some()),
        (
            Walk::Failed,
            phase != Phase::Unsettled && wanted.status() == Some(Status::Failed),
        ),
    ];
    let candidates = candidates.iter().filter(|(_, given)| *given);
    let mut candidates: Vec<Walk> = candidates.map(|(walk, _)| *walk).collect();
    if let [only] = candidates.as_slice()
        && !only.sorts(phase, kind)
    {
        return Ok(*only);
    }
    let mut best = None;
    for walk in candidates.drain(..) {
        let count = count_up_to(connection, wanted, walk, ROWS_SORTED_MAX + 1)?;
        let usable = count <= ROWS_SORTED_MAX || !walk.sorts(phase, kind);
        if usable && best.is_none_or(|(least, _)| count < least) {
            best = Some((count, walk));
        }
    }
    match best {
        Some((_, walk)) => Ok(walk),
        None if phase == Phase::Unsettled => unsettled(connection, position.began.updated),
        None => Ok(Walk::All),
    }
}

/// A listing that was slow meets more updates since it began than are worth sorting.
fn unsettled(connection: &Connection, as_of: u64) -> Result<Walk, rusqlite::Error> {
    let updated = last_numbers(connection)?.updated;
    let since = usize::try_from(updated.saturating_sub(as_of)).unwrap_or(usize::MAX);
    Ok(match since <= ROWS_SORTED_MAX {
        true => Walk::Unsettled,
        false => Walk::All,
    })
}

/// The last numbers given.
pub(crate) fn last_numbers(connection: &Connection) -> Result<Began, rusqlite::Error> {
    with_last_numbers(connection, Ok)
}

/// What `read` makes of the last numbers given. It reads in the same snapshot: to begin one costs as
/// much as to look up a record.
pub(crate) fn with_last_numbers<T, E: From<rusqlite::Error>>(
    connection: &Connection,
    read: impl FnOnce(Began) -> Result<T, E>,
) -> Result<T, E> {
    with_last_numbers_of(connection, "SELECT created, updated FROM counter", read)
}

/// The same of the created and updated numbers that this statement reads.
pub(crate) fn with_last_numbers_of<T, E: From<rusqlite::Error>>(
    connection: &Connection,
    statement: &str,
    read: impl FnOnce(Began) -> Result<T, E>,
) -> Result<T, E> {
    let mut statement = connection.prepare_cached(statement)?;
    // The statement is not at its end while this is there.
    let mut rows = statement.query([])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let began = Began {
        created: row.get::<_, i64>(0)?.cast_unsigned(),
        updated: row.get::<_, i64>(1)?.cast_unsigned(),
    };
    read(began)
}

/// Whether most numbers that were given still have their record: then so many numbers are about as
/// many rows, and nobody need count them.
pub(crate) fn few_are_deleted(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection
        .prepare_cached("SELECT (SELECT sum(count) FROM total) > created / 2 FROM counter")?
        .query_row([], |row| row.get(0))
}

fn count_up_to(
    connection: &Connection,
    wanted: &Wanted<'_>,
    walk: Walk,
    rows: usize,
) -> Result<usize, rusqlite::Error> {
    let (index, test) = (walk.index(Phase::Created), walk.test().unwrap_or("TRUE"));
    let statement =
        format!("SELECT count(*) FROM (SELECT 1 FROM payment {index} WHERE {test} LIMIT :rows)");
    let numbers = Numbers {
        rows,
        ..Numbers::default()
    };
    let count = number(connection, wanted, &statement, numbers)?;
    Ok(usize::try_from(count.unwrap_or_default()).unwrap_or(usize::MAX))
}

/// The one number that a statement finds.
fn number(
    connection: &Connection,
    wanted: &Wanted<'_>,
    statement: &str,
    numbers: Numbers,
) -> Result<Option<u64>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(statement)?;
    wanted.bind(&mut statement, numbers)?;
    let mut rows = statement.raw_query();
    let found = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
    Ok(found.map(i64::cast_unsigned))
}

/// The rows of a walk between `:low` and `:high` for which all the tests hold, as a subquery's
/// `FROM payment ... WHERE ...`.
pub(crate) fn range(walk: Walk, phase: Phase, tests: &[&str]) -> String {
    let (index, column) = (walk.index(phase), phase.column());
    let tests: String = tests.iter().map(|test| format!("{test} AND ")).collect();
    format!("{index} WHERE {tests}{column} >= :low AND {column} <= :high")
}

/// [`Walk::Unsettled`]: the numbers of the records, from two indexes that exclude each other. With
/// a status only those of one of them can match.
pub(crate) fn unsettled_numbers(status: Option<Status>, tests: &[&str]) -> String {
    let tests: String = tests.iter().map(|test| format!("AND {test} ")).collect();
    let branch = |index, condition| {
        format!(
            "SELECT created_index FROM payment INDEXED BY {index}
             WHERE {condition} {tests}AND created_index >= :low AND created_index <= :high"
        )
    };
    let pending = branch("payment_pending", "status = 0");
    let settled = branch("payment_updated", "updated_index > :as_of");
    match status {
        Some(Status::Pending) => pending,
        Some(Status::Complete | Status::Failed) => settled,
        None => format!("{pending} UNION ALL {settled}"),
    }
}

/// What must hold of a row, in this phase; of groups some is tested later.
pub(crate) fn tests(
    wanted: &Wanted<'_>,
    walk: Walk,
    phase: Phase,
    kind: Kind,
) -> Vec<&'static str> {
    let mut tests = match kind {
        Kind::Records => wanted.tests(),
        Kind::Groups => [wanted.group_tests(), wanted.every_part_tests()].concat(),
    };
    // The pending part of a group is perhaps not its first.
    if kind == Kind::Groups && phase != Phase::Updated && walk != Walk::Pending {
        tests.extend(wanted.first_part_tests());
    }
    tests.extend(walk.test().filter(|own| !tests.contains(own)));
    if phase == Phase::Unsettled && walk != Walk::Unsettled {
        tests.push(UNSETTLED);
    }
    tests
}

/// The numbers that one page looks at, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) low: u64,
    pub(crate) high: u64,
    /// Whether the phase goes on after it.
    cut: bool,
}

impl Window {
    /// Where a page goes on that has seen all of the window.
    pub(crate) fn end(self, position: Position, direction: Direction) -> Option<Position> {
        let last = match direction {
            Direction::Ascending => self.high,
            Direction::Descending => self.low,
        };
        self.cut.then(|| position.after(last, direction)).flatten()
    }
}

/// How much one page may look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) rows: usize,
    /// Whether to keep to it also if every row matches.
    pub(crate) always: bool,
}

/// The numbers to look at now; `None` at the end of the phase.
pub(crate) fn window(
    connection: &Connection,
    wanted: &Wanted<'_>,
    walk: Walk,
    position: Position,
    kind: Kind,
    limits: Limits,
) -> Result<Option<Window>, rusqlite::Error> {
    let (phase, direction) = (position.phase, wanted.filter.direction);
    let (low, high) = position.rest(direction);
    if low > high {
        return Ok(None);
    }
    let all = Window {
        low,
        high,
        cut: false,
    };
    let Some(mut window) = within_times(connection, wanted, position, kind, all)? else {
        return Ok(None);
    };
    let own = usize::from(walk.test().is_some());
    let tested = tests(wanted, walk, phase, kind).len() > own;
    let sorted_at_once = walk.sorts(phase, kind) && !(walk == Walk::Hash && kind == Kind::Records);
    if sorted_at_once || !(tested || limits.always) {
        return Ok(Some(window));
    }
    let numbers = Numbers {
        low: window.low,
        high: window.high,
        as_of: position.began.updated,
        rows: limits.rows.saturating_sub(1),
    };
    let statement = nth_statement(walk, phase, direction);
    if let Some(last) = number(connection, wanted, &statement, numbers)? {
        window.cut = true;
        match direction {
            Direction::Ascending => window.high = last,
            Direction::Descending => window.low = last,
        }
    }
    Ok(Some(window))
}

/// The number of the row after the first `:rows` of a walk.
fn nth_statement(walk: Walk, phase: Phase, direction: Direction) -> String {
    let (column, way) = (phase.column(), direction.sql());
    let from = match walk {
        Walk::Unsettled => format!("({})", unsettled_numbers(None, &[])),
        _ => {
            let test = walk.test();
            format!("payment {}", range(walk, phase, test.as_slice()))
        }
    };
    format!("SELECT {column} FROM {from} ORDER BY {column} {way} LIMIT 1 OFFSET :rows")
}

/// The next stretch of blocks in which there are such times; `None` if there is none.
fn within_times(
    connection: &Connection,
    wanted: &Wanted<'_>,
    position: Position,
    kind: Kind,
    all: Window,
) -> Result<Option<Window>, rusqlite::Error> {
    let (phase, direction) = (position.phase, wanted.filter.direction);
    let Some((condition, table)) = block_condition(wanted, phase, kind) else {
        return Ok(Some(all));
    };
    let ahead = match direction {
        Direction::Ascending => ">",
        Direction::Descending => "<",
    };
    let numbers = Numbers {
        low: all.low / BLOCK_NUMBERS,
        high: all.high / BLOCK_NUMBERS,
        ..Numbers::default()
    };
    let way = direction.sql();
    let first = format!(
        "SELECT block FROM {table} WHERE block >= :low AND block <= :high AND {condition}
         ORDER BY block {way} LIMIT 1"
    );
    let Some(first) = number(connection, wanted, &first, numbers)? else {
        return Ok(None);
    };
    let numbers = Numbers {
        low: first,
        ..Numbers::default()
    };
    let end = format!(
        "SELECT block FROM {table} WHERE block {ahead} :low AND ({condition}) IS NOT TRUE
         ORDER BY block {way} LIMIT 1"
    );
    let end = number(connection, wanted, &end, numbers)?;
    let begins = |block: u64| block.saturating_mul(BLOCK_NUMBERS);
    let ends = |block: u64| begins(block).saturating_add(BLOCK_NUMBERS - 1);
    let mut window = all;
    match direction {
        Direction::Ascending => {
            window.low = all.low.max(begins(first));
            if let Some(end) = end.filter(|end| begins(*end) <= all.high) {
                window.high = begins(end).saturating_sub(1);
                window.cut = true;
            }
        }
        Direction::Descending => {
            window.high = all.high.min(ends(first));
            if let Some(end) = end.filter(|end| ends(*end) >= all.low) {
                window.low = ends(end).saturating_add(1);
                window.cut = true;
            }
        }
    }
    Ok(Some(window))
}

/// Whether ranges of times leave out blocks of records.
pub(crate) fn leaves_out_blocks(wanted: &Wanted<'_>, phase: Phase, kind: Kind) -> bool {
    block_condition(wanted, phase, kind).is_some()
}

/// What holds of a block that may have a record in the ranges of times, and the table of such blocks.
fn block_condition(
    wanted: &Wanted<'_>,
    phase: Phase,
    kind: Kind,
) -> Option<(String, &'static str)> {
    let table = match (phase, kind) {
        (Phase::Created, _) => "created_block",
        (Phase::Updated, Kind::Records) => "updated_block",
        // Few, or without the times of the group.
        (Phase::Unsettled, _) | (Phase::Updated, Kind::Groups) => return None,
    };
    let (created, completed) = (wanted.filter.created_at_ms, wanted.filter.completed_at_ms);
    // A group is completed by any of its parts, perhaps not by the first.
    let records = kind == Kind::Records;
    let tests = [
        (created.from.is_some(), "latest_created >= :created_from"),
        (created.to.is_some(), "earliest_created <= :created_to"),
        (
            completed.from.is_some() && records,
            "latest_completed >= :completed_from",
        ),
        (
            completed.to.is_some() && records,
            "earliest_completed <= :completed_to",
        ),
    ];
    let tests: Vec<&str> = tests
        .iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, test)| *test)
        .collect();
    (!tests.is_empty()).then(|| (tests.join(" AND "), table))
}
