//! `pay`: a loop above `sendpay`, with no private way to send.
//!
//! One groupid for each `pay`, partids from 1, a new partid for each try. Before each part the
//! ledger checks that what is pending and the part together are no more than the total, and that
//! nothing of the hash is complete (L7). What was sent and why it failed is read back from the
//! ledger, so that nothing here is true that is not in `listsendpays`.

mod earlier;
mod route;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lightning_invoice::Bolt11Invoice;
use sendpay_ledger::{
    BeginError, Hop, Msat, NodeId, Payment, PaymentHash, Preimage, ReadError, Status,
};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use self::earlier::{paid_group, settle_earlier};
use crate::Inner;
use crate::bolt11::{Bolt11, Bolt11Error, decode};
use crate::clock::unix_seconds;
use crate::failure::code;
use crate::payment::{SendPay, SendPayError};

/// Most parts out at once for one payment.
const PARTS_MAX: u8 = 16;

/// What to pay, and within which bounds.
#[derive(Clone, Debug)]
pub struct Pay {
    /// The invoice, canonical (lower case, no prefix).
    pub bolt11: String,
    /// The amount, when the invoice names none.
    pub amount_msat: Option<Msat>,
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
}

/// A payment that is complete.
#[derive(Clone, Debug)]
pub struct PaidInvoice {
    /// The proof.
    pub preimage: Preimage,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// Who was paid.
    pub destination: Option<NodeId>,
    /// What was delivered, over complete and pending parts.
    pub amount_msat: Msat,
    /// What left us for it.
    pub amount_sent_msat: Msat,
    /// How many parts those are.
    pub parts: u64,
    /// When the first part was begun, in ms since 1970.
    pub created_at_ms: u64,
}

/// Why an invoice is not paid (yet).
#[derive(Clone, Debug, Error)]
pub enum PayError {
    /// The invoice cannot be read.
    #[error("Invalid bolt11: {0}")]
    Bolt11(#[from] Bolt11Error),
    /// The invoice names the amount.
    #[error("amount_msat: parameter unnecessary, the invoice is for {0}")]
    AmountNamed(Msat),
    /// It does not, and no amount was given.
    #[error("amount_msat: parameter required, the invoice names no amount")]
    AmountMissing,
    /// The description is not what the invoice has a hash of.
    #[error("description: does not match the description hash of the invoice")]
    Description,
    /// The invoice lapsed.
    #[error("Invoice expired {0} seconds ago")]
    Expired(u64),
    /// It is being paid with another amount.
    #[error("Already pending with amount {had} (not {asked})")]
    OtherAmount {
        /// What is under way.
        had: Msat,
        /// What is asked.
        asked: Msat,
    },
    /// The ledger's repeat rules refuse it.
    #[error("{0}")]
    Repeat(Arc<BeginError>),
    /// No way there.
    #[error("Failed: could not find a route: {0}")]
    NoRoute(String),
    /// Every way costs more, or locks for longer, than allowed.
    #[error(
        "Failed: every route costs more than {fee_max_msat}msat or takes more than {delay_max} blocks"
    )]
    TooExpensive {
        /// The bound on fees.
        fee_max_msat: u64,
        /// The bound on blocks.
        delay_max: u32,
    },
    /// The destination refused it for good.
    #[error("Failed: the destination refused the payment")]
    Refused(Vec<Payment>),
    /// Out of time or of ways; nothing is out any more.
    #[error("Ran out of routes to try after {} attempts", .0.len())]
    Stopped(Vec<Payment>),
    /// Out of time, and parts are still out: it may yet complete.
    #[error("Timed out with parts still in progress; they may complete later")]
    InProgress(Vec<Payment>),
    /// An error that concerns this node only.
    #[error("{0}")]
    Internal(String),
}

impl From<ReadError> for PayError {
    fn from(cause: ReadError) -> Self {
        PayError::Internal(format!("the ledger could not be read: {cause}"))
    }
}

type Outcome = Option<Result<PaidInvoice, PayError>>;

/// Payments under way in this process, so that a second `pay` joins the first.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<PaymentHash, (Msat, watch::Receiver<Outcome>)>>);

impl Inner {
    /// Pays an invoice, or joins a payment of it that is under way.
    pub(crate) async fn pay(self: &Arc<Self>, pay: Pay) -> Result<PaidInvoice, PayError> {
        let invoice = decode(&pay.bolt11, Some(self.config.network))?;
        let amount = check(&pay, &invoice)?;
        let hash = invoice.payment_hash;
        let mut outcome = {
            let mut running = self.paying.0.lock().unwrap_or_else(PoisonError::into_inner);
            match running.get(&hash) {
                Some((had, _)) if *had != amount => {
                    return Err(PayError::OtherAmount {
                        had: *had,
                        asked: amount,
                    });
                }
                Some((_, outcome)) => outcome.clone(),
                None => {
                    let (done, outcome) = watch::channel(None);
                    running.insert(hash, (amount, outcome.clone()));
                    let inner = self.clone();
                    // A task of its own: who asked may go away, the payment goes on.
                    tokio::spawn(async move {
                        let result = run(&inner, pay, invoice, amount).await;
                        let running = &inner.paying.0;
                        running
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .remove(&hash);
                        done.send_replace(Some(result));
                    });
                    outcome
                }
            }
        };
        let ended = outcome.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err(PayError::Internal("the payment's task ended".into())),
        }
    }
}

/// The amount to pay, and the checks that need no state.
fn check(pay: &Pay, invoice: &Bolt11) -> Result<Msat, PayError> {
    let amount = match (invoice.amount_msat, pay.amount_msat) {
        (Some(named), None) => named,
        (Some(named), Some(_)) => return Err(PayError::AmountNamed(named)),
        (None, Some(asked)) => asked,
        (None, None) => return Err(PayError::AmountMissing),
    };
    if let (Some(hash), Some(text)) = (invoice.description_hash, &pay.description) {
        use bitcoin::hashes::{Hash, sha256};
        if sha256::Hash::hash(text.as_bytes()).to_byte_array() != hash {
            return Err(PayError::Description);
        }
    }
    Ok(amount)
}

async fn run(
    inner: &Arc<Inner>,
    pay: Pay,
    invoice: Bolt11,
    amount: Msat,
) -> Result<PaidInvoice, PayError> {
    let deadline = Instant::now() + pay.retry_for;
    if let Some(paid) = settle_earlier(inner, invoice.payment_hash, deadline).await? {
        return Ok(paid);
    }
    let expires_at = invoice.created_at.saturating_add(invoice.expiry);
    let now = unix_seconds();
    if now >= expires_at {
        return Err(PayError::Expired(now - expires_at));
    }
    let parsed: Bolt11Invoice = pay
        .bolt11
        .parse()
        .map_err(|cause| PayError::Bolt11(Bolt11Error::Parse(format!("{cause}"))))?;
    let avoid = pay.without_channels.clone();
    let mut attempt = Attempt {
        inner,
        pay,
        invoice,
        parsed,
        amount,
        groupid: None,
        next_partid: 1,
        avoid,
        deadline,
    };
    if attempt.invoice.payee == inner.our_id() {
        return attempt.pay_ourselves().await;
    }
    attempt.run().await
}

struct Attempt<'a> {
    inner: &'a Arc<Inner>,
    pay: Pay,
    invoice: Bolt11,
    parsed: Bolt11Invoice,
    amount: Msat,
    groupid: Option<u64>,
    next_partid: u64,
    avoid: Vec<u64>,
    deadline: Instant,
}

/// What is out of this payment now.
struct Out {
    parts: Vec<Payment>,
    pending_msat: u64,
    pending_fee_msat: u64,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<PaidInvoice, PayError> {
        let hash = self.invoice.payment_hash;
        loop {
            let changed = self.inner.ledger.changed(hash);
            if let Some(paid) = paid_group(self.inner, hash)? {
                return Ok(paid);
            }
            let out = self.out()?;
            self.learn(&out);
            if let Some(refused) = out.parts.iter().find(|part| refused_for_good(part)) {
                tracing::debug!(payment_hash = %hash, part = refused.partid, "refused for good");
                return self.give_up(out, changed, PayError::Refused).await;
            }
            let missing = self.amount.msat().saturating_sub(out.pending_msat);
            let late = Instant::now() >= self.deadline;
            if missing > 0 && !late && self.try_once(&out, missing).await? {
                continue;
            }
            if out.pending_msat == 0 {
                return Err(match out.parts.is_empty() {
                    true => self.no_way(missing),
                    false => PayError::Stopped(out.parts),
                });
            }
            // Something is out: only its end can change anything.
            let waited = tokio::time::timeout_at(self.deadline, changed).await;
            if waited.is_err() && late {
                return Err(PayError::InProgress(self.out()?.parts));
            }
        }
    }

    /// Waits until nothing is out, or the time is over; then says why.
    async fn give_up(
        &self,
        out: Out,
        changed: sendpay_ledger::Waiter,
        why: fn(Vec<Payment>) -> PayError,
    ) -> Result<PaidInvoice, PayError> {
        let hash = self.invoice.payment_hash;
        let (mut out, mut changed) = (out, changed);
        while out.pending_msat > 0 {
            if tokio::time::timeout_at(self.deadline, changed)
                .await
                .is_err()
            {
                return Err(PayError::InProgress(self.out()?.parts));
            }
            changed = self.inner.ledger.changed(hash);
            if let Some(paid) = paid_group(self.inner, hash)? {
                return Ok(paid);
            }
            out = self.out()?;
        }
        Err(why(out.parts))
    }

    fn out(&self) -> Result<Out, PayError> {
        let parts = match self.groupid {
            None => Vec::new(),
            Some(groupid) => self
                .inner
                .ledger
                .group(self.invoice.payment_hash, groupid)?,
        };
        let pending = || parts.iter().filter(|part| part.status == Status::Pending);
        let pending_msat = pending().map(|part| part.amount_msat.msat()).sum();
        let sent_msat: u64 = pending().map(|part| part.amount_sent_msat.msat()).sum();
        Ok(Out {
            pending_msat,
            pending_fee_msat: sent_msat.saturating_sub(pending_msat),
            parts,
        })
    }

    /// Channels that failed one of our parts are not used again by this payment.
    fn learn(&mut self, out: &Out) {
        for part in &out.parts {
            let channel = part
                .failure
                .as_ref()
                .and_then(|failure| failure.erring_channel);
            if let Some(channel) = channel
                && !self.avoid.contains(&channel)
            {
                self.avoid.push(channel);
            }
        }
    }

    /// Sends parts for what is missing. False when there is no way to do so now.
    async fn try_once(&mut self, out: &Out, missing: u64) -> Result<bool, PayError> {
        let spent = out.pending_fee_msat;
        let fee_left = self.pay.fee_max_msat.saturating_sub(spent);
        let free = PARTS_MAX.saturating_sub(u8::try_from(out.parts.len()).unwrap_or(PARTS_MAX));
        let one = self.routes(out, missing, 1, Some(fee_left));
        let routes = match one {
            Ok(routes) => routes,
            Err(_) if self.invoice.basic_mpp => {
                match self.routes(out, missing, free.max(2), Some(fee_left)) {
                    Ok(routes) => routes,
                    Err(_) => return Ok(false),
                }
            }
            Err(_) => return Ok(false),
        };
        let mut sent_any = false;
        for route in routes {
            sent_any |= self.send_part(route).await?;
        }
        Ok(sent_any)
    }

    async fn send_part(&mut self, route: Vec<Hop>) -> Result<bool, PayError> {
        let first_channel = route.first().map(|hop| hop.short_channel_id);
        let sent = self
            .inner
            .sendpay(SendPay {
                route,
                payment_hash: self.invoice.payment_hash,
                payment_secret: Some(self.invoice.payment_secret),
                payment_metadata: self.invoice.payment_metadata.clone(),
                total_msat: Some(self.amount),
                partid: self.next_partid,
                groupid: self.groupid,
                label: self.pay.label.clone(),
                bolt11: Some(self.pay.bolt11.clone()),
                description: self.pay.description.clone(),
                cap_total: true,
                spontaneous: None,
            })
            .await;
        match sent {
            Ok(begun) => {
                use sendpay_ledger::Begun::{Complete, New, Pending};
                let (New(part) | Pending(part) | Complete(part)) = begun;
                self.groupid = Some(part.groupid);
                self.next_partid += 1;
                Ok(true)
            }
            Err(SendPayError::Unsent(part, reason)) => {
                tracing::debug!(%reason, "a part was not sent");
                self.groupid = Some(part.groupid);
                self.next_partid += 1;
                Ok(true)
            }
            Err(SendPayError::FirstHop(_) | SendPayError::Route(_)) => {
                self.avoid.extend(first_channel);
                Ok(true)
            }
            // Another part of this round completed the payment, or filled the total.
            Err(SendPayError::Begin(
                BeginError::WouldExceedTotal { .. }
                | BeginError::PartsInProgress { .. }
                | BeginError::AlreadySucceededOtherParts,
            )) if self.groupid.is_some() => Ok(true),
            Err(SendPayError::Begin(cause)) => Err(PayError::Repeat(Arc::new(cause))),
            Err(other) => Err(PayError::Internal(other.to_string())),
        }
    }

    async fn pay_ourselves(&self) -> Result<PaidInvoice, PayError> {
        let sent = self
            .inner
            .sendpay(SendPay {
                route: Vec::new(),
                payment_hash: self.invoice.payment_hash,
                payment_secret: Some(self.invoice.payment_secret),
                payment_metadata: None,
                total_msat: Some(self.amount),
                partid: 0,
                groupid: None,
                label: self.pay.label.clone(),
                bolt11: Some(self.pay.bolt11.clone()),
                description: self.pay.description.clone(),
                cap_total: false,
                spontaneous: None,
            })
            .await;
        match sent {
            Ok(_) => paid_group(self.inner, self.invoice.payment_hash)?
                .ok_or_else(|| PayError::Internal("the self-payment has no record".into())),
            Err(SendPayError::SelfRefused(part)) => Err(PayError::Refused(vec![*part])),
            Err(SendPayError::Begin(cause)) => Err(PayError::Repeat(Arc::new(cause))),
            Err(other) => Err(PayError::Internal(other.to_string())),
        }
    }
}

fn refused_for_good(part: &Payment) -> bool {
    part.failure
        .as_ref()
        .is_some_and(|failure| failure.code == code::DESTINATION_PERM_FAIL)
}
