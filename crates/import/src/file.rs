//! CLN's file, opened so that nothing is changed in it or beside it, and what it is.
//!
//! - With a rollback journal (CLN's own way): read only, under SQLite's shared lock.
//! - In WAL mode (as tools that follow the file set it) with nothing in the log: read as a file that
//!   does not change, since even a reader would make files beside it otherwise.
//! - In WAL mode with a log that was not copied back: from a copy of both in the caller's
//!   directory, where SQLite may put the two together.
//!
//! A lightningd that runs is found by its RPC socket beside the file.

mod error;

pub use error::OpenError;

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use crate::version;

/// CLN's RPC socket, beside its file.
const SOCKET: &str = "lightning-rpc";

/// Name of the copy of a file with a log.
const COPY: &str = "import-cln.sqlite3";

/// How long a lock on the file is waited for: longer than any commit of lightningd takes.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// Bytes of SQLite's header that are looked at (its file format, section 1.3).
const HEADER_BYTES: usize = 100;

/// A Bitcoin network: its name, and its genesis block as CLN stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// CLN's name of it.
    pub name: &'static str,
    /// Hash of its first block, in the order of bytes in which it is hashed.
    pub genesis: [u8; 32],
}

/// A stopped CLN node's database, open for reading.
pub struct ClnFile {
    path: PathBuf,
    before: Vec<Stamp>,
    pub(crate) connection: Connection,
    pub(crate) version: i64,
    release: &'static str,
    node_id: Option<[u8; 33]>,
    /// Deleted at the end.
    _copy: Option<Copy>,
}

/// What tells that a file was written to.
type Stamp = Option<(u64, Option<SystemTime>)>;

impl ClnFile {
    /// Opens the file. `scratch` makes a private directory, for a copy if one is needed; `ours` is
    /// the network it must be of, `known` are those that an error can name.
    pub fn open(
        path: &Path,
        scratch: &dyn Fn() -> io::Result<PathBuf>,
        ours: Chain,
        known: &[Chain],
    ) -> Result<ClnFile, OpenError> {
        let named = file_of(path)?;
        // What belongs to a file that a link leads to stands beside the file, and lightningd's socket
        // where it was told to run.
        let path = fs::canonicalize(&named).map_err(|source| OpenError::Io {
            path: named.clone(),
            source,
        })?;
        let failed = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        if is_running_beside(&named) || is_running_beside(&path) {
            return Err(OpenError::Running { path });
        }
        let before = stamps(&path);
        let header = Header::read(&path)?;
        let log = beside(&path, "-wal");
        let has_log = header.is_wal && length(&log).map_err(failed)?.unwrap_or(0) > 0;
        if !has_log {
            header.check_length(&path)?;
        }
        check_journal(&path)?;
        let copy = match has_log {
            true => Some(Copy::make(&path, &log, &scratch().map_err(failed)?).map_err(failed)?),
            false => None,
        };
        let connection =
            connect(&path, copy.as_ref(), header.is_wal).map_err(|cause| sqlite(&path, cause))?;
        let (version, release) = check_version(&connection, &path)?;
        check_chain(&connection, &path, ours, known)?;
        let node_id = variable(&connection, &path, "node_id")?;
        Ok(ClnFile {
            before,
            connection,
            version,
            release,
            node_id: node_id.and_then(|bytes| bytes.try_into().ok()),
            _copy: copy,
            path,
        })
    }

    /// The releases of CLN that write this schema.
    pub fn release(&self) -> &'static str {
        self.release
    }

    /// The node's id, where the file has it (since v22.11).
    pub fn node_id(&self) -> Option<[u8; 33]> {
        self.node_id
    }

    /// An error of a statement over the file, as it is told.
    pub(crate) fn failed(&self, source: rusqlite::Error) -> OpenError {
        sqlite(&self.path, source)
    }

    /// Whether somebody wrote to it since it was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        stamps(&self.path) == self.before
    }
}

/// The path as CLN's option `wallet` has it too: `sqlite3://PATH`.
fn file_of(path: &Path) -> Result<PathBuf, OpenError> {
    let text = path.to_string_lossy();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        // What follows may hold a password.
        let scheme = text.split_inclusive("://").next().unwrap_or_default();
        return Err(OpenError::Postgres(format!("{scheme}...")));
    }
    let path = match text.strip_prefix("sqlite3://") {
        Some(rest) => PathBuf::from(rest),
        None => path.to_owned(),
    };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(path),
        Ok(_) => Err(OpenError::NoFile { path }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(OpenError::NoFile { path }),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

fn is_running_beside(path: &Path) -> bool {
    path.parent()
        .is_some_and(|dir| UnixStream::connect(dir.join(SOCKET)).is_ok())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn stamps(path: &Path) -> Vec<Stamp> {
    let stamp = |metadata: Metadata| (metadata.len(), metadata.modified().ok());
    [path.to_owned(), beside(path, "-wal")]
        .iter()
        .map(|path| fs::metadata(path).ok().map(stamp))
        .collect()
}

/// What the first bytes say.
struct Header {
    is_wal: bool,
    /// The length in bytes that the file should have, where the header is sure of it.
    expected: Option<u64>,
    found: u64,
}

impl Header {
    fn read(path: &Path) -> Result<Header, OpenError> {
        let failed = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        file.by_ref()
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.is_empty() {
            return Err(OpenError::Empty {
                path: path.to_owned(),
            });
        }
        if !bytes.starts_with(b"SQLite format 3\0") {
            return Err(OpenError::NotADatabase {
                path: path.to_owned(),
            });
        }
        let cut = || OpenError::Truncated {
            path: path.to_owned(),
            found,
            expected: HEADER_BYTES as u64,
        };
        if bytes.len() < HEADER_BYTES {
            return Err(cut());
        }
        let at = |from: usize| {
            bytes
                .get(from..from + 4)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u32::from_be_bytes)
        };
        let page_bytes = bytes
            .get(16..18)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u16::from_be_bytes);
        let (Some(page_bytes), Some(pages)) = (page_bytes, at(28)) else {
            return Err(cut());
        };
        let page_bytes = match page_bytes {
            1 => 65_536,
            other => u64::from(other),
        };
        // The number of pages counts only if whoever wrote last knew of it.
        let is_sure = pages != 0 && at(24) == at(92);
        Ok(Header {
            is_wal: bytes.get(18) == Some(&2),
            expected: is_sure.then(|| u64::from(pages) * page_bytes),
            found,
        })
    }

    fn check_length(&self, path: &Path) -> Result<(), OpenError> {
        match self.expected {
            Some(expected) if self.found < expected => Err(OpenError::Truncated {
                path: path.to_owned(),
                found: self.found,
                expected,
            }),
            _ => Ok(()),
        }
    }
}

/// A rollback journal that was not rolled back: only a writer can do that. One that is done with may
/// stay, empty or with its first bytes zeroed.
fn check_journal(path: &Path) -> Result<(), OpenError> {
    let mut first = [0; 1];
    let hot = File::open(beside(path, "-journal"))
        .and_then(|mut journal| journal.read(&mut first))
        .is_ok_and(|read| read == 1 && first != [0]);
    match hot {
        true => Err(OpenError::Unfinished {
            path: path.to_owned(),
        }),
        false => Ok(()),
    }
}

/// A copy of a file and its log, deleted when dropped.
struct Copy {
    path: PathBuf,
}

impl Copy {
    fn make(path: &Path, log: &Path, scratch: &Path) -> io::Result<Copy> {
        let copy = Copy {
            path: scratch.join(COPY),
        };
        // Of an import that was killed.
        copy.delete();
        fs::copy(path, &copy.path)?;
        fs::copy(log, beside(&copy.path, "-wal"))?;
        Ok(copy)
    }

    fn delete(&self) {
        for suffix in ["", "-wal", "-shm"] {
            // What cannot be deleted now is overwritten by the next import.
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.delete();
    }
}

fn connect(path: &Path, copy: Option<&Copy>, is_wal: bool) -> Result<Connection, rusqlite::Error> {
    let base = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let (path, mode, flags) = match copy {
        Some(copy) => (
            copy.path.as_path(),
            "rw",
            base | OpenFlags::SQLITE_OPEN_READ_WRITE,
        ),
        None if is_wal => (
            path,
            "ro&immutable=1",
            base | OpenFlags::SQLITE_OPEN_READ_ONLY,
        ),
        None => (path, "ro", base | OpenFlags::SQLITE_OPEN_READ_ONLY),
    };
    let connection = Connection::open_with_flags(uri(path, mode), flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "query_only", true)?;
    // One snapshot for everything that is read.
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")?;
    Ok(connection)
}

/// SQLite's form of a path with options: every byte that could mean something is written as a number.
fn uri(path: &Path, mode: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri.push_str("?mode=");
    uri.push_str(mode);
    uri
}

fn sqlite(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy { path },
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        _ => OpenError::Damaged { path, source },
    }
}

fn check_version(connection: &Connection, path: &Path) -> Result<(i64, &'static str), OpenError> {
    let failed = |source| sqlite(path, source);
    for table in ["version", "vars", "payments", "invoices"] {
        let exists = connection
            .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")
            .and_then(|mut statement| statement.exists([table]))
            .map_err(failed)?;
        if !exists {
            return Err(OpenError::NotCln {
                path: path.to_owned(),
                table,
            });
        }
    }
    let version: Option<i64> = connection
        .query_row("SELECT version FROM version LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let version = version.unwrap_or(0);
    let release = version::release(version).map_err(|by| OpenError::Version {
        path: path.to_owned(),
        by,
    })?;
    Ok((version, release))
}

fn variable(
    connection: &Connection,
    path: &Path,
    name: &str,
) -> Result<Option<Vec<u8>>, OpenError> {
    connection
        .query_row(
            "SELECT blobval FROM vars WHERE name = ?1 AND typeof(blobval) = 'blob'",
            [name],
            |row| row.get(0),
        )
        .optional()
        .map_err(|source| sqlite(path, source))
}

fn check_chain(
    connection: &Connection,
    path: &Path,
    ours: Chain,
    known: &[Chain],
) -> Result<(), OpenError> {
    // A node that never started has none, nor any payments.
    let Some(genesis) = variable(connection, path, "genesis_hash")? else {
        return Ok(());
    };
    if genesis == ours.genesis {
        return Ok(());
    }
    let named = known
        .iter()
        .find(|chain| chain.genesis.as_slice() == genesis);
    let found = match named {
        Some(chain) => chain.name.to_owned(),
        // As block explorers show it.
        None => genesis
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    };
    Err(OpenError::OtherChain {
        path: path.to_owned(),
        found,
        ours: ours.name,
    })
}
