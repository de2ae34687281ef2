//! `listinvoices`: invoices page by page, each once, at the place it had when the listing began.
//!
//! Unlike a record an invoice may change more than once: held, then paid. What place it had before is
//! in `invoice_place`.

use rusqlite::{Connection, ToSql};

use crate::invoice_book::{COLUMNS, decode};
use crate::position::{Phase, Position};
use crate::row::sql;
use crate::walk::with_last_numbers_of;
use crate::{Cursor, Direction, Invoice, InvoiceFilter, Ledger, ReadError};

/// The last numbers given to invoices.
const LAST_NUMBERS: &str = "SELECT invoice_created, invoice_updated FROM counter";

impl Ledger {
    /// Visits the next invoices, at most `rows_max`; else as [`Ledger::page`].
    pub fn invoices_page(
        &self,
        filter: &InvoiceFilter,
        after: Option<Cursor>,
        rows_max: usize,
        visit: &mut dyn FnMut(&Invoice),
    ) -> Result<Option<Cursor>, ReadError> {
        let ascending = Direction::Ascending;
        let mut position = after.map(|cursor| cursor.0);
        let mut room = rows_max;
        loop {
            let (at, last) = self.store.read(|connection| {
                // One snapshot: what has changed by the last number is there as it was then.
                with_last_numbers_of(connection, LAST_NUMBERS, |began| {
                    let first = || Position::first(filter.order, ascending, filter.start, began);
                    let at = position.unwrap_or_else(first);
                    let last = page_of(connection, filter, at, room, &mut |invoice| {
                        room -= 1;
                        visit(invoice);
                    })?;
                    Ok::<_, ReadError>((at, last))
                })
            })?;
            let next = at.next_phase(ascending, filter.start);
            match (last, next) {
                (Some(last), _) if room == 0 => return Ok(Some(Cursor(last))),
                (_, Some(next)) => position = Some(next),
                _ => return Ok(None),
            }
        }
    }
}

fn page_of(
    connection: &Connection,
    filter: &InvoiceFilter,
    position: Position,
    rows_max: usize,
    visit: &mut dyn FnMut(&Invoice),
) -> Result<Option<Position>, ReadError> {
    let mut statement = connection.prepare_cached(&invoices_statement(filter, position.phase))?;
    let (low, high) = position.rest(Direction::Ascending);
    let (low, high, as_of) = (sql(low), sql(high), sql(position.began.updated));
    let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let hash = filter.payment_hash.map(|hash| hash.0);
    let all: [(&str, &dyn ToSql); 6] = [
        (":low", &low),
        (":high", &high),
        (":as_of", &as_of),
        (":rows_max", &limit),
        (":label", &filter.label),
        (":hash", &hash),
    ];
    let mut params = Vec::with_capacity(all.len());
    for (name, value) in all {
        if statement.parameter_index(name)?.is_some() {
            params.push((name, value));
        }
    }
    let mut rows = statement.query(params.as_slice())?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let place: i64 = row.get("place")?;
        last = position.after(place.cast_unsigned(), Direction::Ascending);
        visit(&decode(row)?);
    }
    Ok(last)
}

/// The statement of a page of invoices whose places are between `:low` and `:high`.
///
/// Where there are two branches, SQLite merges them. The first is in the order of its index, the
/// second has what changed since the listing began, which is sorted.
pub(crate) fn invoices_statement(filter: &InvoiceFilter, phase: Phase) -> String {
    let label = filter.label.as_ref().map_or("", |_| "AND label = :label");
    let hash = filter
        .payment_hash
        .map_or("", |_| "AND payment_hash = :hash");
    let held = match filter.held_only {
        true => "AND state = 1",
        false => "",
    };
    let branch = |place, from, condition| {
        format!(
            "SELECT {COLUMNS}, {place} AS place FROM {from} WHERE {condition} {label} {hash} {held}"
        )
    };
    let branches = match phase {
        Phase::Created => branch(
            "created_index",
            "invoice",
            "created_index >= :low AND created_index <= :high",
        ),
        // What never changed, and what first changed after the listing began.
        Phase::Unsettled => [
            branch(
                "created_index",
                "invoice",
                "updated_index IS NULL AND created_index >= :low AND created_index <= :high",
            ),
            // In no order of an index: there are few, and not to be looked for among all.
            branch(
                "+created_index",
                "invoice",
                "updated_index > :as_of AND +created_index >= :low AND +created_index <= :high
                     AND NOT EXISTS (SELECT 1 FROM invoice_place
                         WHERE invoice_index = created_index AND place <= :as_of)",
            ),
        ]
        .join(" UNION ALL "),
        // What has not changed again since then, and what has.
        Phase::Updated => [
            branch(
                "updated_index",
                "invoice",
                "updated_index >= :low AND updated_index <= :high",
            ),
            branch(
                "place",
                "invoice_place CROSS JOIN invoice ON created_index = invoice_index",
                "left_at > :as_of AND place >= :low AND place <= :high",
            ),
        ]
        .join(" UNION ALL "),
    };
    format!("{branches} ORDER BY place LIMIT :rows_max")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::PaymentHash;
    use crate::plan::{empty, plan};

    #[test]
    fn every_listing_of_invoices_walks_an_index() {
        let by_hash = InvoiceFilter {
            payment_hash: Some(PaymentHash([1; 32])),
            ..InvoiceFilter::default()
        };
        for filter in [InvoiceFilter::default(), by_hash] {
            for phase in [Phase::Created, Phase::Unsettled, Phase::Updated] {
                let found = plan(&empty(), &invoices_statement(&filter, phase));
                assert!(!found.contains("SCAN"), "{phase:?}: {found}");
                // What changed since the listing began is sorted, and nothing else.
                let rest = found.split("; RIGHT;").next().unwrap();
                assert!(!rest.contains("TEMP"), "{phase:?}: {found}");
            }
        }
    }
}
