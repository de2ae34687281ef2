//! Keeping the write-ahead log small: a thread that copies it into the database off the hot path,
//! and the limit at which the writer itself starts it afresh.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::failure::{EndProcessOnPanic, end_process, is_untrusted};

/// How much the log grows between two copies off the hot path: enough that most pages that every
/// commit changes are copied once for many of them, and few enough to copy in well under a second.
const COPY_EVERY_BYTES: u64 = 16 << 20;

/// How much of the log may be uncopied when it is started afresh: the writer copies that itself, some
/// milliseconds for which payments wait.
const RESTART_UNCOPIED_BYTES_MAX: u64 = 4 << 20;

/// How long the writer waits for readers when it starts the log afresh: a page of a listing takes
/// less, and a longer wait would delay payments (L6 of the ledger).
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// Each page in the log has a header of 24 bytes.
const FRAME_HEADER_BYTES: u64 = 24;

/// The size of the log after the last commit, as SQLite reports it, and how much of it is copied.
#[derive(Clone)]
pub(crate) struct LogBytes {
    /// Of a page in the log, with its header.
    frame_bytes: u64,
    written: Arc<AtomicU64>,
    copied: Arc<AtomicU64>,
}

impl LogBytes {
    /// Follows the commits of `connection`, whose pages have `page_bytes`.
    pub(crate) fn follow(
        connection: &mut Connection,
        page_bytes: u64,
    ) -> Result<LogBytes, rusqlite::Error> {
        let log = LogBytes {
            frame_bytes: page_bytes + FRAME_HEADER_BYTES,
            written: Arc::default(),
            copied: Arc::default(),
        };
        let (written, frame_bytes) = (Arc::clone(&log.written), log.frame_bytes);
        connection.wal_hook(Some(move |_: &mut _, pages: std::ffi::c_int| {
            let pages = u64::try_from(pages).unwrap_or(0);
            written.store(pages * frame_bytes, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(log)
    }

    fn get(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn uncopied(&self) -> u64 {
        self.get()
            .saturating_sub(self.copied.load(Ordering::Relaxed))
    }

    fn set_copied(&self, pages: u64) {
        let bytes = pages * self.frame_bytes;
        self.copied.store(bytes, Ordering::Relaxed);
    }

    fn reset(&self) {
        self.written.store(0, Ordering::Relaxed);
        self.set_copied(0);
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
    let (same_running, same_log) = (Arc::clone(&running), log.clone());
    let thread = thread::Builder::new()
        .name("store-checkpoint".to_owned())
        .spawn(move || copy_when_asked(&connection, &asked, &same_running, &same_log))?;
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

fn copy_when_asked(
    connection: &Connection,
    asked: &Receiver<()>,
    running: &Mutex<()>,
    log: &LogBytes,
) {
    let _guard = EndProcessOnPanic;
    while asked.recv().is_ok() {
        let _running = lock(running);
        if let Some(ran) = run(connection, "PRAGMA wal_checkpoint(PASSIVE)") {
            log.set_copied(ran.copied_pages);
        }
    }
}

fn lock(running: &Mutex<()>) -> MutexGuard<'_, ()> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a checkpoint came to.
struct Ran {
    /// Whether it was done to the end: false when a reader was in the way.
    done: bool,
    /// The pages at the beginning of the log that are copied now.
    copied_pages: u64,
}

/// Runs a checkpoint; `None` when it could not run.
fn run(connection: &Connection, pragma: &str) -> Option<Ran> {
    let ran = connection.query_row(pragma, [], |row| {
        Ok(Ran {
            done: row.get::<_, i64>(0)? == 0,
            copied_pages: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
        })
    });
    match ran {
        Ok(ran) => Some(ran),
        Err(error) if error.sqlite_error_code().is_some_and(is_untrusted) => {
            end_process(&format!("the store's log could not be copied: {error}"))
        }
        Err(error) => {
            tracing::warn!("the store's log could not be copied now: {error}");
            None
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
            self.log.set_copied(0);
            self.copy_at = self.copy_every();
            self.restart_at = self.log_bytes_max;
        }
        if bytes >= self.copy_at {
            self.copy_at = bytes + self.copy_every();
            self.ask_for_copy();
        }
        if bytes >= self.restart_at {
            // Most of it is to be copied off the hot path first, unless that cannot keep up.
            if self.log.uncopied() > RESTART_UNCOPIED_BYTES_MAX && bytes < self.log_bytes_late() {
                self.ask_for_copy();
            } else {
                self.restart(writer, bytes);
            }
        }
    }

    fn ask_for_copy(&self) {
        // Full: a copy is to come anyway.
        let _ = self.ask.try_send(());
    }

    /// The size at which the writer waits for a copy that runs, or copies all that is left itself.
    fn log_bytes_late(&self) -> u64 {
        self.log_bytes_max / 2 * 3
    }

    fn restart(&mut self, writer: &Connection, bytes: u64) {
        let running = Arc::clone(&self.running);
        let _running = match running.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            // A copy is running: the less is left for us. Wait for it only if it cannot keep up.
            Err(TryLockError::WouldBlock) if bytes < self.log_bytes_late() => return,
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
        let ran = run(writer, "PRAGMA wal_checkpoint(TRUNCATE)");
        if !ran.is_some_and(|ran| ran.done) {
            tracing::warn!("a reader kept the store's log from being emptied; it stays for now");
        }
    }
}

fn run_restart(writer: &Connection) -> bool {
    let set = |wait| writer.busy_timeout(wait);
    let restart = || run(writer, "PRAGMA wal_checkpoint(RESTART)");
    let done = set(RESTART_WAIT).is_ok() && restart().is_some_and(|ran| ran.done);
    if let Err(error) = set(crate::open::BUSY_WAIT) {
        tracing::warn!("the store's wait for locks could not be set: {error}");
    }
    done
}
