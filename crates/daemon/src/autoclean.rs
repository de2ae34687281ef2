//! Removing old records while payments go on: which, how often, and that nobody waits for it.
//!
//! A page of old records is archived (if the user wants that), then removed in commits of a few.
//! After each commit as long a pause is made as it took, and no commit is begun while others fill
//! the queue: so a payment waits behind one small commit at most.

use std::sync::Arc;
use std::time::Duration;

use sendpay_chain::client::{CallError, ChainClient};
use sendpay_ledger::{Aged, Closed, Ledger, Payment, RETIRED_A_COMMIT_MAX, ReadError, RetireError};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::archive::{Archive, ArchiveError};
use crate::config::AutocleanConfig;
use crate::daemon::{Daemon, unix_millis};

/// Records archived with one fsync: the commits that remove them come after it.
const RECORDS_A_PAGE: usize = 256;

/// Why a cycle was given up. The next one begins anew.
#[derive(Debug, thiserror::Error)]
enum CycleError {
    #[error("the chain does not say what time it is")]
    Chain(#[from] CallError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Retire(#[from] RetireError),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error("the work was given up")]
    GivenUp(#[from] JoinError),
}

/// The task that removes old records.
pub(crate) struct Autoclean {
    daemon: Arc<Daemon>,
    config: AutocleanConfig,
    chain: ChainClient,
}

impl Autoclean {
    pub(crate) fn new(
        daemon: Arc<Daemon>,
        config: AutocleanConfig,
        chain: ChainClient,
    ) -> Autoclean {
        Autoclean {
            daemon,
            config,
            chain,
        }
    }

    /// Removes what is old, again and again.
    pub(crate) async fn run(self) {
        loop {
            match self.cycle().await {
                Ok(0) => tracing::debug!("no record is old enough to be removed"),
                Ok(removed) => tracing::info!(removed, "old records were removed"),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, "old records cannot be removed");
                }
            }
            sleep(self.config.cycle).await;
        }
    }

    /// Removes everything that is old now; how many.
    async fn cycle(&self) -> Result<usize, CycleError> {
        let Some(now_ms) = self.now_ms().await? else {
            return Ok(0);
        };
        let before = |after: Option<Duration>| {
            let after_ms = u64::try_from(after?.as_millis()).unwrap_or(u64::MAX);
            now_ms.checked_sub(after_ms)
        };
        let aged = Aged {
            complete_before_ms: before(self.config.complete_after),
            failed_before_ms: before(self.config.failed_after),
        };
        if aged == Aged::default() {
            return Ok(0);
        }
        let (mut position, mut removed) = (Some(0), 0);
        while let Some(after) = position {
            let ledger = self.ledger();
            let read = spawn_blocking(move || ledger.aged(&aged, after, RECORDS_A_PAGE));
            let page = read.await??;
            position = page.next;
            if !page.payments.is_empty() {
                removed += self.remove(page.payments).await?;
            }
        }
        Ok(removed)
    }

    /// The time by which records are old: nothing is removed by the clock alone, so the chain must
    /// agree that so much time has passed.
    async fn now_ms(&self) -> Result<Option<u64>, CycleError> {
        let state = self.chain.state().await?;
        let chain_ms = state
            .median_time
            .map(|seconds| seconds.saturating_mul(1_000));
        Ok(chain_ms.map(|chain_ms| chain_ms.min(unix_millis())))
    }

    /// Archives these records, then removes them.
    async fn remove(&self, payments: Vec<Payment>) -> Result<usize, CycleError> {
        let created_indexes: Vec<u64> = payments
            .iter()
            .map(|payment| payment.created_index)
            .collect();
        if let Some(path) = self.config.archive.clone() {
            let amounts = self.daemon.amounts();
            let write = move || {
                // Opened for each page: a file that was moved away is begun anew.
                Archive::open(&path)?.append(&payments, amounts, unix_millis() / 1_000)
            };
            spawn_blocking(write).await??;
        }
        let (ledger, mut removed) = (self.ledger(), 0);
        for few in created_indexes.chunks(RETIRED_A_COMMIT_MAX) {
            self.daemon.node().store().room().await?;
            let began = Instant::now();
            removed += ledger.retire(few.to_vec(), unix_millis()).await??;
            sleep(began.elapsed()).await;
        }
        Ok(removed)
    }

    fn ledger(&self) -> Ledger {
        self.daemon.node().ledger().clone()
    }
}
