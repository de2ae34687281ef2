//! How invoices end that nobody pays: lapsing at their time, and deletion. Neither happens while a
//! payment of the invoice is being claimed; what the ledger makes of them is its own affair.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sendpay_ledger::{
    Closed, DeleteInvoiceError, Invoice, InvoiceKey, InvoiceState, PaymentHash, ReadError,
};
use thiserror::Error;
use tokio::sync::watch;

use crate::Inner;
use crate::clock::unix_millis;

/// Longest sleep before the clock is looked at again: it may have been set forward meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Sleep after a lapsed invoice was found that is just being paid, or a look that failed.
const SLEEP_AGAIN: Duration = Duration::from_secs(1);

/// Longest wait for a claim under way: it takes one write of LDK's state.
pub(crate) const BUSY_MAX: Duration = Duration::from_secs(30);

/// Lapsed invoices taken at once; far fewer lapse in the same second.
const LAPSING_A_PAGE: usize = 256;

/// What to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteInvoice {
    /// The invoice's label.
    pub label: String,
    /// CLN's word for where it must stand.
    pub status: String,
    /// Only its description.
    pub description_only: bool,
}

/// Why nothing was removed.
#[derive(Debug, Error)]
pub enum DeleteError {
    /// The ledger refuses.
    #[error(transparent)]
    Delete(#[from] DeleteInvoiceError),
    /// A payment of it is being claimed, and that takes long.
    #[error("a payment of the invoice is being claimed since {} s; try again", BUSY_MAX.as_secs())]
    Busy,
    /// The ledger cannot be used.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The node is stopping.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Inner {
    /// Removes an invoice, or only its description. One whose payment is being claimed is looked at
    /// again once that is done: then it is paid.
    pub(crate) async fn delete_invoice(&self, ask: DeleteInvoice) -> Result<Invoice, DeleteError> {
        let (label, status) = (ask.label, ask.status);
        if ask.description_only {
            let forgotten = self.ledger.forget_description(label, status, unix_millis());
            return Ok(forgotten.await??);
        }
        let found = self.ledger.invoice(InvoiceKey::Label(label.clone()))?;
        let open = found.filter(|invoice| invoice.state == InvoiceState::Open);
        let hash = open.map(|invoice| invoice.payment_hash);
        if let Some(hash) = hash
            && !self.decide_when_free(hash).await
        {
            return Err(DeleteError::Busy);
        }
        let deleted = self.ledger.delete_invoice(label, status, unix_millis());
        let deleted = deleted.await;
        if let Some(hash) = hash {
            self.decided(hash);
        }
        Ok(deleted??)
    }

    /// Makes the invoices expired whose time is over; how long until the next may be.
    async fn expire_due(&self) -> Result<Duration, DeleteError> {
        let mut pause = SLEEP_MAX;
        loop {
            // Until the look is over, every new invoice asks for another.
            self.next_lapse_ms.store(u64::MAX, Ordering::SeqCst);
            let page = self.ledger.lapsing_invoices(0, LAPSING_A_PAGE)?;
            let now = unix_millis();
            let (due, later): (Vec<_>, Vec<_>) = page
                .iter()
                .partition(|(_, expires_at_ms)| *expires_at_ms <= now);
            let mut ended = Vec::new();
            for (hash, _) in due.iter().copied() {
                // One whose payment is being claimed is about to be paid.
                if self.decide(hash) {
                    ended.push((hash, self.ledger.invoice_expired(hash, now)));
                } else {
                    pause = SLEEP_AGAIN;
                }
            }
            let any = !ended.is_empty();
            for (hash, ticket) in ended {
                let outcome = ticket.await;
                self.decided(hash);
                outcome??;
            }
            if any && later.is_empty() {
                continue;
            }
            let next = later
                .first()
                .map_or(u64::MAX, |(_, expires_at_ms)| *expires_at_ms);
            self.next_lapse_ms.store(next, Ordering::SeqCst);
            return Ok(pause.min(Duration::from_millis(next.saturating_sub(now))));
        }
    }

    /// A new invoice: whoever sleeps until the next one lapses is woken if this one does before.
    pub(crate) fn lapses_at(&self, expires_at_ms: u64) {
        if expires_at_ms < self.next_lapse_ms.load(Ordering::SeqCst) {
            self.lapses_sooner.notify_one();
        }
    }

    /// As `decide`, after whatever is being decided now; false if that takes too long.
    pub(crate) async fn decide_when_free(&self, hash: PaymentHash) -> bool {
        let decide = async {
            loop {
                // Made before the look, so that no end falls in between.
                let freed = self.freed.notified();
                if self.decide(hash) {
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(BUSY_MAX, decide).await.is_ok()
    }
}

/// Makes invoices expired when their time is over, as long as the node runs.
pub(crate) async fn expire_invoices(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    loop {
        let pause = inner.expire_due().await.unwrap_or_else(|cause| {
            tracing::warn!(%cause, "cannot look for lapsed invoices");
            SLEEP_AGAIN
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = inner.lapses_sooner.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
