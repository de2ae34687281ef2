//! Who waits for the ledger's numbers to move: `wait` and `followsendpays`.
//!
//! However many wait, one task looks at the ledger's counters after a commit and tells them; while
//! nobody waits, it does not look.

use std::sync::Arc;

use sendpay_ledger::{Counters, Ledger};
use sendpay_rpc::{Code, RpcError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::error;

/// Followers at the same time. Each holds a connection, and up to two pages of changes while its
/// client reads slowly: some megabytes for all of them.
pub(crate) const FOLLOWERS_MAX: usize = 32;

/// The ledger's counters, as they move.
pub(crate) struct Changes {
    counters: watch::Sender<Counters>,
    /// Told when somebody begins to wait.
    asked: Notify,
    followers: Arc<Semaphore>,
}

impl Changes {
    pub(crate) fn new() -> Changes {
        Changes {
            counters: watch::Sender::new(Counters::default()),
            asked: Notify::new(),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        }
    }

    /// The counters from now on. What it shows first may be old: look at the ledger after this
    /// call, and no later change is missed.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Counters> {
        let counters = self.counters.subscribe();
        self.asked.notify_one();
        counters
    }

    /// A place for one more follower, if there is one.
    pub(crate) fn follower(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.followers).try_acquire_owned().ok()
    }

    /// Keeps the counters as the ledger's, for ever.
    pub(crate) async fn keep_up(&self, ledger: &Ledger) {
        loop {
            // Registered before the look, so that no change falls in between.
            let (payments, invoices) = (ledger.any_changed(), ledger.any_invoice_changed());
            match counters(ledger).await {
                Ok(counters) => drop(self.counters.send_replace(counters)),
                // The next commit tells of this one too.
                Err(error) => tracing::error!(%error, "cannot tell of a change"),
            }
            tokio::select! {
                () = payments => {}
                () = invoices => {}
            }
            while self.counters.receiver_count() == 0 {
                self.asked.notified().await;
            }
        }
    }
}

/// Reads the counters on a thread that may block.
pub(crate) async fn counters(ledger: &Ledger) -> Result<Counters, RpcError> {
    let ledger = ledger.clone();
    let read = spawn_blocking(move || ledger.counters()).await;
    let given_up = |_| RpcError::new(Code::Internal, "the look at the ledger was given up");
    read.map_err(given_up)?.map_err(error::read)
}
