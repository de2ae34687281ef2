//! `xkeysend`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_node::KeySend as Request;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::xkeysend::XKeySend;
use sendpay_rpc::method::xpay::{MAXFEE_LEAST, MAXFEE_SHARE, XPayResult};

use super::keysend::{amount, pay};
use super::xpay::{no_layers, result};
use crate::convert::from_node_id;
use crate::daemon::Daemon;
use crate::error::PayWords;
use crate::request_key::Asked;
use crate::server::Notifier;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: XKeySend,
    notifier: Option<Notifier>,
) -> Result<XPayResult, RpcError> {
    no_layers(params.layers.as_ref())?;
    let asked = asked(&params);
    let amount_msat = amount(params.amount_msat)?;
    let share = amount_msat.msat() / MAXFEE_SHARE;
    let request = |preimage| Request {
        preimage,
        destination: from_node_id(params.destination),
        amount_msat,
        label: params.label.map(|label| label.into_string()),
        fee_max_msat: params
            .maxfee
            .map_or(share.max(MAXFEE_LEAST.0), |maxfee| maxfee.0),
        delay_max: params.maxdelay,
        retry_for: Duration::from_secs(u64::from(params.retry_for)),
        tlvs: params.extratlvs.map(|tlvs| tlvs.0).unwrap_or_default(),
        route_hints: Vec::new(),
        request: asked.key(params.idempotency_key),
    };
    let paid = pay(daemon, request, PayWords::XPay, notifier).await?;
    Ok(result(&paid, daemon.amounts()))
}

/// The request as it is compared with another of the same key.
fn asked(params: &XKeySend) -> Asked {
    Asked::of("xkeysend")
        .with("destination", Some(params.destination))
        .with("amount_msat", Some(params.amount_msat.msat().0))
        .with("label", params.label.as_ref())
        .with("maxfee", params.maxfee.map(|msat| msat.0))
        .with("retry_for", Some(params.retry_for))
        .with("maxdelay", Some(params.maxdelay))
        .with("extratlvs", params.extratlvs.as_ref())
}
