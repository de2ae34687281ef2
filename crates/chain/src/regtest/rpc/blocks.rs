//! Methods about blocks and the best chain.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::DisplayHex;
use bitcoin::{Block, Network, Weight};
use serde_json::{Value, json};

use super::super::chain::Submitted;
use super::super::reject::AcceptError;
use super::super::store::{StoreError, Stored};
use super::Context;
use super::message::{RpcError, code};
use super::params::Params;
use super::render;

/// Hash of the best block.
pub(super) fn getbestblockhash(context: &Context<'_>, _: &Params) -> Result<Value, RpcError> {
    Ok(json!(context.chain.tip()?.hash))
}

/// Height of the best block.
pub(super) fn getblockcount(context: &Context<'_>, _: &Params) -> Result<Value, RpcError> {
    Ok(json!(context.chain.tip()?.height))
}

/// Hash of the block at a height of the best chain.
pub(super) fn getblockhash(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let out_of_range = || RpcError::new(code::INVALID_PARAMETER, "Block height out of range");
    let height = u32::try_from(params.required_number::<i64>(0)?).map_err(|_| out_of_range())?;
    context
        .chain
        .store
        .active(height)?
        .map(|hash| json!(hash))
        .ok_or_else(out_of_range)
}

/// State of the chain.
pub(super) fn getblockchaininfo(context: &Context<'_>, _: &Params) -> Result<Value, RpcError> {
    let chain = context.chain;
    let tip = chain.tip()?;
    let stored = chain
        .store
        .block(&tip.hash)?
        .ok_or(StoreError::Missing("best block"))?;
    Ok(json!({
        "chain": Network::Regtest.to_core_arg(),
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": tip.hash,
        "bits": render::bits(&stored),
        "target": render::target(&stored),
        "difficulty": stored.header.difficulty_float(),
        "time": stored.header.time,
        "mediantime": chain.median_time_past(&tip.hash)?,
        "verificationprogress": 1.0,
        "initialblockdownload": false,
        "chainwork": stored.chainwork.to_be_bytes().to_lower_hex_string(),
        "size_on_disk": chain.store.size_on_disk()?,
        "pruned": false,
        "warnings": [],
    }))
}

/// A header, as an object or in hex.
pub(super) fn getblockheader(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let stored = named_block(context, params)?;
    if params.flag(1, true)? {
        Ok(Value::Object(render::header(context.chain, &stored)?))
    } else {
        Ok(json!(serialize_hex(&stored.header)))
    }
}

/// A block: in hex (0), with the txids (1) or with the transactions (2 and more).
pub(super) fn getblock(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let stored = named_block(context, params)?;
    let verbosity = params.verbosity(1, 1)?;
    if verbosity == 0 {
        let bytes = context.chain.store.body_bytes(&stored.hash)?;
        let bytes = bytes.ok_or(StoreError::Missing("block"))?;
        return Ok(json!(bytes.to_lower_hex_string()));
    }
    let block = context.chain.store.body(&stored.hash)?;
    let mut fields = render::header(context.chain, &stored)?;
    let size = block.total_size();
    let weight = block.weight();
    // weight = 3 * stripped size + size
    let stripped = weight
        .to_wu()
        .saturating_sub(u64::try_from(size).unwrap_or(u64::MAX))
        / 3;
    fields.insert("strippedsize".into(), json!(stripped));
    fields.insert("size".into(), json!(size));
    fields.insert("weight".into(), json!(Weight::to_wu(weight)));
    let transactions: Value = if verbosity == 1 {
        block
            .txdata
            .iter()
            .map(|transaction| json!(transaction.compute_txid()))
            .collect()
    } else {
        block
            .txdata
            .iter()
            .map(|transaction| Value::Object(render::transaction(transaction)))
            .collect()
    };
    fields.insert("tx".into(), transactions);
    Ok(Value::Object(fields))
}

/// Takes a block in: null, or why not.
pub(super) fn submitblock(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let block: Block = params.hex(0, "Block decode failed")?;
    match context.chain.submit(&block, context.block_time()) {
        Ok(Submitted::Connected) => Ok(Value::Null),
        Ok(Submitted::SideBranch) => Ok(json!("inconclusive")),
        Ok(Submitted::Duplicate) => Ok(json!("duplicate")),
        Ok(Submitted::DuplicateInvalid) => Ok(json!("duplicate-invalid")),
        Err(AcceptError::Rejected(reject)) => Ok(json!(reject.reason())),
        Err(AcceptError::Store(error)) => Err(error.into()),
    }
}

/// Keeps a block and all after it off the best chain.
pub(super) fn invalidateblock(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let stored = named_block(context, params)?;
    if context.chain.invalidate(&stored.hash, context.now())? {
        Ok(Value::Null)
    } else {
        Err(RpcError::new(
            code::INVALID_PARAMETER,
            "The genesis block cannot be invalidated",
        ))
    }
}

/// Takes back `invalidateblock`.
pub(super) fn reconsiderblock(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let stored = named_block(context, params)?;
    context.chain.reconsider(&stored.hash, context.now())?;
    Ok(Value::Null)
}

fn named_block(context: &Context<'_>, params: &Params) -> Result<Stored, RpcError> {
    context
        .chain
        .store
        .block(&params.block_hash(0)?)?
        .ok_or_else(|| RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Block not found"))
}
