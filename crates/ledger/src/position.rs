//! Where in a listing a page begins, so that records that are added or settled meanwhile are neither
//! skipped nor shown twice.
//!
//! By `updated_index` a record moves when it is settled. So a listing takes each record at the
//! place it had when the listing began: what had changed by then never changes again (L2), and all
//! else counts as never changed, also if it is settled before the listing comes to it. What is
//! added later is not listed, so that a listing ends however fast others write.

use crate::{Direction, Order};

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub(crate) Position);

impl Cursor {
    /// The stretch of the listing from here to where `end` begins, as [`crate::Ledger::ahead`] found
    /// it: a listing that ends there, for who reads several stretches at a time.
    #[must_use]
    pub fn until(self, end: Cursor) -> Cursor {
        let until = (self.0.phase == end.0.phase).then_some(end.0.next);
        Cursor(Position { until, ..self.0 })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) phase: Phase,
    /// The next number to look at, in the numbers of the phase.
    pub(crate) next: u64,
    /// The first number that is not looked at any more, if that is not the end of the listing.
    pub(crate) until: Option<u64>,
    /// What there was when the listing began.
    pub(crate) began: Began,
}

/// The last numbers given when a listing began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Began {
    pub(crate) created: u64,
    pub(crate) updated: u64,
}

impl Began {
    /// Of a listing that has all there will ever be.
    #[cfg(test)]
    pub(crate) const NEVER: Began = Began {
        created: BEYOND,
        updated: BEYOND,
    };
}

/// A stretch of a listing that goes by one kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything, by `created_index`.
    Created,
    /// What had not changed when the listing began, by `created_index`.
    Unsettled,
    /// What had changed when the listing began, by `updated_index`.
    Updated,
}

/// Greater than any number there is.
const BEYOND: u64 = i64::MAX as u64;

impl Position {
    /// The beginning of a listing from this index on.
    pub(crate) fn first(order: Order, direction: Direction, start: u64, began: Began) -> Position {
        let phase = match (order, direction) {
            (Order::Created, _) => Phase::Created,
            (Order::Updated, Direction::Ascending) if start == 0 => Phase::Unsettled,
            (Order::Updated, _) => Phase::Updated,
        };
        let next = match (direction, start) {
            (Direction::Descending, 0) => BEYOND,
            _ => start,
        };
        Position {
            phase,
            next,
            until: None,
            began,
        }
    }

    /// The beginning of what follows this phase, if anything does.
    pub(crate) fn next_phase(self, direction: Direction, start: u64) -> Option<Position> {
        let at = |phase, next| {
            Some(Position {
                phase,
                next,
                ..self
            })
        };
        match (self.phase, direction) {
            _ if self.until.is_some() => None,
            (Phase::Unsettled, Direction::Ascending) => at(Phase::Updated, 0),
            (Phase::Updated, Direction::Descending) if start == 0 => at(Phase::Unsettled, BEYOND),
            _ => None,
        }
    }

    /// The position after this number; `None` if there can be none.
    pub(crate) fn after(self, number: u64, direction: Direction) -> Option<Position> {
        let next = match direction {
            Direction::Ascending => number.checked_add(1),
            Direction::Descending => number.checked_sub(1),
        };
        next.map(|next| Position { next, ..self })
    }

    /// The position so many numbers further on, if there is anything there.
    pub(crate) fn further(self, numbers: usize, direction: Direction) -> Option<Position> {
        let numbers = u64::try_from(numbers).unwrap_or(u64::MAX);
        let (low, high) = self.rest(direction);
        let next = match direction {
            Direction::Ascending => low.checked_add(numbers),
            Direction::Descending => high.checked_sub(numbers),
        };
        next.filter(|next| (low..=high).contains(next))
            .map(|next| Position { next, ..self })
    }

    /// The numbers that are still to be looked at in this phase, smallest and greatest.
    pub(crate) fn rest(self, direction: Direction) -> (u64, u64) {
        let greatest = match self.phase {
            Phase::Updated => self.began.updated,
            Phase::Created | Phase::Unsettled => self.began.created,
        };
        match direction {
            Direction::Ascending => {
                let last = self.until.map_or(greatest, |until| until.saturating_sub(1));
                (self.next, greatest.min(last))
            }
            Direction::Descending => {
                let last = self.until.map_or(0, |until| until.saturating_add(1));
                (last, greatest.min(self.next))
            }
        }
    }
}
