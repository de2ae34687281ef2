//! The writer thread: groups what waits, one savepoint for each call, one commit for all.
//!
//! What comes while the calls of a group run joins it: those who were told of the commit before come
//! back one by one, and a group that began with the first of them would carry few, at the same cost.
//! Nobody is waited for: a call that is alone is committed at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ErrorCode};

use crate::checkpoint::Checkpoints;
use crate::failure::{EndProcessOnPanic, end_process};
use crate::queue::{Call, Queue, Ran};

/// How many groups were committed, and how many calls in them.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) commits: AtomicU64,
    pub(crate) calls: AtomicU64,
}

pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<Queue>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) checkpoints: Checkpoints,
}

impl Writer {
    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let _guard = EndProcessOnPanic;
        while let Some(mut group) = self.queue.take_group() {
            self.execute_patiently("BEGIN IMMEDIATE");
            let mut ran = 0;
            while ran < group.calls.len() {
                for call in group.calls.iter_mut().skip(ran) {
                    self.run_call(call.as_mut());
                    ran += 1;
                }
                self.queue.take_more(&mut group);
            }
            self.execute_patiently("COMMIT");
            // Written by this thread only.
            self.counts.commits.fetch_add(1, Ordering::Relaxed);
            self.counts
                .calls
                .fetch_add(group.calls.len() as u64, Ordering::Relaxed);
            self.queue.deliver(group);
            self.checkpoints.after_commit(&self.connection);
        }
        self.checkpoints.finish(&self.connection);
    }

    fn run_call(&self, call: &mut dyn Call) {
        self.execute("SAVEPOINT call");
        match call.run(&self.connection) {
            Ran::Untrusted(cause) => end_process(&format!("the store failed: {cause}")),
            // Some errors make SQLite undo the whole commit, the calls before this one included.
            _ if self.connection.is_autocommit() => {
                end_process("the store failed: a call undid the whole commit")
            }
            Ran::Keep => {}
            Ran::Undo => self.execute("ROLLBACK TO call"),
        }
        self.execute("RELEASE call");
    }

    fn execute(&self, sql: &str) {
        if let Err(error) = self.try_execute(sql) {
            end_process(&format!("the store failed at {sql}: {error}"));
        }
    }

    /// Waits while another process holds the lock of the file (a user's sqlite3, a backup).
    fn execute_patiently(&self, sql: &str) {
        loop {
            match self.try_execute(sql) {
                Ok(()) => return,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                    tracing::warn!(
                        "another process holds the lock of the store; waiting at {sql}: {error}"
                    );
                }
                Err(error) => end_process(&format!("the store failed at {sql}: {error}")),
            }
        }
    }

    fn try_execute(&self, sql: &str) -> Result<(), rusqlite::Error> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}
