//! `sendpay`.

use std::sync::Arc;

use sendpay_ledger::{Begun, Hop, Msat, NodeId};
use sendpay_node::{SendPay as Part, direction};
use sendpay_rpc::method::sendpay::{SendPay, SendPayResult};
use sendpay_rpc::value::Hash32;
use sendpay_rpc::{Code, RpcError};

use crate::convert;
use crate::daemon::Daemon;
use crate::error;
use crate::request_key::Asked;

pub(super) async fn run(daemon: &Arc<Daemon>, params: SendPay) -> Result<SendPayResult, RpcError> {
    if params.localinvreqid.is_some() {
        let text = "localinvreqid: invoice requests are not supported by this daemon yet";
        return Err(RpcError::new(Code::PayInvoiceRequestInvalid, text));
    }
    let route = hops(daemon.node().id(), &params)?;
    let total_msat = total(&params, &route)?;
    let amounts = daemon.amounts();
    let asked = asked(&params);
    let part = Part {
        route,
        payment_hash: convert::from_hash(params.payment_hash),
        payment_secret: params.payment_secret.map(|secret| secret.to_bytes()),
        payment_metadata: params.payment_metadata.map(|metadata| metadata.0),
        total_msat,
        partid: params.partid.get(),
        groupid: params.groupid.map(|groupid| groupid.get()),
        label: params.label.map(|label| label.into_string()),
        bolt11: params.bolt11.map(|bolt11| bolt11.into_string()),
        description: params
            .description
            .map(|description| description.into_string()),
        cap_msat: None,
        request: asked.key(params.idempotency_key),
        spontaneous: None,
    };
    let us = convert::node_id(daemon.node().id());
    let begun = daemon
        .node()
        .sendpay(part)
        .await
        .map_err(|cause| error::sendpay(cause, us, amounts))?;
    let (message, payment) = match &begun {
        Begun::New(payment) | Begun::Pending(payment) => {
            (Some(SendPayResult::MONITOR.to_owned()), payment)
        }
        Begun::Complete(payment) => (None, payment),
        Begun::Failed(payment) => return Err(error::failed(payment, amounts)),
    };
    Ok(SendPayResult {
        message,
        payment: convert::payment(payment, amounts),
    })
}

/// The request as it is compared with another of the same key.
fn asked(params: &SendPay) -> Asked {
    let route = params.route.0.iter().map(|hop| {
        format!(
            "{} {} {} {}",
            hop.scid, hop.node_id, hop.amount_msat.0, hop.delay
        )
    });
    let metadata = params.payment_metadata.as_ref();
    Asked::of("sendpay")
        .with("route", Some(route.collect::<Vec<_>>().join(",")))
        .with("payment_hash", Some(params.payment_hash))
        .with("label", params.label.as_ref())
        .with("amount_msat", params.amount_msat.map(|msat| msat.msat().0))
        .with("bolt11", params.bolt11.as_ref())
        .with(
            "payment_secret",
            params
                .payment_secret
                .map(|secret| Hash32::from_bytes(secret.to_bytes())),
        )
        .with("partid", Some(params.partid.get()))
        .with("groupid", params.groupid.map(|groupid| groupid.get()))
        .with("payment_metadata", metadata)
        .with("description", params.description.as_ref())
}

fn hops(us: NodeId, params: &SendPay) -> Result<Vec<Hop>, RpcError> {
    let mut from = us;
    let mut hops = Vec::with_capacity(params.route.0.len());
    for (index, hop) in params.route.0.iter().enumerate() {
        let node_id = NodeId(hop.node_id.to_bytes());
        let along = direction(&from, &node_id);
        if hop.direction.is_some_and(|given| given != along) {
            let text = format!("route: hop {index} goes against its channel's direction");
            return Err(RpcError::invalid_params(text));
        }
        let amount_msat = Msat::new(hop.amount_msat.0).ok_or_else(|| {
            RpcError::invalid_params(format!(
                "route: hop {index} has an amount above 21 million bitcoin"
            ))
        })?;
        hops.push(Hop {
            node_id,
            short_channel_id: hop.scid.0,
            direction: along,
            amount_msat,
            delay: hop.delay,
        });
        from = node_id;
    }
    Ok(hops)
}

/// CLN's checks of `amount_msat`, `partid` and `payment_secret`, in its order (contract, section
/// 4, rules 1 and 3 to 6).
fn total(params: &SendPay, route: &[Hop]) -> Result<Option<Msat>, RpcError> {
    let partid = params.partid.get();
    let total = match params.amount_msat {
        None => None,
        Some(amount) => Some(Msat::new(amount.msat().0).ok_or_else(|| {
            RpcError::bad_param("amount_msat", "should be at most 21 million bitcoin")
        })?),
    };
    if partid != 0 && total.is_none() {
        return Err(RpcError::invalid_params(
            "Must specify msatoshi with partid",
        ));
    }
    let Some(last) = route.last() else {
        return Ok(total);
    };
    let amount = last.amount_msat;
    if let Some(total) = total {
        if partid == 0 && total != amount {
            return Err(RpcError::invalid_params(format!(
                "Do not specify msatoshi ({total}) without partid: if you do, it must be exactly \
                 the final amount ({amount})"
            )));
        }
        if partid != 0 && amount > total {
            return Err(RpcError::invalid_params(format!(
                "Final amount {amount} is greater than {total}, despite MPP"
            )));
        }
    }
    if partid != 0 && params.payment_secret.is_none() {
        return Err(RpcError::invalid_params("partid requires payment_secret"));
    }
    Ok(total)
}
