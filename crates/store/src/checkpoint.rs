//! Keeping the write-ahead log small: a thread that copies it into the database off the hot path,
//! and the limit at which the writer itself starts it afresh.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::failure::{EndProcessOnPanic, end_process, is_untrusted};

/// How much the log grows between two copies off the hot path: several large commits, and few
/// enough pages to copy in well under a second.
const COPY_EVERY_BYTES: u64 = 4 << 20;

/// How long the writer waits for readers when it starts the log afresh: a page of a listing takes
/// less, and a longer wait would delay payments (L6 of the ledger).
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// The size of the log after the last commit, as SQLite reports it.
#[derive(Clone, Default)]
pub(crate) struct LogBytes(Arc<AtomicU64>);

impl LogBytes {
    /// Follows the commits of `connection`, whose pages have `page_bytes`.
    pub(crate) fn follow(
        &self,
        connection: &mut Connection,
        page_bytes: u64,
    ) -> Result<(), rusqlite::Error> {
        let bytes = Arc::clone(&self.0);
        // Each page in the log has a header of 24 bytes.
        connection.wal_hook(Some(move |_: &mut _, pages: std::ffi::c_int| {
            let pages = u64::try_from(pages).unwrap_or(0);
            bytes.store(pages * (page_bytes + 24), Ordering::Relaxed);
            Ok(())
        }))
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The writer's side: looks at the size of the log after each commit.
pub(crate) struct Checkpoints {
    log: LogBytes,
    log_bytes_max: u64,
    /// Its size after the commit before.
    last: u64,
    /// The size at which the next copy is asked for.
    copy_at: u64,
    /// The size at which the next fresh start is tried.
    restart_at: u64,
    ask: SyncSender<()>,
    /// Held while a checkpoint runs: SQLite lets only one run at a time.
    running: Arc<Mutex<()>>,
}

/// Starts the thread that copies, on a connection of its own.
pub(crate) fn start(
    connection: Connection,
    log: LogBytes,
    log_bytes_max: u64,
) -> std::io::Result<(Checkpoints, JoinHandle<()>)> {
    // One waiting request is enough: a copy takes all there is.
    let (ask, asked) = sync_channel(1);
    let running = Arc::new(Mutex::new(()));
    let same_running = Arc::clone(&running);
    let thread = thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || copy_when_asked(&connection, &asked, &same_running))?;
    let mut checkpoints = Checkpoints {
        log,
        log_bytes_max,
        last: 0,
        copy_at: 0,
        restart_at: log_bytes_max,
        ask,
        running,
    };
    checkpoints.copy_at = checkpoints.copy_every();
    Ok((checkpoints, thread))
}

fn copy_when_asked(connection: &Connection, asked: &Receiver<()>, running: &Mutex<()>) {
    let _guard = EndProcessOnPanic;
    while asked.recv().is_ok() {
        let _running = lock(running);
        run(connection, "PRAGMA wal_checkpoint(PASSIVE)");
    }
}

fn lock(running: &Mutex<()>) -> MutexGuard<'_, ()> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a checkpoint. Whether it was done to the end: false when a reader was in the way.
fn run(connection: &Connection, pragma: &str) -> bool {
    match connection.query_row(pragma, [], |row| row.get::<_, i64>(0)) {
        Ok(busy) => busy == 0,
        Err(error) if error.sqlite_error_code().is_some_and(is_untrusted) => {
            end_process(&format!("the store's log could not be copied: {error}"))
        }
        Err(error) => {
            tracing::warn!("the store's log could not be copied now: {error}");
            false
        }
    }
}

impl Checkpoints {
    fn copy_every(&self) -> u64 {
        COPY_EVERY_BYTES.min(self.log_bytes_max / 4).max(1)
    }

    /// After each commit: asks for a copy when the log has grown, and starts it afresh when it
    /// has passed its limit.
    pub(crate) fn after_commit(&mut self, writer: &Connection) {
        let bytes = self.log.get();
        if bytes < std::mem::replace(&mut self.last, bytes) {
            // SQLite has begun the log anew by itself, all of it being copied.
            self.copy_at = self.copy_every();
            self.restart_at = self.log_bytes_max;
        }
        if bytes >= self.copy_at {
            self.copy_at = bytes + self.copy_every();
            // Full: a copy is to come anyway.
            let _ = self.ask.try_send(());
        }
        if bytes >= self.restart_at {
            self.restart(writer, bytes);
        }
    }

    fn restart(&mut self, writer: &Connection, bytes: u64) {
        let running = Arc::clone(&self.running);
        let _running = match running.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            // A copy is running: the less is left for us. Wait for it only if it cannot keep up.
            Err(TryLockError::WouldBlock) if bytes < self.log_bytes_max / 2 * 3 => return,
            Err(TryLockError::WouldBlock) => lock(&running),
        };
        if run_restart(writer) {
            self.log.reset();
            self.copy_at = self.copy_every();
            self.restart_at = self.log_bytes_max;
        } else {
            self.restart_at = bytes + self.copy_every();
            tracing::warn!(
                "a reader keeps the store's log from being started afresh; it has {bytes} bytes"
            );
        }
    }

    /// Copies all of the log and empties it, at the end.
    pub(crate) fn finish(&self, writer: &Connection) {
        let _running = lock(&self.running);
        if !run(writer, "PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!("a reader kept the store's log from being emptied; it stays for now");
        }
    }
}

fn run_restart(writer: &Connection) -> bool {
    let set = |wait| writer.busy_timeout(wait);
    let done = set(RESTART_WAIT).is_ok() && run(writer, "PRAGMA wal_checkpoint(RESTART)");
    if let Err(error) = set(crate::open::BUSY_WAIT) {
        tracing::warn!("the store's wait for locks could not be set: {error}");
    }
    done
}
