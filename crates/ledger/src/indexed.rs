//! What `wait` tells of: the first record or invoice at or after an index of CLN's three, created,
//! updated and deleted. Who waits is in `changed.rs`, the last index of each in
//! [`Ledger::counters`].

use rusqlite::{Connection, OptionalExtension as _};

use crate::row::{COLUMNS, DELETED_COLUMNS, decode_payment, find_payment, sql};
use crate::{Counters, Invoice, InvoiceFilter, Ledger, Order, Payment, ReadError};

/// One of the three numbers that CLN counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// Of creations.
    Created,
    /// Of updates.
    Updated,
    /// Of deletions.
    Deleted,
}

/// Something with its place in one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed<T> {
    /// The place.
    pub index: u64,
    /// What stands there, as it is now.
    pub record: T,
}

impl Counters {
    /// The last number given to a payment.
    pub fn payments(&self, index: Index) -> u64 {
        match index {
            Index::Created => self.created,
            Index::Updated => self.updated,
            Index::Deleted => self.deleted,
        }
    }

    /// The last number given to an invoice.
    pub fn invoices(&self, index: Index) -> u64 {
        match index {
            Index::Created => self.invoice_created,
            Index::Updated => self.invoice_updated,
            Index::Deleted => self.invoice_deleted,
        }
    }
}

impl Ledger {
    /// The first record at or after this index. For [`Index::Deleted`] what is kept of it; for
    /// [`Index::Created`] a deleted one too. `None` if there is none, or none any more.
    pub fn first_payment(
        &self,
        index: Index,
        from: u64,
    ) -> Result<Option<Indexed<Payment>>, ReadError> {
        let from = [sql(from)];
        self.store.read(|connection| {
            let first = |statement: &str| find_payment(connection, statement, from);
            Ok(match index {
                Index::Created => {
                    let live = first(&first_statement("payment", COLUMNS, "created_index"))?;
                    let deleted = first(&first_statement(
                        "deleted",
                        DELETED_COLUMNS,
                        "created_index",
                    ))?;
                    let both = live.into_iter().chain(deleted);
                    both.min_by_key(|payment| payment.created_index)
                        .map(|record| Indexed {
                            index: record.created_index,
                            record,
                        })
                }
                Index::Updated => first(&first_statement("payment", COLUMNS, "updated_index"))?
                    .and_then(|record| {
                        let index = record.updated_index?;
                        Some(Indexed { index, record })
                    }),
                Index::Deleted => return first_deleted(connection, from),
            })
        })
    }

    /// The first invoice at or after this index, as [`Ledger::first_payment`], but none that is
    /// deleted: of those [`Ledger::first_deleted_invoice`] tells.
    pub fn first_invoice(
        &self,
        index: Index,
        from: u64,
    ) -> Result<Option<Indexed<Invoice>>, ReadError> {
        let order = match index {
            Index::Created => Order::Created,
            Index::Updated => Order::Updated,
            Index::Deleted => return Ok(None),
        };
        let filter = InvoiceFilter {
            order,
            // At 0 a listing by updates begins with what never changed.
            start: from.max(1),
            ..InvoiceFilter::default()
        };
        let mut first = None;
        self.invoices_page(&filter, None, 1, &mut |invoice| {
            let index = match index {
                Index::Updated => invoice.updated_index.unwrap_or_default(),
                Index::Created | Index::Deleted => invoice.created_index,
            };
            first = Some(Indexed {
                index,
                record: invoice.clone(),
            });
        })?;
        Ok(first)
    }
}

/// The first row at or after ?1 in that column, which must have an index.
pub(crate) fn first_statement(table: &str, columns: &str, index: &str) -> String {
    format!("SELECT {columns} FROM {table} WHERE {index} >= ?1 ORDER BY {index} LIMIT 1")
}

fn first_deleted(
    connection: &Connection,
    from: [i64; 1],
) -> Result<Option<Indexed<Payment>>, ReadError> {
    let columns = format!("{DELETED_COLUMNS}, deleted_index");
    let statement = first_statement("deleted", &columns, "deleted_index");
    let found = connection
        .prepare_cached(&statement)?
        .query_row(from, |row| {
            Ok((row.get::<_, i64>("deleted_index")?, decode_payment(row)))
        })
        .optional()?;
    found
        .map(|(index, record)| {
            Ok(Indexed {
                index: index.cast_unsigned(),
                record: record?,
            })
        })
        .transpose()
}
