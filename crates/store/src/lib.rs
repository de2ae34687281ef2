//! One ordered SQLite file: a writer thread that commits in the order of the calls and groups what
//! waits together, and a pool of readers. Knows no payment.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use rusqlite::Connection;

pub mod kv {
    //! kv
    /// x
    pub const SCHEMA: &str = "";
    /// x
    #[derive(Debug, thiserror::Error)]
    #[error("the store could not be used")]
    pub struct KvError(#[from] pub rusqlite::Error);
}

/// How to open a store.
pub struct Options {
    /// The database file.
    pub path: PathBuf,
    /// Append-only.
    pub migrations: &'static [&'static str],
    /// Of the file format.
    pub application_id: i32,
    /// How many read connections.
    pub readers: usize,
    /// Soft limit.
    pub queue_bytes_max: usize,
    /// Of the WAL.
    pub wal_bytes_max: u64,
}

/// The store.
#[derive(Clone)]
pub struct Store;

/// x
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// x
    #[error("x")]
    Locked,
}

/// The store was closed before the call was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

/// x
#[must_use]
pub struct Ticket<T>(Option<T>);

impl<T> Future for Ticket<T> {
    type Output = Result<T, Closed>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

impl<T> Ticket<T> {
    /// Blocks.
    pub fn wait(self) -> Result<T, Closed> {
        todo!()
    }
}

/// x
pub struct Queued {
    /// x
    pub calls: usize,
    /// x
    pub bytes: usize,
}

impl Store {
    /// x
    pub fn open(options: Options) -> Result<Store, OpenError> {
        todo!()
    }
    /// x
    pub fn enqueue<T, E, F>(&self, bytes: usize, call: F) -> Ticket<Result<T, E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: std::error::Error + From<rusqlite::Error> + Send + 'static,
    {
        todo!()
    }
    /// x
    pub fn enqueue_then<T, E, F, G>(&self, bytes: usize, call: F, then: G) -> Ticket<Result<T, E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        G: FnOnce(&Result<T, E>) + Send + 'static,
        T: Send + 'static,
        E: std::error::Error + From<rusqlite::Error> + Send + 'static,
    {
        todo!()
    }
    /// x
    pub fn read<T, E: From<rusqlite::Error>>(
        &self,
        call: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        todo!()
    }
    /// x
    pub fn room(&self) -> Ticket<()> {
        todo!()
    }
    /// x
    pub fn queued(&self) -> Queued {
        todo!()
    }
    /// x
    pub fn commits(&self) -> u64 {
        todo!()
    }
    /// x
    pub fn calls(&self) -> u64 {
        todo!()
    }
    /// x
    pub fn close(&self) {
        todo!()
    }
    /// x
    pub fn kv_write(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
        key: &str,
        value: Vec<u8>,
    ) -> Ticket<Result<(), kv::KvError>> {
        todo!()
    }
    /// x
    pub fn kv_remove(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
        key: &str,
    ) -> Ticket<Result<(), kv::KvError>> {
        todo!()
    }
    /// x
    pub fn kv_read(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, kv::KvError> {
        todo!()
    }
    /// x
    pub fn kv_list(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
    ) -> Result<Vec<String>, kv::KvError> {
        todo!()
    }
}
