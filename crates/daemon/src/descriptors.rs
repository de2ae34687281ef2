//! File descriptors: as many as the system lets this process have, and how many of them peers may take.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Inbound peers at once, where there are descriptors enough; LDK keeps a few hundred kB for each.
const INBOUND_MAX: u64 = 1_000;

/// Inbound peers where there are few descriptors.
const INBOUND_MIN: u64 = 16;

/// Descriptors that no inbound peer takes: for clients, the store, the chain backend, peers that are dialled.
const KEPT: u64 = 640;

/// Descriptors that an inbound peer takes.
const EACH: u64 = 2;

/// Raises the limit as far as the system allows, and says how many inbound peers fit in it.
pub(crate) fn inbound_peers_max() -> usize {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(cause) => {
            tracing::warn!(%cause, "the limit of file descriptors is not known");
            (0, 0)
        }
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    let fitting = fitting(limit);
    if fitting < INBOUND_MAX {
        tracing::warn!(
            limit,
            fitting,
            "few file descriptors: fewer inbound peers are let in"
        );
    }
    usize::try_from(fitting).unwrap_or(usize::MAX)
}

fn fitting(limit: u64) -> u64 {
    (limit.saturating_sub(KEPT) / EACH).clamp(INBOUND_MIN, INBOUND_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_leave_descriptors_for_everything_else() {
        for (limit, peers) in [
            (0, 16),
            (256, 16),
            (1_024, 192),
            (2_640, 1_000),
            (1 << 20, 1_000),
            (u64::MAX, 1_000),
        ] {
            assert_eq!(fitting(limit), peers, "{limit}");
        }
    }
}
