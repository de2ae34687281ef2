//! `countsendpays`: records summed up by status. All of them, or those of one status, are known from
//! the counters that the commits keep; with other filters they are added up page by page (L6).

use rusqlite::Connection;

use crate::filter::Numbers;
use crate::page::Step;
use crate::position::Position;
use crate::walk::{self, Kind, Limits, ROWS_LOOKED_AT_MAX};
use crate::{Cursor, Direction, Filter, Ledger, Order, ReadError, Status, Sum, Totals};

/// Sums are kept in two numbers of this base, so that they cannot overflow.
const BASE: u128 = 1_000_000_000;

impl Ledger {
    /// Adds the next records that match to `totals`, in the order of creation whatever the filter
    /// says of order and start; looks at 4,096 rows at most. Returns where to go on; `None` at the
    /// end. A record that is settled between pages is added once, with one status or the other.
    pub fn count_page(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        totals: &mut Totals,
    ) -> Result<Option<Cursor>, ReadError> {
        if let Some(status) = only_status(filter) {
            let all = self.totals()?;
            for of in [Status::Pending, Status::Complete, Status::Failed] {
                if status.is_none_or(|status| status == of) {
                    totals.of_mut(of).add(all.of(of));
                }
            }
            return Ok(None);
        }
        self.count_page_looking_at(ROWS_LOOKED_AT_MAX, filter, after, totals)
    }

    /// As [`Ledger::count_page`], with that bound on the rows looked at, and without the counters.
    pub(crate) fn count_page_looking_at(
        &self,
        looked_at_max: usize,
        filter: &Filter,
        after: Option<Cursor>,
        totals: &mut Totals,
    ) -> Result<Option<Cursor>, ReadError> {
        let filter = Filter {
            order: Order::Created,
            direction: Direction::Ascending,
            start: 0,
            ..filter.clone()
        };
        self.steps(&filter, after, |connection, position| {
            let step = step(connection, &filter, position, looked_at_max, totals)?;
            Ok((step, false))
        })
    }
}

/// The status that is wanted, if nothing but a status is asked for.
fn only_status(filter: &Filter) -> Option<Option<Status>> {
    let plain = Filter {
        status: filter.status,
        order: filter.order,
        direction: filter.direction,
        start: filter.start,
        ..Filter::default()
    };
    (plain == *filter).then_some(filter.status)
}

fn step(
    connection: &Connection,
    filter: &Filter,
    position: Position,
    looked_at_max: usize,
    totals: &mut Totals,
) -> Result<Step, ReadError> {
    let Some(wanted) = filter.look_up(connection)? else {
        return Ok(Step::PhaseEnds);
    };
    let walk = walk::choose(connection, &wanted, position, Kind::Records)?;
    let limits = Limits {
        rows: looked_at_max,
        always: true,
    };
    let window = walk::window(connection, &wanted, walk, position, Kind::Records, limits)?;
    let Some(window) = window else {
        return Ok(Step::PhaseEnds);
    };
    let tests = walk::tests(&wanted, walk, position.phase, Kind::Records);
    let range = walk::range(walk, position.phase, &tests);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT status, count(*), sum(amount_msat / {BASE}), sum(amount_msat % {BASE}),
             sum(amount_sent_msat / {BASE}), sum(amount_sent_msat % {BASE}),
             sum((amount_msat = 0) * amount_sent_msat / {BASE}),
             sum((amount_msat = 0) * amount_sent_msat % {BASE})
         FROM payment {range} GROUP BY status"
    ))?;
    let numbers = Numbers {
        low: window.low,
        high: window.high,
        ..Numbers::default()
    };
    wanted.bind(&mut statement, numbers)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if let Some(status) = Status::from_code(row.get(0)?) {
            totals.of_mut(status).add(decode_sum(row)?);
        }
    }
    let next = window.end(position, filter.direction);
    Ok(next.map_or(Step::PhaseEnds, Step::More))
}

/// The sum in a row of (status, count, amounts in two numbers each).
pub(crate) fn decode_sum(row: &rusqlite::Row<'_>) -> Result<Sum, rusqlite::Error> {
    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    Ok(Sum {
        count: number(1)?,
        amount_msat: u128::from(number(2)?) * BASE + u128::from(number(3)?),
        amount_sent_msat: u128::from(number(4)?) * BASE + u128::from(number(5)?),
        sent_for_unknown_msat: u128::from(number(6)?) * BASE + u128::from(number(7)?),
    })
}

impl Sum {
    /// What was paid to others to carry it, in msat; as far as it was sent at all, and it is known
    /// how much of it arrived.
    pub const fn fees_msat(&self) -> u128 {
        self.amount_sent_msat
            .saturating_sub(self.sent_for_unknown_msat)
            .saturating_sub(self.amount_msat)
    }

    fn add(&mut self, more: Sum) {
        self.count += more.count;
        self.amount_msat += more.amount_msat;
        self.amount_sent_msat += more.amount_sent_msat;
        self.sent_for_unknown_msat += more.sent_for_unknown_msat;
    }
}

impl Totals {
    /// Of this status.
    pub const fn of(&self, status: Status) -> Sum {
        match status {
            Status::Pending => self.pending,
            Status::Complete => self.complete,
            Status::Failed => self.failed,
        }
    }

    pub(crate) const fn of_mut(&mut self, status: Status) -> &mut Sum {
        match status {
            Status::Pending => &mut self.pending,
            Status::Complete => &mut self.complete,
            Status::Failed => &mut self.failed,
        }
    }
}
