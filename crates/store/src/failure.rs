//! Which errors mean that the file cannot be trusted any more, and the end they put to the process.

use std::error::Error;

use rusqlite::ErrorCode;

/// Ends the process at once: nothing after this may reach a peer or a client.
pub(crate) fn end_process(what: &str) -> ! {
    tracing::error!("{what}; ending the process before anyone is told of unsaved changes");
    eprintln!("fatal: {what}; ending the process before anyone is told of unsaved changes");
    std::process::abort();
}

/// Held by a thread of the store while it runs: a panic on it ends the process, because a store
/// without its writer would let every caller wait for ever.
pub(crate) struct EndProcessOnPanic;

impl Drop for EndProcessOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end_process("a call to the store panicked");
        }
    }
}

/// Whether SQLite may have lost or refused more than the one statement: full, broken, damaged or
/// read-only storage, or no memory.
pub(crate) fn is_untrusted(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
    )
}

/// The first error in the chain of causes that means the file cannot be trusted.
pub(crate) fn untrusted_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rusqlite::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(sqlite) = error.downcast_ref::<rusqlite::Error>()
            && sqlite.sqlite_error_code().is_some_and(is_untrusted)
        {
            return Some(sqlite);
        }
        next = error.source();
    }
    None
}
