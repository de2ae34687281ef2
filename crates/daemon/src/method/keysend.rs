//! `keysend`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_ledger::{Msat, Preimage};
use sendpay_node::{KeySend as Request, PaidInvoice, PayError, RouteHint, new_preimage};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::keysend::KeySend;
use sendpay_rpc::method::pay::PayResult;
use sendpay_rpc::value::{Millionths, NonzeroMsat, PrivateHop, PrivateRoutes};

use super::pay::{fee_max, msat, result};
use crate::convert::from_node_id;
use crate::daemon::Daemon;
use crate::error::{self, PayWords};
use crate::request_key::Asked;
use crate::server::Notifier;
use crate::tries;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: KeySend,
    notifier: Option<Notifier>,
) -> Result<PayResult, RpcError> {
    let asked = asked(&params);
    let amount_msat = amount(params.amount_msat)?;
    let fee_max_msat = fee_max(
        params.maxfee,
        params.maxfeepercent,
        params.exemptfee,
        amount_msat.msat(),
    )?;
    let request = |preimage| Request {
        preimage,
        destination: from_node_id(params.destination),
        amount_msat,
        label: params.label.map(|label| label.into_string()),
        fee_max_msat,
        delay_max: params.maxdelay,
        retry_for: Duration::from_secs(u64::from(params.retry_for)),
        tlvs: params.extratlvs.map(|tlvs| tlvs.0).unwrap_or_default(),
        route_hints: params.routehints.as_ref().map(hints).unwrap_or_default(),
        request: asked.key(params.idempotency_key),
    };
    let paid = pay(daemon, request, PayWords::Pay, notifier).await?;
    Ok(result(&paid, daemon.amounts()))
}

/// Pays what is asked for with a preimage of its own, and tells of the tries.
pub(super) async fn pay(
    daemon: &Arc<Daemon>,
    request: impl FnOnce(Preimage) -> Request,
    words: PayWords,
    notifier: Option<Notifier>,
) -> Result<PaidInvoice, RpcError> {
    let node = daemon.node();
    let refused = |cause: PayError| error::pay(&cause, words, node.height(), daemon.amounts());
    let preimage = new_preimage().map_err(refused)?;
    let hash = preimage.payment_hash();
    let paid = node.keysend(request(preimage));
    let told = tries::tell(node.ledger(), hash, notifier, paid).await;
    told.map_err(refused)
}

/// An amount that there can be.
pub(super) fn amount(amount: NonzeroMsat) -> Result<Msat, RpcError> {
    msat("amount_msat", Some(amount))?
        .ok_or_else(|| RpcError::bad_param("amount_msat", "should be a millisatoshi amount"))
}

fn hints(routes: &PrivateRoutes) -> Vec<Vec<RouteHint>> {
    let hop = |hop: &PrivateHop| RouteHint {
        node_id: from_node_id(hop.node_id),
        short_channel_id: hop.scid.0,
        fee_base_msat: hop.fee_base_msat,
        fee_proportional_millionths: hop.fee_proportional_millionths,
        cltv_expiry_delta: hop.cltv_expiry_delta,
    };
    let routes = routes.0.iter();
    routes.map(|hops| hops.iter().map(hop).collect()).collect()
}

/// The request as it is compared with another of the same key.
fn asked(params: &KeySend) -> Asked {
    let millionths = |number: Option<Millionths>| number.map(|number| number.0);
    Asked::of("keysend")
        .with("destination", Some(params.destination))
        .with("amount_msat", Some(params.amount_msat.msat().0))
        .with("label", params.label.as_ref())
        .with("maxfeepercent", millionths(params.maxfeepercent))
        .with("retry_for", Some(params.retry_for))
        .with("maxdelay", Some(params.maxdelay))
        .with("exemptfee", params.exemptfee.map(|msat| msat.0))
        .with("extratlvs", params.extratlvs.as_ref())
        .with("routehints", params.routehints.as_ref())
        .with("maxfee", params.maxfee.map(|msat| msat.0))
}
