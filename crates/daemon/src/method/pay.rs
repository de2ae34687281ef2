//! `pay`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_ledger::{Msat as LedgerMsat, NodeId};
use sendpay_node::Pay as Request;
use sendpay_rpc::method::pay::{EXEMPTFEE, MAXFEEPERCENT, Pay, PayResult};
use sendpay_rpc::value::{Exclude, Millionths, PaymentStatus};
use sendpay_rpc::{Code, RpcError};

use super::invoice_of;
use crate::convert::{hash, node_id, secret};
use crate::daemon::Daemon;
use crate::error;
use crate::server::Notifier;
use crate::tries;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: Pay,
    notifier: Option<Notifier>,
) -> Result<PayResult, RpcError> {
    let invoice = decoded(daemon, &params)?;
    let amount_msat = params
        .amount_msat
        .map(|amount| {
            LedgerMsat::new(amount.msat().0).ok_or_else(|| {
                RpcError::bad_param("amount_msat", "should be a millisatoshi amount")
            })
        })
        .transpose()?;
    let pays = invoice
        .amount_msat
        .or(amount_msat)
        .map_or(0, |amount| amount.msat());
    let fee_max_msat = fee_max(&params, pays)?;
    let mut request = Request {
        bolt11: params.bolt11.as_str().to_owned(),
        amount_msat,
        label: params.label.map(|label| label.into_string()),
        description: params
            .description
            .map(|description| description.into_string()),
        fee_max_msat,
        delay_max: u32::from(params.maxdelay),
        retry_for: Duration::from_secs(u64::from(params.retry_for)),
        without_channels: Vec::new(),
        without_nodes: Vec::new(),
    };
    for exclude in params.exclude.iter().flat_map(|excludes| &excludes.0) {
        match exclude {
            Exclude::Channel(channel) => request.without_channels.push(channel.scid.0),
            Exclude::Node(id) => request.without_nodes.push(NodeId(id.to_bytes())),
        }
    }
    let amounts = daemon.amounts();
    let paying = daemon.node().pay(request);
    let paid = tries::tell(
        daemon.node().ledger(),
        invoice.payment_hash,
        notifier,
        paying,
    )
    .await
    .map_err(|cause| error::pay(&cause, amounts))?;
    Ok(PayResult {
        payment_preimage: secret(paid.preimage),
        amount_msat: amounts.payment(paid.amount_msat.msat()),
        amount_sent_msat: amounts.payment(paid.amount_sent_msat.msat()),
        parts: u32::try_from(paid.parts).unwrap_or(u32::MAX),
        destination: paid.destination.map(node_id),
        payment_hash: hash(paid.payment_hash),
        status: PaymentStatus::Complete,
        created_at: seconds(paid.created_at_ms),
        warning_partial_completion: None,
    })
}

/// A time, not an amount: CLN shows it with decimals.
fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

fn decoded(daemon: &Daemon, params: &Pay) -> Result<sendpay_node::Bolt11, RpcError> {
    if params.localinvreqid.is_some() {
        let text = "localinvreqid: invoice requests are not supported by this daemon yet";
        return Err(RpcError::new(Code::PayInvoiceRequestInvalid, text));
    }
    if params.partial_msat.is_some() {
        let text = "partial_msat: paying a part of an invoice is not supported by this daemon yet";
        return Err(RpcError::invalid_params(text));
    }
    invoice_of(daemon, &params.bolt11)
}

/// The bound on fees, in msat: `maxfee`, or the greater of `exemptfee` and `maxfeepercent`.
fn fee_max(params: &Pay, amount_msat: u64) -> Result<u64, RpcError> {
    if let Some(maxfee) = params.maxfee {
        if params.maxfeepercent.is_some() || params.exemptfee.is_some() {
            return Err(RpcError::invalid_params(
                "If you specify maxfee, cannot specify maxfeepercent or exemptfee.",
            ));
        }
        return Ok(maxfee.0);
    }
    let Millionths(percent) = params.maxfeepercent.unwrap_or(MAXFEEPERCENT);
    // A percent is a hundredth, and the number is in millionths of it.
    let share = u128::from(amount_msat) * u128::from(percent) / 100_000_000;
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    Ok(share.max(params.exemptfee.unwrap_or(EXEMPTFEE).0))
}
