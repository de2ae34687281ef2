//! Raising the fee of a transaction of the wallet that waits too long: a withdrawal is replaced; of
//! anything else, above all of what funds a channel, whose id others rely on, a child pays for it. The
//! transactions of channels that close raise their own fees (`fee_bump.rs`).

use std::sync::Arc;

use bitcoin::{FeeRate, Transaction, Txid};
use sendpay_chain::client::{BroadcastError, CallError};
use thiserror::Error;

use crate::wallet::{Raised, StuckError, settle};
use crate::{Inner, withdraw};

/// What was sent for a higher fee.
#[derive(Clone, Debug)]
pub struct Bumped {
    /// The transaction with the fee.
    pub transaction: Transaction,
    /// It takes the other's place; else it is its child.
    pub replaces: bool,
}

/// Why no fee was raised, or not yet.
#[derive(Debug, Error)]
pub enum BumpError {
    /// There is no such transaction, or nothing to raise it with.
    #[error(transparent)]
    Stuck(#[from] StuckError),
    /// It could not be kept; nothing was sent.
    #[error("the transaction could not be stored: {0}")]
    Store(String),
    /// The chain refused it; all is as it was.
    #[error("the transaction was not sent: {0}")]
    Refused(BroadcastError),
    /// The chain did not answer.
    #[error("the chain backend did not answer: {txid} may have been sent, and is sent again")]
    Unanswered {
        /// The transaction.
        txid: Txid,
        /// What happened.
        #[source]
        cause: CallError,
    },
}

/// Sends what raises the fee; returns when it is in the mempool.
pub(crate) async fn bump(
    inner: &Arc<Inner>,
    txid: Txid,
    rate: FeeRate,
) -> Result<Bumped, BumpError> {
    let stuck = inner.wallet.waiting(txid)?;
    let replaceable = withdraw::is_kept(inner, txid);
    let raised = inner.wallet.raise(txid, rate, replaceable).await?;
    let Raised {
        transaction,
        parents,
    } = raised;
    let replaces = parents.is_none();
    let new = transaction.compute_txid();
    let replaced = replaces.then_some(&stuck);
    if let Err(cause) = withdraw::keep(inner, &transaction).await {
        undo(inner, new, replaced).await;
        return Err(BumpError::Store(cause));
    }
    let mut package = parents.unwrap_or_default();
    package.push(transaction.clone());
    match inner.chain.broadcast_package(&package).await {
        Ok(()) => {}
        Err(cause @ BroadcastError::Refused { .. }) => {
            undo(inner, new, replaced).await;
            return Err(BumpError::Refused(cause));
        }
        Err(BroadcastError::Unavailable(cause)) => {
            // Either may be in the mempool; both stay kept, and the chain decides.
            inner.broadcaster.enqueue(package);
            return Err(BumpError::Unanswered { txid: new, cause });
        }
    }
    if replaces {
        withdraw::drop_kept(inner, txid).await;
    }
    Ok(Bumped {
        transaction,
        replaces,
    })
}

/// As if it had never been made, through a crash too. In this order: what is kept is what the next start
/// goes by.
pub(crate) async fn undo(inner: &Inner, new: Txid, replaced: Option<&Transaction>) {
    withdraw::drop_kept(inner, new).await;
    let mut undone = inner.wallet.forget(new);
    if let Some(replaced) = replaced {
        undone = inner.wallet.take_back(replaced);
    }
    // What comes first in the queue is durable before.
    if let Err(cause) = settle(undone).await {
        tracing::error!(txid = %new, %cause, "a transaction that was not sent is not forgotten");
    }
}
