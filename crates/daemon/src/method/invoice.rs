//! `invoice`.

use std::sync::Arc;

use sendpay_ledger::{Msat, Preimage};
use sendpay_node::NewBolt11;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::invoice::{Invoice, InvoiceResult};
use sendpay_rpc::value::{AmountOrAny, Secret};

use crate::convert::hash;
use crate::daemon::Daemon;
use crate::error;

/// Longest label, in bytes (CLN).
const LABEL_BYTES_MAX: usize = 128;

pub(super) async fn run(daemon: &Arc<Daemon>, params: Invoice) -> Result<InvoiceResult, RpcError> {
    if params.fallbacks.is_some() {
        let text = "fallbacks: on-chain fallbacks are not supported by this daemon yet";
        return Err(RpcError::invalid_params(text));
    }
    if params
        .exposeprivatechannels
        .as_ref()
        .is_some_and(|expose| expose.as_str() != "true")
    {
        let text = "exposeprivatechannels: private channels are always used as hints where needed";
        return Err(RpcError::invalid_params(text));
    }
    let invoice = daemon
        .node()
        .new_invoice(NewBolt11 {
            label: label(params.label.as_str())?,
            amount_msat: amount(params.amount_msat)?,
            description: params.description.into_string(),
            description_hash_only: params.deschashonly,
            expiry: expiry(params.expiry)?,
            cltv: params.cltv,
            preimage: params
                .preimage
                .map(|preimage| Preimage(preimage.to_bytes())),
            payment_hash: None,
            hold: false,
        })
        .await
        .map_err(|cause| error::new_invoice(&cause))?;
    Ok(InvoiceResult {
        payment_hash: hash(invoice.payment_hash),
        expires_at: invoice.expires_at_ms / 1_000,
        bolt11: invoice.bolt11,
        payment_secret: Secret::from_bytes(invoice.payment_secret.unwrap_or_default()),
        created_index: invoice.created_index,
        warning_capacity: capacity_warning(daemon, invoice.amount_msat),
        warning_mpp: None,
    })
}

/// CLN's warning, for an invoice that no sum of our channels can take in.
fn capacity_warning(daemon: &Daemon, amount: Option<Msat>) -> Option<String> {
    let receivable: u64 = daemon
        .node()
        .channels()
        .iter()
        .filter(|channel| channel.ready)
        .map(|channel| channel.receivable_msat)
        .sum();
    let wanted = amount.map_or(1, |amount| amount.msat());
    (wanted > receivable).then(|| "Insufficient incoming channel capacity to pay invoice".into())
}

pub(super) fn label(text: &str) -> Result<String, RpcError> {
    if text.is_empty() || text.len() > LABEL_BYTES_MAX {
        let should = format!("should be from 1 to {LABEL_BYTES_MAX} bytes");
        return Err(RpcError::bad_param("label", &should));
    }
    Ok(text.to_owned())
}

pub(super) fn amount(amount: AmountOrAny) -> Result<Option<Msat>, RpcError> {
    match amount {
        AmountOrAny::Any => Ok(None),
        AmountOrAny::Amount(amount) => Msat::new(amount.msat().0).map(Some).ok_or_else(|| {
            RpcError::bad_param("amount_msat", "should be at most 21 million bitcoin")
        }),
    }
}

pub(super) fn expiry(seconds: u64) -> Result<u32, RpcError> {
    u32::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| RpcError::bad_param("expiry", "should be from 1 to 4294967295 seconds"))
}
