//! Methods about transactions and the mempool.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid, Wtxid};
use serde_json::{Map, Value, json};

use super::super::mempool::{
    Accepted, MEMPOOL_BYTES_MAX, PACKAGE_LENGTH_MAX, RELAY_FEE_SAT_PER_KVB,
};
use super::super::pool::Entry;
use super::super::reject::{ALREADY_IN_MEMPOOL, AcceptError, MISSING_INPUTS};
use super::super::store::{StoreError, Stored};
use super::Context;
use super::message::{RpcError, code};
use super::params::{self, Params};
use super::render;

/// Fee rate above which a transaction is taken for a mistake, satoshi for 1000 virtual bytes
/// (`DEFAULT_MAX_RAW_TX_FEE_RATE`: 0.1 bitcoin).
const FEE_RATE_MAX_SAT_PER_KVB: u64 = 10_000_000;

/// Lets a transaction into the mempool; its txid. One that is there already is no error.
pub(super) fn sendrawtransaction(
    context: &Context<'_>,
    params: &Params,
) -> Result<Value, RpcError> {
    params.text(0)?;
    let transaction = params::transaction(params.get(0).unwrap_or(&Value::Null))?;
    let limit = fee_rate_limit(params, 1)?;
    match context.chain.accept(&transaction, context.now(), limit) {
        Ok(accepted) => Ok(json!(accepted.txid)),
        Err(AcceptError::Rejected(reject)) if is_known(reject.reason()) => {
            Ok(json!(transaction.compute_txid()))
        }
        Err(error) => Err(error.into()),
    }
}

/// bitcoind answers with success for a txid that waits already, whatever its witness.
fn is_known(reason: &str) -> bool {
    [ALREADY_IN_MEMPOOL, "txn-same-nonwitness-data-in-mempool"].contains(&reason)
}

/// Says for each transaction whether it would be let in, each by itself.
pub(super) fn testmempoolaccept(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let items = params.array(0)?;
    check_package_length(items.len())?;
    let limit = fee_rate_limit(params, 1)?;
    let mut answers = Vec::new();
    for item in items {
        let transaction = params::transaction(item)?;
        let mut answer = Map::new();
        answer.insert("txid".into(), json!(transaction.compute_txid()));
        answer.insert("wtxid".into(), json!(transaction.compute_wtxid()));
        match context.chain.try_accept(&transaction, context.now(), limit) {
            Ok(trial) => {
                answer.insert("allowed".into(), json!(true));
                answer.insert("vsize".into(), json!(trial.vsize));
                answer.insert(
                    "fees".into(),
                    json!({ "base": render::bitcoins(trial.fee) }),
                );
            }
            Err(AcceptError::Rejected(reject)) => {
                let reason = match reject.reason() {
                    MISSING_INPUTS => "missing-inputs",
                    other => other,
                };
                answer.insert("allowed".into(), json!(false));
                answer.insert("reject-reason".into(), json!(reason));
                answer.insert("reject-details".into(), json!(reject.text()));
            }
            Err(AcceptError::Store(error)) => return Err(error.into()),
        }
        answers.push(Value::Object(answer));
    }
    Ok(Value::Array(answers))
}

/// Lets a child and its parents in together.
pub(super) fn submitpackage(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let items = params.array(0)?;
    check_package_length(items.len())?;
    let transactions: Vec<Transaction> = items
        .iter()
        .map(params::transaction)
        .collect::<Result<_, _>>()?;
    if !is_child_with_parents(&transactions) {
        return Err(RpcError::new(
            code::VERIFY_ERROR,
            "package topology disallowed. not child-with-parents or parents depend on each other.",
        ));
    }
    let (message, outcome) = match context.chain.accept_package(&transactions, context.now()) {
        Ok(accepted) => ("success".to_owned(), Ok(accepted)),
        Err((_, AcceptError::Store(error))) => return Err(error.into()),
        Err((culprit, AcceptError::Rejected(reject))) => {
            let message = if culprit.is_some() {
                "transaction failed".to_owned()
            } else {
                reject.text()
            };
            (message, Err((culprit, reject.text())))
        }
    };
    let mut results = Map::new();
    for transaction in &transactions {
        let wtxid = transaction.compute_wtxid();
        let result = package_result(context, transaction, wtxid, &outcome)?;
        results.insert(wtxid.to_string(), result);
    }
    let replaced: Vec<Txid> = outcome
        .iter()
        .flatten()
        .flat_map(|accepted| accepted.replaced.clone())
        .collect();
    Ok(json!({ "package_msg": message, "tx-results": results, "replaced-transactions": replaced }))
}

type PackageOutcome = Result<Vec<Accepted>, (Option<Wtxid>, String)>;

fn package_result(
    context: &Context<'_>,
    transaction: &Transaction,
    wtxid: Wtxid,
    outcome: &PackageOutcome,
) -> Result<Value, StoreError> {
    let txid = transaction.compute_txid();
    let (vsize, fee) = match outcome {
        Err((culprit, reason)) => {
            let own = culprit.is_none_or(|culprit| culprit == wtxid);
            let reason = if own {
                reason.as_str()
            } else {
                "package-not-validated"
            };
            return Ok(json!({ "txid": txid, "error": reason }));
        }
        Ok(accepted) => match accepted.iter().find(|one| one.wtxid == wtxid) {
            Some(one) => (one.vsize, one.fee),
            None => match context.chain.store.pool_entry(&txid)? {
                Some(entry) => (entry.vsize, entry.fee),
                None => return Err(StoreError::Missing("mempool entry")),
            },
        },
    };
    Ok(json!({ "txid": txid, "vsize": vsize, "fees": { "base": render::bitcoins(fee) } }))
}

fn is_child_with_parents(transactions: &[Transaction]) -> bool {
    let Some((child, parents)) = transactions.split_last() else {
        return false;
    };
    let txids: Vec<Txid> = parents.iter().map(Transaction::compute_txid).collect();
    let spends = |transaction: &Transaction, txid: &Txid| {
        transaction
            .input
            .iter()
            .any(|input| input.previous_output.txid == *txid)
    };
    !parents.is_empty()
        && txids.iter().all(|txid| spends(child, txid))
        && parents
            .iter()
            .all(|parent| !txids.iter().any(|txid| spends(parent, txid)))
}

fn check_package_length(length: usize) -> Result<(), RpcError> {
    if (1..=PACKAGE_LENGTH_MAX).contains(&length) {
        return Ok(());
    }
    let message = format!("Array must contain between 1 and {PACKAGE_LENGTH_MAX} transactions.");
    Err(RpcError::new(code::INVALID_PARAMETER, message))
}

/// The fee rate that the caller does not want to go above; none: any.
fn fee_rate_limit(params: &Params, index: usize) -> Result<Option<u64>, RpcError> {
    let given = params.feerate_btc(index)?.map(Amount::to_sat);
    Ok(match given {
        Some(0) => None,
        Some(limit) => Some(limit),
        None => Some(FEE_RATE_MAX_SAT_PER_KVB),
    })
}

/// An unspent output; null if it is spent or never was.
pub(super) fn gettxout(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let outpoint = OutPoint {
        txid: params.txid(0)?,
        vout: params.required_number(1)?,
    };
    let chain = context.chain;
    let tip = chain.tip()?;
    if params.flag(2, true)? {
        if chain.store.pool_spender(&outpoint)?.is_some() {
            return Ok(Value::Null);
        }
        if let Some(entry) = chain.store.pool_entry(&outpoint.txid)? {
            let index = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
            let output = entry.transaction.output.get(index);
            return Ok(output.map_or(Value::Null, |output| txout(&tip.hash, 0, output, false)));
        }
    }
    Ok(chain.store.coin(&outpoint)?.map_or(Value::Null, |coin| {
        let confirmations = tip.height.saturating_sub(coin.height).saturating_add(1);
        txout(&tip.hash, confirmations, &coin.output, coin.coinbase)
    }))
}

fn txout(best: &bitcoin::BlockHash, confirmations: u32, output: &TxOut, coinbase: bool) -> Value {
    json!({
        "bestblock": best,
        "confirmations": confirmations,
        "value": render::bitcoins(output.value),
        "scriptPubKey": render::script_pubkey(&output.script_pubkey),
        "coinbase": coinbase,
    })
}

/// A transaction of the mempool or the best chain, or of a named block.
pub(super) fn getrawtransaction(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let txid = params.txid(0)?;
    let verbosity = params.verbosity(1, 0)?;
    let block = match params.get(2) {
        Some(_) => Some(params.block_hash(2)?),
        None => None,
    };
    let (transaction, stored) = find_transaction(context, &txid, block)?;
    if verbosity == 0 {
        return Ok(json!(serialize_hex(&transaction)));
    }
    let mut fields = render::transaction(&transaction);
    if let Some(stored) = stored {
        let header = render::header(context.chain, &stored)?;
        let confirmations = header
            .get("confirmations")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        fields.insert("blockhash".into(), json!(stored.hash));
        fields.insert("confirmations".into(), json!(confirmations.max(0)));
        fields.insert("time".into(), json!(stored.header.time));
        fields.insert("blocktime".into(), json!(stored.header.time));
    }
    Ok(Value::Object(fields))
}

fn find_transaction(
    context: &Context<'_>,
    txid: &Txid,
    block: Option<bitcoin::BlockHash>,
) -> Result<(Transaction, Option<Stored>), RpcError> {
    let store = &context.chain.store;
    let not_found = |message: &str| RpcError::new(code::INVALID_ADDRESS_OR_KEY, message);
    if let Some(hash) = block {
        let stored = store
            .block(&hash)?
            .ok_or_else(|| not_found("Block hash not found"))?;
        let transactions = store.body(&hash)?.txdata;
        let found = transactions
            .into_iter()
            .find(|one| one.compute_txid() == *txid);
        return found
            .map(|transaction| (transaction, Some(stored)))
            .ok_or_else(|| not_found("No such transaction found in the provided block"));
    }
    if let Some(entry) = store.pool_entry(txid)? {
        return Ok((entry.transaction, None));
    }
    let absent =
        "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.";
    let (hash, position) = store.location(txid)?.ok_or_else(|| not_found(absent))?;
    let mut transactions = store.body(&hash)?.txdata.into_iter().skip(position);
    let transaction = transactions
        .next()
        .ok_or(StoreError::Missing("located transaction"))?;
    Ok((transaction, store.block(&hash)?))
}

/// What waits: txids, or with `verbose` an object with each one's entry.
pub(super) fn getrawmempool(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let entries = context.chain.store.pool_entries()?;
    if !params.flag(0, false)? {
        return Ok(entries.iter().map(|entry| json!(entry.txid)).collect());
    }
    let mut all = Map::new();
    for entry in &entries {
        all.insert(entry.txid.to_string(), render_entry(context, entry)?);
    }
    Ok(Value::Object(all))
}

/// One waiting transaction.
pub(super) fn getmempoolentry(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let entry = context
        .chain
        .store
        .pool_entry(&params.txid(0)?)?
        .ok_or_else(|| RpcError::new(code::INVALID_ADDRESS_OR_KEY, "Transaction not in mempool"))?;
    Ok(render_entry(context, &entry)?)
}

fn render_entry(context: &Context<'_>, entry: &Entry) -> Result<Value, StoreError> {
    let store = &context.chain.store;
    let family = |txids: Vec<Txid>| -> Result<(usize, u64, Amount), StoreError> {
        let mut sum = (1, entry.vsize, entry.fee);
        for txid in txids {
            if let Some(other) = store.pool_entry(&txid)? {
                sum = (sum.0 + 1, sum.1 + other.vsize, sum.2 + other.fee);
            }
        }
        Ok(sum)
    };
    let ancestors = family(store.pool_ancestors(&entry.txid)?)?;
    let descendants = family(store.pool_descendants(&entry.txid)?)?;
    let mut depends: Vec<Txid> = Vec::new();
    for input in &entry.transaction.input {
        let parent = input.previous_output.txid;
        if !depends.contains(&parent) && store.pool_entry(&parent)?.is_some() {
            depends.push(parent);
        }
    }
    let mut spent_by: Vec<Txid> = Vec::new();
    for (vout, _) in (0_u32..).zip(&entry.transaction.output) {
        let spender = store.pool_spender(&OutPoint {
            txid: entry.txid,
            vout,
        })?;
        spent_by.extend(spender.filter(|spender| !spent_by.contains(spender)));
    }
    Ok(json!({
        "vsize": entry.vsize,
        "weight": entry.transaction.weight().to_wu(),
        "time": entry.time,
        "height": entry.height,
        "descendantcount": descendants.0,
        "descendantsize": descendants.1,
        "ancestorcount": ancestors.0,
        "ancestorsize": ancestors.1,
        "wtxid": entry.wtxid,
        "fees": {
            "base": render::bitcoins(entry.fee),
            "modified": render::bitcoins(entry.fee),
            "ancestor": render::bitcoins(ancestors.2),
            "descendant": render::bitcoins(descendants.2),
        },
        "depends": depends,
        "spentby": spent_by,
        "bip125-replaceable": true,
        "unbroadcast": false,
    }))
}

/// Takes into the mempool only what pays this much from now on (bitcoin for 1000 virtual bytes), as one
/// does that is nearly full. What is in stays, and it is forgotten at the end of the process.
pub(super) fn setmempoolminfee(context: &Context<'_>, params: &Params) -> Result<Value, RpcError> {
    let rate = params.feerate_btc(0)?;
    let rate = rate.ok_or_else(|| RpcError::new(code::INVALID_PARAMETER, "feerate is missing"))?;
    context.chain.set_mempool_floor(rate.to_sat());
    Ok(Value::Null)
}

/// Size and limits of the mempool.
pub(super) fn getmempoolinfo(context: &Context<'_>, _: &Params) -> Result<Value, RpcError> {
    let (count, bytes) = context.chain.store.pool_size()?;
    let entries = context.chain.store.pool_entries()?;
    let vsize: u64 = entries.iter().map(|entry| entry.vsize).sum();
    let fees: Amount = entries.iter().map(|entry| entry.fee).sum();
    let least = render::bitcoins(Amount::from_sat(RELAY_FEE_SAT_PER_KVB));
    let floor = render::bitcoins(Amount::from_sat(context.chain.mempool_floor.get()));
    Ok(json!({
        "loaded": true,
        "size": count,
        "bytes": vsize,
        "usage": bytes,
        "total_fee": render::bitcoins(fees),
        "maxmempool": MEMPOOL_BYTES_MAX,
        "mempoolminfee": floor,
        "minrelaytxfee": least.clone(),
        "incrementalrelayfee": least,
        "unbroadcastcount": 0,
        "fullrbf": true,
    }))
}
