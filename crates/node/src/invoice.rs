//! The receiving side: invoices, claiming, and holding.
//!
//! An invoice is paid at LDK's `PaymentClaimed`, never before. A hold invoice's HTLC is recorded as
//! held before LDK may forget to ask about it, and waits for the operator.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lightning::chain::channelmonitor::Balance;
use lightning::ln::channel_state::{ChannelDetails, InboundHTLCStateDetails};
use lightning::types::payment::{PaymentHash as LdkPaymentHash, PaymentPreimage as LdkPreimage};
use sendpay_ledger::{
    CancelError, Cancelled, Closed, Invoice, InvoiceFilter, InvoiceKey, InvoiceState, Msat, Paid,
    PaidError, PaymentHash, Preimage, ReadError,
};
use thiserror::Error;

use crate::Inner;
use crate::clock::unix_millis;
use crate::invoice_end::BUSY_MAX;

/// Held invoices read at once.
const HOLDS_A_PAGE: usize = 100;

/// Longest a settle waits for the claim to become durable before it says so.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a held payment was not settled.
#[derive(Debug, Error)]
pub enum SettleHeldError {
    /// No invoice of that hash.
    #[error("Unknown invoice with payment_hash: {0}")]
    Unknown(PaymentHash),
    /// It is not held now.
    #[error("invoice is {0}, not held")]
    NotHeld(&'static str),
    /// Too late: the HTLC may be taken back before our claim counts.
    #[error("too late: claim_deadline {deadline} is reached at height {height}")]
    Deadline {
        /// Height from which LDK promises nothing.
        deadline: u32,
        /// Height now.
        height: u32,
    },
    /// LDK failed the HTLC back before the claim.
    #[error("the HTLC was failed back before it could be claimed; the invoice is cancelled")]
    FailedBack,
    /// The claim is under way and not yet durable.
    #[error("claimed, but not yet durable after {} s; ask listinvoices", CLAIM_TIMEOUT.as_secs())]
    Slow,
    /// The ledger cannot be used.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The preimage could not be kept.
    #[error(transparent)]
    Preimage(#[from] PaidError),
    /// The node is stopping.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Inner {
    /// `PaymentClaimable`: all parts are here. Claim, hold, or fail back.
    pub(crate) fn payment_claimable(
        self: &Arc<Self>,
        hash: LdkPaymentHash,
        amount_msat: u64,
        claim_deadline: Option<u32>,
        tlvs: &[(u64, Vec<u8>)],
    ) {
        let key = PaymentHash(hash.0);
        // BOLT 1: what must be understood, and is not. LDK would refuse it at the claim.
        if tlvs.iter().any(|(number, _)| number % 2 == 0) {
            return self.manager.fail_htlc_backwards(&hash);
        }
        let invoice = match self.ledger.invoice(InvoiceKey::Hash(key)) {
            // An imported invoice is another node's: not ours to take.
            Ok(Some(invoice)) if invoice.own => invoice,
            Ok(_) => return self.manager.fail_htlc_backwards(&hash),
            Err(cause) => {
                // Left alone it is failed back in time by LDK; claiming unseen would be a guess.
                tracing::error!(%cause, payment_hash = %hash, "cannot look up an invoice");
                return;
            }
        };
        let payable = matches!(invoice.state, InvoiceState::Open | InvoiceState::Held)
            && !invoice.expired(unix_millis());
        // BOLT 4: more than twice of what was asked for is a mistake of the payer's.
        let asked = invoice.amount_msat.map(|asked| asked.msat());
        let payable = payable && asked.is_none_or(|asked| amount_msat <= asked.saturating_mul(2));
        let amount = Msat::new(amount_msat);
        let (Some(amount), true) = (amount, payable) else {
            return self.manager.fail_htlc_backwards(&hash);
        };
        let height = self.manager.current_best_block().height;
        if claim_deadline.is_some_and(|deadline| height >= deadline) {
            // LDK has failed it back since it queued the event.
            return;
        }
        match (invoice.hold, invoice.preimage) {
            (false, Some(preimage)) => self.claim(preimage, InvoiceState::Open),
            // A settle that a crash cut short: the operator gave the preimage, it is durable.
            (true, Some(preimage)) if invoice.state == InvoiceState::Held && invoice.claiming => {
                self.claim(preimage, InvoiceState::Held);
            }
            (true, _) => self.hold(hash, amount, claim_deadline),
            (false, None) => self.manager.fail_htlc_backwards(&hash),
        }
    }

    /// Claims for an invoice that is still as it was seen; or fails back what came when it is not, or when
    /// a claim of the same hash is under way.
    fn claim(&self, preimage: Preimage, seen: InvoiceState) {
        let hash = preimage.payment_hash();
        let begun = self.decide(hash) && {
            // From here on nobody else ends it. It may have ended since it was seen.
            let now = self.ledger.invoice(InvoiceKey::Hash(hash));
            let stays = matches!(now, Ok(Some(invoice)) if invoice.state == seen);
            if stays {
                self.begin_claiming(preimage);
            } else {
                self.decided(hash);
            }
            stays
        };
        if !begun {
            self.manager.fail_htlc_backwards(&LdkPaymentHash(hash.0));
        }
    }

    /// Claims what is decided for this caller, who holds `height_fixed` and saw that LDK holds the HTLC,
    /// so that `PaymentClaimed` follows. That the claim has begun is queued before anything of LDK's.
    fn begin_claiming(&self, preimage: Preimage) {
        drop(
            self.ledger
                .invoice_claiming(preimage.payment_hash(), preimage),
        );
        self.manager.claim_funds(LdkPreimage(preimage.0));
    }

    /// Takes the HTLCs of a hash for a claim or a cancellation; false when another has them.
    pub(crate) fn decide(&self, hash: PaymentHash) -> bool {
        let mut deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        deciding.insert(hash)
    }

    pub(crate) fn decided(&self, hash: PaymentHash) {
        let mut deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        deciding.remove(&hash);
        drop(deciding);
        self.freed.notify_waiters();
    }

    fn hold(self: &Arc<Self>, hash: LdkPaymentHash, amount: Msat, deadline: Option<u32>) {
        let held = self
            .ledger
            .invoice_held(PaymentHash(hash.0), amount, deadline, unix_millis());
        let inner = self.clone();
        tokio::spawn(async move {
            match held.await {
                Ok(Ok(_)) | Err(Closed) => {}
                Ok(Err(cause)) => {
                    tracing::info!(payment_hash = %hash, %cause, "not held; failed back");
                    inner.manager.fail_htlc_backwards(&hash);
                }
            }
        });
    }

    /// `PaymentClaimed`: paid, in the order of LDK's own state.
    pub(crate) fn payment_claimed(self: &Arc<Self>, hash: LdkPaymentHash, amount_msat: u64) {
        let hash = PaymentHash(hash.0);
        let amount = Msat::new(amount_msat).unwrap_or(Msat::MAX);
        let paid = self.ledger.invoice_paid(hash, None, amount, unix_millis());
        let inner = self.clone();
        tokio::spawn(async move {
            match paid.await {
                Ok(Ok(Paid::Already(invoice))) if invoice.amount_received_msat != Some(amount) => {
                    tracing::error!(payment_hash = %hash, %amount, "a paid invoice was paid again");
                }
                Ok(Ok(_)) | Err(Closed) => {}
                // At a start LDK tells again of the last claims of each channel.
                Ok(Err(cause @ (PaidError::Unknown(_) | PaidError::NotClaimed(_)))) => {
                    tracing::warn!(
                        payment_hash = %hash, %cause,
                        "a payment was claimed whose invoice is not there; it was, if this is a start"
                    );
                }
                Ok(Err(cause)) => {
                    tracing::error!(payment_hash = %hash, %cause, "a claimed payment has no invoice");
                }
            }
            inner.decided(hash);
        });
    }

    /// An incoming HTLC was failed. If it was the one we hold, the invoice is cancelled.
    pub(crate) fn receive_failed(&self, hash: LdkPaymentHash) {
        self.cancel_if_gone(PaymentHash(hash.0));
    }

    fn cancel_if_gone(&self, hash: PaymentHash) {
        let invoice = match self.ledger.invoice(InvoiceKey::Hash(hash)) {
            Ok(Some(invoice)) if invoice.state == InvoiceState::Held => invoice,
            _ => return,
        };
        let deciding = self
            .deciding
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&hash);
        if !deciding && !self.still_claimable(hash, invoice.claim_deadline) {
            tracing::info!(payment_hash = %hash, "the held HTLC is gone; invoice cancelled");
            drop(self.ledger.invoice_cancelled(hash, unix_millis()));
        }
    }

    /// Whether LDK still holds the HTLC for us. From the deadline on it has failed it back, though
    /// the channel shows it until the peer is there to be told.
    fn still_claimable(&self, hash: PaymentHash, claim_deadline: Option<u32>) -> bool {
        let height = self.manager.current_best_block().height;
        claim_deadline.is_none_or(|deadline| height < deadline) && holds_htlc(self, &hash)
    }

    /// Looks at every held invoice, at the start and at every block: one whose HTLC is gone (LDK
    /// fails back what comes too near to its end) is cancelled; one that was being settled when the
    /// node stopped is claimed.
    pub(crate) async fn review_holds(&self) {
        let _fixed = self.height_fixed.read().await;
        let mut held = Vec::new();
        let filter = InvoiceFilter {
            held_only: true,
            ..Default::default()
        };
        let mut after = None;
        loop {
            let page = self
                .ledger
                .invoices_page(&filter, after, HOLDS_A_PAGE, &mut |invoice| {
                    held.push((
                        invoice.payment_hash,
                        invoice.preimage.filter(|_| invoice.claiming),
                        invoice.claim_deadline,
                    ));
                });
            match page {
                Ok(Some(next)) => after = Some(next),
                Ok(None) => break,
                Err(cause) => {
                    tracing::error!(%cause, "cannot list the held invoices");
                    break;
                }
            }
        }
        for (hash, settling, deadline) in held {
            match settling {
                Some(preimage) if self.still_claimable(hash, deadline) => {
                    if self.decide(hash) {
                        self.begin_claiming(preimage);
                    }
                }
                _ => self.cancel_if_gone(hash),
            }
        }
    }

    /// At the start, before any event: claims that were under way. Of these LDK will tell; until then they
    /// are nobody's to end.
    pub(crate) fn take_up_claims(&self) {
        let htlcs = inbound_htlcs(&self.manager.list_channels(), |state| {
            *state == InboundHTLCStateDetails::AwaitingRemoteRevokeToRemoveFulfill
        });
        for hash in htlcs {
            match self.ledger.invoice(InvoiceKey::Hash(hash)) {
                Ok(Some(invoice)) if invoice.claiming && invoice.state != InvoiceState::Paid => {
                    self.decide(hash);
                }
                Ok(_) => {}
                Err(cause) => {
                    tracing::error!(%cause, payment_hash = %hash, "cannot read an invoice");
                }
            }
        }
    }

    /// At the start: gives back what LDK holds for an invoice that is cancelled or gone. That was durable
    /// before LDK was told, and a crash may have come between.
    pub(crate) fn fail_what_nobody_wants(&self) {
        for hash in held_htlcs(&self.manager.list_channels()) {
            let is_wanted = match self.ledger.invoice(InvoiceKey::Hash(hash)) {
                Ok(Some(invoice)) => invoice.state != InvoiceState::Cancelled,
                Ok(None) => false,
                Err(cause) => {
                    tracing::error!(%cause, payment_hash = %hash, "cannot read an invoice");
                    true
                }
            };
            if !is_wanted {
                // Of an HTLC for others LDK takes no notice.
                self.manager.fail_htlc_backwards(&LdkPaymentHash(hash.0));
            }
        }
    }

    /// Settles a held invoice; returns when `PaymentClaimed` is durable.
    pub(crate) async fn settle_held(&self, preimage: Preimage) -> Result<Invoice, SettleHeldError> {
        let hash = preimage.payment_hash();
        let find = || -> Result<Invoice, SettleHeldError> {
            let found = self.ledger.invoice(InvoiceKey::Hash(hash))?;
            found
                .filter(|invoice| invoice.hold)
                .ok_or(SettleHeldError::Unknown(hash))
        };
        let mut changed = self.ledger.invoice_changed(hash);
        let invoice = find()?;
        match invoice.state {
            InvoiceState::Paid => return Ok(invoice),
            InvoiceState::Held => {}
            other => return Err(SettleHeldError::NotHeld(other.as_str())),
        }
        // When another call has begun to claim it or to cancel it, this one waits for what it does.
        if self.decide(hash) {
            let begun = self.begin_claim(preimage, invoice.claim_deadline).await;
            if let Err(cause) = begun {
                self.decided(hash);
                self.cancel_if_gone(hash);
                return Err(cause);
            }
        }
        let wait = async {
            loop {
                let invoice = find()?;
                match invoice.state {
                    InvoiceState::Paid => return Ok(invoice),
                    InvoiceState::Cancelled => return Err(SettleHeldError::FailedBack),
                    _ => {}
                }
                changed.await;
                changed = self.ledger.invoice_changed(hash);
            }
        };
        tokio::time::timeout(CLAIM_TIMEOUT, wait)
            .await
            .map_err(|_| SettleHeldError::Slow)?
    }

    /// Lets LDK claim what it holds for this preimage. No block comes between the look at the
    /// deadline and the claim, or LDK might have failed the HTLC back and would say nothing.
    async fn begin_claim(
        &self,
        preimage: Preimage,
        deadline: Option<u32>,
    ) -> Result<(), SettleHeldError> {
        let _fixed = self.height_fixed.read().await;
        let height = self.manager.current_best_block().height;
        if let Some(deadline) = deadline
            && height >= deadline
        {
            return Err(SettleHeldError::Deadline { deadline, height });
        }
        let hash = preimage.payment_hash();
        // The preimage first, so that a crash on the way claims at the next start.
        self.ledger.invoice_claiming(hash, preimage).await??;
        if !holds_htlc(self, &hash) {
            return Err(SettleHeldError::FailedBack);
        }
        self.manager.claim_funds(LdkPreimage(preimage.0));
        Ok(())
    }

    /// Cancels an open or held invoice and fails its HTLCs back.
    pub(crate) async fn cancel_held(&self, hash: PaymentHash) -> Result<Invoice, CancelHeldError> {
        let found = self.ledger.invoice(InvoiceKey::Hash(hash))?;
        let invoice = found.filter(|invoice| invoice.hold);
        if invoice.is_none() {
            return Err(CancelError::Unknown(hash).into());
        }
        if !self.decide_when_free(hash).await {
            return Err(CancelHeldError::Busy);
        }
        let cancelled = self.ledger.invoice_cancelled(hash, unix_millis()).await;
        if let Ok(Ok(_)) = cancelled {
            self.manager.fail_htlc_backwards(&LdkPaymentHash(hash.0));
        }
        self.decided(hash);
        let cancelled = cancelled??;
        Ok(match cancelled {
            Cancelled::Now(invoice) | Cancelled::Already(invoice) => invoice,
        })
    }
}

/// Why a hold invoice was not cancelled.
#[derive(Debug, Error)]
pub enum CancelHeldError {
    /// The ledger refuses.
    #[error(transparent)]
    Cancel(#[from] CancelError),
    /// It is being claimed, or ends in another way, and that takes long.
    #[error("a payment of the invoice is being claimed since {} s; try again", BUSY_MAX.as_secs())]
    Busy,
    /// The ledger cannot be used.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The node is stopping.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The hashes of HTLCs that came in over open channels and are neither claimed nor failed; those that are
/// on their way to others are among them.
fn held_htlcs(open: &[ChannelDetails]) -> HashSet<PaymentHash> {
    inbound_htlcs(open, |state| {
        matches!(
            state,
            InboundHTLCStateDetails::Committed | InboundHTLCStateDetails::AwaitingRemoteRevokeToAdd
        )
    })
}

/// The hashes of HTLCs that came in over open channels and are in such a state.
fn inbound_htlcs(
    open: &[ChannelDetails],
    is_such: impl Fn(&InboundHTLCStateDetails) -> bool,
) -> HashSet<PaymentHash> {
    open.iter()
        .flat_map(|channel| &channel.pending_inbound_htlcs)
        .filter(|htlc| htlc.state.as_ref().is_some_and(&is_such))
        .map(|htlc| PaymentHash(htlc.payment_hash.0))
        .collect()
}

/// Whether an HTLC of this hash came in and is neither claimed nor failed, or may still be claimed on chain.
fn holds_htlc(inner: &Inner, payment_hash: &PaymentHash) -> bool {
    let open = inner.manager.list_channels();
    held_htlcs(&open).contains(payment_hash) || may_be_on_chain(inner, &open, &payment_hash.0)
}

/// Whether a channel was closed with an HTLC of this hash in it, which LDK still claims if it is told the
/// preimage. As long as the closing transaction is in no block, LDK does not tell which HTLCs it has: then it is
/// assumed. If that was wrong, a claim is not told of and a settle runs out of time, and the next block says more.
fn may_be_on_chain(inner: &Inner, open: &[ChannelDetails], payment_hash: &[u8; 32]) -> bool {
    let open: Vec<&ChannelDetails> = open.iter().collect();
    let balances = inner.monitor.get_claimable_balances(&open);
    balances.iter().any(|balance| match balance {
        Balance::MaybePreimageClaimableHTLC {
            payment_hash: hash, ..
        } => hash.0 == *payment_hash,
        Balance::ClaimableOnChannelClose { .. } => true,
        _ => false,
    })
}
