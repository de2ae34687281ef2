//! `pay`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_ledger::{Msat as LedgerMsat, NodeId};
use sendpay_node::{PaidInvoice, Pay as Request};
use sendpay_rpc::method::pay::{EXEMPTFEE, MAXFEEPERCENT, Pay, PayResult};
use sendpay_rpc::value::{Amounts, Exclude, Millionths, Msat, NonzeroMsat, PaymentStatus};
use sendpay_rpc::{Code, RpcError};

use super::invoice_of;
use crate::convert::{hash, node_id, secret};
use crate::daemon::Daemon;
use crate::error::{self, PayWords};
use crate::request_key::Asked;
use crate::server::Notifier;
use crate::tries;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: Pay,
    notifier: Option<Notifier>,
) -> Result<PayResult, RpcError> {
    if params.localinvreqid.is_some() {
        let text = "localinvreqid: invoice requests are not supported by this daemon yet";
        return Err(RpcError::new(Code::PayInvoiceRequestInvalid, text));
    }
    let invoice = invoice_of(daemon, &params.bolt11)?;
    let asked = asked(&params);
    let amount_msat = msat("amount_msat", params.amount_msat)?;
    let partial_msat = msat("partial_msat", params.partial_msat)?;
    let pays = partial_msat.or(invoice.amount_msat).or(amount_msat);
    let fee_max_msat = fee_max(
        params.maxfee,
        params.maxfeepercent,
        params.exemptfee,
        pays.map_or(0, |amount| amount.msat()),
    )?;
    let mut request = Request {
        bolt11: params.bolt11.as_str().to_owned(),
        amount_msat,
        partial_msat,
        label: params.label.map(|label| label.into_string()),
        description: params
            .description
            .map(|description| description.into_string()),
        fee_max_msat,
        delay_max: u32::from(params.maxdelay),
        retry_for: Duration::from_secs(u64::from(params.retry_for)),
        without_channels: Vec::new(),
        without_nodes: Vec::new(),
        request: asked.key(params.idempotency_key),
    };
    for exclude in params.exclude.iter().flat_map(|excludes| &excludes.0) {
        match exclude {
            Exclude::Channel(channel) => request.without_channels.push(channel.scid.0),
            Exclude::Node(id) => request.without_nodes.push(NodeId(id.to_bytes())),
        }
    }
    let amounts = daemon.amounts();
    let node = daemon.node();
    let paying = node.pay(request);
    let paid = tries::tell(node.ledger(), invoice.payment_hash, notifier, paying)
        .await
        .map_err(|cause| error::pay(&cause, PayWords::Pay, node.height(), amounts))?;
    Ok(result(&paid, amounts))
}

pub(super) fn result(paid: &PaidInvoice, amounts: Amounts) -> PayResult {
    PayResult {
        payment_preimage: secret(paid.preimage),
        amount_msat: amounts.payment(paid.amount_msat.msat()),
        amount_sent_msat: amounts.payment(paid.amount_sent_msat.msat()),
        parts: u32::try_from(paid.parts).unwrap_or(u32::MAX),
        destination: paid.destination.map(node_id),
        payment_hash: hash(paid.payment_hash),
        status: PaymentStatus::Complete,
        created_at: seconds(paid.created_at_ms),
        warning_partial_completion: None,
    }
}

/// A time, not an amount: CLN shows it with decimals.
fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

/// An amount that there can be.
pub(super) fn msat(
    name: &str,
    amount: Option<NonzeroMsat>,
) -> Result<Option<LedgerMsat>, RpcError> {
    amount
        .map(|amount| {
            LedgerMsat::new(amount.msat().0)
                .ok_or_else(|| RpcError::bad_param(name, "should be a millisatoshi amount"))
        })
        .transpose()
}

/// The request as it is compared with another of the same key.
fn asked(params: &Pay) -> Asked {
    let millionths = |number: Option<Millionths>| number.map(|number| number.0);
    let exclude = params.exclude.as_ref().map(|excludes| {
        let words = excludes.0.iter().map(|exclude| match exclude {
            Exclude::Channel(channel) => channel.to_string(),
            Exclude::Node(id) => id.to_string(),
        });
        words.collect::<Vec<_>>().join(",")
    });
    Asked::of("pay")
        .with("bolt11", Some(&params.bolt11))
        .with("amount_msat", params.amount_msat.map(|msat| msat.msat().0))
        .with("label", params.label.as_ref())
        .with("riskfactor", millionths(params.riskfactor))
        .with("maxfeepercent", millionths(params.maxfeepercent))
        .with("retry_for", Some(params.retry_for))
        .with("maxdelay", Some(params.maxdelay))
        .with("exemptfee", params.exemptfee.map(|msat| msat.0))
        .with("exclude", exclude)
        .with("maxfee", params.maxfee.map(|msat| msat.0))
        .with("description", params.description.as_ref())
        .with(
            "partial_msat",
            params.partial_msat.map(|msat| msat.msat().0),
        )
}

/// The bound on fees, in msat: `maxfee`, or the greater of `exemptfee` and `maxfeepercent`.
pub(super) fn fee_max(
    maxfee: Option<Msat>,
    maxfeepercent: Option<Millionths>,
    exemptfee: Option<Msat>,
    amount_msat: u64,
) -> Result<u64, RpcError> {
    if let Some(maxfee) = maxfee {
        if maxfeepercent.is_some() || exemptfee.is_some() {
            return Err(RpcError::invalid_params(
                "If you specify maxfee, cannot specify maxfeepercent or exemptfee.",
            ));
        }
        return Ok(maxfee.0);
    }
    let Millionths(percent) = maxfeepercent.unwrap_or(MAXFEEPERCENT);
    // A percent is a hundredth, and the number is in millionths of it.
    let share = u128::from(amount_msat) * u128::from(percent) / 100_000_000;
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    Ok(share.max(exemptfee.unwrap_or(EXEMPTFEE).0))
}
