//! The router that LDK's channel manager asks. This node finds its routes itself (`pay/route.rs`,
//! `getroute.rs`); LDK takes them as they are everywhere but for a keysend, for which it asks its
//! router. So this one answers with the route that was planned for that payment, and with nothing
//! else: LDK never chooses a way of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bitcoin::secp256k1::{PublicKey, Secp256k1, Signing, Verification};
use lightning::blinded_path::payment::{BlindedPaymentPath, ReceiveTlvs};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::PaymentId;
use lightning::routing::router::{InFlightHtlcs, Route, RouteParameters, Router};
use lightning::sign::ReceiveAuthKey;
use lightning::types::payment::PaymentHash;

/// See the file's head.
#[derive(Default)]
pub(crate) struct PlannedRouter {
    /// Each is there from just before LDK is called until that call has ended.
    planned: Mutex<HashMap<PaymentId, Route>>,
}

impl PlannedRouter {
    /// The next question about that payment is answered with this route.
    pub(crate) fn plan(&self, id: PaymentId, route: Route) {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.insert(id, route);
    }

    /// No question about that payment is to come any more.
    pub(crate) fn forget(&self, id: PaymentId) -> Option<Route> {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.remove(&id)
    }
}

impl Router for PlannedRouter {
    fn find_route(
        &self,
        _payer: &PublicKey,
        _parameters: &RouteParameters,
        _first_hops: Option<&[&ChannelDetails]>,
        _in_flight: InFlightHtlcs,
    ) -> Result<Route, &'static str> {
        Err("routes are planned by the node, for each payment")
    }

    fn find_route_with_id(
        &self,
        _payer: &PublicKey,
        parameters: &RouteParameters,
        _first_hops: Option<&[&ChannelDetails]>,
        _in_flight: InFlightHtlcs,
        _hash: PaymentHash,
        id: PaymentId,
    ) -> Result<Route, &'static str> {
        let mut route = self.forget(id).ok_or("no route is planned")?;
        route.route_params = Some(parameters.clone());
        Ok(route)
    }

    fn create_blinded_payment_paths<T: Signing + Verification>(
        &self,
        _recipient: PublicKey,
        _key: ReceiveAuthKey,
        _first_hops: Vec<ChannelDetails>,
        _tlvs: ReceiveTlvs,
        _amount_msat: Option<u64>,
        _secp: &Secp256k1<T>,
    ) -> Result<Vec<BlindedPaymentPath>, ()> {
        // Of BOLT 12, which this node does not speak.
        Err(())
    }
}
