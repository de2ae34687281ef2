//! `xpay`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_node::{PaidInvoice, Pay as Request};
use sendpay_rpc::method::xpay::{MAXFEE_LEAST, MAXFEE_SHARE, XPay, XPayResult};
use sendpay_rpc::value::{Amounts, TextList};
use sendpay_rpc::{Code, RpcError};

use super::invoice_of;
use super::pay::msat;
use crate::convert::secret;
use crate::daemon::Daemon;
use crate::error::{self, PayWords};
use crate::request_key::Asked;
use crate::server::Notifier;
use crate::tries;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: XPay,
    notifier: Option<Notifier>,
) -> Result<XPayResult, RpcError> {
    refuse_what_is_not_built(&params)?;
    let invoice = invoice_of(daemon, &params.invstring)?;
    let asked = asked(&params);
    let amount_msat = msat("amount_msat", params.amount_msat)?;
    let partial_msat = msat("partial_msat", params.partial_msat)?;
    let pays = partial_msat.or(invoice.amount_msat).or(amount_msat);
    let share = pays.map_or(0, |amount| amount.msat()) / MAXFEE_SHARE;
    let request = Request {
        bolt11: params.invstring.into_string(),
        amount_msat,
        partial_msat,
        label: params.label.map(|label| label.into_string()),
        description: None,
        fee_max_msat: match params.maxfee {
            Some(maxfee) => maxfee.0,
            None => share.max(MAXFEE_LEAST.0),
        },
        delay_max: params.maxdelay,
        retry_for: Duration::from_secs(u64::from(params.retry_for)),
        without_channels: Vec::new(),
        without_nodes: Vec::new(),
        request: asked.key(params.idempotency_key),
    };
    let amounts = daemon.amounts();
    let node = daemon.node();
    let paying = node.pay(request);
    let paid = tries::tell(node.ledger(), invoice.payment_hash, notifier, paying)
        .await
        .map_err(|cause| error::pay(&cause, PayWords::XPay, node.height(), amounts))?;
    let result = result(&paid, amounts);
    if paid.before {
        let text = "Already paid this invoice successfully";
        return Err(RpcError::new(Code::PayAlreadyPaid, text).with_data(&result));
    }
    Ok(result)
}

pub(super) fn result(paid: &PaidInvoice, amounts: Amounts) -> XPayResult {
    XPayResult {
        payment_preimage: secret(paid.preimage),
        failed_parts: paid.failed_parts,
        successful_parts: paid.parts,
        amount_msat: amounts.payment(paid.amount_msat.msat()),
        amount_sent_msat: amounts.payment(paid.amount_sent_msat.msat()),
    }
}

pub(super) fn no_layers(layers: Option<&TextList>) -> Result<(), RpcError> {
    match layers {
        Some(layers) if !layers.0.is_empty() => Err(RpcError::invalid_params(
            "layers: this daemon has no layers; leave the parameter out",
        )),
        _ => Ok(()),
    }
}

fn refuse_what_is_not_built(params: &XPay) -> Result<(), RpcError> {
    let invstring = params.invstring.as_str();
    if invstring.starts_with("lno") || invstring.starts_with("lni") || invstring.contains('@') {
        return Err(RpcError::invalid_params(
            "invstring: bolt12 and BIP 353 names are not supported by this daemon yet",
        ));
    }
    no_layers(params.layers.as_ref())?;
    if params.payer_note.is_some() {
        return Err(RpcError::invalid_params(
            "payer_note: only for offers, which are not supported by this daemon yet",
        ));
    }
    if params.localinvreqid.is_some() {
        // CLN's words.
        return Err(RpcError::invalid_params(
            "Cannot use localinvreqid with BOLT11 payment",
        ));
    }
    Ok(())
}

/// The request as it is compared with another of the same key.
fn asked(params: &XPay) -> Asked {
    Asked::of("xpay")
        .with("invstring", Some(&params.invstring))
        .with("amount_msat", params.amount_msat.map(|msat| msat.msat().0))
        .with("maxfee", params.maxfee.map(|msat| msat.0))
        .with("retry_for", Some(params.retry_for))
        .with(
            "partial_msat",
            params.partial_msat.map(|msat| msat.msat().0),
        )
        .with("maxdelay", Some(params.maxdelay))
        .with("label", params.label.as_ref())
}
