//! What a `pay` is after: to whom, how much, within which bounds. Of an invoice, or of anything else
//! that has a hash and a payee; the tries know only this.

use lightning::ln::outbound_payment::RecipientOnionFields;
use lightning::routing::router::PaymentParameters;
use lightning::types::payment::PaymentSecret;
use lightning_invoice::Bolt11Invoice;
use sendpay_ledger::{Hop, Msat, NodeId, PaymentHash, RequestKey};

use super::{Pay, PayError};
use crate::bolt11::{Bolt11, Bolt11Error};
use crate::payment::{SendPay, Spontaneous};
use crate::route::RouteError;

/// See the file's head.
#[derive(Clone)]
pub(crate) struct Goal {
    /// What is paid.
    pub(crate) payment_hash: PaymentHash,
    /// Who is paid.
    pub(crate) destination: NodeId,
    /// The same for LDK's router, with the payee's features, final delay and private ways.
    pub(crate) payee: PaymentParameters,
    /// Proves to the payee that the payer has the invoice.
    pub(crate) payment_secret: Option<[u8; 32]>,
    /// What the payee wants back of its invoice.
    pub(crate) payment_metadata: Option<Vec<u8>>,
    /// What we deliver, in all our parts together.
    pub(crate) amount_msat: Msat,
    /// What the payee waits for: more than that where others pay the rest.
    pub(crate) total_msat: Msat,
    /// Whether the payee takes more than one part.
    pub(crate) splits: bool,
    /// What goes along where there is no invoice (keysend).
    pub(crate) spontaneous: Option<Spontaneous>,
    /// When it lapses, in seconds since 1970.
    pub(crate) expires_at: Option<u64>,
    /// Most fees of all our parts together.
    pub(crate) fee_max_msat: u64,
    /// Blocks that the payee wants for the last HTLC.
    pub(crate) final_delay: u32,
    /// Most blocks a route may lock for.
    pub(crate) delay_max: u32,
    /// Channels not to use, in either direction.
    pub(crate) without_channels: Vec<u64>,
    /// Nodes not to use.
    pub(crate) without_nodes: Vec<NodeId>,
    /// The sender's words for it.
    pub(crate) label: Option<String>,
    /// The invoice.
    pub(crate) bolt11: Option<String>,
    /// The invoice's description, where it has only a hash of it.
    pub(crate) description: Option<String>,
    /// The key of the request.
    pub(crate) request: Option<RequestKey>,
}

impl Goal {
    /// Of an invoice, after the checks that need no state.
    pub(super) fn of_invoice(pay: Pay, invoice: Bolt11) -> Result<Goal, PayError> {
        let (amount_msat, total_msat) = amounts(&pay, &invoice)?;
        if let (Some(hash), Some(text)) = (invoice.description_hash, &pay.description) {
            use bitcoin::hashes::{Hash, sha256};
            if sha256::Hash::hash(text.as_bytes()).to_byte_array() != hash {
                return Err(PayError::Description);
            }
        }
        let parsed: Bolt11Invoice = pay
            .bolt11
            .parse()
            .map_err(|cause| PayError::Bolt11(Bolt11Error::Parse(format!("{cause}"))))?;
        Ok(Goal {
            payment_hash: invoice.payment_hash,
            destination: invoice.payee,
            payee: PaymentParameters::from_bolt11_invoice(&parsed),
            payment_secret: Some(invoice.payment_secret),
            payment_metadata: invoice.payment_metadata,
            amount_msat,
            total_msat,
            splits: invoice.basic_mpp,
            spontaneous: None,
            expires_at: Some(invoice.created_at.saturating_add(invoice.expiry)),
            fee_max_msat: pay.fee_max_msat,
            final_delay: u32::try_from(invoice.min_final_cltv_expiry).unwrap_or(u32::MAX),
            delay_max: pay.delay_max,
            without_channels: pay.without_channels,
            without_nodes: pay.without_nodes,
            label: pay.label,
            bolt11: Some(pay.bolt11),
            description: pay.description,
            request: pay.request,
        })
    }

    /// What only the destination reads.
    pub(super) fn onion(&self) -> Result<RecipientOnionFields, RouteError> {
        let total_msat = self.total_msat.msat();
        let mut onion = match self.payment_secret {
            Some(secret) => RecipientOnionFields::secret_only(PaymentSecret(secret), total_msat),
            None => RecipientOnionFields::spontaneous_empty(total_msat),
        };
        onion.payment_metadata.clone_from(&self.payment_metadata);
        match &self.spontaneous {
            Some(spontaneous) => spontaneous.along(onion),
            None => Ok(onion),
        }
    }

    /// How long ago it lapsed, in seconds; None while it has not.
    pub(super) fn expired_for(&self, now: u64) -> Option<u64> {
        now.checked_sub(self.expires_at?)
    }

    /// One part over that route. The request's key goes with the part that begins the try.
    pub(super) fn part(&self, route: Vec<Hop>, groupid: Option<u64>, partid: u64) -> SendPay {
        SendPay {
            route,
            payment_hash: self.payment_hash,
            payment_secret: self.payment_secret,
            payment_metadata: self.payment_metadata.clone(),
            total_msat: Some(self.total_msat),
            partid,
            groupid,
            label: self.label.clone(),
            bolt11: self.bolt11.clone(),
            description: self.description.clone(),
            cap_msat: Some(self.amount_msat),
            request: self.request.clone().filter(|_| groupid.is_none()),
            spontaneous: self.spontaneous.clone(),
        }
    }
}

/// What we deliver, and what the payee waits for.
fn amounts(pay: &Pay, invoice: &Bolt11) -> Result<(Msat, Msat), PayError> {
    let total = match (invoice.amount_msat, pay.amount_msat) {
        (Some(named), None) => named,
        (Some(named), Some(_)) => return Err(PayError::AmountNamed(named)),
        (None, Some(asked)) => asked,
        (None, None) => return Err(PayError::AmountMissing),
    };
    match pay.partial_msat {
        None => Ok((total, total)),
        Some(partial) if partial > total => Err(PayError::PartialAmount(total)),
        Some(partial) => Ok((partial, total)),
    }
}
