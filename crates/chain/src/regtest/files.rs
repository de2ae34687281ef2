//! The files of the chain's directory beside its database: lock, cookie, address.
//!
//! - `lock`: held by the process that runs the chain.
//! - `.cookie`: `__cookie__:<64 hex digits>`, as bitcoind has it; made anew at each start, removed
//!   at a clean stop.
//! - `regtest.json`: `{"rpc_address": "127.0.0.1:18443", "cookie_file": ".cookie"}`, where other
//!   processes find the chain. `cookie_file` is relative to the directory. It stays after a stop,
//!   so that the next start takes the same port.
//!
//! All of them are readable by their owner only, from the first byte.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bitcoin::hex::DisplayHex;
use serde::{Deserialize, Serialize};

/// Name of the database.
pub(crate) const DATABASE_FILE: &str = "chain.sqlite3";

const LOCK_FILE: &str = "lock";
const COOKIE_FILE: &str = ".cookie";
const ADDRESS_FILE: &str = "regtest.json";

/// User name in the cookie, bitcoind's.
const COOKIE_USER: &str = "__cookie__";

/// Random bytes of the cookie, as many as bitcoind's.
const COOKIE_BYTES: usize = 32;

/// Bytes of `regtest.json` at most: a file that is longer is not ours.
const ADDRESS_FILE_BYTES_MAX: u64 = 4_096;

/// Where a running chain is served, read from its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Address of its RPC server.
    pub rpc_address: SocketAddr,
    /// The cookie that the server asks for.
    pub cookie_file: PathBuf,
}

/// Why a chain was not found in a directory.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The file is not there or cannot be read.
    #[error("cannot read {path}: no regtest chain was started there ({source})")]
    Read {
        /// Path of `regtest.json`.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file does not say where the chain is.
    #[error("{path} is damaged: {source}")]
    Damaged {
        /// Path of `regtest.json`.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct AddressFile {
    rpc_address: SocketAddr,
    cookie_file: PathBuf,
}

/// Makes the directory, for its owner only, if it is not there.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Takes the directory for this process until the file is dropped; none if another has it.
pub(crate) fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(directory.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes the database's file if it is not there, so that SQLite does not make it for all to read.
pub(crate) fn prepare_database(directory: &Path) -> io::Result<PathBuf> {
    let path = directory.join(DATABASE_FILE);
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)?;
    Ok(path)
}

/// Path of the cookie.
pub(crate) fn cookie_file(directory: &Path) -> PathBuf {
    directory.join(COOKIE_FILE)
}

/// Writes a new cookie and returns it, `user:password`.
pub(crate) fn write_cookie(directory: &Path) -> io::Result<String> {
    let mut secret = [0_u8; COOKIE_BYTES];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let cookie = format!("{COOKIE_USER}:{}", secret.as_hex());
    write_private(&cookie_file(directory), cookie.as_bytes())?;
    Ok(cookie)
}

/// Removes the cookie: nobody serves here any more.
pub(crate) fn remove_cookie(directory: &Path) -> io::Result<()> {
    std::fs::remove_file(cookie_file(directory))
}

/// Says where the chain is served.
pub(crate) fn write_address(directory: &Path, rpc_address: SocketAddr) -> io::Result<()> {
    let content = AddressFile {
        rpc_address,
        cookie_file: COOKIE_FILE.into(),
    };
    let mut text = serde_json::to_string(&content).map_err(io::Error::other)?;
    text.push('\n');
    write_private(&directory.join(ADDRESS_FILE), text.as_bytes())
}

/// Reads where the chain of a directory is served, or was when it last ran.
pub(crate) fn locate(directory: &Path) -> Result<Located, LocateError> {
    let path = directory.join(ADDRESS_FILE);
    let read = || -> io::Result<String> {
        let mut text = String::new();
        let file = File::open(&path)?;
        io::Read::read_to_string(&mut io::Read::take(file, ADDRESS_FILE_BYTES_MAX), &mut text)?;
        Ok(text)
    };
    let text = read().map_err(|source| LocateError::Read {
        path: path.clone(),
        source,
    })?;
    let content: AddressFile =
        serde_json::from_str(&text).map_err(|source| LocateError::Damaged { path, source })?;
    Ok(Located {
        rpc_address: content.rpc_address,
        cookie_file: directory.join(content.cookie_file),
    })
}

/// Replaces a file as a whole, readable by its owner only from the first byte.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_added_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
