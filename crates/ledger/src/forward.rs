//! HTLCs of others that this node forwarded or failed to forward, and what it earned. One record for
//! each, made when it is resolved; it never changes. What LDK tells of them is the node's affair.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use sendpay_store::Ticket;

use crate::row::sql;
use crate::{Ledger, Msat, ReadError};

/// Rows that a page looks at, at most: a millisecond or two, however few of them match.
const ROWS_LOOKED_AT_MAX: usize = 4_096;

/// How a forward ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardStatus {
    /// The next node took it, and we took ours.
    Settled,
    /// We did not forward it.
    LocalFailed,
    /// A node after us failed it.
    Failed,
}

impl ForwardStatus {
    const fn code(self) -> i64 {
        match self {
            ForwardStatus::Settled => 1,
            ForwardStatus::LocalFailed => 2,
            ForwardStatus::Failed => 3,
        }
    }

    const fn from_code(code: i64) -> ForwardStatus {
        match code {
            1 => ForwardStatus::Settled,
            2 => ForwardStatus::LocalFailed,
            _ => ForwardStatus::Failed,
        }
    }
}

/// A forward that was resolved. What is not known is None.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewForward {
    /// The channel it came in by (BOLT 7).
    pub in_channel: Option<u64>,
    /// Its number in that channel.
    pub in_htlc_id: Option<u64>,
    /// What came in.
    pub in_msat: Option<Msat>,
    /// The channel it went out by, or should have.
    pub out_channel: Option<u64>,
    /// What went out.
    pub out_msat: Option<Msat>,
    /// What stayed with us.
    pub fee_msat: Option<Msat>,
    /// How it ended.
    pub status: ForwardStatus,
    /// BOLT 4's code that we failed it with, if we did.
    pub failcode: Option<u16>,
    /// When, in ms since 1970.
    pub resolved_at_ms: u64,
}

/// A record of a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its place among all, from 1.
    pub created_index: u64,
    /// What is known of it.
    pub forward: NewForward,
}

/// Which forwards. All that is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardFilter {
    /// With this status.
    pub status: Option<ForwardStatus>,
    /// In by this channel.
    pub in_channel: Option<u64>,
    /// Out by this channel.
    pub out_channel: Option<u64>,
}

/// Why a forward was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The store refused.
    #[error("the forward could not be recorded")]
    Store(#[from] rusqlite::Error),
}

impl Ledger {
    /// Records a forward that was resolved, once for each HTLC that came in.
    pub fn record_forward(&self, forward: NewForward) -> Ticket<Result<(), ForwardError>> {
        self.store
            .enqueue(size_of::<NewForward>(), move |connection| {
                record(connection, &forward)
            })
    }

    /// Visits the next forwards after this index, at most `rows_max`, oldest first. `Some` is where to
    /// go on; a page may be empty although there are more.
    pub fn forwards_page(
        &self,
        filter: &ForwardFilter,
        after: u64,
        rows_max: usize,
        visit: &mut dyn FnMut(&Forward),
    ) -> Result<Option<u64>, ReadError> {
        let statement = page_statement(filter);
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(&statement)?;
            let mut rows = statement.query(named_params! {
                ":after": sql(after),
                ":wanted": driver(filter).1,
                ":limit": i64::try_from(ROWS_LOOKED_AT_MAX).unwrap_or(i64::MAX),
            })?;
            let (mut looked_at, mut shown, mut last) = (0, 0, after);
            while let Some(row) = rows.next()? {
                let forward: Forward = decode(row)?;
                looked_at += 1;
                last = forward.created_index;
                if filter.takes(&forward.forward) {
                    visit(&forward);
                    shown += 1;
                }
                if shown == rows_max {
                    return Ok(Some(last));
                }
            }
            Ok((looked_at == ROWS_LOOKED_AT_MAX).then_some(last))
        })
    }

    /// What all forwards together earned, in msat; kept up to date by the commits themselves.
    pub fn forward_fees_msat(&self) -> Result<u64, ReadError> {
        self.store.read(|connection| {
            let fees: Option<i64> = connection
                .prepare_cached("SELECT fees_msat FROM forward_total")?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok(fees.unwrap_or(0).cast_unsigned())
        })
    }
}

impl ForwardFilter {
    fn takes(&self, forward: &NewForward) -> bool {
        self.status.is_none_or(|status| status == forward.status)
            && (self.in_channel.is_none() || self.in_channel == forward.in_channel)
            && (self.out_channel.is_none() || self.out_channel == forward.out_channel)
    }
}

/// The condition whose index is walked, and its value.
fn driver(filter: &ForwardFilter) -> (&'static str, i64) {
    match (filter.in_channel, filter.out_channel, filter.status) {
        (Some(channel), _, _) => ("in_channel = :wanted", channel.cast_signed()),
        (None, Some(channel), _) => ("out_channel = :wanted", channel.cast_signed()),
        (None, None, Some(status)) => ("status = :wanted", status.code()),
        (None, None, None) => ("0 = :wanted", 0),
    }
}

fn page_statement(filter: &ForwardFilter) -> String {
    let (condition, _) = driver(filter);
    format!(
        "SELECT created_index, in_channel, in_htlc_id, in_msat, out_channel, out_msat, fee_msat,
             status, failcode, resolved_at
         FROM forward WHERE {condition} AND created_index > :after
         ORDER BY created_index LIMIT :limit"
    )
}

fn record(connection: &Connection, forward: &NewForward) -> Result<(), ForwardError> {
    let msat = |amount: Option<Msat>| amount.map(|amount| sql(amount.msat()));
    connection
        .prepare_cached(
            "INSERT INTO forward (created_index, in_channel, in_htlc_id, in_msat, out_channel,
                 out_msat, fee_msat, status, failcode, resolved_at)
             SELECT coalesce(max(created_index), 0) + 1, :in_channel, :in_htlc_id, :in_msat,
                 :out_channel, :out_msat, :fee_msat, :status, :failcode, :resolved_at
             FROM forward WHERE true
             ON CONFLICT (in_channel, in_htlc_id) WHERE in_htlc_id IS NOT NULL DO NOTHING",
        )?
        .execute(named_params! {
            ":in_channel": forward.in_channel.map(u64::cast_signed),
            ":in_htlc_id": forward.in_htlc_id.map(sql),
            ":in_msat": msat(forward.in_msat),
            ":out_channel": forward.out_channel.map(u64::cast_signed),
            ":out_msat": msat(forward.out_msat),
            ":fee_msat": msat(forward.fee_msat),
            ":status": forward.status.code(),
            ":failcode": forward.failcode,
            ":resolved_at": sql(forward.resolved_at_ms),
        })?;
    Ok(())
}

fn decode(row: &Row<'_>) -> Result<Forward, rusqlite::Error> {
    let number = |name: &str| -> Result<Option<u64>, rusqlite::Error> {
        let number: Option<i64> = row.get(name)?;
        Ok(number.map(i64::cast_unsigned))
    };
    // The schema lets nothing above 21 million bitcoin in.
    let msat = |name: &str| -> Result<Option<Msat>, rusqlite::Error> {
        Ok(number(name)?.and_then(Msat::new))
    };
    Ok(Forward {
        created_index: number("created_index")?.unwrap_or(0),
        forward: NewForward {
            in_channel: number("in_channel")?,
            in_htlc_id: number("in_htlc_id")?,
            in_msat: msat("in_msat")?,
            out_channel: number("out_channel")?,
            out_msat: msat("out_msat")?,
            fee_msat: msat("fee_msat")?,
            status: ForwardStatus::from_code(row.get("status")?),
            failcode: row.get("failcode")?,
            resolved_at_ms: number("resolved_at")?.unwrap_or(0),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn forward(place: u64) -> NewForward {
        let status = match place % 3 {
            0 => ForwardStatus::Settled,
            1 => ForwardStatus::LocalFailed,
            _ => ForwardStatus::Failed,
        };
        NewForward {
            // The highest bit too: numbers of channels are kept as signed ones.
            in_channel: Some(u64::MAX - place % 2),
            in_htlc_id: Some(place),
            in_msat: Msat::new(1_000 + place),
            out_channel: Some(place % 5),
            out_msat: Msat::new(1_000),
            fee_msat: Msat::new(place),
            status,
            failcode: (status == ForwardStatus::LocalFailed).then_some(0x1007),
            resolved_at_ms: place,
        }
    }

    fn all(ledger: &Ledger, filter: &ForwardFilter, rows_max: usize) -> Vec<Forward> {
        let (mut found, mut after) = (Vec::new(), Some(0));
        while let Some(from) = after {
            let mut page = 0;
            after = ledger
                .forwards_page(filter, from, rows_max, &mut |forward| {
                    page += 1;
                    found.push(*forward);
                })
                .unwrap();
            assert!(page <= rows_max);
        }
        found
    }

    #[test]
    fn forwards_are_found_by_every_filter_in_pages_of_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let (_store, ledger) = Ledger::open(&dir.path().join("ledger")).unwrap();
        // More than one page looks at.
        let count = 2 * u64::try_from(ROWS_LOOKED_AT_MAX).unwrap() + 7;
        let mut last = None;
        for place in 0..count {
            last = Some(ledger.record_forward(forward(place)));
        }
        last.unwrap().wait().unwrap().unwrap();
        let kept: Vec<Forward> = (0..count)
            .map(|place| Forward {
                created_index: place + 1,
                forward: forward(place),
            })
            .collect();
        assert_eq!(all(&ledger, &ForwardFilter::default(), 100), kept);
        let some = Some(u64::MAX);
        let filters = [
            ForwardFilter {
                status: Some(ForwardStatus::Failed),
                ..ForwardFilter::default()
            },
            ForwardFilter {
                in_channel: some,
                ..ForwardFilter::default()
            },
            ForwardFilter {
                out_channel: Some(3),
                ..ForwardFilter::default()
            },
            ForwardFilter {
                in_channel: some,
                out_channel: Some(3),
                status: Some(ForwardStatus::Settled),
            },
            ForwardFilter {
                in_channel: Some(77),
                ..ForwardFilter::default()
            },
        ];
        for filter in filters {
            let expected: Vec<Forward> = kept
                .iter()
                .filter(|forward| filter.takes(&forward.forward))
                .copied()
                .collect();
            for rows_max in [1_000, usize::MAX] {
                assert_eq!(all(&ledger, &filter, rows_max), expected, "{filter:?}");
            }
        }
        let fees = kept.iter().map(|forward| forward.forward);
        let fees = fees.filter(|forward| forward.status == ForwardStatus::Settled);
        let fees: u64 = fees.map(|forward| forward.fee_msat.unwrap().msat()).sum();
        assert_eq!(ledger.forward_fees_msat().unwrap(), fees);
    }

    #[test]
    fn a_forward_that_is_told_twice_is_recorded_once() {
        let dir = tempfile::tempdir().unwrap();
        let (_store, ledger) = Ledger::open(&dir.path().join("ledger")).unwrap();
        for place in [3, 3, 6, 3] {
            ledger
                .record_forward(forward(place))
                .wait()
                .unwrap()
                .unwrap();
        }
        let kept = all(&ledger, &ForwardFilter::default(), 10);
        let ids: Vec<u64> = kept.iter().map(|forward| forward.created_index).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(ledger.forward_fees_msat().unwrap(), 9);
        // Nothing is known of these two but that they were two.
        let unknown = NewForward {
            in_channel: None,
            in_htlc_id: None,
            ..forward(4)
        };
        for _ in 0..2 {
            ledger.record_forward(unknown).wait().unwrap().unwrap();
        }
        assert_eq!(all(&ledger, &ForwardFilter::default(), 10).len(), 4);
    }

    #[test]
    fn each_filter_walks_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _ledger) = Ledger::open(&dir.path().join("ledger")).unwrap();
        let by = |filter: ForwardFilter| {
            let statement = format!("EXPLAIN QUERY PLAN {}", page_statement(&filter));
            store
                .read(|connection| -> Result<String, rusqlite::Error> {
                    let parameters = named_params! {":after": 0, ":wanted": 1, ":limit": 1};
                    let mut statement = connection.prepare(&statement)?;
                    let mut rows = statement.query(parameters)?;
                    let mut plan = String::new();
                    while let Some(row) = rows.next()? {
                        plan.push_str(&row.get::<_, String>("detail")?);
                    }
                    Ok(plan)
                })
                .unwrap()
        };
        let none = ForwardFilter::default();
        let cases = [
            (none, "USING INTEGER PRIMARY KEY (rowid>?)"),
            (
                ForwardFilter {
                    in_channel: Some(1),
                    ..none
                },
                "INDEX forward_in (in_channel=? AND rowid>?)",
            ),
            (
                ForwardFilter {
                    out_channel: Some(1),
                    ..none
                },
                "INDEX forward_out (out_channel=? AND rowid>?)",
            ),
            (
                ForwardFilter {
                    status: Some(ForwardStatus::Failed),
                    ..none
                },
                "INDEX forward_status (status=? AND rowid>?)",
            ),
        ];
        for (filter, expected) in cases {
            let plan = by(filter);
            assert!(plan.contains(expected), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
