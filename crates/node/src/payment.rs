//! A payment's way out and its way back, in one file.
//!
//! Out: route to path (pure), first hop, the record (`Ledger::begin`, awaited durable), and only
//! then LDK (L1). Back: LDK's events, each enqueued on the same ordered store as the manager that
//! forgets them, so nothing is awaited here and nothing is lost. Repeat rules and statuses are the
//! ledger's.

use std::sync::PoisonError;

use lightning::events::PaymentFailureReason;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{PaymentId as LdkPaymentId, RecentPaymentDetails};
use lightning::ln::outbound_payment::{
    RecipientCustomTlvs, RecipientOnionFields, Retry, RetryableSendFailure,
};
use lightning::routing::router::Route;
use lightning::types::payment::{
    PaymentHash as LdkPaymentHash, PaymentPreimage as LdkPreimage, PaymentSecret,
};
use sendpay_ledger::{
    BeginError, Begun, Closed, Failure, Hop, Msat, NewPayment, Payment, PaymentHash, PaymentId,
    Preimage, RequestKey, SelfPayError,
};
use thiserror::Error;

use crate::Inner;
use crate::clock::unix_millis;
use crate::failure::{PathFailed, code, only_reason};
use crate::route::{RouteError, direction, to_path, to_route};

/// Details of failed paths kept until their `PaymentFailed` comes, which LDK queues right behind.
const FAILURES_MAX: usize = 10_000;

/// One part to send.
#[derive(Clone)]
pub struct SendPay {
    /// The way; empty pays an invoice of our own.
    pub route: Vec<Hop>,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// The secret of the invoice.
    pub payment_secret: Option<[u8; 32]>,
    /// The metadata of the invoice.
    pub payment_metadata: Option<Vec<u8>>,
    /// The amount of all parts together; the amount of this part when None.
    pub total_msat: Option<Msat>,
    /// Which part.
    pub partid: u64,
    /// Which try; the next one when None.
    pub groupid: Option<u64>,
    /// The sender's words for it.
    pub label: Option<String>,
    /// The invoice.
    pub bolt11: Option<String>,
    /// The invoice's description, where it has only a hash of it.
    pub description: Option<String>,
    /// Refuse what would make all pending parts together more than this (`pay`).
    pub cap_msat: Option<Msat>,
    /// The key of the request, if it has one.
    pub request: Option<RequestKey>,
    /// A payment without an invoice: the preimage goes along.
    pub spontaneous: Option<Spontaneous>,
}

/// What goes along with a payment without an invoice (keysend).
#[derive(Clone, PartialEq, Eq)]
pub struct Spontaneous {
    /// The preimage: a secret until the payment is complete.
    pub preimage: Preimage,
    /// More for the destination: numbers from 65536, each once, and bytes.
    pub tlvs: Vec<(u64, Vec<u8>)>,
}

impl Spontaneous {
    /// The onion with all but the preimage, which LDK adds.
    pub(crate) fn along(
        &self,
        onion: RecipientOnionFields,
    ) -> Result<RecipientOnionFields, RouteError> {
        if self.tlvs.is_empty() {
            return Ok(onion);
        }
        let tlvs = RecipientCustomTlvs::new(self.tlvs.clone()).map_err(|()| RouteError::Tlvs)?;
        Ok(onion.with_custom_tlvs(tlvs))
    }
}

/// The first channel does not take it now; nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FirstHopError {
    /// No usable channel of that id to that peer (CLN's text).
    #[error("No connection to first peer found")]
    NoConnection,
    /// The channel is there and cannot carry it now.
    #[error("First peer not ready: {reason}")]
    NotReady {
        /// The channel.
        channel: u64,
        /// Direction over it.
        direction: u8,
        /// Why.
        reason: String,
    },
}

/// Why nothing was sent.
#[derive(Debug, Error)]
pub enum SendPayError {
    /// The route is wrong in itself.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The repeat rules refuse it.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The first channel cannot take it.
    #[error(transparent)]
    FirstHop(#[from] FirstHopError),
    /// An empty route, and the amount or part it needs is not as a self-payment wants it.
    #[error("{0}")]
    SelfPayment(&'static str),
    /// Our own invoice refuses it; the record says so.
    #[error("{}", .0.failure.as_ref().map_or("self-payment refused", |failure| &failure.message))]
    SelfRefused(Box<Payment>),
    /// Our own invoice is being paid by somebody else, and that takes long; there is no record.
    #[error("another payment of the invoice is being claimed; try again")]
    SelfBusy,
    /// The preimage that is to go along is not that of the hash.
    #[error("the preimage is not that of payment_hash {0}")]
    Preimage(PaymentHash),
    /// LDK refused it after the record was made; the record failed.
    #[error("the payment could not be sent: {1}")]
    Unsent(Box<Payment>, String),
    /// The node is stopping.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Inner {
    /// Sends one part, at most once for what the repeat rules call the same (L7).
    pub(crate) async fn sendpay(&self, send: SendPay) -> Result<Begun, SendPayError> {
        if send.route.is_empty() {
            return self.self_pay(send).await;
        }
        if let Some(spontaneous) = &send.spontaneous
            && spontaneous.preimage.payment_hash() != send.payment_hash
        {
            return Err(SendPayError::Preimage(send.payment_hash));
        }
        self.store.room().await?;
        let _fixed = self.height_fixed.read().await;
        let height = self.manager.current_best_block().height;
        let path = to_path(&send.route, &self.our_id())?;
        let new = new_payment(&send, height)?;
        let onion = onion(&send, new.effective_total_msat())?;
        let route = to_route(path, &onion, send.spontaneous.is_some(), height)?;
        if let Err(cause) = self.check_first_hop(&send.route, new.payment_hash) {
            // A repeat of what is out or done gets its answer, whatever the channel does now.
            return match self.ledger.peek(&new)? {
                Some(begun) => Ok(begun),
                None => Err(cause.into()),
            };
        }
        let begun = self.ledger.begin(new, unix_millis()).await??;
        if let Begun::New(payment) = &begun {
            self.send_recorded(payment, route, onion, send.spontaneous)
                .await?;
        }
        Ok(begun)
    }

    /// Hands a recorded payment to LDK. What LDK refuses at once never left us: the record fails.
    async fn send_recorded(
        &self,
        payment: &Payment,
        route: Route,
        onion: RecipientOnionFields,
        spontaneous: Option<Spontaneous>,
    ) -> Result<(), SendPayError> {
        let id = payment.payment_id();
        let ldk_id = LdkPaymentId(id.0);
        let hash = LdkPaymentHash(payment.payment_hash.0);
        let sent = match spontaneous {
            None => self
                .manager
                .send_payment_with_route(route, hash, onion, ldk_id),
            Some(spontaneous) => self.send_keysend(route, onion, ldk_id, &spontaneous.preimage),
        };
        let refused = sent.err().and_then(refusal);
        let Some(reason) = refused else { return Ok(()) };
        let failure = self.unsent(format!("not sent: {reason}"));
        let settled = self
            .ledger
            .fail(id, Some(payment.payment_hash), failure, unix_millis());
        if let Err(cause) = settled.await? {
            tracing::error!(%cause, "a payment that was not sent could not be marked failed");
        }
        Err(SendPayError::Unsent(Box::new(payment.clone()), reason))
    }

    /// Why a part failed that never left this node.
    fn unsent(&self, message: String) -> Failure {
        Failure {
            code: code::UNSPECIFIED,
            failcode: None,
            erring_index: Some(0),
            erring_node: Some(self.our_id()),
            erring_channel: None,
            erring_direction: None,
            message,
        }
    }

    /// LDK asks its router for the route of a keysend, and gets this one.
    fn send_keysend(
        &self,
        route: Route,
        onion: RecipientOnionFields,
        id: LdkPaymentId,
        preimage: &Preimage,
    ) -> Result<(), RetryableSendFailure> {
        let parameters = route
            .route_params
            .clone()
            .ok_or(RetryableSendFailure::RouteNotFound)?;
        self.router.plan(id, route);
        // One try, as of every part: the next one is a record of its own.
        let sent = self.manager.send_spontaneous_payment(
            Some(LdkPreimage(preimage.0)),
            onion,
            id,
            parameters,
            Retry::Attempts(0),
        );
        self.router.forget(id);
        sent.map(drop)
    }

    async fn self_pay(&self, send: SendPay) -> Result<Begun, SendPayError> {
        let amount_msat = send.total_msat.ok_or(SendPayError::SelfPayment(
            "Self-payment requires amount_msat",
        ))?;
        if send.partid != 0 {
            let text = "Self-payment does not allow (non-zero) partid";
            return Err(SendPayError::SelfPayment(text));
        }
        let new = NewPayment {
            payment_hash: send.payment_hash,
            groupid: send.groupid,
            partid: 0,
            destination: Some(self.our_id()),
            amount_msat,
            amount_sent_msat: amount_msat,
            total_msat: send.total_msat,
            label: send.label,
            bolt11: send.bolt11,
            description: send.description,
            route: Vec::new(),
            cltv_expiry: None,
            cap_msat: None,
            request: send.request,
        };
        self.store.room().await?;
        // Not while somebody else's payment of it is being claimed: one invoice is paid once.
        if !self.decide_when_free(send.payment_hash).await {
            return Err(SendPayError::SelfBusy);
        }
        let paid = self
            .ledger
            .self_pay(new, send.payment_secret, unix_millis())
            .await;
        self.decided(send.payment_hash);
        match paid? {
            Ok(Begun::Failed(payment)) => Err(SendPayError::SelfRefused(Box::new(payment))),
            Ok(begun) => Ok(begun),
            Err(SelfPayError::Begin(cause)) => Err(cause.into()),
            Err(SelfPayError::Refused(payment)) => Err(SendPayError::SelfRefused(payment)),
        }
    }

    /// Whether the first channel can take the HTLC now, so that CLN's immediate 204 without a
    /// record holds. What still goes wrong there afterwards ends as a failed record.
    fn check_first_hop(
        &self,
        route: &[Hop],
        payment_hash: PaymentHash,
    ) -> Result<(), FirstHopError> {
        let first = route.first().ok_or(FirstHopError::NoConnection)?;
        let peer = bitcoin::secp256k1::PublicKey::from_slice(&first.node_id.0)
            .map_err(|_| FirstHopError::NoConnection)?;
        let channels = self.manager.list_channels_with_counterparty(&peer);
        let channel = channels
            .iter()
            .find(|channel| goes_by(channel, first.short_channel_id))
            .filter(|channel| channel.is_usable)
            .ok_or(FirstHopError::NoConnection)?;
        let not_ready = |reason: String| {
            Err(FirstHopError::NotReady {
                channel: first.short_channel_id,
                direction: direction(&self.our_id(), &first.node_id),
                reason,
            })
        };
        let amount = first.amount_msat.msat();
        if amount > channel.next_outbound_htlc_limit_msat {
            return not_ready(format!(
                "{amount}msat is more than the {}msat one HTLC may carry now",
                channel.next_outbound_htlc_limit_msat
            ));
        }
        if amount < channel.next_outbound_htlc_minimum_msat {
            return not_ready(format!(
                "{amount}msat is less than the channel's least, {}msat",
                channel.next_outbound_htlc_minimum_msat
            ));
        }
        tracing::trace!(%payment_hash, "first hop can take the HTLC");
        Ok(())
    }

    /// `PaymentSent`: proof that it is paid (L3).
    pub(crate) fn payment_sent(
        &self,
        id: Option<LdkPaymentId>,
        hash: LdkPaymentHash,
        preimage: LdkPreimage,
    ) {
        let Some(id) = id else {
            tracing::error!(payment_hash = %hash, "LDK reports a sent payment without its id");
            return;
        };
        drop(self.ledger.complete(
            PaymentId(id.0),
            PaymentHash(hash.0),
            Preimage(preimage.0),
            unix_millis(),
        ));
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    /// `PaymentPathFailed`: tells why, never that it is over (L4). Kept for `PaymentFailed`.
    pub(crate) fn path_failed(&self, id: Option<LdkPaymentId>, failed: PathFailed<'_>) {
        let Some(id) = id else { return };
        let failure = failed.explain(self.our_id(), self.logger.take_failure(&id));
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES_MAX {
            failures.insert(id, failure);
        }
    }

    /// `PaymentFailed`: nothing of it can be claimed any more (L4).
    pub(crate) fn payment_failed(
        &self,
        id: LdkPaymentId,
        hash: Option<LdkPaymentHash>,
        reason: Option<PaymentFailureReason>,
    ) {
        let known = self
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        let failure = known.unwrap_or_else(|| only_reason(reason));
        let hash = hash.map(|hash| PaymentHash(hash.0));
        drop(
            self.ledger
                .fail(PaymentId(id.0), hash, failure, unix_millis()),
        );
    }

    /// At the start, after LDK's queued events: a pending record that LDK does not know never left
    /// us, since no commitment is sent before a durable manager knows the payment.
    pub(crate) async fn fail_what_never_left(&self) -> Result<usize, StartCheckError> {
        let known: std::collections::HashSet<[u8; 32]> = self
            .manager
            .list_recent_payments()
            .into_iter()
            .filter_map(|recent| match recent {
                RecentPaymentDetails::AwaitingInvoice { .. } => None,
                RecentPaymentDetails::Pending { payment_id, .. }
                | RecentPaymentDetails::Fulfilled { payment_id, .. }
                | RecentPaymentDetails::Abandoned { payment_id, .. } => Some(payment_id.0),
            })
            .collect();
        let mut never_left = 0;
        for payment in self.ledger.pending_own()? {
            let id = payment.payment_id();
            if known.contains(&id.0) {
                continue;
            }
            never_left += 1;
            let stopped = "never sent: the node stopped before the HTLC could leave";
            let failure = self.unsent(stopped.into());
            self.ledger
                .fail(id, Some(payment.payment_hash), failure, unix_millis())
                .await??;
        }
        Ok(never_left)
    }
}

/// The record of a part, as `begin` wants it.
fn new_payment(send: &SendPay, height: u32) -> Result<NewPayment, RouteError> {
    let (first, last) = match (send.route.first(), send.route.last()) {
        (Some(first), Some(last)) => (first, last),
        _ => return Err(RouteError::Empty),
    };
    // LDK starts the count at the next block.
    let cltv_expiry = height.saturating_add(1).saturating_add(first.delay);
    Ok(NewPayment {
        payment_hash: send.payment_hash,
        groupid: send.groupid,
        partid: send.partid,
        destination: Some(last.node_id),
        amount_msat: last.amount_msat,
        amount_sent_msat: first.amount_msat,
        total_msat: send.total_msat,
        label: send.label.clone(),
        bolt11: send.bolt11.clone(),
        description: send.description.clone(),
        route: send.route.clone(),
        cltv_expiry: Some(cltv_expiry),
        cap_msat: send.cap_msat,
        request: send.request.clone(),
    })
}

/// What only the destination reads.
fn onion(send: &SendPay, total: Msat) -> Result<RecipientOnionFields, RouteError> {
    let mut onion = match send.payment_secret {
        Some(secret) => RecipientOnionFields::secret_only(PaymentSecret(secret), total.msat()),
        None => RecipientOnionFields::spontaneous_empty(total.msat()),
    };
    onion.payment_metadata = send.payment_metadata.clone();
    match &send.spontaneous {
        Some(spontaneous) => spontaneous.along(onion),
        None => Ok(onion),
    }
}

/// Why the check at the start did not finish.
#[derive(Debug, Error)]
pub enum StartCheckError {
    /// The pending records cannot be read.
    #[error("cannot read the pending payments: {0}")]
    Read(#[from] sendpay_ledger::ReadError),
    /// One cannot be marked.
    #[error("cannot mark a payment that never left: {0}")]
    Settle(#[from] sendpay_ledger::SettleError),
    /// The store is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// What LDK's refusal means; None when the payment is known to LDK and an event will come.
fn refusal(cause: RetryableSendFailure) -> Option<String> {
    match cause {
        RetryableSendFailure::DuplicatePayment => None,
        RetryableSendFailure::PaymentExpired => Some("the invoice expired".into()),
        RetryableSendFailure::RouteNotFound => Some("the route cannot be used".into()),
        RetryableSendFailure::OnionPacketSizeExceeded => {
            Some("the route and its data do not fit into an onion".into())
        }
    }
}

/// Whether a channel has this id, or is called by it.
pub(crate) fn goes_by(channel: &ChannelDetails, scid: u64) -> bool {
    channel.short_channel_id == Some(scid) || channel.outbound_scid_alias == Some(scid)
}
