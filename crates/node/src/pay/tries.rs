//! The tries of one `pay`: look, send, wait for any end, learn, and again, until it is paid or
//! nothing more can be done within its bounds.
//!
//! What is out and what failed is read back from the ledger each time. A part that is stuck binds its
//! own amount and nothing else: what failed of the rest is tried again meanwhile, and when no more can
//! be tried the answer comes without waiting for it.

use std::sync::Arc;
use std::time::Duration;

use sendpay_ledger::{BeginError, Begun, Hop, Payment, Status};
use tokio::sync::watch;
use tokio::time::Instant;

use super::earlier::paid_group;
use super::in_flight::InFlight;
use super::knowledge::{Knowledge, directed};
use super::route::{Missing, Search};
use super::{Goal, PARTS_MAX, PaidInvoice, PayError, Tried, Unsent, Why};
use crate::Inner;
use crate::clock::unix_seconds;
use crate::failure::code;
use crate::payment::{FirstHopError, SendPayError};
use crate::route::TOTAL_DELAY_MAX;

/// Most parts of one `pay`, failed ones and routes that could not be begun included. A search that
/// halves what each of sixteen channels can carry ends far below; each part is a record for good.
const TRIES_MAX: usize = 400;

/// How long, without news, parts that are out are waited for when nothing more can be tried. On a way
/// that works an HTLC is back within a second or two; one that is not may be stuck for days.
const SETTLE_GRACE: Duration = Duration::from_secs(5);

/// See the file's head.
pub(super) struct Tries<'a> {
    inner: &'a Arc<Inner>,
    goal: Goal,
    groupid: Option<u64>,
    next_partid: u64,
    knowledge: Knowledge,
    unsent: Vec<Unsent>,
    deadline: Instant,
    cancelled: watch::Receiver<bool>,
}

/// What is out of this payment now.
struct Out {
    parts: Vec<Payment>,
    pending: usize,
    pending_msat: u64,
    pending_fee_msat: u64,
}

/// What a look came to.
enum Step {
    /// Something changed: look again.
    Again,
    /// All is out: only an end can change anything.
    Wait,
    /// No more is tried.
    Stop(Why),
}

impl<'a> Tries<'a> {
    /// None yet. No part is begun after `deadline`, nor once `cancelled` is true.
    pub(super) fn new(
        inner: &'a Arc<Inner>,
        goal: Goal,
        deadline: Instant,
        cancelled: watch::Receiver<bool>,
    ) -> Tries<'a> {
        let knowledge = Knowledge::new(
            goal.amount_msat.msat(),
            &goal.without_channels,
            &goal.without_nodes,
        );
        Tries {
            inner,
            goal,
            groupid: None,
            next_partid: 1,
            knowledge,
            unsent: Vec::new(),
            deadline,
            cancelled,
        }
    }

    /// Until it is paid, or cannot be.
    pub(super) async fn run(mut self) -> Result<PaidInvoice, PayError> {
        let hash = self.goal.payment_hash;
        loop {
            let changed = self.inner.ledger.changed(hash);
            if let Some(paid) = paid_group(self.inner, hash)? {
                return Ok(paid);
            }
            let out = self.out()?;
            let (why, until) = match self.step(&out).await? {
                Step::Again => continue,
                Step::Wait => (Why::TimeOver, self.deadline),
                Step::Stop(why @ (Why::TimeOver | Why::Cancelled)) => {
                    return Err(self.ended(why, out.parts));
                }
                // What is cancelled waits for nothing, also when it was refused before that.
                Step::Stop(why) if out.pending == 0 || *self.cancelled.borrow() => {
                    return Err(self.ended(why, out.parts));
                }
                Step::Stop(why) => (why, self.deadline.min(Instant::now() + SETTLE_GRACE)),
            };
            let over = tokio::select! {
                () = changed => false,
                _ = self.cancelled.wait_for(|cancelled| *cancelled) => false,
                () = tokio::time::sleep_until(until) => true,
            };
            if over {
                return match paid_group(self.inner, hash)? {
                    Some(paid) => Ok(paid),
                    None => Err(self.ended(why, self.out()?.parts)),
                };
            }
        }
    }

    fn ended(&self, why: Why, parts: Vec<Payment>) -> PayError {
        let unsent = self.unsent.clone();
        Tried { why, parts, unsent }.into()
    }

    fn out(&self) -> Result<Out, PayError> {
        let parts = match self.groupid {
            None => Vec::new(),
            Some(groupid) => self.inner.ledger.group(self.goal.payment_hash, groupid)?,
        };
        let pending = || parts.iter().filter(|part| part.status == Status::Pending);
        let pending_msat = pending().map(|part| part.amount_msat.msat()).sum();
        let sent_msat: u64 = pending().map(|part| part.amount_sent_msat.msat()).sum();
        Ok(Out {
            pending: pending().count(),
            pending_msat,
            pending_fee_msat: sent_msat.saturating_sub(pending_msat),
            parts,
        })
    }

    /// Looks once, and sends what can be sent for what is missing.
    async fn step(&mut self, out: &Out) -> Result<Step, PayError> {
        if out.parts.iter().any(refused_for_good) {
            return Ok(Step::Stop(Why::Refused));
        }
        if *self.cancelled.borrow() {
            return Ok(Step::Stop(Why::Cancelled));
        }
        let tries = out.parts.len() + self.unsent.len();
        if tries > 0 && Instant::now() >= self.deadline {
            return Ok(Step::Stop(Why::TimeOver));
        }
        let goal_msat = self.goal.amount_msat.msat();
        let missing_msat = goal_msat.saturating_sub(out.pending_msat);
        if missing_msat == 0 {
            return Ok(Step::Wait);
        }
        if let Some(ago) = self.goal.expired_for(unix_seconds()) {
            return Ok(Step::Stop(Why::Expired(ago)));
        }
        if tries >= TRIES_MAX {
            return Ok(Step::Stop(Why::TriesMax(TRIES_MAX)));
        }
        let in_flight = InFlight::of(self.inner.manager.compute_inflight_htlcs());
        self.knowledge.learn(&out.parts, &in_flight);
        let missing = Missing {
            amount_msat: missing_msat,
            fee_max_msat: Some(self.goal.fee_max_msat.saturating_sub(out.pending_fee_msat)),
            parts_max: PARTS_MAX.saturating_sub(out.pending),
        };
        // Finding routes takes the processor for as long as it needs.
        let found = tokio::task::block_in_place(|| self.find(missing, &in_flight));
        let routes = match found {
            Ok(routes) => routes,
            Err(why) => return Ok(Step::Stop(why)),
        };
        for route in routes {
            self.send_part(route, &in_flight).await?;
        }
        Ok(Step::Again)
    }

    fn find(&self, missing: Missing, in_flight: &InFlight) -> Result<Vec<Vec<Hop>>, Why> {
        let look = |goal: &Goal, missing: Missing| {
            Search::new(self.inner, goal, &self.knowledge, in_flight.clone()).find(missing)
        };
        let cause = match look(&self.goal, missing) {
            Ok(routes) => return Ok(routes),
            Err(cause) => cause,
        };
        let unbounded = Goal {
            delay_max: TOTAL_DELAY_MAX,
            ..self.goal.clone()
        };
        let at_any_price = Missing {
            fee_max_msat: None,
            ..missing
        };
        match look(&unbounded, at_any_price) {
            Ok(_) => Err(Why::TooExpensive {
                fee_max_msat: self.goal.fee_max_msat,
                delay_max: self.goal.delay_max,
            }),
            Err(_) => Err(Why::NoRoute(cause)),
        }
    }

    async fn send_part(&mut self, route: Vec<Hop>, in_flight: &InFlight) -> Result<(), PayError> {
        let part = self.goal.part(route, self.groupid, self.next_partid);
        let route = part.route.clone();
        match self.inner.sendpay(part).await {
            Ok(
                Begun::New(part)
                | Begun::Pending(part)
                | Begun::Complete(part)
                | Begun::Failed(part),
            ) => self.begun(part.groupid),
            Err(SendPayError::Unsent(part, reason)) => {
                tracing::debug!(%reason, "a part was not sent");
                self.begun(part.groupid);
            }
            Err(SendPayError::FirstHop(cause)) => self.not_begun(route, &cause, in_flight),
            Err(SendPayError::Route(cause)) => {
                self.knowledge.close_unknown(&route);
                self.unsent.push(Unsent {
                    route,
                    reason: cause.to_string(),
                });
            }
            Err(SendPayError::Begin(cause)) => return self.begin_refused(cause),
            Err(SendPayError::Closed(cause)) => return Err(cause.into()),
            Err(other) => return Err(PayError::Internal(other.to_string())),
        }
        Ok(())
    }

    fn begun(&mut self, groupid: u64) {
        self.groupid = Some(groupid);
        self.inner.paying.begun(&self.goal.payment_hash, groupid);
        self.next_partid += 1;
    }

    /// Our own channel cannot take it now; there is no record of it.
    fn not_begun(&mut self, route: Vec<Hop>, cause: &FirstHopError, in_flight: &InFlight) {
        if let Some(first) = route.first() {
            let along = directed(first);
            let out = in_flight.over(along);
            match cause {
                FirstHopError::NoConnection => {
                    self.knowledge.close_channel(first.short_channel_id);
                }
                FirstHopError::NotReady { .. } => {
                    let total_msat = first.amount_msat.msat().saturating_add(out);
                    self.knowledge.refused(along, total_msat);
                }
            }
        }
        self.unsent.push(Unsent {
            route,
            reason: cause.to_string(),
        });
    }

    /// The repeat rules stand above the tries. Of our own group they say only that something changed
    /// meanwhile: the next look sees it.
    fn begin_refused(&mut self, cause: BeginError) -> Result<(), PayError> {
        let ours = self.groupid.is_some();
        match cause {
            BeginError::WouldExceedTotal { .. }
            | BeginError::PartsInProgress { .. }
            | BeginError::AlreadySucceededOtherParts
                if ours =>
            {
                Ok(())
            }
            // A client's own part of our group has this number.
            BeginError::GroupPartFailed { .. }
            | BeginError::PendingAmount { .. }
            | BeginError::PendingTo(_)
                if ours =>
            {
                self.next_partid += 1;
                Ok(())
            }
            cause => Err(PayError::Repeat(Arc::new(cause))),
        }
    }
}

/// Whether the destination will never take it, by whatever way.
pub(super) fn refused_for_good(part: &Payment) -> bool {
    part.failure
        .as_ref()
        .is_some_and(|failure| failure.code == code::DESTINATION_PERM_FAIL)
}
