//! `listsendpays`: records page by page, in constant memory, a fresh and bounded read for each (L6).

use rusqlite::Connection;

use crate::filter::{Numbers, Wanted};
use crate::listed::Gathered;
use crate::nodes::Nodes;
use crate::position::{Phase, Position};
use crate::row::LISTED_COLUMNS;
use crate::walk::{self, Kind, Limits, ROWS_LOOKED_AT_MAX, Walk, with_last_numbers};
use crate::{Cursor, Direction, Filter, Ledger, ListedPayment, ReadError, Status};

/// Most records of a hash that are sorted here: the parts of a payment of usual size.
const FEW_RECORDS: usize = 16;

/// What one read of a page came to.
pub(crate) enum Step {
    /// It goes on there.
    More(Position),
    /// There is no more in this phase.
    PhaseEnds,
}

impl Ledger {
    /// Visits the next records, at most `rows_max`. `visit` must not block: a snapshot of the
    /// database is held while it runs (L6). Returns where to go on; `None` at the end.
    ///
    /// A page may have fewer records, even none, and not be the last: it looks at 4,096 rows at
    /// most, however few match. Records that are settled between pages are neither
    /// skipped nor visited twice, and those that are added after the first page are not visited.
    pub fn page(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        rows_max: usize,
        visit: Visit<'_>,
    ) -> Result<Option<Cursor>, ReadError> {
        self.page_looking_at(ROWS_LOOKED_AT_MAX, filter, after, rows_max, visit)
    }

    /// As [`Ledger::page`], with that bound on the rows looked at.
    pub(crate) fn page_looking_at(
        &self,
        looked_at_max: usize,
        filter: &Filter,
        after: Option<Cursor>,
        rows_max: usize,
        visit: Visit<'_>,
    ) -> Result<Option<Cursor>, ReadError> {
        let mut room = rows_max;
        self.steps(filter, after, |connection, position| {
            let step = step(
                (connection, &self.nodes),
                filter,
                position,
                looked_at_max,
                room,
                &mut |row| {
                    room -= 1;
                    visit(row);
                },
            )?;
            Ok((step, room == 0))
        })
    }

    /// Where the page after the next begins, if that can be said without reading the next: for who
    /// reads several pages of a listing at a time ([`Cursor::until`]). The next one looks at so many
    /// rows, and the one after it is there. It is for [`Ledger::page`] only.
    pub fn ahead(
        &self,
        filter: &Filter,
        after: Cursor,
        rows: usize,
    ) -> Result<Option<Cursor>, ReadError> {
        self.ahead_of(filter, after, rows, Kind::Records)
    }

    pub(crate) fn ahead_of(
        &self,
        filter: &Filter,
        after: Cursor,
        rows: usize,
        kind: Kind,
    ) -> Result<Option<Cursor>, ReadError> {
        let position = after.0;
        let limits = Limits { rows, always: true };
        self.store.read(|connection| {
            let Some(wanted) = filter.look_up(connection)? else {
                return Ok(None);
            };
            let walk = walk::choose(connection, &wanted, position, kind)?;
            if walk.sorts(position.phase, kind) {
                return Ok(None);
            }
            // Not where whole blocks are left out: to cut those into pieces is to look at each of them.
            if walk == Walk::All
                && !walk::leaves_out_blocks(&wanted, position.phase, kind)
                && walk::few_are_deleted(connection)?
            {
                return Ok(position.further(rows, filter.direction).map(Cursor));
            }
            let window = walk::window(connection, &wanted, walk, position, kind, limits)?;
            let end = window.and_then(|window| window.end(position, filter.direction));
            Ok(end.map(Cursor))
        })
    }

    /// Reads step by step, a snapshot each, until a page ends: because a step says that there is
    /// more, or that it is full (the second of what it returns), or at the end of the listing.
    pub(crate) fn steps(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        mut step: impl FnMut(&Connection, Position) -> Result<(Step, bool), ReadError>,
    ) -> Result<Option<Cursor>, ReadError> {
        let (direction, start) = (filter.direction, filter.start);
        let mut position = after.map(|cursor| cursor.0);
        loop {
            let (at, (step, full)) = self.store.read(|connection| {
                // One snapshot for all that a step reads: an invoice is removed with the last record
                // of its hash, and its row may then be another's.
                with_last_numbers(connection, |last| {
                    let first = || Position::first(filter.order, direction, start, last);
                    let at = position.unwrap_or_else(first);
                    step(connection, at).map(|step| (at, step))
                })
            })?;
            let next = match step {
                Step::More(position) => return Ok(Some(Cursor(position))),
                Step::PhaseEnds => at.next_phase(direction, start),
            };
            match next {
                Some(next) if full => return Ok(Some(Cursor(next))),
                Some(next) => position = Some(next),
                None => return Ok(None),
            }
        }
    }
}

/// One read.
fn step(
    (connection, nodes): (&Connection, &Nodes),
    filter: &Filter,
    position: Position,
    looked_at_max: usize,
    room: usize,
    visit: Visit<'_>,
) -> Result<Step, ReadError> {
    let Some(wanted) = filter.look_up(connection)? else {
        return Ok(Step::PhaseEnds);
    };
    // What is pending never changed (a constraint says so).
    if position.phase == Phase::Updated && wanted.status() == Some(Status::Pending) {
        return Ok(Step::PhaseEnds);
    }
    let walk = walk::choose(connection, &wanted, position, Kind::Records)?;
    let limits = Limits {
        rows: looked_at_max,
        always: false,
    };
    let window = walk::window(connection, &wanted, walk, position, Kind::Records, limits)?;
    let Some(window) = window else {
        return Ok(Step::PhaseEnds);
    };
    let numbers = Numbers {
        low: window.low,
        high: window.high,
        as_of: position.began.updated,
        rows: room,
    };
    let page = Page {
        connection,
        nodes,
        wanted: &wanted,
        walk,
        phase: position.phase,
        numbers,
    };
    let gathered = match walk {
        Walk::Hash => page.of_hash()?,
        _ => page.in_order()?,
    };
    let visited = gathered.visit(connection, visit)?;
    let last = visited.last.map_or(0, |(created, updated)| {
        number(position.phase, created, updated)
    });
    let next = match visited.count >= room {
        true => position.after(last, filter.direction),
        false => window.end(position, filter.direction),
    };
    Ok(next.map_or(Step::PhaseEnds, Step::More))
}

/// Who is shown the records of a page.
type Visit<'a> = &'a mut dyn FnMut(&ListedPayment<&str>);

/// What a page reads.
struct Page<'a> {
    connection: &'a Connection,
    nodes: &'a Nodes,
    wanted: &'a Wanted<'a>,
    walk: Walk,
    phase: Phase,
    numbers: Numbers,
}

impl Page<'_> {
    /// The records of a hash. Mostly they are few: then they are read as the index has them, and
    /// sorted here, at half the cost of having them sorted.
    fn of_hash(&self) -> Result<Gathered<'_>, ReadError> {
        let numbers = Numbers {
            rows: FEW_RECORDS + 1,
            ..self.numbers
        };
        let mut gathered = self.gather(&few_statement(self.wanted, self.phase), numbers)?;
        if gathered.payments.len() > FEW_RECORDS {
            // First: it holds what the next one takes.
            drop(gathered);
            return self.in_order();
        }
        gathered.payments.sort_unstable_by_key(|payment| {
            number(self.phase, payment.created_index, payment.updated_index)
        });
        if self.wanted.filter.direction == Direction::Descending {
            gathered.payments.reverse();
        }
        gathered.payments.truncate(self.numbers.rows);
        Ok(gathered)
    }

    fn in_order(&self) -> Result<Gathered<'_>, ReadError> {
        let statement = page_statement(self.wanted, self.walk, self.phase);
        self.gather(&statement, self.numbers)
    }

    fn gather(&self, statement: &str, numbers: Numbers) -> Result<Gathered<'_>, ReadError> {
        let mut statement = self.connection.prepare_cached(statement)?;
        self.wanted.bind(&mut statement, numbers)?;
        let mut rows = statement.raw_query();
        let nodes = self.nodes.of_page(self.connection);
        let mut gathered = Gathered::of(numbers.rows, nodes);
        while let Some(row) = rows.next()? {
            gathered.push(row)?;
        }
        Ok(gathered)
    }
}

/// Where the record with these numbers stands in this phase.
fn number(phase: Phase, created_index: u64, updated_index: Option<u64>) -> u64 {
    match phase {
        Phase::Created | Phase::Unsettled => created_index,
        Phase::Updated => updated_index.unwrap_or_default(),
    }
}

/// The statement of the first `:rows` records of a hash, in no order.
pub(crate) fn few_statement(wanted: &Wanted<'_>, phase: Phase) -> String {
    let tests = walk::tests(wanted, Walk::Hash, phase, Kind::Records);
    let range = walk::range(Walk::Hash, phase, &tests);
    format!("SELECT {LISTED_COLUMNS} FROM payment {range} LIMIT :rows")
}

/// The statement of a page of records between `:low` and `:high`, at most `:rows`.
///
/// Where the order is not that of the index, the rows are chosen inside it first and read after
/// that, so that a page of a hash with very many records does not read them all.
pub(crate) fn page_statement(wanted: &Wanted<'_>, walk: Walk, phase: Phase) -> String {
    let (column, way) = (phase.column(), wanted.filter.direction.sql());
    let tests = walk::tests(wanted, walk, phase, Kind::Records);
    let numbers = match walk {
        Walk::Unsettled => walk::unsettled_numbers(wanted.status(), &tests),
        _ if walk.sorts(phase, Kind::Records) => {
            let range = walk::range(walk, phase, &tests);
            format!("SELECT created_index FROM payment {range}")
        }
        _ => {
            let range = walk::range(walk, phase, &tests);
            return format!(
                "SELECT {LISTED_COLUMNS} FROM payment {range} ORDER BY {column} {way} LIMIT :rows"
            );
        }
    };
    format!(
        "SELECT {LISTED_COLUMNS} FROM payment
         WHERE created_index IN ({numbers} ORDER BY {column} {way} LIMIT :rows)
         ORDER BY +{column} {way}"
    )
}
