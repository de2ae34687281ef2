//! The rows of a backup as a ledger again, in a new file, with the numbers and times that they had.
//!
//! The rows come before the triggers and the indexes of their tables: what a trigger would do for a
//! new row was done when the row was new, and is among the rows.

use std::io::{self, Read};
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use sendpay_ledger::Ledger;
use sendpay_store::{Options, Store};

use crate::dump::{END, ROW, TABLE, quoted};
use crate::sealed::{OpenError, Opener};
use crate::value::{get_array, get_byte, get_bytes, get_text, get_value};

/// Rows of one commit, so that few are held in memory.
const ROWS_A_COMMIT: u64 = 10_000;

/// Page cache while rows come: the index of the hashes is written at random places.
const CACHE_KIB: i64 = 64 << 10;

/// Numbers that are left out after a restored ledger: those that the lost records after the backup had
/// are given to no others (L5).
const NUMBERS_LEFT_OUT: u64 = 1_000_000;

/// More columns than any table has.
const COLUMNS_MAX: u16 = 1_000;

/// Why a backup was not restored. What there is of the new file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] OpenError),
    /// Its schema is a later one.
    #[error(
        "it is of a newer version (schema {found}, this one knows {known}); restore it with that one"
    )]
    NewerVersion {
        /// The schema of the backup.
        found: u32,
        /// The latest schema known here.
        known: usize,
    },
    /// The new store cannot be made.
    #[error("cannot make the store: {0}")]
    Open(#[from] sendpay_store::OpenError),
    /// The new store cannot be written.
    #[error("cannot write the store: {0}")]
    Store(#[from] rusqlite::Error),
}

impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        RestoreError::Backup(OpenError::of(error))
    }
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Payments.
    pub payments: u64,
    /// Invoices.
    pub invoices: u64,
}

/// The list of channels, with which every backup begins.
///
/// # Errors
/// If the backup is damaged.
pub fn read_manifest(from: &mut Opener<impl Read>) -> Result<Vec<u8>, OpenError> {
    get_bytes(from).map_err(OpenError::of)
}

/// Makes the store at `path`, which must not be there, of what follows the manifest. It is of the
/// version that the backup was made by: opened, it becomes one of today's.
///
/// # Errors
/// If the backup is damaged or of a later version, or the store cannot be made.
pub fn restore(
    mut from: Opener<impl Read>,
    path: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let found = u32::from_be_bytes(get_array(&mut from)?);
    let known = usize::try_from(found).ok().and_then(Ledger::schema);
    let migrations = known.ok_or(RestoreError::NewerVersion {
        found,
        known: Ledger::SCHEMA_VERSION,
    })?;
    let store = Store::open(Options {
        path: path.to_owned(),
        migrations,
        application_id: Ledger::APPLICATION_ID,
        readers: 1,
        queue_bytes_max: 1 << 20,
        wal_bytes_max: 1 << 20,
    })?;
    store.close();
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    // A crash leaves a file of no use, as its caller knows.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let beside_tables = take_away(&connection)?;
    let restored = load(&connection, &mut from, report)?;
    from.finish()?;
    for statement in beside_tables {
        connection.execute_batch(&statement)?;
    }
    leave_out_numbers(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    sync(path)?;
    Ok(restored)
}

fn sync(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// Drops the indexes and triggers, and the rows that a new ledger has of itself; what makes them again.
fn take_away(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let names = |kinds: &str| -> Result<Vec<(String, String, Option<String>)>, rusqlite::Error> {
        connection
            .prepare(&format!(
                "SELECT type, name, sql FROM sqlite_schema
                 WHERE type IN ({kinds}) AND name NOT LIKE 'sqlite%' AND sql IS NOT NULL
                 ORDER BY type, rowid"
            ))?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    };
    let mut again = Vec::new();
    // Indexes first, as they sort: then a trigger that looks something up finds it.
    for (kind, name, sql) in names("'index', 'trigger'")? {
        connection.execute_batch(&format!("DROP {kind} {}", quoted(&name)))?;
        again.extend(sql);
    }
    for (_, name, _) in names("'table'")? {
        connection.execute_batch(&format!("DELETE FROM {}", quoted(&name)))?;
    }
    Ok(again)
}

fn load(
    connection: &Connection,
    from: &mut impl Read,
    report: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let (mut restored, mut rows) = (Restored::default(), 0u64);
    connection.execute_batch("BEGIN")?;
    let mut next = get_byte(from)?;
    while next == TABLE {
        let table = get_text(from)?;
        let count = u16::from_be_bytes(get_array(from)?);
        if count == 0 || count > COLUMNS_MAX {
            return Err(no_row());
        }
        let columns: Vec<String> = (0..count)
            .map(|_| get_text(from).map(|name| quoted(&name)))
            .collect::<Result<_, _>>()?;
        let places = vec!["?"; columns.len()].join(", ");
        let mut insert = connection.prepare(&format!(
            "INSERT INTO {} ({}) VALUES ({places})",
            quoted(&table),
            columns.join(", ")
        ))?;
        let mut of_table = 0u64;
        next = get_byte(from)?;
        while next == ROW {
            let values: Vec<Value> = (0..count)
                .map(|_| get_value(from))
                .collect::<Result<_, _>>()?;
            insert.execute(params_from_iter(values))?;
            of_table += 1;
            rows += 1;
            if rows.is_multiple_of(ROWS_A_COMMIT) {
                connection.execute_batch("COMMIT; BEGIN")?;
                report(rows);
            }
            next = get_byte(from)?;
        }
        match table.as_str() {
            "payment" => restored.payments = of_table,
            "invoice" => restored.invoices = of_table,
            _ => {}
        }
    }
    if next != END {
        return Err(no_row());
    }
    connection.execute_batch("COMMIT")?;
    Ok(restored)
}

fn no_row() -> RestoreError {
    io::Error::new(io::ErrorKind::InvalidData, "what is in it is no ledger").into()
}

fn leave_out_numbers(connection: &Connection) -> Result<(), rusqlite::Error> {
    let names: Vec<String> = connection
        .prepare("SELECT name FROM pragma_table_info('counter') WHERE name <> 'id'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let further = names.iter().map(|name| {
        let name = quoted(name);
        format!("{name} = {name} + {NUMBERS_LEFT_OUT}")
    });
    let further: Vec<String> = further.collect();
    connection.execute(&format!("UPDATE counter SET {}", further.join(", ")), [])?;
    Ok(())
}
