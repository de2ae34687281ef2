//! The clock of the process. The ledger takes time as an argument; this is where it comes from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970. A clock set before that counts as 1970 itself.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Milliseconds since 1970, as the ledger stores them.
pub(crate) fn unix_millis() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}
