//! Opening: the process lock, the file and its mode, what it is, its migrations, its connections.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How long SQLite waits for a lock by itself before the store warns and waits on.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Prepared statements kept by each connection: more than the ledger has.
const STATEMENTS_MAX: usize = 128;

/// Page cache of the writer in KiB: the upper levels of the indexes of ten million records, and what
/// was written last. No more: in a file below 1 GiB SQLite goes through its whole cache at each commit
/// that has split a page.
const WRITER_CACHE_KIB: u32 = 16 << 10;

/// Page cache of each reader in KiB: two of them, at work for one listing, are within what it may add
/// to the memory of the process (16 MB).
const READER_CACHE_KIB: u32 = 4 << 10;

/// Only its owner reads the file: channel secrets and payments are in it.
const MODE: u32 = 0o600;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file; made if missing. Beside it come `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// The schema: SQL scripts, each applied once and in one commit. Append-only: a script that
    /// was ever released is never changed. The file's `user_version` is how many were applied.
    pub migrations: &'static [&'static str],
    /// SQLite's `application_id`; a file with another one is refused.
    pub application_id: i32,
    /// How many reads can run at once.
    pub readers: usize,
    /// [`crate::Store::room`] waits while more bytes than this are queued.
    pub queue_bytes_max: usize,
    /// The write-ahead log is started afresh when it passes this.
    pub wal_bytes_max: u64,
}

/// Why a store could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{path} is in use by another process; stop that one first")]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "{path} was written by a newer version (schema {found}, this one knows {known}); \
         run that version or a later one"
    )]
    NewerVersion {
        /// The database file.
        path: PathBuf,
        /// The schema of the file.
        found: usize,
        /// The latest schema known here.
        known: usize,
    },
    /// A database of some other program.
    #[error(
        "{path} is a database of another program (application_id {found}); \
         choose another directory"
    )]
    NotOurs {
        /// The database file.
        path: PathBuf,
        /// Its application id.
        found: i32,
    },
    /// No database, or a damaged one.
    #[error("{path} is damaged or no database ({detail}); restore it from a safe backup")]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was seen.
        detail: String,
    },
    /// No right to write there.
    #[error(
        "{path} cannot be written ({detail}); check owner and rights of the file and its directory"
    )]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What was seen.
        detail: String,
    },
    /// The disk is full.
    #[error("no space left for {path}; free some")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds SQLite's own lock on the file.
    #[error("{path} is locked by another program, perhaps sqlite3; close it there")]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// The operating system refused for another reason.
    #[error("{path} cannot be opened")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite refused for another reason, or a migration failed.
    #[error("{path} cannot be opened as a database")]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                let detail = source.to_string();
                OpenError::NotWritable { path, detail }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path },
            _ => OpenError::Io { path, source },
        }
    }

    fn sqlite(path: &Path, source: rusqlite::Error) -> OpenError {
        let path = path.to_owned();
        let detail = source.to_string();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                OpenError::Corrupt { path, detail }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                OpenError::NotWritable { path, detail }
            }
            Some(ErrorCode::DiskFull) => OpenError::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy { path },
            _ => OpenError::Sqlite { path, source },
        }
    }
}

/// The connections of an open store.
pub(crate) struct Opened {
    pub(crate) lock: File,
    pub(crate) writer: Connection,
    pub(crate) checkpointer: Connection,
    pub(crate) readers: Vec<Connection>,
    pub(crate) page_bytes: u64,
}

pub(crate) fn open(options: &Options) -> Result<Opened, OpenError> {
    let path = options.path.as_path();
    let lock = lock(path)?;
    make_private(path)?;
    let sqlite = |error| OpenError::sqlite(path, error);

    let writer = connect(path, WRITER_CACHE_KIB).map_err(sqlite)?;
    check_identity(&writer, options)?;
    prepare_log(&writer, options.wal_bytes_max).map_err(sqlite)?;
    check_length(&writer, path)?;
    migrate(&writer, options)?;
    let page_bytes: u64 = writer
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))
        .map_err(sqlite)?
        .into();

    let checkpointer = connect(path, READER_CACHE_KIB).map_err(sqlite)?;
    let readers = (0..options.readers.max(1))
        .map(|_| connect_reader(path))
        .collect::<Result<Vec<_>, _>>()
        .map_err(sqlite)?;
    Ok(Opened {
        lock,
        writer,
        checkpointer,
        readers,
        page_bytes,
    })
}

/// Takes the process lock: a file of its own, because SQLite's locks come and go, and closing
/// any handle of the database file would drop them.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = open_private(&lock_path).map_err(|error| OpenError::io(&lock_path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&lock_path, error)),
    }
}

/// Makes the database file with its mode before SQLite sees it; SQLite gives `-wal` and `-shm`
/// the same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::io(path, error);
    let is_new = !path.try_exists().map_err(failed)?;
    let file = open_private(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))
            .map_err(failed)?;
    }
    if is_new {
        // The name must be as durable as what will be in the file.
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)?;
    }
    Ok(())
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(path)
}

fn connect(path: &Path, cache_kib: u32) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    // Plans that do not depend on the values bound. Without this SQLite parses and plans a
    // statement anew for each set of values, which costs more than most of ours do.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    Ok(connection)
}

fn connect_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = connect(path, READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Is it a database, ours, and none from the future? Reads the first page only.
fn check_identity(connection: &Connection, options: &Options) -> Result<(), OpenError> {
    let path = options.path.as_path();
    let sqlite = |error| OpenError::sqlite(path, error);
    let found: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(sqlite)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    // A file without anything in it is a new one, perhaps of a start that was cut short.
    if found != options.application_id && (found != 0 || tables != 0) {
        return Err(OpenError::NotOurs {
            path: path.to_owned(),
            found,
        });
    }
    let version = version(connection, path)?;
    if version > options.migrations.len() {
        return Err(OpenError::NewerVersion {
            path: path.to_owned(),
            found: version,
            known: options.migrations.len(),
        });
    }
    Ok(())
}

fn version(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| OpenError::sqlite(path, error))?;
    usize::try_from(version).map_err(|_| OpenError::Corrupt {
        path: path.to_owned(),
        detail: format!("schema version {version}"),
    })
}

fn prepare_log(connection: &Connection, wal_bytes_max: u64) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let limit = i64::try_from(wal_bytes_max).unwrap_or(i64::MAX);
    connection.pragma_update(None, "journal_size_limit", limit)
}

/// A file that was cut short is found here, without reading it: once the log is copied, it must
/// be as long as its first page says.
fn check_length(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::sqlite(path, error);
    let busy: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .map_err(sqlite)?;
    if busy != 0 {
        // Another program reads the file: the log stays, and the file may rightly be shorter.
        return Ok(());
    }
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let expected = number("page_count").map_err(sqlite)? * number("page_size").map_err(sqlite)?;
    let found = path
        .metadata()
        .map_err(|error| OpenError::io(path, error))?
        .len();
    if u64::try_from(expected).is_ok_and(|expected| found >= expected) {
        return Ok(());
    }
    Err(OpenError::Corrupt {
        path: path.to_owned(),
        detail: format!("{found} bytes long, should be {expected}"),
    })
}

/// Applies what is missing of the schema, each script with its number in one commit.
fn migrate(connection: &Connection, options: &Options) -> Result<(), OpenError> {
    let path = options.path.as_path();
    let applied = version(connection, path)?;
    let missing = options.migrations.iter().enumerate().skip(applied);
    for (number, script) in missing {
        let one = format!(
            "BEGIN IMMEDIATE; {script}; PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT;",
            options.application_id,
            number + 1,
        );
        if let Err(error) = connection.execute_batch(&one) {
            if !connection.is_autocommit() {
                // The first error is the one to tell; the commit is void in any case.
                let _ = connection.execute_batch("ROLLBACK");
            }
            return Err(OpenError::sqlite(path, error));
        }
    }
    Ok(())
}
