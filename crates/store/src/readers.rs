//! The pool of read connections.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ffi};

/// Read connections that nobody uses now; `None` once closed.
pub(crate) struct Readers {
    free: Mutex<Option<Vec<Connection>>>,
    returned: Condvar,
}

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Readers {
        Readers {
            free: Mutex::new(Some(connections)),
            returned: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `call` on a free connection, waiting for one.
    pub(crate) fn read<T, E: From<rusqlite::Error>>(
        &self,
        call: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let lent = Lent {
            connection: Some(self.take()?),
            readers: self,
        };
        match &lent.connection {
            Some(connection) => call(connection),
            None => Err(closed().into()),
        }
    }

    fn take(&self) -> Result<Connection, rusqlite::Error> {
        let mut free = self.lock();
        loop {
            match free.as_mut().map(Vec::pop) {
                None => return Err(closed()),
                Some(Some(connection)) => return Ok(connection),
                Some(None) => {
                    free = self
                        .returned
                        .wait(free)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Closes the connections; those in use when they come back.
    pub(crate) fn close(&self) {
        *self.lock() = None;
        self.returned.notify_all();
    }
}

fn closed() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_MISUSE),
        Some("the store is closed".to_owned()),
    )
}

/// A connection in use; comes back when dropped, a panic included.
struct Lent<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut free = self.readers.lock();
        if let (Some(free), Some(connection)) = (free.as_mut(), self.connection.take()) {
            free.push(connection);
        }
        drop(free);
        self.readers.returned.notify_one();
    }
}
