//! Unspent outputs, what each block spent, and where transactions are: the rows that change when a
//! block is connected or disconnected.
//!
//! Rows only; `chain.rs` says which.

use bitcoin::consensus::{Decodable, Encodable, encode};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, TxOut, Txid};
use rusqlite::{OptionalExtension, params};

#[cfg(test)]
use super::store::unsigned;
use super::store::{Store, StoreError, hash_column};

/// An output in the set of unspent ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coin {
    /// Amount and script.
    pub(crate) output: TxOut,
    /// Height of the block that made it; the height of the next block for one in the mempool.
    pub(crate) height: u32,
    /// Made by a coinbase, so that it must ripen.
    pub(crate) coinbase: bool,
}

impl Store {
    /// An unspent output of the best chain.
    pub(crate) fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        let raw = self
            .connection
            .prepare_cached(
                "SELECT amount, script, height, coinbase FROM unspent WHERE txid = ?1 AND vout = ?2",
            )?
            .query_row(params![outpoint.txid.as_byte_array(), outpoint.vout], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, u32>(2)?,
                    row.get::<_, bool>(3)?,
                ))
            })
            .optional()?;
        let Some((amount, script, height, coinbase)) = raw else {
            return Ok(None);
        };
        let amount = u64::try_from(amount).map_err(|e| StoreError::damaged("unspent output", e))?;
        let output = TxOut {
            value: bitcoin::Amount::from_sat(amount),
            script_pubkey: ScriptBuf::from_bytes(script),
        };
        Ok(Some(Coin {
            output,
            height,
            coinbase,
        }))
    }

    /// Adds an unspent output.
    pub(crate) fn add_coin(&self, outpoint: &OutPoint, coin: &Coin) -> Result<(), StoreError> {
        let amount = i64::try_from(coin.output.value.to_sat())
            .map_err(|e| StoreError::damaged("unspent output", e))?;
        self.connection
            .prepare_cached(
                "INSERT INTO unspent (txid, vout, amount, script, height, coinbase)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                outpoint.txid.as_byte_array(),
                outpoint.vout,
                amount,
                coin.output.script_pubkey.as_bytes(),
                coin.height,
                coin.coinbase,
            ])?;
        Ok(())
    }

    /// Takes an output out of the set.
    pub(crate) fn remove_coin(&self, outpoint: &OutPoint) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM unspent WHERE txid = ?1 AND vout = ?2")?
            .execute(params![outpoint.txid.as_byte_array(), outpoint.vout])?;
        Ok(())
    }

    /// Whether any output of a transaction is unspent on the best chain.
    pub(crate) fn has_coin_of(&self, txid: &Txid) -> Result<bool, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM unspent WHERE txid = ?1)")?
            .query_row(params![txid.as_byte_array()], |row| row.get(0))?)
    }

    /// How many outputs are unspent, and their sum in satoshi.
    #[cfg(test)]
    pub(crate) fn coin_totals(&self) -> Result<(u64, u64), StoreError> {
        Ok(self.connection.query_row(
            "SELECT count(*), coalesce(sum(amount), 0) FROM unspent",
            [],
            |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))),
        )?)
    }

    /// Keeps the outputs that a connected block spent, in the order of its inputs.
    pub(crate) fn set_undo(&self, hash: &BlockHash, spent: &[Coin]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let damaged = |e| StoreError::damaged("undo record", e);
        for coin in spent {
            coin.height.consensus_encode(&mut bytes).map_err(damaged)?;
            coin.coinbase
                .consensus_encode(&mut bytes)
                .map_err(damaged)?;
            coin.output.consensus_encode(&mut bytes).map_err(damaged)?;
        }
        self.connection
            .prepare_cached("UPDATE block_body SET undo = ?2 WHERE hash = ?1")?
            .execute(params![hash.as_byte_array(), bytes])?;
        Ok(())
    }

    /// The outputs that a block spent when it was last connected.
    pub(crate) fn undo(&self, hash: &BlockHash) -> Result<Vec<Coin>, StoreError> {
        let bytes: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT undo FROM block_body WHERE hash = ?1")?
            .query_row(params![hash.as_byte_array()], |row| row.get(0))?;
        let bytes = bytes.ok_or(StoreError::Missing("undo record"))?;
        let mut rest = bytes.as_slice();
        let mut spent = Vec::new();
        while !rest.is_empty() {
            spent.push(read_coin(&mut rest).map_err(|e| StoreError::damaged("undo record", e))?);
        }
        Ok(spent)
    }

    // Where the transactions of the best chain are.

    /// Notes where a transaction is.
    pub(crate) fn locate(
        &self,
        txid: &Txid,
        hash: &BlockHash,
        position: usize,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO located (txid, hash, position) VALUES (?1, ?2, ?3)")?
            .execute(params![
                txid.as_byte_array(),
                hash.as_byte_array(),
                i64::try_from(position).unwrap_or(i64::MAX)
            ])?;
        Ok(())
    }

    /// Forgets where a transaction was.
    pub(crate) fn unlocate(&self, txid: &Txid) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM located WHERE txid = ?1")?
            .execute(params![txid.as_byte_array()])?;
        Ok(())
    }

    /// Block of the best chain with this transaction, and its place there.
    pub(crate) fn location(&self, txid: &Txid) -> Result<Option<(BlockHash, usize)>, StoreError> {
        let raw = self
            .connection
            .prepare_cached("SELECT hash, position FROM located WHERE txid = ?1")?
            .query_row(params![txid.as_byte_array()], |row| {
                Ok((hash_column(row)?, row.get::<_, u32>(1)?))
            })
            .optional()?;
        Ok(raw.map(|(hash, position)| (hash, usize::try_from(position).unwrap_or(usize::MAX))))
    }
}

fn read_coin(rest: &mut &[u8]) -> Result<Coin, encode::Error> {
    Ok(Coin {
        height: Decodable::consensus_decode(rest)?,
        coinbase: Decodable::consensus_decode(rest)?,
        output: Decodable::consensus_decode(rest)?,
    })
}
