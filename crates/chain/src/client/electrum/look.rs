//! One look at what scripts were paid: how long a server may take to show it, and which transactions of
//! its histories count.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};
use tokio::time::Instant;

use super::error::ElectrumError;
use super::history::{Confirmed, Found};
use super::line::Line;

/// How long a look may take, and how much longer for each script that is asked for, for each request for
/// headers that it needs, and for each transaction that is proven: for a batch of each about what a server
/// may take to answer. So one that answers just in time comes to the end of any history that is true, and
/// one that has much to say and nothing to prove does not go on for long. Headers that were read stay, so
/// that where many are needed the next look begins below them.
const LOOK_TIMEOUT: Duration = Duration::from_secs(120);
const SCRIPT_TIMEOUT: Duration = Duration::from_millis(400);
const HEADERS_TIMEOUT: Duration = Duration::from_secs(1);
const PROVEN_TIMEOUT: Duration = Duration::from_secs(1);

/// Transactions in the histories of one look that have nothing to do with what was asked for: an honest
/// server has none.
const STRANGE_MAX: usize = 100;

/// How long a look may still take.
pub(super) struct Patience(Mutex<Progress>);

#[derive(Clone, Copy)]
struct Progress {
    begun: Instant,
    until: Instant,
    proven: usize,
}

impl Patience {
    pub(super) fn new(scripts: usize) -> Patience {
        let begun = Instant::now();
        let patience = Patience(Mutex::new(Progress {
            begun,
            until: begun + LOOK_TIMEOUT,
            proven: 0,
        }));
        patience.last_longer(SCRIPT_TIMEOUT, scripts);
        patience
    }

    /// So many requests for headers are needed.
    pub(super) fn for_headers(&self, requests: usize) {
        self.last_longer(HEADERS_TIMEOUT, requests);
    }

    /// So many more transactions are proven.
    pub(super) fn for_proven(&self, count: usize) {
        self.last_longer(PROVEN_TIMEOUT, count);
        let mut progress = lock(&self.0);
        progress.proven = progress.proven.saturating_add(count);
    }

    fn last_longer(&self, each: Duration, count: usize) {
        let more = each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        let mut progress = lock(&self.0);
        // None: so long that it is for ever.
        progress.until = progress.until.checked_add(more).unwrap_or(progress.until);
    }

    /// Returns when a look has taken too long, with the server's fault.
    pub(super) async fn over(&self, line: &Line) -> ElectrumError {
        loop {
            let Progress {
                begun,
                until,
                proven,
            } = *lock(&self.0);
            if until <= Instant::now() {
                return ElectrumError::Endless {
                    server: line.server().clone(),
                    proven,
                    seconds: begun.elapsed().as_secs(),
                };
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// What counts of the transactions that a server has for scripts: those that pay one of them, or spend what
/// did. They come by height, and in any order at one height.
pub(super) struct Sieve<'l> {
    scripts: HashSet<&'l ScriptBuf>,
    found: &'l Found,
    /// All that are looked at, of which some are not known yet.
    wanted: HashSet<Txid>,
    /// Outputs with one of the scripts.
    paid: HashSet<OutPoint>,
    taken: Vec<Confirmed>,
    /// At one height, and proven to be there, so no more than a block has: they may spend what a
    /// transaction pays that comes after them.
    open: Vec<Confirmed>,
    strange: usize,
}

impl<'l> Sieve<'l> {
    pub(super) fn new(
        scripts: &'l [ScriptBuf],
        found: &'l Found,
        wanted: impl Iterator<Item = Txid>,
    ) -> Sieve<'l> {
        Sieve {
            scripts: scripts.iter().collect(),
            found,
            wanted: wanted.collect(),
            paid: HashSet::new(),
            taken: Vec::new(),
            open: Vec::new(),
            strange: 0,
        }
    }

    /// Whether it is worth a proof.
    pub(super) fn may_count(&mut self, transaction: &Transaction) -> bool {
        let spends_wanted = |sieve: &Self| {
            let mut spent = transaction.input.iter();
            spent.any(|input| sieve.wanted.contains(&input.previous_output.txid))
        };
        let may = self.counts(transaction) || spends_wanted(self);
        if !may {
            self.strange = self.strange.saturating_add(1);
        }
        may
    }

    /// Takes one that is proven to be in its block.
    pub(super) fn take(&mut self, one: Confirmed) {
        let is_other = |open: &Confirmed| open.height != one.height;
        if self.open.first().is_some_and(is_other) {
            self.settle();
        }
        self.note_paid(&one.transaction);
        match self.counts(&one.transaction) {
            true => self.taken.push(one),
            false => self.open.push(one),
        }
    }

    /// What it pays may be spent.
    pub(super) fn note_paid(&mut self, transaction: &Transaction) {
        let outputs = (0_u32..).zip(&transaction.output);
        let paid = outputs.filter(|(_, output)| self.scripts.contains(&output.script_pubkey));
        let txid = transaction.compute_txid();
        let paid: Vec<OutPoint> = paid.map(|(vout, _)| OutPoint { txid, vout }).collect();
        self.paid.extend(paid);
    }

    /// How many count so far.
    pub(super) fn count(&self) -> usize {
        self.taken.len()
    }

    /// Whether there are more that do not than any honest server has.
    pub(super) fn check(&self, line: &Line) -> Result<(), ElectrumError> {
        match self.strange > STRANGE_MAX {
            true => Err(line.untrue(format!(
                "more than {STRANGE_MAX} transactions of its histories have nothing to do with the \
                 scripts"
            ))),
            false => Ok(()),
        }
    }

    /// All that count.
    pub(super) fn finish(mut self) -> Vec<Confirmed> {
        self.settle();
        if self.strange > 0 {
            let count = self.strange;
            tracing::warn!(
                count,
                "transactions of an Electrum server's histories have nothing to do with the scripts"
            );
        }
        self.taken
    }

    /// All of a height are known: what does not count by now does not.
    fn settle(&mut self) {
        for one in std::mem::take(&mut self.open) {
            match self.counts(&one.transaction) {
                true => self.taken.push(one),
                false => self.strange = self.strange.saturating_add(1),
            }
        }
    }

    fn counts(&self, transaction: &Transaction) -> bool {
        let mut outputs = transaction.output.iter();
        let mut inputs = transaction.input.iter().map(|input| input.previous_output);
        outputs.any(|output| self.scripts.contains(&output.script_pubkey))
            || inputs
                .any(|spent| self.paid.contains(&spent) || self.found.contains_key(&spent.txid))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
