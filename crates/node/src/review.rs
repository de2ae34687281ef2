//! What a crash leaves of the wallet's transactions, seen to at the start, before there can be new ones.
//!
//! Openings, withdrawals, and what raises their fees: nothing else makes transactions in the wallet.
//! All but openings are kept (`withdraw.rs`) before they are sent, so:
//!
//! | what is in no block | what becomes of it |
//! |---|---|
//! | funds a channel that LDK knows | may not have been sent: sent again |
//! | is kept | the same |
//! | neither | was never sent, and must never be: of an opening, nobody has signed a way back. Its coins are free |
//! | is kept, and was given up for another that was not kept yet | it is the one that was sent: taken back, sent again |
//! | both it and the other that was to replace it are kept | the chain is asked which it takes |

use std::collections::{HashMap, HashSet};

use bitcoin::{OutPoint, Transaction, Txid};
use sendpay_chain::client::BroadcastError;

use crate::wallet::settle;
use crate::{Inner, stuck, withdraw};

/// See the file's head.
pub(crate) async fn review(inner: &Inner) {
    let kept = match withdraw::kept(inner) {
        Ok(kept) => kept,
        Err(cause) => {
            // Nothing is freed that may have been sent, and nothing is sent that may be an opening.
            tracing::error!(%cause, "transactions of the wallet were not looked through");
            return;
        }
    };
    let kept = without_ended(inner, kept).await;
    free_unopened(inner, &kept).await;
    for transaction in &kept {
        drop(inner.wallet.take_back(transaction));
    }
    send(inner, &kept).await;
    if decide(inner, &kept).await {
        send(inner, &kept).await;
    }
}

/// Sends what may not have been sent, parents first.
async fn send(inner: &Inner, kept: &[Transaction]) {
    let of_channels = of_channels(inner);
    let mut unsent = inner.wallet.unconfirmed();
    unsent.retain(|transaction| {
        let txid = transaction.compute_txid();
        of_channels.contains(&txid) || kept.contains(transaction)
    });
    if unsent.is_empty() {
        return;
    }
    let transactions = unsent.len();
    tracing::info!(transactions, "sending unconfirmed transactions again");
    if let Err(cause) = inner.chain.broadcast_package(&unsent).await {
        tracing::warn!(%cause, "they were not all sent");
    }
}

/// What is kept and may still have to be sent: neither it nor what took its place is in a block that
/// nobody expects to be taken back.
async fn without_ended(inner: &Inner, kept: Vec<Transaction>) -> Vec<Transaction> {
    let mut going_on = Vec::new();
    for transaction in kept {
        match inner.wallet.has_ended(&transaction) {
            true => withdraw::drop_kept(inner, transaction.compute_txid()).await,
            false => going_on.push(transaction),
        }
    }
    going_on
}

/// Frees the coins of what was never sent.
async fn free_unopened(inner: &Inner, kept: &[Transaction]) {
    let mut known = of_channels(inner);
    known.extend(of_monitors(inner));
    known.extend(kept.iter().map(Transaction::compute_txid));
    let mut freed = None;
    for transaction in inner.wallet.unconfirmed() {
        let txid = transaction.compute_txid();
        if !known.contains(&txid) {
            tracing::warn!(%txid, "a transaction was not sent before a crash; its coins are free again");
            freed = inner.wallet.forget(txid);
        }
    }
    if let Err(cause) = settle(freed).await {
        tracing::error!(%cause, "that coins are free could not be stored");
    }
}

/// The transactions that fund channels.
fn of_channels(inner: &Inner) -> HashSet<Txid> {
    let channels = inner.manager.list_channels();
    let fundings = channels.iter().filter_map(|channel| channel.funding_txo);
    fundings.map(|funding| funding.txid).collect()
}

/// The same of closed channels too, while something of them is to come.
fn of_monitors(inner: &Inner) -> HashSet<Txid> {
    let ids = inner.monitor.list_monitors().into_iter();
    let monitors = ids.filter_map(|id| inner.monitor.get_monitor(id).ok());
    monitors
        .map(|monitor| monitor.get_funding_txo().txid)
        .collect()
}

/// Of two that are kept and spend the same, the later was to take the place of the other when the crash
/// came. The chain has taken it, or it stays with the other: whether that is so of any.
async fn decide(inner: &Inner, kept: &[Transaction]) -> bool {
    let mut by_coin: HashMap<OutPoint, &Transaction> = HashMap::new();
    let counts =
        |transaction: &&Transaction| inner.wallet.waiting(transaction.compute_txid()).is_ok();
    let (counting, given_up): (Vec<&Transaction>, Vec<&Transaction>) =
        kept.iter().partition(counts);
    for transaction in counting {
        let coins = transaction.input.iter().map(|input| input.previous_output);
        by_coin.extend(coins.map(|coin| (coin, transaction)));
    }
    let mut stays = false;
    for old in given_up {
        let mut coins = old.input.iter().map(|input| input.previous_output);
        let Some(new) = coins.find_map(|coin| by_coin.get(&coin)) else {
            continue;
        };
        let txid = new.compute_txid();
        match inner.chain.broadcast(new).await {
            Ok(()) => withdraw::drop_kept(inner, old.compute_txid()).await,
            Err(BroadcastError::Refused { .. }) => {
                tracing::info!(%txid, "a replacement was not taken; what it was for goes on waiting");
                stuck::undo(inner, txid, Some(old)).await;
                stays = true;
            }
            // Both stay kept: the next start asks again.
            Err(cause) => tracing::warn!(%cause, %txid, "a replacement could not be sent"),
        }
    }
    stays
}
