//! `listpays`: the parts of one try at a hash, summed up. Filters apply to whole groups, and a
//! page never cuts one.

use rusqlite::{CachedStatement, Connection, Row};

use crate::filter::{Numbers, Wanted};
use crate::heads::{Head, Other, PART, PART_OF_HEAD, heads_statement};
use crate::listed::Texts;
use crate::nodes::Nodes;
use crate::page::Step;
use crate::position::{Phase, Position};
use crate::row::TextOf;
use crate::standing::standing;
use crate::walk::{self, Kind, Limits, ROWS_LOOKED_AT_MAX};
use crate::{
    Cursor, Filter, Ledger, Msat, NodeId, PaymentHash, Preimage, ReadError, Standing, Status,
    Violation,
};

/// One try at paying a hash: all its parts, summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// The try.
    pub groupid: u64,
    /// Complete if any part is; else pending if any part is; else failed.
    pub status: Status,
    /// The sum over complete and pending parts, in msat; `None` when there are none, or the amount of
    /// one of them is unknown. At most [`Msat::MAX`], like the next.
    pub amount_msat: Option<Msat>,
    /// The sum over complete and pending parts, fees included, in msat.
    pub amount_sent_msat: Msat,
    /// How many parts are complete or pending.
    pub number_of_parts: u64,
    /// The smallest of its parts.
    pub created_index: u64,
    /// The largest of its parts.
    pub updated_index: Option<u64>,
    /// When its first part was begun, in ms since 1970.
    pub created_at_ms: u64,
    /// When its first complete part was settled, in ms since 1970.
    pub completed_at_ms: Option<u64>,
    /// The proof, once a part is complete.
    pub preimage: Option<Preimage>,
    /// Of the first part that has one.
    pub bolt11: Option<String>,
    /// Of the first part that has one.
    pub description: Option<String>,
    /// Of the first part.
    pub destination: Option<NodeId>,
    /// Of the first part.
    pub label: Option<String>,
    /// Whether its hash may be paid again, and what is out.
    pub standing: Standing,
}

impl Ledger {
    /// Visits the next groups, at most `groups_max`; else as [`Ledger::page`]. By
    /// `updated_index` a group stands at the last update of a part, as it was when the listing
    /// began.
    ///
    /// A group is read whole in one snapshot, however many parts it has; a page ends after the
    /// group with which it has read 4,096 parts. One whose first part is deleted between two pages stands
    /// elsewhere from then on, and may be visited twice or not at all.
    pub fn groups_page(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        groups_max: usize,
        visit: &mut dyn FnMut(&Group),
    ) -> Result<Option<Cursor>, ReadError> {
        self.groups_page_looking_at(ROWS_LOOKED_AT_MAX, filter, after, groups_max, visit)
    }

    /// As [`Ledger::ahead`], for [`Ledger::groups_page`].
    pub fn groups_ahead(
        &self,
        filter: &Filter,
        after: Cursor,
        rows: usize,
    ) -> Result<Option<Cursor>, ReadError> {
        self.ahead_of(filter, after, rows, Kind::Groups)
    }

    /// As [`Ledger::groups_page`], with that bound on the rows looked at.
    pub(crate) fn groups_page_looking_at(
        &self,
        looked_at_max: usize,
        filter: &Filter,
        after: Option<Cursor>,
        groups_max: usize,
        visit: &mut dyn FnMut(&Group),
    ) -> Result<Option<Cursor>, ReadError> {
        let mut room = groups_max;
        self.steps(filter, after, |connection, position| {
            let scan = Scan {
                position,
                looked_at_max,
                groups_max: room,
            };
            let step = scan.run((connection, &self.nodes), filter, &mut |group| {
                room -= 1;
                visit(group);
            })?;
            Ok((step, room == 0))
        })
    }
}

/// One read of groups.
struct Scan {
    position: Position,
    looked_at_max: usize,
    groups_max: usize,
}

impl Scan {
    /// Looks at groups from the position on, in one snapshot.
    fn run(
        self,
        (connection, nodes): (&Connection, &Nodes),
        filter: &Filter,
        visit: &mut dyn FnMut(&Group),
    ) -> Result<Step, ReadError> {
        let Some(wanted) = filter.look_up(connection)? else {
            return Ok(Step::PhaseEnds);
        };
        let position = self.position;
        let walk = walk::choose(connection, &wanted, position, Kind::Groups)?;
        let limits = Limits {
            rows: self.looked_at_max,
            // What was pending may be in few groups, or in none that stands here.
            always: position.phase == Phase::Unsettled,
        };
        let window = walk::window(connection, &wanted, walk, position, Kind::Groups, limits)?;
        let Some(window) = window else {
            return Ok(Step::PhaseEnds);
        };
        let statement = heads_statement(&wanted, walk, position.phase);
        let mut heads = connection.prepare_cached(&statement)?;
        let numbers = Numbers {
            low: window.low,
            high: window.high,
            as_of: position.began.updated,
            rows: 0,
        };
        wanted.bind(&mut heads, numbers)?;
        let mut rows = heads.raw_query();
        let mut parts = Parts::of_page(connection)?;
        let mut found = Vec::new();
        let mut looked_at = 0;
        let mut last = None;
        let mut next = None;
        while found.len() < self.groups_max && looked_at < self.looked_at_max {
            let Some(row) = rows.next()? else {
                next = Some(window.end(position, filter.direction));
                break;
            };
            let head = Head::decode(row)?;
            last = Some(head.number);
            let sum = match head.other {
                Other::None => Some(Sum::of_single(&head, row)?),
                Other::After => Some(parts.sum_up_from(&head, row)?),
                Other::First(first) if parts.is_not_first(&head, first)? => None,
                Other::First(_) | Other::Unknown => parts.sum_up(&head)?,
            };
            let Some(sum) = sum else { continue };
            looked_at += sum.parts;
            if wanted.takes(&sum) {
                found.push(sum);
            }
        }
        drop(rows);
        whole(connection, nodes, found)?.iter().for_each(visit);
        let next = match next {
            Some(end) => end,
            None => last.and_then(|last| position.after(last, filter.direction)),
        };
        Ok(next.map_or(Step::PhaseEnds, Step::More))
    }
}

/// The statements that read parts of groups. Held for a whole page: fetched from the cache anew, SQLite
/// would parse them for each group.
struct Parts<'a> {
    of_group: CachedStatement<'a>,
    following: CachedStatement<'a>,
    first: CachedStatement<'a>,
    earlier: CachedStatement<'a>,
}

impl<'a> Parts<'a> {
    fn of_page(connection: &'a Connection) -> Result<Parts<'a>, rusqlite::Error> {
        Ok(Parts {
            of_group: connection.prepare_cached(&format!(
                "SELECT {PART} FROM payment WHERE payment_hash = ?1 AND groupid = ?2
                 ORDER BY +created_index"
            ))?,
            following: connection.prepare_cached(&following_statement())?,
            first: connection.prepare_cached("SELECT 1 FROM payment WHERE created_index = ?1")?,
            earlier: connection.prepare_cached(
                "SELECT 1 FROM payment
                 WHERE payment_hash = ?1 AND groupid = ?2 AND created_index < ?3 LIMIT 1",
            )?,
        })
    }

    /// Whether a part of the group was begun before this one, and is there. Most often that is the
    /// first, which stands nearby; that one may have been removed.
    fn is_not_first(&mut self, head: &Head, first: i64) -> Result<bool, rusqlite::Error> {
        let number = head.number.cast_signed();
        Ok(self.first.exists([first])?
            || self
                .earlier
                .exists((head.payment_hash.as_bytes(), head.groupid, number))?)
    }

    /// Reads the parts one by one, in the order of creation. `None` if there are none.
    fn sum_up(&mut self, head: &Head) -> Result<Option<Sum>, ReadError> {
        let hash = head.payment_hash.as_bytes();
        let mut rows = self.of_group.query((hash, head.groupid))?;
        let mut found: Option<Sum> = None;
        while let Some(row) = rows.next()? {
            match &mut found {
                Some(sum) => sum.add(row, 0)?,
                None => found = Some(Sum::of_first(head, row, 0)?),
            }
        }
        Ok(found)
    }

    /// The same, of a group that stands at the first part that it ever had, in its row: the others
    /// follow it, and stand nearby.
    fn sum_up_from(&mut self, head: &Head, row: &Row<'_>) -> Result<Sum, ReadError> {
        let mut sum = Sum::of_single(head, row)?;
        let mut rows = self.following.query([head.number.cast_signed()])?;
        while let Some(row) = rows.next()? {
            sum.add(row, 0)?;
        }
        Ok(sum)
    }
}

/// The parts that came after the first of their group, in the order of creation.
pub(crate) fn following_statement() -> String {
    format!("SELECT {PART} FROM payment WHERE follows = ?1 ORDER BY created_index")
}

/// The sum of a group without its texts, which are read only if it is wanted.
struct Sum {
    group: Group,
    parts: usize,
    label: Option<i64>,
    destination: Option<i64>,
    bolt11: Option<i64>,
    description: Option<i64>,
    /// The failure codes of its failed parts, without repeats of the part before.
    codes: Vec<(Option<i32>, Option<u16>)>,
}

/// One part, as [`PART`] reads it.
struct Part {
    status: Status,
    updated_index: Option<u64>,
    amount_msat: Msat,
    amount_sent_msat: Msat,
    completed_at_ms: Option<u64>,
    preimage: Option<Preimage>,
}

/// The part in a row that has [`PART`] from there on.
fn decode_part(row: &Row<'_>, from: usize) -> Result<Part, ReadError> {
    let impossible = |column| -> Result<Violation, rusqlite::Error> {
        Ok(Violation::Value {
            created_index: row.get::<_, i64>(from)?.cast_unsigned(),
            column,
        })
    };
    let amount = |index, column| -> Result<Msat, ReadError> {
        match Msat::new(row.get::<_, i64>(from + index)?.cast_unsigned()) {
            Some(amount) => Ok(amount),
            None => Err(impossible(column)?.into()),
        }
    };
    let Some(status) = Status::from_code(row.get(from + 2)?) else {
        return Err(impossible("status")?.into());
    };
    let number = |index| -> Result<Option<u64>, rusqlite::Error> {
        let number: Option<i64> = row.get(from + index)?;
        Ok(number.map(i64::cast_unsigned))
    };
    Ok(Part {
        status,
        updated_index: number(1)?,
        amount_msat: amount(3, "amount_msat")?,
        amount_sent_msat: amount(4, "amount_sent_msat")?,
        completed_at_ms: number(6)?,
        preimage: row.get::<_, Option<_>>(from + 7)?.map(Preimage),
    })
}

impl Sum {
    /// Of a group with one part, the one it stands at.
    fn of_single(head: &Head, row: &Row<'_>) -> Result<Sum, ReadError> {
        Sum::of_first(head, row, PART_OF_HEAD)
    }

    /// Begins with the first part, in a row that has [`PART`] from there on.
    fn of_first(head: &Head, row: &Row<'_>, from: usize) -> Result<Sum, ReadError> {
        let mut sum = Sum {
            group: Group {
                payment_hash: head.payment_hash,
                groupid: head.groupid.cast_unsigned(),
                status: Status::Failed,
                amount_msat: None,
                amount_sent_msat: Msat::ZERO,
                number_of_parts: 0,
                created_index: row.get::<_, i64>(from)?.cast_unsigned(),
                updated_index: None,
                created_at_ms: row.get::<_, i64>(from + 5)?.cast_unsigned(),
                completed_at_ms: None,
                preimage: None,
                bolt11: None,
                description: None,
                destination: None,
                label: None,
                standing: Standing::Free,
            },
            parts: 0,
            label: row.get(from + 8)?,
            destination: row.get(from + 9)?,
            bolt11: None,
            description: None,
            codes: Vec::new(),
        };
        sum.add(row, from)?;
        Ok(sum)
    }

    /// Adds a part, in a row that has [`PART`] from there on.
    fn add(&mut self, row: &Row<'_>, from: usize) -> Result<(), ReadError> {
        let part = decode_part(row, from)?;
        self.bolt11 = self.bolt11.or(row.get(from + 10)?);
        self.description = self.description.or(row.get(from + 11)?);
        let codes = (row.get(from + 12)?, row.get(from + 13)?);
        if part.status == Status::Failed && !self.codes.contains(&codes) {
            self.codes.push(codes);
        }
        self.parts += 1;
        self.group.add(&part);
        Ok(())
    }
}

/// The groups, with their texts and destinations, and how it stands with them.
fn whole(
    connection: &Connection,
    nodes: &Nodes,
    sums: Vec<Sum>,
) -> Result<Vec<Group>, rusqlite::Error> {
    let mut texts = Texts::default();
    let mut nodes = nodes.of_page(connection);
    let mut groups = Vec::with_capacity(sums.len());
    for (place, sum) in sums.into_iter().enumerate() {
        let wanted = [
            (TextOf::Bolt11, sum.bolt11),
            (TextOf::Label, sum.label),
            (TextOf::Description, sum.description),
        ];
        for (of, row) in wanted {
            if let Some(row) = row {
                texts.want(row, place, of);
            }
        }
        let standing = standing(connection, &sum.group)?;
        let destination = sum.destination.map(|row| nodes.id(row)).transpose()?;
        groups.push(Group {
            standing,
            destination,
            ..sum.group
        });
    }
    nodes.keep();
    texts.read(connection, |place, of, body| {
        let Some(group) = groups.get_mut(place) else {
            return;
        };
        let body = body.to_owned();
        match of {
            TextOf::Bolt11 => group.bolt11 = Some(body),
            TextOf::Label => group.label = Some(body),
            TextOf::Description => group.description = Some(body),
            // Groups have none.
            TextOf::Message => {}
        }
    })?;
    Ok(groups)
}

impl Group {
    fn add(&mut self, part: &Part) {
        self.status = match (self.status, part.status) {
            (Status::Complete, _) | (_, Status::Complete) => Status::Complete,
            (Status::Pending, _) | (_, Status::Pending) => Status::Pending,
            (Status::Failed, Status::Failed) => Status::Failed,
        };
        self.updated_index = self.updated_index.max(part.updated_index);
        if part.status == Status::Failed {
            return;
        }
        let sum = |had: Msat, more| had.checked_add(more).unwrap_or(Msat::MAX);
        self.amount_msat = match self.amount_msat {
            // Another node did not know it, and we cannot.
            _ if part.amount_msat == Msat::ZERO => None,
            None if self.number_of_parts == 0 => Some(part.amount_msat),
            // None stays None: a part before was of an unknown amount.
            had => had.map(|had| sum(had, part.amount_msat)),
        };
        self.amount_sent_msat = sum(self.amount_sent_msat, part.amount_sent_msat);
        self.number_of_parts += 1;
        if part.status == Status::Complete {
            self.preimage = part.preimage;
            self.completed_at_ms = match (self.completed_at_ms, part.completed_at_ms) {
                (Some(had), Some(at)) => Some(had.min(at)),
                (had, at) => had.or(at),
            };
        }
    }
}

impl Wanted<'_> {
    /// Whether the group as a whole is wanted.
    fn takes(&self, sum: &Sum) -> bool {
        let (filter, group) = (self.filter, &sum.group);
        let amount = group.amount_msat.map(Msat::msat);
        let codes = filter.code.is_none() && filter.failcode.is_none()
            || sum.codes.iter().any(|(code, failcode)| {
                filter.code.is_none_or(|wanted| *code == Some(wanted))
                    && filter
                        .failcode
                        .is_none_or(|wanted| *failcode == Some(wanted))
            });
        self.status().is_none_or(|status| status == group.status)
            && self.label.is_none_or(|label| sum.label == Some(label))
            && self
                .destination
                .is_none_or(|node| sum.destination == Some(node))
            && filter.created_at_ms.takes(Some(group.created_at_ms))
            && filter.completed_at_ms.takes(group.completed_at_ms)
            && filter.amount_msat.takes(amount)
            && codes
    }
}
