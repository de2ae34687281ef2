//! `pay`: a loop above `sendpay`, with no private way to send.
//!
//! One groupid for each `pay`, partids from 1, a new partid for each try. Before each part the
//! ledger checks that what is pending and the part together are no more than is to be paid, and that
//! nothing of the hash is complete (L7). What was sent and why it failed is read back from the
//! ledger, so that nothing here is true that is not in `listsendpays`.
//!
//! | file | subject |
//! |---|---|
//! | `pay/goal.rs` | what is to be paid, to whom, within which bounds |
//! | `pay/keysend.rs` | a payment without an invoice: its goal |
//! | `pay/tries.rs` | the loop: look, send, wait, learn |
//! | `pay/knowledge.rs` | what failed tries taught |
//! | `pay/route.rs` | routes for what is missing |
//! | `pay/in_flight.rs` | what is out over each channel meanwhile |
//! | `pay/earlier.rs` | what earlier tries of the hash came to |
//! | `pay/outcome.rs` | what it comes to |
//! | `pay/running.rs` | those that are under way |

mod earlier;
mod goal;
mod in_flight;
mod keysend;
mod knowledge;
mod outcome;
mod route;
mod running;
mod tries;

use std::sync::Arc;
use std::time::Duration;

use sendpay_ledger::{KeepRequestError, KeptRequest, Msat, NodeId, RequestKey};
use tokio::sync::watch;
use tokio::time::Instant;

use self::earlier::{paid_group, settle_earlier, settle_kept};
pub(crate) use self::goal::Goal;
pub use self::keysend::{KeySend, new_preimage};
pub use self::outcome::{PaidInvoice, PayError, Tried, Unsent, Why};
pub use self::running::Paying;
use self::running::Run;
pub(crate) use self::running::Running;
use self::tries::Tries;
use crate::Inner;
use crate::bolt11::decode;
use crate::clock::{unix_millis, unix_seconds};
use crate::payment::{SendPay, SendPayError};

/// Most parts out at once for one payment.
const PARTS_MAX: usize = 16;

/// What to pay, and within which bounds.
#[derive(Clone, Debug)]
pub struct Pay {
    /// The invoice, canonical (lower case, no prefix).
    pub bolt11: String,
    /// The amount, when the invoice names none.
    pub amount_msat: Option<Msat>,
    /// Deliver only this much of it: others deliver the rest.
    pub partial_msat: Option<Msat>,
    /// The sender's words for it.
    pub label: Option<String>,
    /// The description whose hash the invoice has.
    pub description: Option<String>,
    /// Most fees of the whole payment.
    pub fee_max_msat: u64,
    /// Most blocks a route may lock for.
    pub delay_max: u32,
    /// How long new tries may begin.
    pub retry_for: Duration,
    /// Channels not to use.
    pub without_channels: Vec<u64>,
    /// Nodes not to use.
    pub without_nodes: Vec<NodeId>,
    /// The key of the request, if it has one.
    pub request: Option<RequestKey>,
}

type Outcome = Option<Result<PaidInvoice, PayError>>;

/// A request that joined a payment with a key that is not the payment's own.
struct Joined {
    goal: Goal,
    cancelled: watch::Receiver<bool>,
}

impl Inner {
    /// Pays an invoice, or joins a payment of it that is under way.
    pub(crate) async fn pay(self: &Arc<Self>, pay: Pay) -> Result<PaidInvoice, PayError> {
        let invoice = decode(&pay.bolt11, Some(self.config.network))?;
        let retry_for = pay.retry_for;
        let goal = Goal::of_invoice(pay, invoice)?;
        if goal.destination == self.our_id() && goal.amount_msat != goal.total_msat {
            return Err(PayError::PartialToOurselves);
        }
        self.pay_goal(goal, retry_for).await
    }

    /// Pays what the goal says, or joins a payment of its hash that is under way.
    pub(crate) async fn pay_goal(
        self: &Arc<Self>,
        goal: Goal,
        retry_for: Duration,
    ) -> Result<PaidInvoice, PayError> {
        let deadline = Instant::now() + retry_for;
        let (outcome, joined) = self.run_or_join(goal, deadline)?;
        let Some(mut joined) = joined else {
            return end_of(outcome).await;
        };
        if let Some(kept) = kept_request(self, &joined.goal)? {
            return settle_kept(self, kept, deadline, &mut joined.cancelled).await;
        }
        let result = end_of(outcome).await;
        keep_request(self, &joined.goal, &result).await?;
        result
    }

    fn run_or_join(
        self: &Arc<Self>,
        goal: Goal,
        deadline: Instant,
    ) -> Result<(watch::Receiver<Outcome>, Option<Joined>), PayError> {
        let mut running = self.paying.lock();
        let (hash, asked) = (goal.payment_hash, goal.amount_msat);
        let other_request = running
            .values()
            .filter_map(|run| run.request.as_ref().zip(goal.request.as_ref()))
            .any(|(had, asked)| had.key == asked.key && had.request_hash != asked.request_hash);
        if other_request {
            return Err(PayError::OtherRequest);
        }
        if let Some(run) = running.get(&hash) {
            if run.amount_msat != asked {
                let had = run.amount_msat;
                return Err(PayError::OtherAmount { had, asked });
            }
            tracing::debug!(payment_hash = %hash, "joined a payment that is under way");
            let own = goal.request.is_none() || goal.request == run.request;
            let joined = (!own).then(|| Joined {
                goal,
                cancelled: run.cancel.subscribe(),
            });
            return Ok((run.outcome.clone(), joined));
        }
        let (done, outcome) = watch::channel(None);
        let (cancel, cancelled) = watch::channel(false);
        let run = Run {
            amount_msat: asked,
            request: goal.request.clone(),
            groupid: None,
            outcome: outcome.clone(),
            cancel,
        };
        running.insert(hash, run);
        let inner = self.clone();
        // A task of its own: who asked may go away, the payment goes on.
        tokio::spawn(async move {
            let result = pay_once(&inner, goal, deadline, cancelled).await;
            inner.paying.lock().remove(&hash);
            done.send_replace(Some(result));
        });
        Ok((outcome, None))
    }
}

/// What a payment that is under way comes to.
async fn end_of(mut outcome: watch::Receiver<Outcome>) -> Result<PaidInvoice, PayError> {
    let ended = outcome.wait_for(Option::is_some).await;
    match ended.as_deref() {
        Ok(Some(result)) => result.clone(),
        _ => Err(PayError::Internal("the payment's task ended".into())),
    }
}

async fn pay_once(
    inner: &Arc<Inner>,
    goal: Goal,
    deadline: Instant,
    mut cancelled: watch::Receiver<bool>,
) -> Result<PaidInvoice, PayError> {
    let hash = goal.payment_hash;
    if let Some(kept) = kept_request(inner, &goal)? {
        return settle_kept(inner, kept, deadline, &mut cancelled).await;
    }
    if let Some(paid) = settle_earlier(inner, hash, deadline, &mut cancelled).await? {
        let result = Ok(paid);
        keep_request(inner, &goal, &result).await?;
        return result;
    }
    if let Some(ago) = goal.expired_for(unix_seconds()) {
        return Err(PayError::Expired(ago));
    }
    if goal.destination == inner.our_id() {
        return pay_ourselves(inner, &goal).await;
    }
    Tries::new(inner, goal, deadline, cancelled).run().await
}

/// What the goal's key stands for, if it is the same request.
fn kept_request(inner: &Inner, goal: &Goal) -> Result<Option<KeptRequest>, PayError> {
    let Some(request) = &goal.request else {
        return Ok(None);
    };
    let kept = inner.ledger.request(&request.key)?;
    match kept {
        Some(kept) if kept.request_hash != request.request_hash => Err(PayError::OtherRequest),
        kept => Ok(kept),
    }
}

/// The try that a request was answered with, and when its key is to be kept as of, in ms since 1970: not
/// before the payment if it was told that this was made before, and not after it if not. None if there is
/// no record, and so no key.
fn answer(result: &Result<PaidInvoice, PayError>, now_ms: u64) -> Option<(u64, u64)> {
    match result {
        Ok(paid) => {
            let at_ms = match paid.completed_at_ms {
                Some(at) if paid.before => now_ms.max(at.saturating_add(1)),
                Some(at) => now_ms.min(at),
                None => now_ms,
            };
            Some((paid.groupid, at_ms))
        }
        Err(PayError::Tried(tried)) => {
            let groupid = tried.parts.first()?.groupid;
            Some((groupid, now_ms))
        }
        Err(_) => None,
    }
}

/// Keeps the goal's key with the try that answered it.
async fn keep_request(
    inner: &Inner,
    goal: &Goal,
    result: &Result<PaidInvoice, PayError>,
) -> Result<(), PayError> {
    let Some(request) = goal.request.clone() else {
        return Ok(());
    };
    let Some((groupid, at_ms)) = answer(result, unix_millis()) else {
        return Ok(());
    };
    let hash = goal.payment_hash;
    let kept = inner
        .ledger
        .keep_request(request, hash, groupid, at_ms)
        .await?;
    kept.map_err(|cause| match cause {
        KeepRequestError::OtherRequest => PayError::OtherRequest,
        other => PayError::Internal(other.to_string()),
    })
}

async fn pay_ourselves(inner: &Arc<Inner>, goal: &Goal) -> Result<PaidInvoice, PayError> {
    let sent = inner
        .sendpay(SendPay {
            cap_msat: None,
            ..goal.part(Vec::new(), None, 0)
        })
        .await;
    match sent {
        Ok(_) => paid_group(inner, goal.payment_hash)?
            .ok_or_else(|| PayError::Internal("the self-payment has no record".into())),
        Err(SendPayError::SelfRefused(part)) => Err(Tried {
            why: Why::Refused,
            parts: vec![*part],
            unsent: Vec::new(),
        }
        .into()),
        Err(SendPayError::Begin(cause)) => Err(PayError::Repeat(Arc::new(cause))),
        Err(other) => Err(PayError::Internal(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use sendpay_ledger::Preimage;

    #[test]
    fn a_key_is_kept_with_what_was_recorded_as_of_when_it_tells_the_same_again() {
        let paid = |before, completed_at_ms| {
            Ok(PaidInvoice {
                preimage: Preimage([1; 32]),
                payment_hash: Preimage([1; 32]).payment_hash(),
                destination: None,
                amount_msat: Msat::new(1).unwrap(),
                amount_sent_msat: Msat::new(1).unwrap(),
                parts: 1,
                groupid: 7,
                before,
                failed_parts: 0,
                created_at_ms: 0,
                completed_at_ms,
            })
        };
        let unsent = Tried {
            why: Why::TimeOver,
            parts: Vec::new(),
            unsent: Vec::new(),
        };
        let now_ms = 100;
        let rows = [
            (paid(false, Some(90)), Some((7, 90))),
            (paid(true, Some(90)), Some((7, 100))),
            // The clock was set back meanwhile.
            (paid(false, Some(110)), Some((7, 100))),
            (paid(true, Some(110)), Some((7, 111))),
            (paid(true, Some(100)), Some((7, 101))),
            (paid(true, None), Some((7, 100))),
            (Err(unsent.into()), None),
            (Err(PayError::Expired(1)), None),
        ];
        for (result, kept) in rows {
            assert_eq!(answer(&result, now_ms), kept, "{result:?}");
        }
    }
}
