//! Payments that come without an invoice (keysend): the payer made the preimage and sends it along.
//!
//! As CLN does, each gets an invoice of its own, made when it arrives, so that it is listed and
//! numbered like all that we are paid. Such an invoice has no payment_secret in the ledger, which
//! tells it from one that somebody was given.

use std::sync::Arc;

use lightning::types::payment::{PaymentHash as LdkPaymentHash, PaymentPreimage as LdkPreimage};
use sendpay_ledger::{InvoiceKey, InvoiceState, NewInvoice, Preimage};

use crate::Inner;
use crate::clock::since_epoch;
use crate::new_invoice::{NewBolt11, NewInvoiceError, RouteHints};

/// Lifetime of the invoice, in seconds: it is paid a moment after it is made, or LDK offers the
/// payment again after a restart.
const EXPIRY: u32 = 604_800;

/// Longest description that an invoice has in full, in bytes (BOLT 11).
const DESCRIPTION_BYTES_MAX: usize = 639;

impl Inner {
    /// `PaymentClaimable` of a keysend. The invoice is enqueued before the claim, so it is durable
    /// before LDK's word that the payment is claimed.
    pub(crate) fn keysend_claimable(
        self: &Arc<Self>,
        preimage: LdkPreimage,
        amount_msat: u64,
        claim_deadline: Option<u32>,
        tlvs: &[(u64, Vec<u8>)],
    ) {
        let preimage = Preimage(preimage.0);
        let hash = preimage.payment_hash();
        let height = self.manager.current_best_block().height;
        if claim_deadline.is_some_and(|deadline| height >= deadline) {
            // LDK has failed it back since it queued the event.
            return;
        }
        // From here on nobody else ends an invoice of this hash.
        let decided = self.decide(hash);
        if decided && self.has_keysend_invoice(preimage, tlvs) {
            tracing::info!(payment_hash = %hash, amount_msat, "a keysend has come");
            drop(self.ledger.invoice_claiming(hash, preimage));
            // Numbers that must be understood stand in keysends of all sorts: CLN takes them too.
            self.manager
                .claim_funds_with_known_custom_tlvs(LdkPreimage(preimage.0));
            return;
        }
        if decided {
            self.decided(hash);
        }
        self.manager.fail_htlc_backwards(&LdkPaymentHash(hash.0));
    }

    /// Whether there is an invoice to claim it for, which is made if there is none.
    fn has_keysend_invoice(self: &Arc<Self>, preimage: Preimage, tlvs: &[(u64, Vec<u8>)]) -> bool {
        let hash = preimage.payment_hash();
        match self.ledger.invoice(InvoiceKey::Hash(hash)) {
            Ok(None) => match self.keysend_invoice(preimage, tlvs) {
                Ok(new) => {
                    drop(self.ledger.add_invoice(new, crate::clock::unix_millis()));
                    true
                }
                Err(cause) => {
                    tracing::error!(payment_hash = %hash, %cause, "no invoice for a keysend");
                    false
                }
            },
            // A keysend that a crash cut short; else, whoever has the invoice pays that, and whoever has
            // only its preimage pays nothing.
            Ok(Some(invoice)) => {
                invoice.own
                    && invoice.payment_secret.is_none()
                    && invoice.state == InvoiceState::Open
            }
            Err(cause) => {
                tracing::error!(%cause, payment_hash = %hash, "cannot look up an invoice");
                false
            }
        }
    }

    fn keysend_invoice(
        &self,
        preimage: Preimage,
        tlvs: &[(u64, Vec<u8>)],
    ) -> Result<NewInvoice, NewInvoiceError> {
        let description = description(tlvs);
        let made = self.make_invoice(NewBolt11 {
            label: label(since_epoch()),
            amount_msat: None,
            description_hash_only: description.len() > DESCRIPTION_BYTES_MAX,
            description,
            expiry: EXPIRY,
            cltv: None,
            preimage: Some(preimage),
            payment_hash: None,
            hold: false,
            hints: RouteHints::None,
            fallbacks: Vec::new(),
        })?;
        Ok(NewInvoice {
            payment_secret: None,
            ..made
        })
    }
}

/// CLN's label: the time, to the nanosecond.
fn label(now: std::time::Duration) -> String {
    format!("keysend-{}.{:09}", now.as_secs(), now.subsec_nanos())
}

/// CLN's description: with the longest text that came along.
fn description(tlvs: &[(u64, Vec<u8>)]) -> String {
    let texts = tlvs
        .iter()
        .filter_map(|(_, value)| std::str::from_utf8(value).ok());
    // The first of the longest.
    let longest = texts.reduce(|longest, text| {
        if text.len() > longest.len() {
            text
        } else {
            longest
        }
    });
    match longest {
        Some(text) => format!("keysend: {text}"),
        None => "keysend".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_label_is_the_time_to_the_nanosecond() {
        let now = Duration::new(1_700_000_000, 42);
        assert_eq!(label(now), "keysend-1700000000.000000042");
    }

    #[test]
    fn the_longest_text_describes_a_keysend() {
        let tlv = |number, value: &[u8]| (number, value.to_vec());
        assert_eq!(description(&[]), "keysend");
        assert_eq!(description(&[tlv(65_537, &[0xff])]), "keysend");
        let tlvs = [
            tlv(65_537, b"short"),
            tlv(65_539, "längst".as_bytes()),
            tlv(65_541, &[0xff; 40]),
            tlv(65_543, b"other12"),
        ];
        assert_eq!(description(&tlvs), "keysend: längst");
    }
}
