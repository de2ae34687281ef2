//! Which records or groups are wanted, in which order: the filter, and its tests of a record as SQL.
//!
//! Which index serves them is decided in `walk.rs`.

use rusqlite::{Connection, Statement};

use crate::row::sql;
use crate::text::{find_node_row, find_text_row};
use crate::{GROUPID_MAX, NodeId, PaymentHash, Status};

/// In which order records are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By `created_index`.
    #[default]
    Created,
    /// By `updated_index`. With a start of 0 what never changed is listed too, as if its number
    /// were 0, by `created_index`.
    Updated,
}

/// Which way through an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The oldest first.
    #[default]
    Ascending,
    /// The newest first.
    Descending,
}

/// A range of numbers, both ends included; an end that is `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The smallest that is wanted.
    pub from: Option<u64>,
    /// The greatest that is wanted.
    pub to: Option<u64>,
}

impl Span {
    /// Whether every number is wanted, and so also what has no number.
    pub const fn is_all(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Whether this number is wanted.
    pub fn contains(self, number: u64) -> bool {
        self.from.is_none_or(|from| number >= from) && self.to.is_none_or(|to| number <= to)
    }

    /// As [`Span::contains`]; what has no number is wanted only if all are.
    pub(crate) fn takes(self, number: Option<u64>) -> bool {
        self.is_all() || number.is_some_and(|number| self.contains(number))
    }
}

/// Which records or groups to list. All of it must hold of a record; of a group, as it is as a
/// whole ([`crate::Group`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this hash.
    pub payment_hash: Option<PaymentHash>,
    /// With this groupid.
    pub groupid: Option<u64>,
    /// With this status.
    pub status: Option<Status>,
    /// To this node.
    pub destination: Option<NodeId>,
    /// With this label, to the letter.
    pub label: Option<String>,
    /// Begun in this range, in ms since 1970.
    pub created_at_ms: Span,
    /// Settled in this range, in ms since 1970: never a pending record, never a group without a
    /// complete part.
    pub completed_at_ms: Span,
    /// Delivering an amount in this range, in msat: never a failed group, which delivers nothing, and
    /// never what was imported without an amount.
    pub amount_msat: Span,
    /// Failed with this RPC error code; of a group, if it failed and one of its parts did so.
    pub code: Option<i32>,
    /// Failed with this code of BOLT 4; else as `code`.
    pub failcode: Option<u16>,
    /// In which order.
    pub order: Order,
    /// Which way through it.
    pub direction: Direction,
    /// The first index to list, in that order's numbers; 0 for the first there is.
    pub start: u64,
}

impl Filter {
    /// The status that a record must have; what has a failure code has failed.
    pub(crate) fn wanted_status(&self) -> Option<Status> {
        match (self.code, self.failcode) {
            (None, None) => self.status,
            _ => self.status.or(Some(Status::Failed)),
        }
    }

    /// Whether no record can ever match.
    fn contradicts_itself(&self) -> bool {
        let codes = self.code.is_some() || self.failcode.is_some();
        codes && self.wanted_status() != Some(Status::Failed)
            || self.groupid.is_some_and(|groupid| groupid > GROUPID_MAX)
    }

    /// Finds the rows of the label and the node. `None` if no record matches now.
    pub(crate) fn look_up(
        &self,
        connection: &Connection,
    ) -> Result<Option<Wanted<'_>>, rusqlite::Error> {
        if self.contradicts_itself() {
            return Ok(None);
        }
        let mut wanted = Wanted {
            filter: self,
            label: None,
            destination: None,
        };
        if let Some(label) = &self.label {
            wanted.label = find_text_row(connection, label)?;
            if wanted.label.is_none() {
                return Ok(None);
            }
        }
        if let Some(destination) = &self.destination {
            wanted.destination = find_node_row(connection, destination)?;
            if wanted.destination.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(wanted))
    }
}

/// A filter with the rows of its texts.
pub(crate) struct Wanted<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) label: Option<i64>,
    pub(crate) destination: Option<i64>,
}

/// The numbers of a statement besides the filter's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    /// `:low`, the smallest number looked at.
    pub(crate) low: u64,
    /// `:high`, the greatest.
    pub(crate) high: u64,
    /// `:as_of`, what had changed when the listing began.
    pub(crate) as_of: u64,
    /// `:rows`, how many.
    pub(crate) rows: usize,
}

impl Wanted<'_> {
    pub(crate) fn status(&self) -> Option<Status> {
        self.filter.wanted_status()
    }

    /// What must hold of a record.
    ///
    /// The status stands there as a number, as SQLite uses a partial index only if it sees its
    /// condition.
    pub(crate) fn tests(&self) -> Vec<&'static str> {
        let filter = self.filter;
        let completed = filter.completed_at_ms;
        let amount = filter.amount_msat;
        let mut tests = self.group_tests();
        tests.extend(match self.status() {
            Some(Status::Pending) => Some("status = 0"),
            Some(Status::Complete) => Some("status = 1"),
            // Among the tests of the group already.
            Some(Status::Failed) | None => None,
        });
        tests.extend(self.first_part_tests());
        let more = [
            (completed.from.is_some(), "completed_at >= :completed_from"),
            (completed.to.is_some(), "completed_at <= :completed_to"),
            // 0 is an amount that nobody knows.
            (!amount.is_all(), "amount_msat > 0"),
            (amount.from.is_some(), "amount_msat >= :amount_from"),
            (amount.to.is_some(), "amount_msat <= :amount_to"),
            (filter.code.is_some(), "code = :code"),
            (filter.failcode.is_some(), "failcode = :failcode"),
        ];
        tests.extend(chosen(&more));
        tests
    }

    /// What must hold of every part of a group: all parts of a failed one have failed.
    pub(crate) fn group_tests(&self) -> Vec<&'static str> {
        let filter = self.filter;
        let tests = [
            (filter.payment_hash.is_some(), "payment_hash = :hash"),
            (filter.groupid.is_some(), "groupid = :groupid"),
            (self.status() == Some(Status::Failed), "status = 2"),
        ];
        chosen(&tests).collect()
    }

    /// What must hold of every part of a group too, and need not be told of a record: no part of a
    /// sum is above it or of an unknown amount, and none completed before the first that did. They
    /// spare most groups their sums.
    pub(crate) fn every_part_tests(&self) -> Vec<&'static str> {
        let filter = self.filter;
        let tests = [
            (
                filter.completed_at_ms.from.is_some(),
                "(status <> 1 OR completed_at >= :completed_from)",
            ),
            (
                !filter.amount_msat.is_all(),
                "(status = 2 OR amount_msat > 0)",
            ),
            (
                filter.amount_msat.to.is_some(),
                "(status = 2 OR amount_msat <= :amount_to)",
            ),
        ];
        chosen(&tests).collect()
    }

    /// What must hold of the first part of a group, besides.
    pub(crate) fn first_part_tests(&self) -> Vec<&'static str> {
        let created = self.filter.created_at_ms;
        let tests = [
            (self.label.is_some(), "label = :label"),
            (self.destination.is_some(), "destination = :destination"),
            (created.from.is_some(), "created_at >= :created_from"),
            (created.to.is_some(), "created_at <= :created_to"),
        ];
        chosen(&tests).collect()
    }

    /// Gives each parameter that the statement names its value.
    pub(crate) fn bind(
        &self,
        statement: &mut Statement<'_>,
        numbers: Numbers,
    ) -> Result<(), rusqlite::Error> {
        let filter = self.filter;
        let rows = i64::try_from(numbers.rows).unwrap_or(i64::MAX);
        for place in 1..=statement.parameter_count() {
            let name = statement.parameter_name(place).unwrap_or_default();
            let value = match name {
                ":hash" => {
                    let hash = filter.payment_hash.map(|hash| hash.0);
                    statement.raw_bind_parameter(place, hash)?;
                    continue;
                }
                ":low" => Some(sql(numbers.low)),
                ":high" => Some(sql(numbers.high)),
                ":as_of" => Some(sql(numbers.as_of)),
                ":rows" => Some(rows),
                ":groupid" => filter.groupid.map(sql),
                ":label" => self.label,
                ":destination" => self.destination,
                ":created_from" => filter.created_at_ms.from.map(sql),
                ":created_to" => filter.created_at_ms.to.map(sql),
                ":completed_from" => filter.completed_at_ms.from.map(sql),
                ":completed_to" => filter.completed_at_ms.to.map(sql),
                ":amount_from" => filter.amount_msat.from.map(sql),
                ":amount_to" => filter.amount_msat.to.map(sql),
                ":code" => filter.code.map(i64::from),
                ":failcode" => filter.failcode.map(i64::from),
                unknown => return Err(rusqlite::Error::InvalidParameterName(unknown.to_owned())),
            };
            statement.raw_bind_parameter(place, value)?;
        }
        Ok(())
    }
}

fn chosen<'a>(tests: &'a [(bool, &'static str)]) -> impl Iterator<Item = &'static str> + 'a {
    tests
        .iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, test)| *test)
}
