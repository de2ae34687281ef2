//! `holdinvoice`, `holdinvoicesettle` and `holdinvoicecancel`: one life, one file.

use std::sync::Arc;

use sendpay_ledger::{Invoice, Preimage};
use sendpay_node::{NewBolt11, RouteHints};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::holdinvoice::{HoldInvoice, HoldInvoiceResult};
use sendpay_rpc::method::holdinvoicecancel::HoldInvoiceCancel;
use sendpay_rpc::method::holdinvoicesettle::HoldInvoiceSettle;
use sendpay_rpc::value::{Msat, Secret};

use super::invoice::{amount, expiry, label};
use crate::convert::{from_hash, hash, hold_state, secret};
use crate::daemon::{Daemon, unix_millis};
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: HoldInvoice,
) -> Result<HoldInvoiceResult, RpcError> {
    let invoice = daemon
        .node()
        .new_invoice(NewBolt11 {
            label: label(params.label.as_str())?,
            amount_msat: amount(params.amount_msat)?,
            description: params.description.into_string(),
            description_hash_only: false,
            expiry: expiry(params.expiry)?,
            cltv: params.cltv,
            preimage: params
                .preimage
                .map(|preimage| Preimage(preimage.to_bytes())),
            payment_hash: params.payment_hash.map(from_hash),
            hold: true,
            hints: RouteHints::WhereNeeded,
            fallbacks: Vec::new(),
        })
        .await
        .map_err(|cause| error::new_invoice(&cause))?;
    // Whoever let us make the preimage needs it to settle; it was never on any wire.
    let made = params.payment_hash.is_none() && params.preimage.is_none();
    let mut shown = show(&invoice);
    shown.payment_preimage = invoice.preimage.filter(|_| made).map(secret);
    Ok(shown)
}

pub(super) async fn settle(
    daemon: &Arc<Daemon>,
    params: HoldInvoiceSettle,
) -> Result<HoldInvoiceResult, RpcError> {
    let preimage = Preimage(params.preimage.to_bytes());
    let settled = daemon.node().settle_held(preimage).await;
    settled
        .map(|invoice| show(&invoice))
        .map_err(|cause| error::settle_held(&cause))
}

pub(super) async fn cancel(
    daemon: &Arc<Daemon>,
    params: HoldInvoiceCancel,
) -> Result<HoldInvoiceResult, RpcError> {
    let cancelled = daemon
        .node()
        .cancel_held(from_hash(params.payment_hash))
        .await;
    cancelled
        .map(|invoice| show(&invoice))
        .map_err(|cause| error::cancel_held(&cause))
}

fn show(invoice: &Invoice) -> HoldInvoiceResult {
    let paid = invoice.state == sendpay_ledger::InvoiceState::Paid;
    HoldInvoiceResult {
        payment_hash: hash(invoice.payment_hash),
        state: hold_state(invoice, unix_millis()).to_owned(),
        label: invoice.label.clone(),
        expires_at: invoice.expires_at_ms / 1_000,
        bolt11: invoice.bolt11.clone(),
        payment_secret: invoice.payment_secret.map(Secret::from_bytes),
        created_index: invoice.created_index,
        amount_received_msat: invoice
            .amount_received_msat
            .map(|amount| Msat(amount.msat())),
        claim_deadline: invoice.claim_deadline,
        payment_preimage: invoice.preimage.filter(|_| paid).map(secret),
    }
}
