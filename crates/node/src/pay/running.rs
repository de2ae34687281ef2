//! Payments under way in this process: a second request joins the first, and whoever shows a payment knows
//! that more of it may be sent.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sendpay_ledger::{Msat, PaymentHash, RequestKey};
use tokio::sync::watch;

use super::Outcome;

/// A payment under way.
pub(super) struct Run {
    pub(super) amount_msat: Msat,
    pub(super) request: Option<RequestKey>,
    /// The group of its parts, once it has one.
    pub(super) groupid: Option<u64>,
    pub(super) outcome: watch::Receiver<Outcome>,
    pub(super) cancel: watch::Sender<bool>,
}

/// All of them, by what they pay.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<PaymentHash, Run>>);

/// A payment under way, seen from outside: while it lasts, no part of it that failed was its last.
#[derive(Clone, Debug)]
pub struct Paying {
    /// The group of its parts, once it has one.
    pub groupid: Option<u64>,
    outcome: watch::Receiver<Outcome>,
}

impl Paying {
    /// Resolves when it has ended.
    pub async fn ended(mut self) {
        // If nobody tells, it has ended.
        drop(self.outcome.wait_for(Option::is_some).await);
    }
}

impl Running {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<PaymentHash, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of it was recorded.
    pub(super) fn begun(&self, hash: &PaymentHash, groupid: u64) {
        if let Some(run) = self.lock().get_mut(hash) {
            run.groupid = Some(groupid);
        }
    }

    /// The payment of this hash, if one is under way.
    pub(crate) fn paying(&self, hash: &PaymentHash) -> Option<Paying> {
        self.lock().get(hash).map(paying)
    }

    /// Every payment that is under way.
    pub(crate) fn all(&self) -> HashMap<PaymentHash, Paying> {
        let running = self.lock();
        running
            .iter()
            .map(|(hash, run)| (*hash, paying(run)))
            .collect()
    }

    /// Ends further tries; false when none is under way. What is out stays out until it settles.
    pub(crate) fn cancel(&self, hash: &PaymentHash) -> bool {
        let running = self.lock();
        match running.get(hash) {
            Some(run) => {
                run.cancel.send_replace(true);
                true
            }
            None => false,
        }
    }
}

fn paying(run: &Run) -> Paying {
    Paying {
        groupid: run.groupid,
        outcome: run.outcome.clone(),
    }
}
