//! `decode`.

use std::sync::Arc;

use sendpay_node::{Bolt11, RouteHint as NodeHint, decode};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::decode::{Decode, DecodeResult, Fallback, RouteHint};
use sendpay_rpc::value::{Hash32, HexBytes, Msat, Scid, Secret};

use crate::convert::{hash, node_id};
use crate::daemon::Daemon;

pub(super) async fn run(_: &Arc<Daemon>, params: Decode) -> Result<DecodeResult, RpcError> {
    let invoice = decode(params.string.as_str(), None)
        .map_err(|cause| RpcError::invalid_params(format!("Invalid invstring: {cause}")))?;
    Ok(show(invoice))
}

fn show(invoice: Bolt11) -> DecodeResult {
    let some = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty()).map(HexBytes);
    let routes = invoice
        .route_hints
        .iter()
        .map(|hops| hops.iter().map(hint).collect());
    let fallbacks = invoice.fallbacks.iter().map(fallback);
    DecodeResult {
        kind: "bolt11 invoice".to_owned(),
        valid: true,
        currency: invoice.currency.clone(),
        created_at: invoice.created_at,
        expiry: invoice.expiry,
        payee: node_id(invoice.payee),
        amount_msat: invoice.amount_msat.map(|amount| Msat(amount.msat())),
        payment_hash: hash(invoice.payment_hash),
        signature: HexBytes(invoice.signature.clone()),
        description: invoice.description.clone(),
        description_hash: invoice.description_hash.map(Hash32::from_bytes),
        min_final_cltv_expiry: invoice.min_final_cltv_expiry,
        payment_secret: Some(Secret::from_bytes(invoice.payment_secret)),
        features: some(invoice.features.clone()),
        payment_metadata: invoice.payment_metadata.clone().map(HexBytes),
        fallbacks: Some(fallbacks.collect::<Vec<_>>()).filter(|list| !list.is_empty()),
        routes: Some(routes.collect::<Vec<_>>()).filter(|list: &Vec<_>| !list.is_empty()),
    }
}

fn fallback(address: &bitcoin::Address) -> Fallback {
    let kind = address
        .address_type()
        .map(|kind| kind.to_string().to_uppercase());
    Fallback {
        kind: kind.unwrap_or_else(|| "UNKNOWN".to_owned()),
        addr: Some(address.to_string()),
        hex: HexBytes(address.script_pubkey().to_bytes()),
    }
}

fn hint(hop: &NodeHint) -> RouteHint {
    RouteHint {
        pubkey: node_id(hop.node_id),
        short_channel_id: Scid(hop.short_channel_id),
        fee_base_msat: Msat(u64::from(hop.fee_base_msat)),
        fee_proportional_millionths: hop.fee_proportional_millionths,
        cltv_expiry_delta: u32::from(hop.cltv_expiry_delta),
    }
}
