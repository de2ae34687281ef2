//! `listpays`: the parts of one try at a hash, summed up. Filters apply to whole groups, and a
//! page never cuts one.

use rusqlite::{Connection, OptionalExtension as _, Statement};

use crate::filter::{Numbers, Wanted};
use crate::page::Step;
use crate::position::{Phase, Position};
use crate::standing::standing;
use crate::walk::{self, Kind, Limits, ROWS_LOOKED_AT_MAX, Walk};
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
    /// The sum over complete and pending parts, in msat; `None` when there are none. At most
    /// [`Msat::MAX`], like the next.
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
    /// group with which it has read 4,096 parts.
    pub fn groups_page(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        groups_max: usize,
        visit: &mut dyn FnMut(&Group),
    ) -> Result<Option<Cursor>, ReadError> {
        self.groups_page_looking_at(ROWS_LOOKED_AT_MAX, filter, after, groups_max, visit)
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
            let step = scan.run(connection, filter, &mut |group| {
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
    /// Looks at groups from the position on, in one snapshot: the outer statement holds it.
    fn run(
        self,
        connection: &Connection,
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
        // Held for the whole page: fetched from the cache anew, SQLite would parse it for each group.
        let mut parts = connection.prepare_cached(PARTS)?;
        let (mut visited, mut looked_at) = (0, 0);
        let mut last = None;
        while visited < self.groups_max && looked_at < self.looked_at_max {
            let Some(row) = rows.next()? else {
                let next = window.end(position, filter.direction);
                return Ok(next.map_or(Step::PhaseEnds, Step::More));
            };
            last = Some(row.get::<_, i64>(0)?.cast_unsigned());
            let Some(sum) = sum_up(&mut parts, PaymentHash(row.get(1)?), row.get(2)?)? else {
                continue;
            };
            looked_at += sum.parts;
            if wanted.takes(&sum) {
                visit(&sum.with_texts(connection)?);
                visited += 1;
            }
        }
        let next = last.and_then(|last| position.after(last, filter.direction));
        Ok(next.map_or(Step::PhaseEnds, Step::More))
    }
}

/// The groups in their order, as (number, hash, groupid).
///
/// A group stands at one of its records, found by the index of (hash, group): the first one, or
/// the one that had changed last when the listing began.
pub(crate) fn heads_statement(wanted: &Wanted<'_>, walk: Walk, phase: Phase) -> String {
    const OTHERS: &str = "FROM payment AS other WHERE other.payment_hash = head.payment_hash
        AND other.groupid = head.groupid";
    let (column, way) = (phase.column(), wanted.filter.direction.sql());
    let tests = walk::tests(wanted, walk, phase, Kind::Groups);
    let unchanged = match phase {
        Phase::Unsettled => "OR other.updated_index <= :as_of",
        Phase::Created | Phase::Updated => "",
    };
    if walk.sorts(phase, Kind::Groups) {
        let number = match phase {
            Phase::Created | Phase::Unsettled => format!("SELECT min(created_index) {OTHERS}"),
            Phase::Updated => {
                format!("SELECT max(updated_index) {OTHERS} AND updated_index <= :as_of")
            }
        };
        let index = walk.index(phase);
        let tests = tests.join(" AND ");
        return format!(
            "SELECT ({number}) AS number, payment_hash, groupid
             FROM payment AS head {index} WHERE {tests} GROUP BY payment_hash, groupid
             HAVING number >= :low AND number <= :high
                 AND NOT EXISTS (SELECT 1 {OTHERS} AND (FALSE {unchanged}))
             ORDER BY number {way}"
        );
    }
    let range = match walk {
        Walk::Unsettled => {
            let numbers = walk::unsettled_numbers(None, &tests);
            format!("WHERE created_index IN ({numbers})")
        }
        _ => walk::range(walk, phase, &tests),
    };
    let stands = match phase {
        Phase::Created | Phase::Unsettled => format!(
            "NOT EXISTS (SELECT 1 {OTHERS}
                 AND (other.created_index < head.created_index {unchanged}))"
        ),
        // From the last part on: of very many, the last ones were likely to change last.
        Phase::Updated => format!(
            "(SELECT 1 {OTHERS} AND other.updated_index > head.updated_index
                 AND other.updated_index <= :as_of ORDER BY other.partid DESC LIMIT 1) IS NULL"
        ),
    };
    format!(
        "SELECT {column}, payment_hash, groupid FROM payment AS head {range} AND {stands}
         ORDER BY {column} {way}"
    )
}

/// The parts of a group, in the order of creation.
const PARTS: &str = "\
    SELECT created_index, updated_index, status, amount_msat, amount_sent_msat, created_at, \
        completed_at, preimage, label, destination, bolt11, description, code, failcode \
    FROM payment WHERE payment_hash = ?1 AND groupid = ?2 ORDER BY +created_index";

/// The sum of a group without its texts, which are fetched only if it is wanted.
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

/// One part, as [`PARTS`] reads it.
struct Part {
    status: Status,
    updated_index: Option<u64>,
    amount_msat: Msat,
    amount_sent_msat: Msat,
    completed_at_ms: Option<u64>,
    preimage: Option<Preimage>,
}

/// Reads the parts of a group one by one, in the order of creation. `None` if it has none.
fn sum_up(
    parts: &mut Statement<'_>,
    payment_hash: PaymentHash,
    groupid: i64,
) -> Result<Option<Sum>, ReadError> {
    let mut rows = parts.query((payment_hash.as_bytes(), groupid))?;
    let mut found: Option<Sum> = None;
    while let Some(row) = rows.next()? {
        let part = decode_part(row)?;
        let sum = match &mut found {
            Some(sum) => sum,
            None => found.insert(Sum::of_first(payment_hash, groupid, row)?),
        };
        sum.bolt11 = sum.bolt11.or(row.get(10)?);
        sum.description = sum.description.or(row.get(11)?);
        let codes = (row.get(12)?, row.get(13)?);
        if part.status == Status::Failed && !sum.codes.contains(&codes) {
            sum.codes.push(codes);
        }
        sum.parts += 1;
        sum.group.add(&part);
    }
    Ok(found)
}

fn decode_part(row: &rusqlite::Row<'_>) -> Result<Part, ReadError> {
    let impossible = |column| -> Result<Violation, rusqlite::Error> {
        Ok(Violation::Value {
            created_index: row.get::<_, i64>(0)?.cast_unsigned(),
            column,
        })
    };
    let amount = |index, column| -> Result<Msat, ReadError> {
        match Msat::new(row.get::<_, i64>(index)?.cast_unsigned()) {
            Some(amount) => Ok(amount),
            None => Err(impossible(column)?.into()),
        }
    };
    let Some(status) = Status::from_code(row.get(2)?) else {
        return Err(impossible("status")?.into());
    };
    Ok(Part {
        status,
        updated_index: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned),
        amount_msat: amount(3, "amount_msat")?,
        amount_sent_msat: amount(4, "amount_sent_msat")?,
        completed_at_ms: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
        preimage: row.get::<_, Option<_>>(7)?.map(Preimage),
    })
}

impl Sum {
    /// What a group has of its first part, and nothing else.
    fn of_first(
        payment_hash: PaymentHash,
        groupid: i64,
        first: &rusqlite::Row<'_>,
    ) -> Result<Sum, rusqlite::Error> {
        Ok(Sum {
            group: Group {
                payment_hash,
                groupid: groupid.cast_unsigned(),
                status: Status::Failed,
                amount_msat: None,
                amount_sent_msat: Msat::ZERO,
                number_of_parts: 0,
                created_index: first.get::<_, i64>(0)?.cast_unsigned(),
                updated_index: None,
                created_at_ms: first.get::<_, i64>(5)?.cast_unsigned(),
                completed_at_ms: None,
                preimage: None,
                bolt11: None,
                description: None,
                destination: None,
                label: None,
                standing: Standing::Free,
            },
            parts: 0,
            label: first.get(8)?,
            destination: first.get(9)?,
            bolt11: None,
            description: None,
            codes: Vec::new(),
        })
    }

    fn with_texts(self, connection: &Connection) -> Result<Group, rusqlite::Error> {
        let text = |row: Option<i64>| -> Result<Option<String>, rusqlite::Error> {
            let Some(row) = row else { return Ok(None) };
            connection
                .prepare_cached("SELECT body FROM text WHERE id = ?1")?
                .query_row([row], |row| row.get(0))
                .optional()
        };
        let destination = match self.destination {
            Some(row) => connection
                .prepare_cached("SELECT node_id FROM node WHERE id = ?1")?
                .query_row([row], |row| row.get(0))
                .optional()?,
            None => None,
        };
        Ok(Group {
            bolt11: text(self.bolt11)?,
            description: text(self.description)?,
            label: text(self.label)?,
            destination: destination.map(NodeId),
            standing: standing(connection, &self.group)?,
            ..self.group
        })
    }
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
        self.amount_msat = Some(sum(self.amount_msat.unwrap_or_default(), part.amount_msat));
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
