//! One value of a row. SQLite holds a value of any type in any column: each reader says what it
//! takes, and everything else is an error that names the row.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};
use sendpay_ledger::Msat;

use crate::version::Column;

/// A row that no lightningd writes.
#[derive(Debug, thiserror::Error)]
#[error("{table} has an impossible {column} in the row with id {id}")]
pub struct RowError {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub id: i64,
    /// Its column.
    pub column: &'static str,
}

/// A row of a table, and its id for errors.
pub(crate) struct Cells<'a> {
    table: &'static str,
    /// The columns of the row, in their order. SQLite is not asked for their names, which it would be
    /// for each column before the one that is wanted.
    columns: &'static [Column],
    pub(crate) id: i64,
    row: &'a Row<'a>,
}

/// A text for the record, and the value itself where it is not that text.
pub(crate) type Words = (Option<String>, Option<Value>);

impl<'a> Cells<'a> {
    /// Of a row that [`crate::version::select`] reads of these columns.
    pub(crate) fn of(
        table: &'static str,
        columns: &'static [Column],
        row: &'a Row<'a>,
    ) -> Result<Cells<'a>, RowError> {
        let mut cells = Cells {
            table,
            columns,
            id: -1,
            row,
        };
        cells.id = cells.required("id")?;
        match cells.id < 0 {
            true => Err(cells.wrong("id")),
            false => Ok(cells),
        }
    }

    pub(crate) fn wrong(&self, column: &'static str) -> RowError {
        RowError {
            table: self.table,
            id: self.id,
            column,
        }
    }

    fn value(&self, column: &'static str) -> Result<ValueRef<'_>, RowError> {
        let index = self.columns.iter().position(|(name, ..)| *name == column);
        let value = index.and_then(|index| self.row.get_ref(index).ok());
        value.ok_or_else(|| self.wrong(column))
    }

    pub(crate) fn integer(&self, column: &'static str) -> Result<Option<i64>, RowError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(self.wrong(column)),
        }
    }

    pub(crate) fn required(&self, column: &'static str) -> Result<i64, RowError> {
        self.integer(column)?.ok_or_else(|| self.wrong(column))
    }

    /// An amount in msat; no amount is more than there is bitcoin.
    pub(crate) fn amount(&self, column: &'static str) -> Result<Option<Msat>, RowError> {
        let Some(msat) = self.integer(column)? else {
            return Ok(None);
        };
        let amount = u64::try_from(msat).ok().and_then(Msat::new);
        amount.map(Some).ok_or_else(|| self.wrong(column))
    }

    /// Some columns of bytes have the empty text as their default (`features`).
    pub(crate) fn blob(&self, column: &'static str) -> Result<Option<Vec<u8>>, RowError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(Some(bytes.to_vec())),
            _ => Err(self.wrong(column)),
        }
    }

    /// The bytes, if they are so many.
    pub(crate) fn bytes<const N: usize>(
        &self,
        column: &'static str,
    ) -> Result<Option<[u8; N]>, RowError> {
        Ok(match self.value(column)? {
            ValueRef::Blob(bytes) => bytes.try_into().ok(),
            _ => None,
        })
    }

    pub(crate) fn any(&self, column: &'static str) -> Result<Option<Value>, RowError> {
        Ok(match self.value(column)? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(Value::Integer(number)),
            ValueRef::Real(number) => Some(Value::Real(number)),
            ValueRef::Blob(bytes) => Some(Value::Blob(bytes.to_vec())),
            ValueRef::Text(bytes) => Some(match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Value::Text(text),
                Err(bytes) => Value::Blob(bytes.into_bytes()),
            }),
        })
    }

    pub(crate) fn words(&self, column: &'static str) -> Result<Words, RowError> {
        Ok(match self.any(column)? {
            None => (None, None),
            Some(Value::Text(text)) => (Some(text), None),
            Some(Value::Blob(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (Some(text), Some(Value::Blob(bytes)))
            }
            Some(_) => return Err(self.wrong(column)),
        })
    }

    /// About how many bytes of texts and blobs are in the row.
    pub(crate) fn size(&self) -> usize {
        (0..)
            .map_while(|column| self.row.get_ref(column).ok())
            .map(|value| match value {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
                _ => 0,
            })
            .sum()
    }
}

/// Seconds since 1970 in ms. A time that is missing or before 1970 is 0, one beyond what fits the
/// last there is (CLN gave its oldest invoices 2^63-1).
pub(crate) fn millis(seconds: Option<i64>) -> u64 {
    let seconds = seconds.unwrap_or(0).max(0);
    seconds.saturating_mul(1000).cast_unsigned()
}
