//! What can be wrong with a file, in words that say what to do.

use std::io;
use std::path::PathBuf;

/// Why a file cannot be read. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL of another kind of database.
    #[error(
        "{0} names a Postgres database, and only CLN's SQLite file can be read; copy the tables \
         version, vars, payments and invoices into an SQLite file and import that"
    )]
    Postgres(String),
    /// There is none, or it is no file.
    #[error("{path} is no file; give CLN's lightningd.sqlite3 (usually in ~/.lightning/bitcoin)")]
    NoFile {
        /// What was given.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing in it.
    #[error("{path} is empty; give the lightningd.sqlite3 that lightningd wrote")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not SQLite's format.
    #[error(
        "{path} is no SQLite database, or is encrypted; decrypt it first (SQLCipher: \
         sqlcipher_export) or give another file"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// Shorter than it says.
    #[error(
        "{path} is cut short ({found} bytes, should be {expected}); copy it again, with lightningd \
         stopped"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// What its header says.
        expected: u64,
    },
    /// lightningd has it.
    #[error("{path} is in use by lightningd; stop it first (lightning-cli stop)")]
    Running {
        /// The file.
        path: PathBuf,
    },
    /// Somebody has it.
    #[error("{path} is locked by another program, perhaps lightningd; stop it first")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A commit that was cut short.
    #[error(
        "{path} has an unfinished commit beside it ({path}-journal); start lightningd once and \
         stop it, then import"
    )]
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// Another program's.
    #[error("{path} is no database of lightningd: it has no table {table}")]
    NotCln {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        table: &'static str,
    },
    /// A schema that is not read.
    #[error(
        "{path} was written by {by}; v0.10 to v26.06 can be read: start a lightningd of one of \
         these on it once"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Which one.
        by: String,
    },
    /// Another network's.
    #[error("{path} is of network {found}, not {ours}; give --network {found}")]
    OtherChain {
        /// The file.
        path: PathBuf,
        /// The network of the file, or the hash of its genesis block.
        found: String,
        /// The network that was asked for.
        ours: &'static str,
    },
    /// SQLite refused for another reason.
    #[error("{path} is damaged; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
}
