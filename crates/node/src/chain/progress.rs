//! How far the reading of many blocks has come, in the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::block::Header;
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Listen};

/// How often it is told.
const EVERY: Duration = Duration::from_secs(5);

/// Fewer blocks than these are read before anybody looks at the log.
const TOLD_FROM: u32 = 36;

/// Tells of blocks on their way to a height, now and then.
pub(crate) struct Progress(Mutex<State>);

struct State {
    target: u32,
    told: Instant,
    lowest_fork: Option<u32>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress(Mutex::new(State {
            target: 0,
            told: Instant::now(),
            lowest_fork: None,
        }))
    }

    /// The lowest block that was gone back to, if any was.
    pub(crate) fn lowest_fork(&self) -> Option<u32> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.lowest_fork
    }

    /// Where the reading shall end, and where it is now.
    pub(crate) fn aim(&self, height: u32, target: u32) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if target.saturating_sub(height) > TOLD_FROM && target != state.target {
            tracing::info!(height, target, "reading blocks");
            state.told = Instant::now();
        }
        state.target = target;
    }

    /// A block was read.
    pub(crate) fn reached(&self, height: u32) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if height < state.target && state.told.elapsed() >= EVERY {
            state.told = Instant::now();
            let percent = u64::from(height) * 100 / u64::from(state.target);
            tracing::info!(height, target = state.target, percent, "reading blocks");
        }
    }
}

impl Listen for Progress {
    fn filtered_block_connected(&self, _: &Header, _: &TransactionData, height: u32) {
        self.reached(height);
    }

    fn blocks_disconnected(&self, fork: BlockLocator) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lowest = state.lowest_fork.unwrap_or(fork.height);
        state.lowest_fork = Some(lowest.min(fork.height));
    }
}
