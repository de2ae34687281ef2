//! Methods about the server itself.

use serde_json::{Value, json};

use super::super::mempool::RELAY_FEE_SAT_PER_KVB;
use super::message::{RpcError, code};
use super::params::Params;
use super::{Context, render, usages};
use bitcoin::Amount;

/// The version of Bitcoin Core whose dialect this is, as Core counts: 30.0.0. Clients choose their
/// requests by it.
const DIALECT_VERSION: u32 = 300_000;

/// The version of Bitcoin's network protocol that goes with it.
const PROTOCOL_VERSION: u32 = 70_016;

/// Who we are, and what relay costs. There is no network: nobody is connected.
pub(super) fn getnetworkinfo(_: &Context<'_>, _: &Params) -> Result<Value, RpcError> {
    let relay_fee = render::bitcoins(Amount::from_sat(RELAY_FEE_SAT_PER_KVB));
    Ok(json!({
        "version": DIALECT_VERSION,
        "subversion": concat!("/sendpay-regtest:", env!("CARGO_PKG_VERSION"), "/"),
        "protocolversion": PROTOCOL_VERSION,
        "localservices": "0000000000000000",
        "localservicesnames": [],
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": false,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [],
        "relayfee": relay_fee.clone(),
        "incrementalfee": relay_fee,
        "localaddresses": [],
        "warnings": [],
    }))
}

/// Seconds since the start.
pub(super) fn uptime(context: &Context<'_>, _: &Params) -> Result<Value, RpcError> {
    Ok(json!(context.started.elapsed().as_secs()))
}

/// All methods, or one, with their parameters.
pub(super) fn help(_: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let usages = usages();
    if params.get(0).is_none() {
        let lines: Vec<String> = usages.into_iter().map(|(_, usage)| usage).collect();
        return Ok(json!(lines.join("\n")));
    }
    let name = params.text(0)?;
    usages
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, usage)| json!(usage))
        .ok_or_else(|| RpcError::new(code::MISC_ERROR, format!("help: unknown command: {name}")))
}
