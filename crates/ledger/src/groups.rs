//! `listpays`: the parts of one try at a hash, summed up. Filters apply to whole groups, and a
//! page never cuts one.

use rusqlite::{Connection, Statement};

use crate::read::{Position, failed_index, first_position};
use crate::row::{COLUMNS, decode_payment, sql};
use crate::{
    Cursor, Ledger, Msat, NodeId, Order, Payment, PaymentHash, Preimage, ReadError, Status,
};

/// Which groups to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Only groups of this hash.
    pub payment_hash: Option<PaymentHash>,
    /// Only groups with this status, as a whole.
    pub status: Option<Status>,
    /// By the groups' first `created_index`, or by their last `updated_index` (with a start of 0,
    /// groups that never changed come first, by `created_index`).
    pub order: Order,
    /// The first index to list, in that order's numbers.
    pub start: u64,
}

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
}

/// Most groups looked at for one page: a filter that few groups match must not hold a snapshot
/// for long (L6).
const GROUPS_SCANNED_MAX: usize = 4096;

impl Ledger {
    /// Visits the next groups, at most `groups_max`; else as [`Ledger::page`]. A page may have
    /// fewer groups, even none, and not be the last: the work of one page is bounded.
    pub fn groups_page(
        &self,
        filter: &GroupFilter,
        after: Option<Cursor>,
        groups_max: usize,
        visit: &mut dyn FnMut(&Group),
    ) -> Result<Option<Cursor>, ReadError> {
        let mut position = after.map_or(first_position(filter.order, filter.start), |at| at.0);
        let mut room = groups_max;
        loop {
            let scanned = self.store.read(|connection| {
                scan(connection, filter, position, room, &mut |group| {
                    room -= 1;
                    visit(group);
                })
            })?;
            match (scanned, position) {
                (Scanned::To(last), _) => return Ok(Some(Cursor(last))),
                (Scanned::All, Position::NeverUpdated(_)) if room == 0 => {
                    return Ok(Some(Cursor(Position::Updated(0))));
                }
                (Scanned::All, Position::NeverUpdated(_)) => position = Position::Updated(0),
                (Scanned::All, _) => return Ok(None),
            }
        }
    }
}

enum Scanned {
    /// There may be more after this one.
    To(Position),
    /// There are no more at positions of this kind.
    All,
}

/// Looks at groups from `position` on, in one snapshot: the outer statement holds it.
fn scan(
    connection: &Connection,
    filter: &GroupFilter,
    position: Position,
    groups_max: usize,
    visit: &mut dyn FnMut(&Group),
) -> Result<Scanned, ReadError> {
    let mut heads = connection.prepare_cached(&heads_statement(filter, position))?;
    // Held for the whole page: fetched from the cache anew, SQLite would parse it for each group.
    let mut parts = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM payment WHERE payment_hash = ?1 AND groupid = ?2
         ORDER BY +created_index"
    ))?;
    let from = sql(position.number());
    let mut rows = match filter.payment_hash {
        Some(hash) => heads.query((from, hash.as_bytes()))?,
        None => heads.query([from])?,
    };
    let mut last = position;
    let mut visited = 0;
    for _ in 0..GROUPS_SCANNED_MAX {
        if visited >= groups_max {
            return Ok(Scanned::To(last));
        }
        let Some(row) = rows.next()? else {
            return Ok(Scanned::All);
        };
        let number = row.get::<_, i64>(0)?.cast_unsigned();
        last = match position {
            Position::Created(_) => Position::Created(number),
            Position::NeverUpdated(_) => Position::NeverUpdated(number),
            Position::Updated(_) => Position::Updated(number),
        };
        let group = sum_up(&mut parts, PaymentHash(row.get(1)?), row.get(2)?)?;
        if let Some(group) = group
            && filter.status.is_none_or(|status| status == group.status)
        {
            visit(&group);
            visited += 1;
        }
    }
    Ok(Scanned::To(last))
}

/// The groups in their order, as (number, hash, groupid): ?1 is the position, ?2 the hash.
///
/// A group stands at one of its records, found by the index of (hash, group): the first one, or
/// the one changed last. A status narrows the candidates where an index helps: all records of a
/// failed group have failed, and a pending group has one that is pending.
pub(crate) fn heads_statement(filter: &GroupFilter, position: Position) -> String {
    if filter.payment_hash.is_some() {
        return heads_of_hash(position).to_owned();
    }
    let others = "FROM payment AS other WHERE other.payment_hash = head.payment_hash
        AND other.groupid = head.groupid";
    let failed = match filter.status {
        Some(Status::Failed) => "AND head.status = 2",
        Some(Status::Pending | Status::Complete) | None => "",
    };
    let index = failed_index(filter.status, position);
    match (position, filter.status) {
        (Position::Created(_), Some(Status::Pending)) => format!(
            "SELECT (SELECT min(created_index) {others}) AS first, payment_hash, groupid
             FROM payment AS head WHERE head.status = 0
             GROUP BY payment_hash, groupid HAVING first > ?1 ORDER BY first"
        ),
        (Position::Created(_), _) => format!(
            "SELECT created_index, payment_hash, groupid FROM payment AS head
             WHERE head.created_index > ?1 {failed}
                 AND NOT EXISTS (SELECT 1 {others} AND other.created_index < head.created_index)
             ORDER BY head.created_index"
        ),
        (Position::NeverUpdated(_), _) => format!(
            "SELECT created_index, payment_hash, groupid FROM payment AS head
             WHERE head.status = 0 AND head.created_index > ?1 {failed}
                 AND NOT EXISTS (SELECT 1 {others} AND (other.updated_index IS NOT NULL
                     OR other.created_index < head.created_index))
             ORDER BY head.created_index"
        ),
        (Position::Updated(_), _) => format!(
            "SELECT updated_index, payment_hash, groupid FROM payment AS head {index}
             WHERE head.updated_index > ?1 {failed}
                 AND NOT EXISTS (SELECT 1 {others} AND other.updated_index > head.updated_index)
             ORDER BY head.updated_index"
        ),
    }
}

fn heads_of_hash(position: Position) -> &'static str {
    match position {
        Position::Created(_) => {
            "SELECT min(created_index) AS first, payment_hash, groupid
             FROM payment WHERE payment_hash = ?2
             GROUP BY groupid HAVING first > ?1 ORDER BY first"
        }
        Position::NeverUpdated(_) => {
            "SELECT min(created_index) AS first, payment_hash, groupid
             FROM payment WHERE payment_hash = ?2
             GROUP BY groupid HAVING first > ?1 AND max(updated_index) IS NULL ORDER BY first"
        }
        Position::Updated(_) => {
            "SELECT max(updated_index) AS last, payment_hash, groupid
             FROM payment WHERE payment_hash = ?2
             GROUP BY groupid HAVING last > ?1 ORDER BY last"
        }
    }
}

/// Reads the parts of a group one by one, in the order of creation. `None` if it has none.
fn sum_up(
    parts: &mut Statement<'_>,
    payment_hash: PaymentHash,
    groupid: i64,
) -> Result<Option<Group>, ReadError> {
    let mut rows = parts.query((payment_hash.as_bytes(), groupid))?;
    let mut group = None;
    while let Some(row) = rows.next()? {
        let part = decode_payment(row)?;
        group.get_or_insert_with(|| Group::empty(&part)).add(part);
    }
    Ok(group)
}

impl Group {
    /// What a group has of its first part, and nothing else.
    fn empty(first: &Payment) -> Group {
        Group {
            payment_hash: first.payment_hash,
            groupid: first.groupid,
            status: Status::Failed,
            amount_msat: None,
            amount_sent_msat: Msat::ZERO,
            number_of_parts: 0,
            created_index: first.created_index,
            updated_index: None,
            created_at_ms: first.created_at_ms,
            completed_at_ms: None,
            preimage: None,
            bolt11: None,
            description: None,
            destination: first.destination,
            label: first.label.clone(),
        }
    }

    fn add(&mut self, part: Payment) {
        self.status = match (self.status, part.status) {
            (Status::Complete, _) | (_, Status::Complete) => Status::Complete,
            (Status::Pending, _) | (_, Status::Pending) => Status::Pending,
            (Status::Failed, Status::Failed) => Status::Failed,
        };
        self.updated_index = self.updated_index.max(part.updated_index);
        self.bolt11 = self.bolt11.take().or(part.bolt11);
        self.description = self.description.take().or(part.description);
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
