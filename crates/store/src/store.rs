//! The store itself: the surface over queue, writer and readers, and the order of its end.

use std::error::Error;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::checkpoint::{self, LogBytes};
use crate::open::{self, OpenError, Options};
use crate::queue::{Pending, Queue, Queued};
use crate::readers::Readers;
use crate::ticket::Ticket;
use crate::writer::{Counts, Writer};

/// One ordered file. Clones are the same store; it is closed with the last of them, or by
/// [`Store::close`].
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    counts: Arc<Counts>,
    readers: Readers,
    running: Mutex<Option<Running>>,
}

/// What ends with the store.
struct Running {
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    /// Released last.
    lock: File,
}

impl Store {
    /// Opens or makes the file, and starts its writer.
    pub fn open(options: Options) -> Result<Store, OpenError> {
        let mut opened = open::open(&options)?;
        let path = options.path.as_path();
        let log = LogBytes::follow(&mut opened.writer, opened.page_bytes).map_err(|source| {
            OpenError::Sqlite {
                path: path.to_owned(),
                source,
            }
        })?;
        let (checkpoints, checkpointer) =
            checkpoint::start(opened.checkpointer, log, options.wal_bytes_max)
                .map_err(|error| OpenError::io(path, error))?;
        let queue = Arc::new(Queue::new(options.queue_bytes_max));
        let counts = Arc::<Counts>::default();
        let writer = Writer {
            connection: opened.writer,
            queue: Arc::clone(&queue),
            counts: Arc::clone(&counts),
            checkpoints,
        };
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::io(path, error))?;
        let running = Running {
            writer,
            checkpointer,
            lock: opened.lock,
        };
        Ok(Store {
            inner: Arc::new(Inner {
                queue,
                counts,
                readers: Readers::new(opened.readers),
                running: Mutex::new(Some(running)),
            }),
        })
    }

    /// Places `call` at the end of the one queue and returns at once; never blocks.
    ///
    /// It runs on the writer thread, in a savepoint of its own inside the group's commit: it
    /// sees the calls before it, and an `Err` undoes what it did itself and nothing else. It must
    /// not begin or end a commit, nor wait for the store. The ticket resolves after the commit.
    /// `bytes` is about how much memory the call holds.
    ///
    /// The causes of an error must be kept in its chain of sources: one that means the file
    /// cannot be trusted (full, damaged, ...) ends the process.
    pub fn enqueue<T, E, F>(&self, bytes: usize, call: F) -> Ticket<Result<T, E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Error + From<rusqlite::Error> + Send + 'static,
    {
        self.enqueue_finish(bytes, call, |outcome| outcome)
    }

    /// As [`Store::enqueue`]; `then` runs on the writer thread after the commit and before the
    /// ticket resolves, in the order of the calls. It must be quick and must not block.
    pub fn enqueue_then<T, E, F, G>(&self, bytes: usize, call: F, then: G) -> Ticket<Result<T, E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        G: FnOnce(&Result<T, E>) + Send + 'static,
        T: Send + 'static,
        E: Error + From<rusqlite::Error> + Send + 'static,
    {
        self.enqueue_finish(bytes, call, |outcome| {
            then(&outcome);
            outcome
        })
    }

    /// As [`Store::enqueue_then`]; the ticket resolves to what `finish` makes of the outcome. So
    /// a call whose changes must stay can still be an error to its caller.
    pub fn enqueue_finish<T, E, U, F, G>(&self, bytes: usize, call: F, finish: G) -> Ticket<U>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        G: FnOnce(Result<T, E>) -> U + Send + 'static,
        T: Send + 'static,
        U: Send + 'static,
        E: Error + From<rusqlite::Error> + Send + 'static,
    {
        let (call, ticket) = Pending::with_ticket(call, finish);
        self.inner.queue.push(bytes, call);
        ticket
    }

    /// Runs `call` on a read connection, waiting for a free one. It sees all commits that were
    /// acknowledged before it began; each statement is a snapshot of its own, held only while
    /// the statement runs. Writing fails.
    pub fn read<T, E: From<rusqlite::Error>>(
        &self,
        call: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.inner.readers.read(call)
    }

    /// Resolves when what is queued is below the limits. Work that has not begun yet awaits this;
    /// calls that must not wait (LDK's, inside its locks) are let in regardless.
    pub fn room(&self) -> Ticket<()> {
        self.inner.queue.room()
    }

    /// What waits or is being committed.
    pub fn queued(&self) -> Queued {
        self.inner.queue.queued()
    }

    /// Groups committed since the store was opened.
    pub fn commits(&self) -> u64 {
        self.inner.counts.commits.load(Ordering::Relaxed)
    }

    /// Calls in those groups.
    pub fn calls(&self) -> u64 {
        self.inner.counts.calls.load(Ordering::Relaxed)
    }

    /// Commits everything queued, empties the log into the file, and releases both. Calls that
    /// come later are not run: their tickets say [`crate::Closed`], and reads fail. Not for a
    /// store's own calls.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Running {
            writer,
            checkpointer,
            lock,
        }) = running.take()
        else {
            return;
        };
        // The last clone may be dropped by a call, on the writer itself: that one cannot join
        // itself, and ends right after.
        if writer.thread().id() != thread::current().id() {
            // A panic there has ended the process already.
            let _ = writer.join();
            let _ = checkpointer.join();
        }
        self.readers.close();
        drop(lock);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
