//! LDK's broadcaster: takes transactions from any thread without waiting, sends them from a task,
//! and tries again at the next block what the chain refused.

use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};
use lightning::chain::chaininterface::{BroadcasterInterface, TransactionType};
use tokio::sync::{broadcast, mpsc};

use super::{BroadcastError, ChainClient};

/// Packages that wait to be sent. LDK hands over a few for each channel that closes; what does not
/// fit is dropped, and LDK hands it over again later.
pub const BROADCAST_QUEUE_MAX: usize = 1_024;

/// Transactions that one who watches may be behind by: a few for each channel that closes at once.
const WATCHED_MAX: usize = 1_024;

/// Refused packages that are tried again; the oldest goes first.
const RETRIED_MAX: usize = 1_024;

/// How many blocks a refused package is tried again at: a day of them.
const TRIES_MAX: u32 = 144;

/// How long the wait for a block is at most before the chain is asked again.
const BLOCK_WAIT: Duration = Duration::from_secs(600);

/// How long to pause when the chain cannot be asked.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(1);

/// bitcoind's reason for a transaction that pays too little more than what it would replace.
const TOO_LITTLE_TO_REPLACE: &str = "insufficient fee";

/// Hands transactions to a task that sends them. Clones share the task, which ends with the last
/// of them.
#[derive(Clone)]
pub struct Broadcaster {
    queue: mpsc::Sender<Vec<Transaction>>,
    handed_over: broadcast::Sender<Transaction>,
}

impl Broadcaster {
    /// Starts the task. Must be called in a tokio runtime; what it returns may be used anywhere.
    pub fn start(client: ChainClient) -> Broadcaster {
        let (queue, incoming) = mpsc::channel(BROADCAST_QUEUE_MAX);
        tokio::spawn(send_all(client, incoming));
        let (handed_over, _) = broadcast::channel(WATCHED_MAX);
        Broadcaster { queue, handed_over }
    }

    /// Every transaction that is handed over from now on, before the chain has seen it. Who falls
    /// behind by more than 1024 misses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<Transaction> {
        self.handed_over.subscribe()
    }

    /// Queues a transaction, or a child with its parents. False: the queue is full.
    pub fn enqueue(&self, package: Vec<Transaction>) -> bool {
        for transaction in &package {
            // Nobody watches, most of the time.
            drop(self.handed_over.send(transaction.clone()));
        }
        self.queue.try_send(package).is_ok()
    }
}

impl BroadcasterInterface for Broadcaster {
    fn broadcast_transactions(&self, transactions: &[(&Transaction, TransactionType)]) {
        let package: Vec<Transaction> = transactions
            .iter()
            .map(|(transaction, _)| (*transaction).clone())
            .collect();
        if package.is_empty() {
            return;
        }
        let txids = txids(&package);
        if !self.enqueue(package) {
            tracing::error!(
                ?txids,
                "not sent: {BROADCAST_QUEUE_MAX} broadcasts are waiting"
            );
        }
    }
}

/// A package that the chain refused.
struct Refused {
    package: Vec<Transaction>,
    txids: Vec<Txid>,
    tries: u32,
}

async fn send_all(client: ChainClient, mut incoming: mpsc::Receiver<Vec<Transaction>>) {
    let mut refused: Vec<Refused> = Vec::new();
    // The best block when the last try was made; zeros: try again as soon as the chain answers.
    let mut tried_at = BlockHash::all_zeros();
    loop {
        tokio::select! {
            package = incoming.recv() => {
                let Some(package) = package else { return };
                // LDK sends again on its own, with other fees: what it sends now takes the place of
                // what would spend the same.
                let txids = txids(&package);
                refused.retain(|earlier| !conflict(&earlier.package, &package));
                if refused.is_empty() {
                    tried_at = client.best_block().await.map_or(BlockHash::all_zeros(), |best| best.hash);
                }
                let attempt = Refused { package, txids, tries: 0 };
                if send(&client, attempt, &mut refused).await == Outcome::Unreachable {
                    tried_at = BlockHash::all_zeros();
                }
            }
            best = next_block(&client, tried_at), if !refused.is_empty() => {
                tried_at = best;
                for again in std::mem::take(&mut refused) {
                    if send(&client, again, &mut refused).await == Outcome::Unreachable {
                        tried_at = BlockHash::all_zeros();
                    }
                }
                if tried_at == BlockHash::all_zeros() {
                    tokio::time::sleep(UNREACHABLE_PAUSE).await;
                }
            }
        }
    }
}

/// Waits for another best block, for as long as it takes.
async fn next_block(client: &ChainClient, known: BlockHash) -> BlockHash {
    loop {
        match client.wait_for_block(known, BLOCK_WAIT).await {
            Ok(best) if best.hash != known => return best.hash,
            Ok(_) => {}
            Err(_) => tokio::time::sleep(UNREACHABLE_PAUSE).await,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Outcome {
    /// Sent, or refused by the chain, or given up.
    Answered,
    /// There was nobody to send it to.
    Unreachable,
}

/// Sends a package; keeps it if that fails.
async fn send(client: &ChainClient, mut attempt: Refused, refused: &mut Vec<Refused>) -> Outcome {
    let Err(error) = client.broadcast_package(&attempt.package).await else {
        tracing::debug!(txids = ?attempt.txids, "broadcast");
        return Outcome::Answered;
    };
    let outcome = match &error {
        BroadcastError::Unavailable(cause) if cause.is_unasked() => Outcome::Unreachable,
        _ => Outcome::Answered,
    };
    if let BroadcastError::Refused { message, .. } = &error
        && message.starts_with(TOO_LITTLE_TO_REPLACE)
    {
        // What it would take the place of waits already, with as good a fee. LDK sends another when it
        // has a better one.
        tracing::debug!(txids = ?attempt.txids, %error, "not sent");
        return outcome;
    }
    attempt.tries = attempt.tries.saturating_add(1);
    if attempt.tries > TRIES_MAX {
        tracing::warn!(txids = ?attempt.txids, %error, "broadcast given up");
        return outcome;
    }
    if attempt.tries == 1 {
        tracing::warn!(txids = ?attempt.txids, %error, "broadcast failed, trying again at the next block");
    }
    if refused.len() >= RETRIED_MAX {
        let dropped = refused.remove(0);
        tracing::warn!(txids = ?dropped.txids, "broadcast given up: too many wait for the next block");
    }
    refused.push(attempt);
    outcome
}

/// Whether two packages spend an output in common. A transaction and the same again do.
fn conflict(one: &[Transaction], other: &[Transaction]) -> bool {
    let spent = |package: &[Transaction]| -> Vec<OutPoint> {
        let inputs = package.iter().flat_map(|transaction| &transaction.input);
        inputs.map(|input| input.previous_output).collect()
    };
    let (one, other) = (spent(one), spent(other));
    one.iter().any(|outpoint| other.contains(outpoint))
}

fn txids(package: &[Transaction]) -> Vec<Txid> {
    package.iter().map(Transaction::compute_txid).collect()
}

/// The transactions with every parent before its children.
pub(super) fn parents_first(transactions: &[Transaction]) -> Vec<&Transaction> {
    let mut waiting: Vec<(Txid, &Transaction)> = transactions
        .iter()
        .map(|transaction| (transaction.compute_txid(), transaction))
        .collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let unsent: Vec<Txid> = waiting.iter().map(|(txid, _)| *txid).collect();
        let (blocked, ready): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(txid, one)| {
            one.input.iter().any(|input| {
                input.previous_output.txid != *txid && unsent.contains(&input.previous_output.txid)
            })
        });
        if ready.is_empty() {
            // Impossible, as a hash would have to contain itself; then the order is all the same.
            ordered.extend(blocked.into_iter().map(|(_, one)| one));
            break;
        }
        ordered.extend(ready.into_iter().map(|(_, one)| one));
        waiting = blocked;
    }
    ordered
}
