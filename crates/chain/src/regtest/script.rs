//! Runs the scripts of a transaction with Bitcoin Core's own interpreter.
//!
//! The rules about what is spent and when are in `transaction.rs`.

use bitcoin::consensus::serialize;
use bitcoin::{Transaction, TxOut};
use bitcoinconsensus::Utxo;

use super::reject::Reject;

/// Every soft fork that the library knows, taproot included: all are active on regtest from genesis.
const FLAGS: u32 = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;

/// Checks that every input may spend its output. `spent` has one output for each input, in order.
pub(crate) fn check_scripts(transaction: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    let bytes = serialize(transaction);
    let utxos: Vec<Utxo> = spent.iter().map(utxo).collect();
    for (index, output) in spent.iter().enumerate() {
        bitcoinconsensus::verify_with_flags(
            output.script_pubkey.as_bytes(),
            output.value.to_sat(),
            &bytes,
            Some(&utxos),
            index,
            FLAGS,
        )
        .map_err(|error| failed(transaction, index, error))?;
    }
    Ok(())
}

fn utxo(output: &TxOut) -> Utxo {
    let script = output.script_pubkey.as_bytes();
    Utxo {
        script_pubkey: script.as_ptr(),
        // An output with a longer script would not have fitted into a block.
        script_pubkey_len: u32::try_from(script.len()).unwrap_or(u32::MAX),
        value: i64::try_from(output.value.to_sat()).unwrap_or(i64::MAX),
    }
}

/// The library tells only that a script failed, not at which opcode: so do we.
fn failed(transaction: &Transaction, index: usize, error: bitcoinconsensus::Error) -> Reject {
    let why = match error {
        bitcoinconsensus::Error::ERR_SCRIPT => {
            format!(
                "script of input {index} of {} is not satisfied",
                transaction.compute_txid()
            )
        }
        other => format!("input {index} of {}: {other}", transaction.compute_txid()),
    };
    Reject::new(format!("mandatory-script-verify-flag-failed ({why})"))
}
