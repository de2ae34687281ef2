//! `listsendpays`: records page by page, in constant memory, a fresh and bounded read for each (L6).

use rusqlite::Connection;

use crate::filter::{Numbers, Wanted};
use crate::position::{Phase, Position};
use crate::row::{COLUMNS, decode_payment};
use crate::walk::{self, Kind, Limits, ROWS_LOOKED_AT_MAX, Walk, last_numbers};
use crate::{Cursor, Filter, Ledger, Payment, ReadError, Status};

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
        visit: &mut dyn FnMut(&Payment),
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
        visit: &mut dyn FnMut(&Payment),
    ) -> Result<Option<Cursor>, ReadError> {
        let mut room = rows_max;
        self.steps(filter, after, |connection, position| {
            let step = step(
                connection,
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
                let at = match position {
                    Some(position) => position,
                    None => {
                        let began = last_numbers(connection)?;
                        Position::first(filter.order, direction, start, began)
                    }
                };
                step(connection, at).map(|step| (at, step))
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
    connection: &Connection,
    filter: &Filter,
    position: Position,
    looked_at_max: usize,
    room: usize,
    visit: &mut dyn FnMut(&Payment),
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
    let statement = page_statement(&wanted, walk, position.phase);
    let mut statement = connection.prepare_cached(&statement)?;
    let numbers = Numbers {
        low: window.low,
        high: window.high,
        as_of: position.began.updated,
        rows: room,
    };
    wanted.bind(&mut statement, numbers)?;
    let mut rows = statement.raw_query();
    let (mut visited, mut last) = (0, 0);
    while let Some(row) = rows.next()? {
        let payment = decode_payment(row)?;
        last = match position.phase {
            Phase::Created | Phase::Unsettled => payment.created_index,
            Phase::Updated => payment.updated_index.unwrap_or_default(),
        };
        visited += 1;
        visit(&payment);
    }
    let next = match visited >= room {
        true => position.after(last, filter.direction),
        false => window.end(position, filter.direction),
    };
    Ok(next.map_or(Step::PhaseEnds, Step::More))
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
                "SELECT {COLUMNS} FROM payment {range} ORDER BY {column} {way} LIMIT :rows"
            );
        }
    };
    format!(
        "SELECT {COLUMNS} FROM payment
         WHERE created_index IN ({numbers} ORDER BY {column} {way} LIMIT :rows)
         ORDER BY +{column} {way}"
    )
}
