//! Where the groups of `listpays` stand in a listing, and what is read of them there. Their sums are
//! `groups.rs`.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::PaymentHash;
use crate::filter::Wanted;
use crate::position::Phase;
use crate::walk::{self, Kind, Walk};

/// What is read of a part, of a table or alias `payment`.
pub(crate) const PART: &str = "\
    created_index, updated_index, status, amount_msat, amount_sent_msat, created_at, \
    completed_at, preimage, label, destination, bolt11, description, code, failcode";

/// Where a group stands in the order, and as much of it as is known from that.
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) payment_hash: PaymentHash,
    pub(crate) groupid: i64,
    pub(crate) other: Other,
}

/// What other parts a group has, by the record where it stands.
pub(crate) enum Other {
    /// None: it is all there is.
    None,
    /// It is the first, and others came after it.
    After,
    /// It is another: this one was the first that its group ever had.
    First(i64),
    /// They are to be looked for by the hash.
    Unknown,
}

impl Head {
    /// From a row of [`heads_statement`].
    pub(crate) fn decode(row: &Row<'_>) -> Result<Head, rusqlite::Error> {
        let number: i64 = row.get(0)?;
        let other = match row.get_ref(3)? {
            ValueRef::Null => Other::None,
            ValueRef::Integer(other) if other < number => Other::First(other),
            ValueRef::Integer(_) => Other::After,
            _ => Other::Unknown,
        };
        Ok(Head {
            number: number.cast_unsigned(),
            payment_hash: PaymentHash(row.get(1)?),
            groupid: row.get(2)?,
            other,
        })
    }
}

/// The groups in their order, as (number, hash, groupid, other), and [`PART`] of the record where
/// each stands.
///
/// A group stands at one of its records: the first one, or the one that had changed last when the
/// listing began, found by the index of (hash, group). By creation every record comes with the number
/// of the record that its group began with, or that of one that came after it, or with none: most
/// groups have one part, and are known so by an index of what follows others, which is small and in
/// the order of the listing. Elsewhere `other` is a text.
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
            "SELECT ({number}) AS number, payment_hash, groupid, ''
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
    if phase == Phase::Created {
        return format!(
            "SELECT created_index, payment_hash, groupid,
                 ifnull(follows, (SELECT created_index FROM payment AS other
                     WHERE other.follows = head.created_index LIMIT 1)), {PART}
             FROM payment AS head {range} ORDER BY {column} {way}"
        );
    }
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
        "SELECT {column}, payment_hash, groupid, '' FROM payment AS head {range} AND {stands}
         ORDER BY {column} {way}"
    )
}

/// Where [`PART`] begins in a row of [`heads_statement`].
pub(crate) const PART_OF_HEAD: usize = 4;
