//! Methods that make blocks and tell what a place in the next ones costs.

use bitcoin::address::NetworkUnchecked;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Address, Amount, Network, ScriptBuf, Transaction};
use serde_json::{Value, json};

use super::super::mine::solve;
use super::super::reject::AcceptError;
use super::Context;
use super::message::{RpcError, code};
use super::params::{self, Params};
use super::render;

/// Blocks of one call at most: a few seconds, during which nobody else is answered.
const BLOCKS_MAX: u32 = 10_000;

/// Nonces of one call if it does not say how many (`DEFAULT_MAX_TRIES` of Bitcoin Core). One in two
/// is good on regtest.
const TRIES: u64 = 1_000_000;

/// Blocks that an estimate may look ahead, as for bitcoind.
const TARGET_MAX: u64 = 1_008;

/// Makes blocks that pay an address. Returns their hashes.
pub(super) fn generatetoaddress(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let count: u32 = params.required_number(0)?;
    if count > BLOCKS_MAX {
        let message = format!("nblocks must be at most {BLOCKS_MAX}");
        return Err(RpcError::new(code::INVALID_PARAMETER, message));
    }
    let script = address_script(params.text(1)?)?;
    let tries = params.number(2)?.unwrap_or(TRIES);
    let hashes = context
        .chain
        .generate(count, &script, tries, context.block_time())?;
    Ok(json!(hashes))
}

/// Makes one block that pays an address, with these transactions (txids of the mempool or hex) in
/// this order. With `submit` false the block is returned and not connected.
pub(super) fn generateblock(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let script = address_script(params.text(0)?)?;
    let mut transactions = Vec::new();
    for item in params.array(1)? {
        transactions.push(listed_transaction(context, item)?);
    }
    // Fees are not claimed: the inputs may be of this very block.
    let unpaid = transactions
        .into_iter()
        .map(|transaction| (transaction, Amount::ZERO))
        .collect();
    let mut block = context
        .chain
        .assemble(unpaid, &script, context.block_time())?;
    let mut tries = TRIES;
    if !solve(&mut block.header, &mut tries) {
        return Err(RpcError::new(code::MISC_ERROR, "Failed to make block."));
    }
    if !params.flag(2, true)? {
        return Ok(json!({ "hash": block.block_hash(), "hex": serialize_hex(&block) }));
    }
    let hash = context
        .chain
        .submit_own(&block, context.block_time())
        .map_err(|error| match error {
            AcceptError::Rejected(reject) => RpcError::new(
                code::VERIFY_ERROR,
                format!("TestBlockValidity failed: {}", reject.text()),
            ),
            AcceptError::Store(error) => error.into(),
        })?;
    Ok(json!({ "hash": hash }))
}

/// Least fee rate with which a transaction that comes now is in one of the next blocks. Known
/// exactly here, as the blocks are made from our own mempool.
pub(super) fn estimatesmartfee(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let target: u64 = params.required_number(0)?;
    if !(1..=TARGET_MAX).contains(&target) {
        let message = format!("Invalid conf_target, must be between 1 and {TARGET_MAX}");
        return Err(RpcError::new(code::INVALID_PARAMETER, message));
    }
    if params.get(1).is_some() {
        let mode = params.text(1)?.to_ascii_lowercase();
        if !["unset", "economical", "conservative"].contains(&mode.as_str()) {
            return Err(RpcError::new(
                code::INVALID_PARAMETER,
                "Invalid estimate_mode parameter",
            ));
        }
    }
    let rate = Amount::from_sat(context.chain.feerate_within(target)?);
    Ok(json!({ "feerate": render::bitcoins(rate), "blocks": target }))
}

fn address_script(text: &str) -> Result<ScriptBuf, RpcError> {
    text.parse::<Address<NetworkUnchecked>>()
        .ok()
        .and_then(|address| address.require_network(Network::Regtest).ok())
        .map(|address| address.script_pubkey())
        .ok_or_else(|| RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Error: Invalid address"))
}

fn listed_transaction(context: &Context<'_>, item: &Value) -> Result<Transaction, RpcError> {
    match item.as_str().and_then(|text| text.parse().ok()) {
        Some(txid) => {
            let entry = context.chain.store.pool_entry(&txid)?;
            entry.map(|entry| entry.transaction).ok_or_else(|| {
                let message = format!("Transaction {txid} not in mempool.");
                RpcError::new(code::INVALID_ADDRESS_OR_KEY, message)
            })
        }
        None => params::transaction(item),
    }
}
