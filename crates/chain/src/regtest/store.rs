//! The chain on disk: blocks, the best chain, unspent outputs, undo data, the mempool.
//!
//! Everything the chain knows is in `chain.sqlite3`; nothing is kept in memory beside it, so that
//! a kill at any instant leaves what the last commit wrote, and a failed step leaves no trace. This
//! module knows rows and no rules: it opens the file and has the blocks; unspent outputs are in
//! `coins.rs`, the mempool's rows in `pool.rs`.

use std::path::Path;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, Work};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// `application_id` of the file: "SPrt" in ASCII.
const APPLICATION_ID: i64 = 0x5350_7274;

/// The schema below. A newer file is refused.
const SCHEMA_VERSION: i64 = 1;

/// How long a statement waits for a reader with `sqlite3`, milliseconds.
const BUSY_TIMEOUT_MS: u64 = 5_000;

const SCHEMA: &str = "
CREATE TABLE block (
    arrival      INTEGER PRIMARY KEY,
    hash         BLOB NOT NULL UNIQUE,
    prev         BLOB NOT NULL,
    height       INTEGER NOT NULL,
    time         INTEGER NOT NULL,
    chainwork    BLOB NOT NULL,
    failure      INTEGER NOT NULL DEFAULT 0,
    transactions INTEGER NOT NULL,
    header       BLOB NOT NULL
) STRICT;
CREATE INDEX block_by_prev ON block(prev);
CREATE INDEX block_by_work ON block(failure, chainwork DESC, arrival);
CREATE TABLE block_body (
    hash BLOB PRIMARY KEY,
    body BLOB NOT NULL,
    undo BLOB
) STRICT;
CREATE TABLE active (height INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE unspent (
    txid     BLOB NOT NULL,
    vout     INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    script   BLOB NOT NULL,
    height   INTEGER NOT NULL,
    coinbase INTEGER NOT NULL,
    PRIMARY KEY (txid, vout)
) STRICT, WITHOUT ROWID;
CREATE TABLE located (
    txid     BLOB PRIMARY KEY,
    hash     BLOB NOT NULL,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pool (
    arrival INTEGER PRIMARY KEY,
    txid    BLOB NOT NULL UNIQUE,
    wtxid   BLOB NOT NULL,
    fee     INTEGER NOT NULL,
    vsize   INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    height  INTEGER NOT NULL,
    body    BLOB NOT NULL
) STRICT;
CREATE TABLE pool_input (
    prev_txid BLOB NOT NULL,
    prev_vout INTEGER NOT NULL,
    spender   BLOB NOT NULL,
    PRIMARY KEY (prev_txid, prev_vout)
) STRICT, WITHOUT ROWID;
CREATE INDEX pool_input_by_spender ON pool_input(spender);
CREATE TABLE pool_total (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO pool_total VALUES (1, 0, 0);
CREATE TRIGGER pool_added AFTER INSERT ON pool BEGIN
    UPDATE pool_total SET count = count + 1, bytes = bytes + length(NEW.body);
END;
CREATE TRIGGER pool_removed AFTER DELETE ON pool BEGIN
    UPDATE pool_total SET count = count - 1, bytes = bytes - length(OLD.body);
    DELETE FROM pool_input WHERE spender = OLD.txid;
END;
";

/// Why the chain's file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the chain's database: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A row holds what this program never writes.
    #[error("the chain's database holds a damaged {what}")]
    Damaged {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row that another row names is not there.
    #[error("the chain's database lacks a {0}")]
    Missing(&'static str),
    /// The file was written by a newer version, or by another program.
    #[error("{0}")]
    Foreign(String),
}

impl StoreError {
    pub(super) fn damaged(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        StoreError::Damaged {
            what,
            source: source.into(),
        }
    }
}

/// Why a block is kept off the best chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing is known against it.
    None,
    /// It broke a rule when it was to be connected.
    Invalid,
    /// `invalidateblock` named it.
    Invalidated,
    /// An ancestor of it failed.
    Ancestor,
}

impl Failure {
    fn to_row(self) -> i64 {
        match self {
            Failure::None => 0,
            Failure::Invalid => 1,
            Failure::Invalidated => 2,
            Failure::Ancestor => 3,
        }
    }

    fn from_row(value: i64) -> Option<Self> {
        [
            Failure::None,
            Failure::Invalid,
            Failure::Invalidated,
            Failure::Ancestor,
        ]
        .into_iter()
        .find(|failure| failure.to_row() == value)
    }
}

/// A stored block without its transactions.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its hash.
    pub(crate) hash: BlockHash,
    /// Its 80 bytes.
    pub(crate) header: Header,
    /// Distance from genesis.
    pub(crate) height: u32,
    /// Work of the chain up to and with it.
    pub(crate) chainwork: Work,
    /// Why it is kept off the best chain.
    pub(crate) failure: Failure,
    /// How many transactions it has.
    pub(crate) transactions: u32,
}

/// The open file. One connection; the caller keeps others out.
pub(crate) struct Store {
    pub(super) connection: Connection,
}

/// A group of changes that is kept whole or, if dropped before [`Step::keep`], not at all. Steps
/// nest; the outermost one is the commit.
pub(crate) struct Step<'a> {
    store: &'a Store,
    open: bool,
}

impl Step<'_> {
    /// Keeps the changes: durable on disk if this is the outermost step.
    pub(crate) fn keep(mut self) -> Result<(), StoreError> {
        self.store.connection.execute_batch("RELEASE step")?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if self.open {
            // Fails only where SQLite has rolled everything back by itself (a full disk).
            if let Err(error) = self
                .store
                .connection
                .execute_batch("ROLLBACK TO step; RELEASE step")
            {
                tracing::warn!(%error, "a failed step of the regtest chain was rolled back by SQLite");
            }
        }
    }
}

impl Store {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000;",
        )?;
        let store = Store { connection };
        store.prepare_schema()?;
        Ok(store)
    }

    fn prepare_schema(&self) -> Result<(), StoreError> {
        let pragma = |name: &str| {
            self.connection
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
        };
        let (application, version) = (pragma("application_id")?, pragma("user_version")?);
        let tables: i64 =
            self.connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match (application, version) {
            (0, 0) if tables == 0 => {
                let step = self.step()?;
                self.connection.execute_batch(SCHEMA)?;
                self.connection.execute_batch(&format!(
                    "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
                ))?;
                step.keep()
            }
            (APPLICATION_ID, SCHEMA_VERSION) => Ok(()),
            (APPLICATION_ID, version) => Err(StoreError::Foreign(format!(
                "the chain's database has schema {version}, this program knows {SCHEMA_VERSION}: it was written by another version"
            ))),
            _ => Err(StoreError::Foreign(
                "the file is not a regtest chain of this program".into(),
            )),
        }
    }

    /// Begins a group of changes.
    pub(crate) fn step(&self) -> Result<Step<'_>, StoreError> {
        self.connection.execute_batch("SAVEPOINT step")?;
        Ok(Step {
            store: self,
            open: true,
        })
    }

    // Blocks.

    /// Stores a block; `body` may be large, so it has a table of its own.
    pub(crate) fn add_block(
        &self,
        block: &Block,
        height: u32,
        chainwork: Work,
    ) -> Result<(), StoreError> {
        let hash = block.block_hash();
        self.connection
            .prepare_cached(
                "INSERT INTO block (hash, prev, height, time, chainwork, transactions, header)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                hash.as_byte_array(),
                block.header.prev_blockhash.as_byte_array(),
                height,
                block.header.time,
                chainwork.to_be_bytes(),
                i64::try_from(block.txdata.len()).unwrap_or(i64::MAX),
                serialize(&block.header),
            ])?;
        self.connection
            .prepare_cached("INSERT INTO block_body (hash, body) VALUES (?1, ?2)")?
            .execute(params![hash.as_byte_array(), serialize(block)])?;
        Ok(())
    }

    /// A block's header and place, if it is stored.
    pub(crate) fn block(&self, hash: &BlockHash) -> Result<Option<Stored>, StoreError> {
        self.stored("WHERE hash = ?1", params![hash.as_byte_array()])
    }

    /// The block of most work with nothing known against it; of equals the first that came.
    pub(crate) fn best_candidate(&self) -> Result<Option<Stored>, StoreError> {
        self.stored(
            "WHERE failure = 0 ORDER BY chainwork DESC, arrival LIMIT 1",
            params![],
        )
    }

    fn stored(
        &self,
        condition: &'static str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Option<Stored>, StoreError> {
        let raw = self
            .connection
            .prepare_cached(&format!(
                "SELECT hash, header, height, chainwork, failure, transactions FROM block {condition}"
            ))?
            .query_row(values, |row| {
                Ok((
                    row.get::<_, [u8; 32]>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, u32>(2)?,
                    row.get::<_, [u8; 32]>(3)?,
                    row.get::<_, i64>(4)?,
                    row.get::<_, u32>(5)?,
                ))
            })
            .optional()?;
        let Some((hash, header, height, chainwork, failure, transactions)) = raw else {
            return Ok(None);
        };
        Ok(Some(Stored {
            hash: BlockHash::from_byte_array(hash),
            header: deserialize(&header).map_err(|e| StoreError::damaged("block header", e))?,
            height,
            chainwork: Work::from_be_bytes(chainwork),
            failure: Failure::from_row(failure)
                .ok_or_else(|| StoreError::damaged("block", format!("failure {failure}")))?,
            transactions,
        }))
    }

    /// The bytes of a stored block.
    pub(crate) fn body_bytes(&self, hash: &BlockHash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT body FROM block_body WHERE hash = ?1")?
            .query_row(params![hash.as_byte_array()], |row| row.get(0))
            .optional()?)
    }

    /// A stored block.
    pub(crate) fn body(&self, hash: &BlockHash) -> Result<Block, StoreError> {
        let bytes = self.body_bytes(hash)?.ok_or(StoreError::Missing("block"))?;
        deserialize(&bytes).map_err(|e| StoreError::damaged("block", e))
    }

    /// The times of a block and up to ten before it, seconds since 1970, newest first.
    pub(crate) fn times_back_from(&self, hash: &BlockHash) -> Result<Vec<u32>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "WITH RECURSIVE back(prev, time, n) AS (
                 SELECT prev, time, 1 FROM block WHERE hash = ?1
                 UNION ALL
                 SELECT block.prev, block.time, n + 1 FROM back JOIN block ON block.hash = back.prev
                 WHERE n < 11)
             SELECT time FROM back",
        )?;
        let times = statement.query_map(params![hash.as_byte_array()], |row| row.get(0))?;
        Ok(times.collect::<Result<_, _>>()?)
    }

    /// Sets why a block is kept off the best chain.
    pub(crate) fn set_failure(&self, hash: &BlockHash, failure: Failure) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE block SET failure = ?2 WHERE hash = ?1")?
            .execute(params![hash.as_byte_array(), failure.to_row()])?;
        Ok(())
    }

    /// Keeps every sound descendant of a failed block off the best chain.
    pub(crate) fn fail_descendants(&self, hash: &BlockHash) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "WITH RECURSIVE later(hash) AS (
                     SELECT hash FROM block WHERE prev = ?1
                     UNION ALL SELECT block.hash FROM later JOIN block ON block.prev = later.hash)
                 UPDATE block SET failure = ?2 WHERE failure = 0 AND hash IN (SELECT hash FROM later)",
            )?
            .execute(params![hash.as_byte_array(), Failure::Ancestor.to_row()])?;
        Ok(())
    }

    /// Forgets what is known against a block, its ancestors and its descendants.
    pub(crate) fn clear_failures_around(&self, hash: &BlockHash) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "WITH RECURSIVE later(hash) AS (
                     SELECT ?1
                     UNION ALL SELECT block.hash FROM later JOIN block ON block.prev = later.hash),
                 earlier(hash) AS (
                     SELECT ?1
                     UNION ALL SELECT block.prev FROM earlier JOIN block ON block.hash = earlier.hash)
                 UPDATE block SET failure = 0 WHERE failure <> 0
                     AND hash IN (SELECT hash FROM later UNION ALL SELECT hash FROM earlier)",
            )?
            .execute(params![hash.as_byte_array()])?;
        Ok(())
    }

    // The best chain.

    /// Hash of the block at a height of the best chain.
    pub(crate) fn active(&self, height: u32) -> Result<Option<BlockHash>, StoreError> {
        let hash = self
            .connection
            .prepare_cached("SELECT hash FROM active WHERE height = ?1")?
            .query_row(params![height], hash_column)
            .optional()?;
        Ok(hash)
    }

    /// Height and hash of the best block; none before genesis is stored.
    pub(crate) fn tip(&self) -> Result<Option<(u32, BlockHash)>, StoreError> {
        let tip = self
            .connection
            .prepare_cached("SELECT hash, height FROM active ORDER BY height DESC LIMIT 1")?
            .query_row([], |row| Ok((row.get(1)?, hash_column(row)?)))
            .optional()?;
        Ok(tip)
    }

    /// Puts a block on top of the best chain.
    pub(crate) fn push_active(&self, height: u32, hash: &BlockHash) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO active (height, hash) VALUES (?1, ?2)")?
            .execute(params![height, hash.as_byte_array()])?;
        Ok(())
    }

    /// Takes the block at a height off the best chain.
    pub(crate) fn pop_active(&self, height: u32) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM active WHERE height = ?1")?
            .execute(params![height])?;
        Ok(())
    }

    /// Bytes of the database file.
    pub(crate) fn size_on_disk(&self) -> Result<u64, StoreError> {
        let bytes: i64 = self.connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            [],
            |row| row.get(0),
        )?;
        Ok(unsigned(bytes))
    }
}

/// The hash in a row's first column.
pub(super) fn hash_column(row: &Row<'_>) -> rusqlite::Result<BlockHash> {
    Ok(BlockHash::from_byte_array(row.get(0)?))
}

/// A count or sum that SQLite, which has signed integers only, cannot have made negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
