//! `xkeysend`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_node::{KeySend as Request, PayError, new_preimage};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::xkeysend::XKeySend;
use sendpay_rpc::method::xpay::{MAXFEE_LEAST, MAXFEE_SHARE, XPayResult};

use super::keysend::amount;
use super::xpay::{no_layers, result};
use crate::convert::from_node_id;
use crate::daemon::Daemon;
use crate::error::{self, PayWords};
use crate::request_key::Asked;
use crate::server::Notifier;
use crate::tries;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: XKeySend,
    notifier: Option<Notifier>,
) -> Result<XPayResult, RpcError> {
    no_layers(params.layers.as_ref())?;
    let asked = asked(&params);
    let amount_msat = amount(params.amount_msat)?;
    let share = amount_msat.msat() / MAXFEE_SHARE;
    let amounts = daemon.amounts();
    let node = daemon.node();
    let refused = |cause: PayError| error::pay(&cause, PayWords::XPay, node.height(), amounts);
    let preimage = new_preimage().map_err(refused)?;
    let request = Request {
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
    let hash = preimage.payment_hash();
    let paid = tries::tell(node.ledger(), hash, notifier, node.keysend(request)).await;
    paid.map(|paid| result(&paid, amounts)).map_err(refused)
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
