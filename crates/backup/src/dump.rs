//! Every table of a ledger as rows, in the order in which they lie in the file: as much as one row is
//! held of it. What only the node keeps beside them (`kv`) stays out: channel state is in it.
//!
//! A whole backup is, inside its seal: the manifest (length, bytes); the schema's version; then for each
//! table [`TABLE`], its name, its columns, and each row as [`ROW`] and its values; then [`END`].

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use sendpay_ledger::Ledger;

use crate::sealed::{BackupKey, Kind, Sealer};
use crate::value::{put_bytes, put_value};

pub(crate) const END: u8 = 0;
pub(crate) const TABLE: u8 = 1;
pub(crate) const ROW: u8 = 2;

/// The table of what only the node keeps, channel state among it.
const NODES_OWN: &str = "kv";

/// Rows between two reports of how far it is.
const REPORT_EVERY: u64 = 10_000;

/// Why a store cannot be backed up.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is no file.
    #[error("there is no store at {}", .0.display())]
    Missing(PathBuf),
    /// It is a database of something else.
    #[error("{} is no store of sendpayd", .0.display())]
    NotOurs(PathBuf),
    /// It was written by a later version.
    #[error("{} was written by a newer version: run the backup of that version", .0.display())]
    Newer(PathBuf),
    /// SQLite cannot read it.
    #[error("{} cannot be read: {source}", path.display())]
    Sqlite {
        /// The store.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// A store at one instant. The node may run meanwhile; its log grows while this is held.
pub struct Snapshot {
    connection: Connection,
    schema_version: u32,
}

impl Snapshot {
    /// Opens the store at `path` for reading, whether a node has it open or not.
    ///
    /// # Errors
    /// If it is none that this version can read.
    pub fn open(path: &Path) -> Result<Snapshot, SnapshotError> {
        if !path.exists() {
            return Err(SnapshotError::Missing(path.to_owned()));
        }
        let sqlite = |source| SnapshotError::Sqlite {
            path: path.to_owned(),
            source,
        };
        // Not read-only: after a crash the log must be brought in before anything can be read.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        let read = || -> Result<(i32, i64), rusqlite::Error> {
            connection.pragma_update(None, "query_only", true)?;
            connection.execute_batch("BEGIN")?;
            let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
            let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            Ok((pragma("application_id")?, version))
        };
        let (application_id, version) = read().map_err(sqlite)?;
        if application_id != Ledger::APPLICATION_ID {
            return Err(SnapshotError::NotOurs(path.to_owned()));
        }
        let known = usize::try_from(version).ok().and_then(Ledger::schema);
        let schema_version = u32::try_from(version).ok().filter(|_| known.is_some());
        Ok(Snapshot {
            connection,
            schema_version: schema_version.ok_or(SnapshotError::Newer(path.to_owned()))?,
        })
    }

    /// What the node keeps under this name.
    ///
    /// # Errors
    /// If SQLite cannot read it.
    pub fn kept(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, rusqlite::Error> {
        self.connection
            .query_row(
                "SELECT value FROM kv
                 WHERE primary_namespace = ?1 AND secondary_namespace = ?2 AND key = ?3",
                (primary, secondary, key),
                |row| row.get(0),
            )
            .optional()
    }
}

/// Why a backup was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file cannot be written.
    #[error("cannot write the backup: {0}")]
    File(#[from] io::Error),
    /// The store cannot be read.
    #[error("cannot read the store: {0}")]
    Store(#[from] rusqlite::Error),
}

/// What a whole backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dumped {
    /// Payments.
    pub payments: u64,
    /// Invoices.
    pub invoices: u64,
}

/// Writes a backup of the list of channels alone. The caller syncs the file.
///
/// # Errors
/// If it cannot be written.
pub fn write_channels(to: impl Write, key: &BackupKey, manifest: &[u8]) -> io::Result<()> {
    let mut to = Sealer::new(to, key, Kind::Channels)?;
    put_bytes(&mut to, manifest)?;
    to.finish()?.flush()
}

/// Writes a whole backup: the list of channels, and every record at the instant of the snapshot. The
/// caller syncs the file. `report` hears now and then how many rows were written.
///
/// # Errors
/// If it cannot be written, or the store not be read.
pub fn write_whole(
    to: impl Write,
    key: &BackupKey,
    manifest: &[u8],
    snapshot: &Snapshot,
    report: &mut dyn FnMut(u64),
) -> Result<Dumped, WriteError> {
    let mut to = Sealer::new(to, key, Kind::Whole)?;
    put_bytes(&mut to, manifest)?;
    to.write_all(&snapshot.schema_version.to_be_bytes())?;
    let (mut rows, mut dumped) = (0u64, Dumped::default());
    for table in tables(&snapshot.connection)? {
        let mut of_table = 0u64;
        put_table(&snapshot.connection, &table, &mut to, &mut || {
            of_table += 1;
            rows += 1;
            if rows.is_multiple_of(REPORT_EVERY) {
                report(rows);
            }
        })?;
        match table.as_str() {
            "payment" => dumped.payments = of_table,
            "invoice" => dumped.invoices = of_table,
            _ => {}
        }
    }
    to.write_all(&[END])?;
    to.finish()?.flush()?;
    Ok(dumped)
}

fn tables(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    connection
        .prepare(
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> ?1 ORDER BY rowid",
        )?
        .query_map([NODES_OWN], |row| row.get(0))?
        .collect()
}

/// A name as SQL takes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn put_table(
    connection: &Connection,
    table: &str,
    to: &mut impl Write,
    each: &mut dyn FnMut(),
) -> Result<(), WriteError> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {}", quoted(table)))?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    to.write_all(&[TABLE])?;
    put_bytes(to, table.as_bytes())?;
    let count = u16::try_from(columns.len()).map_err(io::Error::other)?;
    to.write_all(&count.to_be_bytes())?;
    for column in &columns {
        put_bytes(to, column.as_bytes())?;
    }
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        to.write_all(&[ROW])?;
        for column in 0..columns.len() {
            put_value(to, row.get_ref(column)?)?;
        }
        each();
    }
    Ok(())
}
