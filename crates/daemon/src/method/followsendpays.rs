//! `followsendpays`.

use std::sync::Arc;

use sendpay_ledger::{Change, ChangeKind, Counters, Ledger};
use sendpay_rpc::method::followsendpays::{
    FollowSendPays, FollowSendPaysResult, SENDPAY_CHANGED, SendpayChanged,
};
use sendpay_rpc::value::{Amounts, ChangeKind as Shown};
use sendpay_rpc::{Code, RpcError, reply::notification};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::changes::{FOLLOWERS_MAX, counters};
use crate::convert;
use crate::daemon::Daemon;
use crate::error;
use crate::server::{Feed, Reply};

/// Changes read at once: some hundred kilobytes of JSON, a few milliseconds of a reader.
const CHANGES_A_PAGE: usize = 256;

pub(super) async fn run(daemon: &Arc<Daemon>, params: FollowSendPays, reply: Reply) {
    let ledger = daemon.node().ledger();
    let Some(_place) = daemon.changes().follower() else {
        let text = format!("Too many followers: the limit is {FOLLOWERS_MAX}");
        return reply.error(&RpcError::new(Code::Lightningd, text));
    };
    // Before the look, so that no change falls in between.
    let changes = daemon.changes().subscribe();
    let began = match begin(ledger, &params).await {
        Ok(began) => began,
        Err(error) => return reply.error(&error),
    };
    let feed = match reply.feed(&began) {
        Ok(feed) => feed,
        Err(reply) => {
            let text = "This connection follows already";
            return reply.error(&RpcError::new(Code::Lightningd, text));
        }
    };
    let followed = Follower {
        ledger: ledger.clone(),
        amounts: daemon.amounts(),
        seen: began.from,
        changes,
        feed,
    };
    followed.run().await;
}

/// Where it begins.
async fn begin(ledger: &Ledger, params: &FollowSendPays) -> Result<FollowSendPaysResult, RpcError> {
    let last = counters(ledger).await?.change;
    let from = params.from.unwrap_or(last);
    if from > last {
        let text = format!("from: there was no change {from} yet: the last one is {last}");
        return Err(RpcError::invalid_params(text));
    }
    Ok(FollowSendPaysResult { from, last })
}

/// One follower. Between pages it holds nothing of the database (L6).
struct Follower {
    ledger: Ledger,
    amounts: Amounts,
    /// All changes up to this one were told.
    seen: u64,
    changes: watch::Receiver<Counters>,
    feed: Feed,
}

impl Follower {
    async fn run(mut self) {
        loop {
            // All changes up to this one are in the page, or are none that can be told.
            let known = self.changes.borrow_and_update().change;
            match self.page().await {
                Ok(Some((last, notifications))) => {
                    self.seen = last;
                    if self.feed.write(notifications).await.is_err() {
                        return;
                    }
                }
                Ok(None) => self.seen = self.seen.max(known),
                Err(error) => {
                    tracing::error!(%error, "a follower is cut off");
                    return self.feed.cut_off().await;
                }
            }
            let seen = self.seen;
            tokio::select! {
                // An error means that the daemon is gone.
                more = self.changes.wait_for(|counters| counters.change > seen) => {
                    if more.is_err() {
                        return;
                    }
                }
                () = self.feed.ended() => return,
            }
        }
    }

    /// The next page, read on a thread that may block: its last change, and all as notifications.
    async fn page(&self) -> Result<Option<(u64, Vec<u8>)>, RpcError> {
        let (ledger, amounts, seen) = (self.ledger.clone(), self.amounts, self.seen);
        let work = move || {
            let mut notifications = Vec::new();
            let mut failed = None;
            let last = ledger.changes(seen, CHANGES_A_PAGE, &mut |change| match notification(
                SENDPAY_CHANGED,
                &shown(&change, amounts),
            ) {
                Ok(bytes) => notifications.extend_from_slice(&bytes),
                Err(cause) => failed = Some(cause),
            });
            let last = last.map_err(error::read)?;
            match failed {
                Some(cause) => Err(RpcError::new(Code::Internal, cause.to_string())),
                None => Ok(last.map(|last| (last, notifications))),
            }
        };
        let given_up = |_| RpcError::new(Code::Internal, "the look at the ledger was given up");
        spawn_blocking(work).await.map_err(given_up)?
    }
}

fn shown(change: &Change, amounts: Amounts) -> SendpayChanged {
    SendpayChanged {
        change: change.number,
        kind: match change.kind {
            ChangeKind::Created => Shown::Created,
            ChangeKind::Updated => Shown::Updated,
            ChangeKind::Deleted => Shown::Deleted,
        },
        payment: convert::payment(&change.payment, amounts),
    }
}
