//! Payments without an invoice (keysend): `pay` with a payee who has said nothing, and a preimage of
//! our own that goes along.
//!
//! One part at a time: payees take no keysend in parts from everybody, and need not here.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channelmanager::MIN_FINAL_CLTV_EXPIRY_DELTA;
use lightning::routing::router::{PaymentParameters, RouteHint as LdkRouteHint, RouteHintHop};
use lightning::types::routing::RoutingFees;
use sendpay_ledger::{BeginError, Msat, NodeId, PaymentHash, Preimage, RequestKey};

use super::goal::Goal;
use super::{PaidInvoice, PayError};
use crate::Inner;
use crate::bolt11::RouteHint;
use crate::payment::Spontaneous;

/// What to pay to whom, and within which bounds.
#[derive(Clone)]
pub struct KeySend {
    /// Made for this payment, by [`new_preimage`]. If the key stands for an earlier request, that one's
    /// is what counts, and nothing is paid under this one.
    pub preimage: Preimage,
    /// Who is paid.
    pub destination: NodeId,
    /// How much.
    pub amount_msat: Msat,
    /// The sender's words for it.
    pub label: Option<String>,
    /// Most fees.
    pub fee_max_msat: u64,
    /// Most blocks a route may lock for.
    pub delay_max: u32,
    /// How long new tries may begin.
    pub retry_for: Duration,
    /// More for the destination: numbers from 65536, each once, and bytes.
    pub tlvs: Vec<(u64, Vec<u8>)>,
    /// Private ways to the destination.
    pub route_hints: Vec<Vec<RouteHint>>,
    /// The key of the request, if it has one.
    pub request: Option<RequestKey>,
}

impl Inner {
    /// Pays a node that has made no invoice. With a key, the same request is answered from the first.
    pub(crate) async fn keysend(self: &Arc<Self>, ask: KeySend) -> Result<PaidInvoice, PayError> {
        if ask.destination == self.our_id() {
            return Err(PayError::KeysendToOurselves);
        }
        let retry_for = ask.retry_for;
        let first = match &ask.request {
            Some(request) => self.ledger.request(&request.key)?,
            None => None,
        };
        let goal = goal(ask, first.map(|first| first.payment_hash))?;
        match self.pay_goal(goal.clone(), retry_for).await {
            // Another one with the same key came first, with a preimage of its own.
            Err(PayError::Repeat(cause)) => match *cause {
                BeginError::KeyTaken { payment_hash, .. } => {
                    let first = Goal {
                        payment_hash,
                        ..goal
                    };
                    self.pay_goal(first, retry_for).await
                }
                _ => Err(PayError::Repeat(cause)),
            },
            outcome => outcome,
        }
    }
}

/// A preimage that nobody else knows, for one payment.
///
/// # Errors
/// If the system gives no randomness.
pub fn new_preimage() -> Result<Preimage, PayError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|cause| PayError::Internal(format!("no randomness for a preimage: {cause}")))?;
    Ok(Preimage(bytes))
}

/// The goal; under the hash of the first request, if there was one.
fn goal(ask: KeySend, first: Option<PaymentHash>) -> Result<Goal, PayError> {
    let preimage = ask.preimage;
    let key = point(&ask.destination)?;
    let delay = u32::from(MIN_FINAL_CLTV_EXPIRY_DELTA);
    let hints = ask.route_hints.iter().map(|hops| hint(hops));
    let hints = hints.collect::<Result<Vec<_>, _>>()?;
    let payee = PaymentParameters::for_keysend(key, delay, false)
        .with_route_hints(hints)
        .map_err(|()| PayError::Internal("no route hints for this payee".into()))?;
    Ok(Goal {
        payment_hash: first.unwrap_or_else(|| preimage.payment_hash()),
        destination: ask.destination,
        payee,
        payment_secret: None,
        payment_metadata: None,
        amount_msat: ask.amount_msat,
        total_msat: ask.amount_msat,
        splits: false,
        spontaneous: Some(Spontaneous {
            preimage,
            tlvs: ask.tlvs,
        }),
        expires_at: None,
        fee_max_msat: ask.fee_max_msat,
        final_delay: delay,
        delay_max: ask.delay_max,
        without_channels: Vec::new(),
        without_nodes: Vec::new(),
        label: ask.label,
        bolt11: None,
        description: None,
        request: ask.request,
    })
}

fn hint(hops: &[RouteHint]) -> Result<LdkRouteHint, PayError> {
    let hop = |hop: &RouteHint| {
        Ok(RouteHintHop {
            src_node_id: point(&hop.node_id)?,
            short_channel_id: hop.short_channel_id,
            fees: RoutingFees {
                base_msat: hop.fee_base_msat,
                proportional_millionths: hop.fee_proportional_millionths,
            },
            cltv_expiry_delta: hop.cltv_expiry_delta,
            htlc_minimum_msat: None,
            htlc_maximum_msat: None,
        })
    };
    let hops = hops.iter().map(hop).collect::<Result<_, PayError>>()?;
    Ok(LdkRouteHint(hops))
}

fn point(node: &NodeId) -> Result<PublicKey, PayError> {
    PublicKey::from_slice(&node.0).map_err(|_| PayError::NoNode(*node))
}
