//! Scripts, transactions and headers as bitcoind's JSON has them.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hex::DisplayHex;
use bitcoin::opcodes::all::{OP_PUSHNUM_1, OP_PUSHNUM_16, OP_PUSHNUM_NEG1};
use bitcoin::script::{Instruction, Script};
use bitcoin::{Address, Amount, Network, Transaction, TxIn, TxOut};
use serde_json::{Map, Value, json};

use super::super::chain::Chain;
use super::super::store::{StoreError, Stored};

/// An amount in bitcoin. The one place where money is a float: JSON has no other number, and the
/// shortest decimal of any amount up to 21 million bitcoin is exact.
pub(super) fn bitcoins(amount: Amount) -> Value {
    json!(amount.to_btc())
}

/// A header with its place, as `getblockheader` and `getblock` show it.
pub(super) fn header(chain: &Chain, stored: &Stored) -> Result<Map<String, Value>, StoreError> {
    let tip = chain.tip()?;
    let active = chain.store.active(stored.height)? == Some(stored.hash);
    let confirmations = if active {
        i64::from(tip.height) - i64::from(stored.height) + 1
    } else {
        -1
    };
    let version = stored.header.version.to_consensus();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("hash", json!(stored.hash));
    put("confirmations", json!(confirmations));
    put("height", json!(stored.height));
    put("version", json!(version));
    put("versionHex", json!(format!("{version:08x}")));
    put("merkleroot", json!(stored.header.merkle_root));
    put("time", json!(stored.header.time));
    put("mediantime", json!(chain.median_time_past(&stored.hash)?));
    put("nonce", json!(stored.header.nonce));
    put("bits", json!(bits(stored)));
    put("target", json!(target(stored)));
    put("difficulty", json!(stored.header.difficulty_float()));
    put(
        "chainwork",
        json!(stored.chainwork.to_be_bytes().to_lower_hex_string()),
    );
    put("nTx", json!(stored.transactions));
    if stored.height > 0 {
        put("previousblockhash", json!(stored.header.prev_blockhash));
    }
    if active && let Some(next) = chain.store.active(stored.height.saturating_add(1))? {
        put("nextblockhash", json!(next));
    }
    Ok(fields)
}

/// The compact target of a header, eight hex digits.
pub(super) fn bits(stored: &Stored) -> String {
    format!("{:08x}", stored.header.bits.to_consensus())
}

/// The target of a header, 64 hex digits.
pub(super) fn target(stored: &Stored) -> String {
    stored.header.target().to_be_bytes().to_lower_hex_string()
}

/// A transaction, as `getrawtransaction` with verbosity 1 shows it.
pub(super) fn transaction(transaction: &Transaction) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("txid", json!(transaction.compute_txid()));
    put("hash", json!(transaction.compute_wtxid()));
    put("version", json!(transaction.version.0.cast_unsigned()));
    put("size", json!(transaction.total_size()));
    put("vsize", json!(transaction.vsize()));
    put("weight", json!(transaction.weight().to_wu()));
    put("locktime", json!(transaction.lock_time.to_consensus_u32()));
    put("vin", transaction.input.iter().map(input).collect());
    put(
        "vout",
        transaction.output.iter().enumerate().map(output).collect(),
    );
    put("hex", json!(serialize_hex(transaction)));
    fields
}

fn input(input: &TxIn) -> Value {
    let mut fields = Map::new();
    if input.previous_output.is_null() {
        fields.insert("coinbase".into(), json!(input.script_sig.to_hex_string()));
    } else {
        fields.insert("txid".into(), json!(input.previous_output.txid));
        fields.insert("vout".into(), json!(input.previous_output.vout));
        fields.insert(
            "scriptSig".into(),
            json!({ "asm": asm(&input.script_sig), "hex": input.script_sig.to_hex_string() }),
        );
    }
    if !input.witness.is_empty() {
        let items: Value = input
            .witness
            .iter()
            .map(|item| json!(item.to_lower_hex_string()))
            .collect();
        fields.insert("txinwitness".into(), items);
    }
    fields.insert("sequence".into(), json!(input.sequence.to_consensus_u32()));
    Value::Object(fields)
}

fn output((index, output): (usize, &TxOut)) -> Value {
    json!({
        "value": bitcoins(output.value),
        "n": index,
        "scriptPubKey": script_pubkey(&output.script_pubkey),
    })
}

/// A script that locks an output.
pub(super) fn script_pubkey(script: &Script) -> Value {
    let mut fields = Map::new();
    fields.insert("asm".into(), json!(asm(script)));
    fields.insert("hex".into(), json!(script.to_hex_string()));
    if let Ok(address) = Address::from_script(script, Network::Regtest) {
        fields.insert("address".into(), json!(address.to_string()));
    }
    fields.insert("type".into(), json!(script_type(script)));
    Value::Object(fields)
}

/// Pay-to-anchor: an output that anybody may spend, in order to raise a fee.
const PAY_TO_ANCHOR: [u8; 4] = [0x51, 0x02, 0x4e, 0x73];

fn script_type(script: &Script) -> &'static str {
    type Test = fn(&Script) -> bool;
    let kinds: [(Test, &str); 11] = [
        (Script::is_p2pkh, "pubkeyhash"),
        (Script::is_p2sh, "scripthash"),
        (Script::is_p2wpkh, "witness_v0_keyhash"),
        (Script::is_p2wsh, "witness_v0_scripthash"),
        (Script::is_p2tr, "witness_v1_taproot"),
        (|script| script.as_bytes() == PAY_TO_ANCHOR, "anchor"),
        (Script::is_witness_program, "witness_unknown"),
        (Script::is_p2pk, "pubkey"),
        (Script::is_multisig, "multisig"),
        (
            |script| script.is_op_return() && script.is_push_only_after_op_return(),
            "nulldata",
        ),
        (|_| true, "nonstandard"),
    ];
    kinds
        .iter()
        .find(|(is, _)| is(script))
        .map_or("nonstandard", |(_, name)| name)
}

/// Whether only data follows the first opcode.
trait AfterOpReturn {
    fn is_push_only_after_op_return(&self) -> bool;
}

impl AfterOpReturn for Script {
    fn is_push_only_after_op_return(&self) -> bool {
        self.as_bytes()
            .get(1..)
            .is_some_and(|rest| Script::from_bytes(rest).is_push_only())
    }
}

/// A script in bitcoind's words: data in hex, up to four bytes as a number.
fn asm(script: &Script) -> String {
    let words: Vec<String> = script
        .instructions()
        .map(|instruction| match instruction {
            Ok(Instruction::PushBytes(data)) if data.len() <= 4 => {
                small_number(data.as_bytes()).to_string()
            }
            Ok(Instruction::PushBytes(data)) => data.as_bytes().to_lower_hex_string(),
            Ok(Instruction::Op(op)) if op == OP_PUSHNUM_NEG1 => "-1".to_owned(),
            Ok(Instruction::Op(op))
                if (OP_PUSHNUM_1.to_u8()..=OP_PUSHNUM_16.to_u8()).contains(&op.to_u8()) =>
            {
                (op.to_u8() - OP_PUSHNUM_1.to_u8() + 1).to_string()
            }
            Ok(Instruction::Op(op)) => op.to_string(),
            Err(_) => "[error]".to_owned(),
        })
        .collect();
    words.join(" ")
}

/// Up to four bytes as a script counts them: little-endian, the highest bit is the sign.
fn small_number(bytes: &[u8]) -> i64 {
    let Some((last, rest)) = bytes.split_last() else {
        return 0;
    };
    let magnitude = rest
        .iter()
        .chain(std::iter::once(&(last & 0x7f)))
        .rev()
        .fold(0_i64, |number, byte| (number << 8) | i64::from(*byte));
    if last & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}
