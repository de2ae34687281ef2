//! The mempool's rows: entries in the order of their arrival, and which output each one spends.
//!
//! Rows only; what may enter is decided in `mempool.rs`.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, Transaction, Txid, Wtxid};
use rusqlite::{OptionalExtension, Row, params};

use super::store::{Store, StoreError, unsigned};

/// A transaction that waits for a block.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The transaction.
    pub(crate) transaction: Transaction,
    /// Its txid.
    pub(crate) txid: Txid,
    /// Its wtxid.
    pub(crate) wtxid: Wtxid,
    /// What its inputs have more than its outputs.
    pub(crate) fee: Amount,
    /// Its size for fees, virtual bytes.
    pub(crate) vsize: u64,
    /// When it came, seconds since 1970.
    pub(crate) time: u64,
    /// Height of the best block when it came.
    pub(crate) height: u32,
}

impl Entry {
    /// Orders by fee per virtual byte without division: more pays first.
    pub(crate) fn pays_more_than(&self, other: &Entry) -> std::cmp::Ordering {
        rate_order((self.fee, self.vsize), (other.fee, other.vsize))
    }
}

/// Compares two rates given as fee and virtual bytes.
pub(crate) fn rate_order(one: (Amount, u64), other: (Amount, u64)) -> std::cmp::Ordering {
    let left = u128::from(one.0.to_sat()) * u128::from(other.1);
    let right = u128::from(other.0.to_sat()) * u128::from(one.1);
    left.cmp(&right)
}

const COLUMNS: &str = "body, fee, vsize, time, height, txid, wtxid";

/// A row as SQLite gives it: body, fee, vsize, time, height, txid, wtxid.
type RawEntry = (Vec<u8>, i64, i64, i64, u32, [u8; 32], [u8; 32]);

fn raw(row: &Row<'_>) -> rusqlite::Result<RawEntry> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
    ))
}

fn entry(raw: RawEntry) -> Result<Entry, StoreError> {
    let damaged = |e: std::num::TryFromIntError| StoreError::damaged("mempool entry", e);
    let (body, fee, vsize, time, height, txid, wtxid) = raw;
    Ok(Entry {
        transaction: deserialize(&body).map_err(|e| StoreError::damaged("mempool entry", e))?,
        txid: Txid::from_byte_array(txid),
        wtxid: Wtxid::from_byte_array(wtxid),
        fee: Amount::from_sat(u64::try_from(fee).map_err(damaged)?),
        vsize: u64::try_from(vsize).map_err(damaged)?,
        time: u64::try_from(time).map_err(damaged)?,
        height,
    })
}

impl Store {
    /// Adds an entry, last in the order of arrival.
    pub(crate) fn pool_add(&self, entry: &Entry) -> Result<(), StoreError> {
        let damaged = |e: std::num::TryFromIntError| StoreError::damaged("mempool entry", e);
        self.connection
            .prepare_cached(
                "INSERT INTO pool (txid, wtxid, fee, vsize, time, height, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                entry.txid.as_byte_array(),
                entry.wtxid.as_byte_array(),
                i64::try_from(entry.fee.to_sat()).map_err(damaged)?,
                i64::try_from(entry.vsize).map_err(damaged)?,
                i64::try_from(entry.time).map_err(damaged)?,
                entry.height,
                serialize(&entry.transaction),
            ])?;
        for input in &entry.transaction.input {
            self.connection
                .prepare_cached(
                    "INSERT INTO pool_input (prev_txid, prev_vout, spender) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![
                    input.previous_output.txid.as_byte_array(),
                    input.previous_output.vout,
                    entry.txid.as_byte_array(),
                ])?;
        }
        Ok(())
    }

    /// Removes an entry; nothing happens if it is not there.
    pub(crate) fn pool_remove(&self, txid: &Txid) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM pool WHERE txid = ?1")?
            .execute(params![txid.as_byte_array()])?;
        Ok(())
    }

    /// Removes all entries.
    pub(crate) fn pool_clear(&self) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM pool")?
            .execute([])?;
        Ok(())
    }

    /// One entry.
    pub(crate) fn pool_entry(&self, txid: &Txid) -> Result<Option<Entry>, StoreError> {
        self.connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM pool WHERE txid = ?1"))?
            .query_row(params![txid.as_byte_array()], raw)
            .optional()?
            .map(entry)
            .transpose()
    }

    /// All entries in the order of arrival, so that parents come before children.
    pub(crate) fn pool_entries(&self) -> Result<Vec<Entry>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM pool ORDER BY arrival"))?;
        let rows = statement.query_map([], raw)?;
        rows.map(|row| entry(row?)).collect()
    }

    /// How many entries there are, and their bytes.
    pub(crate) fn pool_size(&self) -> Result<(u64, u64), StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT count, bytes FROM pool_total")?
            .query_row([], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?)
    }

    /// The entry that spends an output.
    pub(crate) fn pool_spender(&self, outpoint: &OutPoint) -> Result<Option<Txid>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT spender FROM pool_input WHERE prev_txid = ?1 AND prev_vout = ?2",
            )?
            .query_row(
                params![outpoint.txid.as_byte_array(), outpoint.vout],
                txid_column,
            )
            .optional()?)
    }

    /// Entries whose outputs an entry spends, directly or through others.
    pub(crate) fn pool_ancestors(&self, txid: &Txid) -> Result<Vec<Txid>, StoreError> {
        self.relatives(
            "WITH RECURSIVE kin(txid) AS (
                 SELECT prev_txid FROM pool_input WHERE spender = ?1
                     AND prev_txid IN (SELECT txid FROM pool)
                 UNION SELECT prev_txid FROM pool_input JOIN kin ON spender = kin.txid
                     WHERE prev_txid IN (SELECT txid FROM pool))
             SELECT txid FROM kin",
            txid,
        )
    }

    /// Entries that spend outputs of a transaction (in the mempool or not), directly or through
    /// others.
    pub(crate) fn pool_descendants(&self, txid: &Txid) -> Result<Vec<Txid>, StoreError> {
        self.relatives(
            "WITH RECURSIVE kin(txid) AS (
                 SELECT spender FROM pool_input WHERE prev_txid = ?1
                 UNION SELECT spender FROM pool_input JOIN kin ON prev_txid = kin.txid)
             SELECT txid FROM kin",
            txid,
        )
    }

    fn relatives(&self, query: &'static str, txid: &Txid) -> Result<Vec<Txid>, StoreError> {
        let mut statement = self.connection.prepare_cached(query)?;
        let rows = statement.query_map(params![txid.as_byte_array()], txid_column)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The txid in a row's first column.
fn txid_column(row: &Row<'_>) -> rusqlite::Result<Txid> {
    Ok(Txid::from_byte_array(row.get(0)?))
}
