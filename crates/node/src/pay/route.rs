//! The routes of a `pay`: what is missing, over ways that its earlier tries have not closed.

use std::sync::PoisonError;

use lightning::routing::router::{
    InFlightHtlcs, PaymentParameters, RouteParameters, ScorerAccountingForInFlightHtlcs, find_route,
};
use lightning::routing::scoring::ProbabilisticScoringFeeParameters;
use lightning::sign::EntropySource;
use sendpay_ledger::{Hop, NodeId, Status};

use super::{Attempt, Out, PARTS_MAX, Pay, PayError};
use crate::route::{TOTAL_DELAY_MAX, to_hops, to_path};

impl Attempt<'_> {
    /// Why not even a first part could be sent.
    pub(super) fn no_way(&self, missing: u64) -> PayError {
        let nothing = Out {
            parts: Vec::new(),
            pending_msat: 0,
            pending_fee_msat: 0,
        };
        let unbounded = Attempt {
            pay: Pay {
                delay_max: TOTAL_DELAY_MAX,
                ..self.pay.clone()
            },
            inner: self.inner,
            invoice: self.invoice.clone(),
            parsed: self.parsed.clone(),
            avoid: self.avoid.clone(),
            ..*self
        };
        match unbounded.routes(&nothing, missing, PARTS_MAX, None) {
            Ok(_) => PayError::TooExpensive {
                fee_max_msat: self.pay.fee_max_msat,
                delay_max: self.pay.delay_max,
            },
            Err(cause) => PayError::NoRoute(cause),
        }
    }

    /// Routes of at most `paths_max` paths that carry exactly `missing` together.
    pub(super) fn routes(
        &self,
        out: &Out,
        missing: u64,
        paths_max: u8,
        fee_max_msat: Option<u64>,
    ) -> Result<Vec<Vec<Hop>>, String> {
        let inner = self.inner;
        let mut payment = PaymentParameters::from_bolt11_invoice(&self.parsed)
            .with_max_path_count(paths_max)
            .with_max_total_cltv_expiry_delta(self.pay.delay_max.min(TOTAL_DELAY_MAX))
            .with_max_channel_saturation_power_of_half(0);
        payment.previously_failed_channels = self.avoid.clone();
        let mut parameters = RouteParameters::from_payment_params_and_value(payment, missing);
        parameters.max_total_routing_fee_msat = fee_max_msat;
        let mut weights = ProbabilisticScoringFeeParameters::default();
        for node in &self.pay.without_nodes {
            if let Ok(key) = bitcoin::secp256k1::PublicKey::from_slice(&node.0) {
                weights.add_banned(&lightning::routing::gossip::NodeId::from_pubkey(&key));
            }
        }
        let channels = inner.manager.list_usable_channels();
        let first_hops: Vec<_> = channels
            .iter()
            .filter(|channel| {
                // A banned node is one of the graph: our own channels to it are not looked at.
                let peer = NodeId(channel.counterparty.node_id.serialize());
                !self.pay.without_nodes.contains(&peer)
                    && !channel
                        .short_channel_id
                        .is_some_and(|scid| self.avoid.contains(&scid))
                    && !channel
                        .outbound_scid_alias
                        .is_some_and(|scid| self.avoid.contains(&scid))
            })
            .collect();
        let mut in_flight = InFlightHtlcs::new();
        for part in out
            .parts
            .iter()
            .filter(|part| part.status == Status::Pending)
        {
            let path = part
                .route()
                .ok()
                .and_then(|route| to_path(&route, &inner.our_id()).ok());
            if let Some(path) = path {
                in_flight.process_path(&path, inner.node_id);
            }
        }
        let scorer = inner.scorer.read().unwrap_or_else(PoisonError::into_inner);
        let scorer = ScorerAccountingForInFlightHtlcs::new(&*scorer, &in_flight);
        let route = find_route(
            &inner.node_id,
            &parameters,
            &inner.graph,
            Some(&first_hops),
            inner.logger.clone(),
            &scorer,
            &weights,
            &inner.keys.get_secure_random_bytes(),
        )
        .map_err(ToOwned::to_owned)?;
        // A path can be raised to some channel's least amount: more than asked for is not sent.
        if route.get_total_amount() != missing {
            return Err("no route carries exactly the amount".into());
        }
        let hops = route.paths.iter().map(|path| to_hops(path, inner.our_id()));
        hops.collect::<Option<Vec<_>>>()
            .ok_or_else(|| "the route cannot be expressed".into())
    }
}
