//! Payments on the chain from the wallet.
//!
//! A withdrawal is kept under its txid before it is broadcast, so that it is sent again after a
//! crash; what the start does with it is in `review.rs`. Choosing and signing is the wallet's.

use std::sync::Arc;

use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::{Amount, FeeRate, OutPoint, Psbt, ScriptBuf, Transaction, Txid};
use sendpay_chain::client::{BroadcastError, CallError};
use sendpay_store::kv::KvError;
use thiserror::Error;

use crate::wallet::{FundError, Spend, settle};
use crate::{Inner, reserve};

const PRIMARY: &str = "sendpay";
const SECONDARY: &str = "withdrawals";

/// What to send, and where.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    /// To this script.
    pub script: ScriptBuf,
    /// How much, in satoshi; None sends everything, less the fee.
    pub amount: Option<Amount>,
    /// At this rate.
    pub feerate: FeeRate,
    /// Confirmations that a spent output needs, where they are not named.
    pub confirmations_min: u32,
    /// The outputs to spend: all of these and no others.
    pub outputs: Option<Vec<OutPoint>>,
}

/// What was sent.
#[derive(Clone, Debug)]
pub struct Withdrawn {
    /// The signed transaction.
    pub transaction: Transaction,
    /// The same without signatures.
    pub unsigned: Psbt,
}

/// Why nothing was sent, or not yet.
#[derive(Debug, Error)]
pub enum WithdrawError {
    /// The wallet cannot pay it.
    #[error(transparent)]
    Fund(#[from] FundError),
    /// It could not be kept; nothing was sent.
    #[error("the withdrawal could not be stored: {0}")]
    Store(String),
    /// The chain refused the transaction; nothing was sent.
    #[error("the transaction was not sent: {0}")]
    Refused(BroadcastError),
    /// The chain did not answer.
    #[error(
        "the chain backend did not answer: {txid} may have been sent, and is sent again as soon as it \
         does; do not withdraw again"
    )]
    Unanswered {
        /// The transaction.
        txid: Txid,
        /// What happened.
        #[source]
        cause: CallError,
    },
}

/// Why what is kept is not known.
#[derive(Debug, Error)]
pub(crate) enum KeptError {
    /// It cannot be read.
    #[error("the withdrawals could not be read: {0}")]
    Store(#[from] KvError),
    /// One is no transaction.
    #[error("the withdrawal {key} is damaged: {source}")]
    Damaged {
        /// Its row.
        key: String,
        /// What is wrong.
        source: bitcoin::consensus::encode::Error,
    },
}

/// Sends, and returns when the transaction is in the mempool.
pub(crate) async fn withdraw(
    inner: &Arc<Inner>,
    wanted: Withdrawal,
) -> Result<Withdrawn, WithdrawError> {
    let spend = Spend {
        confirmations_min: Some(wanted.confirmations_min),
        outputs: wanted.outputs,
        keep: reserve::needed(inner, 0),
        ..Spend::new(wanted.script, wanted.amount, wanted.feerate)
    };
    let signed = inner.wallet.pay(spend).await?;
    let transaction = signed.transaction;
    let txid = transaction.compute_txid();
    let kept = keep(inner, &transaction).await;
    if let Err(cause) = kept {
        drop(inner.wallet.forget(txid));
        return Err(WithdrawError::Store(cause));
    }
    match inner.chain.broadcast(&transaction).await {
        Ok(()) => Ok(Withdrawn {
            transaction,
            unsigned: signed.unsigned,
        }),
        Err(cause @ BroadcastError::Refused { .. }) => {
            // Before anybody is told: kept through a crash, it would be sent at the next start.
            drop_kept(inner, txid).await;
            drop(inner.wallet.forget(txid));
            Err(WithdrawError::Refused(cause))
        }
        Err(BroadcastError::Unavailable(cause)) => {
            inner.broadcaster.enqueue(vec![transaction]);
            Err(WithdrawError::Unanswered { txid, cause })
        }
    }
}

/// Whether it is a withdrawal, or another transaction that only this wallet relies on.
pub(crate) fn is_kept(inner: &Inner, txid: Txid) -> bool {
    let kept = inner.store.kv_read(PRIMARY, SECONDARY, &txid.to_string());
    matches!(kept, Ok(Some(_)))
}

/// It is not to be sent again, through a crash neither.
pub(crate) async fn drop_kept(inner: &Inner, txid: Txid) {
    let removed = inner.store.kv_remove(PRIMARY, SECONDARY, &txid.to_string());
    if let Err(cause) = settle(Some(removed)).await {
        tracing::error!(%txid, %cause, "a transaction that is not to be sent stays kept");
    }
}

/// Keeps a transaction until it is deep in the chain, so that it is sent again after a crash.
pub(crate) async fn keep(inner: &Inner, transaction: &Transaction) -> Result<(), String> {
    let key = transaction.compute_txid().to_string();
    let body = serialize(transaction);
    let written = inner.store.kv_write(PRIMARY, SECONDARY, &key, body);
    settle(Some(written)).await
}

/// Everything that is kept.
pub(crate) fn kept(inner: &Inner) -> Result<Vec<Transaction>, KeptError> {
    let keys = inner.store.kv_list(PRIMARY, SECONDARY)?;
    let read = |key: &String| {
        let body = inner.store.kv_read(PRIMARY, SECONDARY, key)?;
        let body = body.unwrap_or_default();
        deserialize(&body).map_err(|source| KeptError::Damaged {
            key: key.clone(),
            source,
        })
    };
    keys.iter().map(read).collect()
}
