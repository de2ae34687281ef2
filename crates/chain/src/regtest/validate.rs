//! The consensus rules for a header and a block that need no unspent outputs.
//!
//! Pure functions over a block and its place in the chain. What the transactions of a block spend
//! is checked by `chain.rs` when it connects the block.

use std::collections::HashSet;

use bitcoin::block::{Header, ValidationError};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{Amount, Block, CompactTarget, Script, Target, Transaction, Weight};

use super::reject::Reject;
use super::transaction::{check_form, is_final};

/// The one difficulty of regtest: it is never adjusted.
pub(crate) const REGTEST_BITS: u32 = 0x207f_ffff;

/// Blocks after which the subsidy halves on regtest.
const HALVING_BLOCKS: u32 = 150;

/// How far the time of a block may be ahead of our clock, seconds.
const TIME_AHEAD_MAX_S: u32 = 2 * 60 * 60;

/// Sigop cost of all transactions of a block.
pub(crate) const BLOCK_SIGOPS_COST_MAX: usize = 80_000;

/// BIP 141: how the output with the witness commitment begins.
pub(crate) const WITNESS_COMMITMENT_HEAD: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Bytes of that output at least: the head and a hash.
const WITNESS_COMMITMENT_BYTES: usize = 38;

/// Where a block stands: what the rules need to know of its parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Height of the block.
    pub(crate) height: u32,
    /// Median time past of its parent, seconds since 1970.
    pub(crate) median_time_past: u32,
}

/// The new coins that a block at this height may make, fees not counted.
pub(crate) fn subsidy(height: u32) -> Amount {
    let halvings = height / HALVING_BLOCKS;
    Amount::from_sat(50_0000_0000_u64.checked_shr(halvings).unwrap_or(0))
}

/// Checks proof of work, version and time of a header.
pub(crate) fn check_header(header: &Header, place: Place, now: u32) -> Result<(), Reject> {
    let required = Target::from_compact(CompactTarget::from_consensus(REGTEST_BITS));
    match header.validate_pow(required) {
        Ok(_) => {}
        Err(ValidationError::BadTarget) => {
            return Err(Reject::with("bad-diffbits", "incorrect proof of work"));
        }
        Err(_) => return Err(Reject::with("high-hash", "proof of work failed")),
    }
    if header.time <= place.median_time_past {
        return Err(Reject::with(
            "time-too-old",
            "block's timestamp is too early",
        ));
    }
    if header.time > now.saturating_add(TIME_AHEAD_MAX_S) {
        return Err(Reject::with(
            "time-too-new",
            "block timestamp too far in the future",
        ));
    }
    // BIP 34, 65 and 66 are active from the first block: versions below 4 are gone.
    let version = header.version.to_consensus();
    if version < 4 {
        return Err(Reject::new(format!("bad-version(0x{version:08x})")));
    }
    Ok(())
}

/// Checks what a block says of itself: merkle root, size, form of its transactions.
pub(crate) fn check_block(block: &Block) -> Result<(), Reject> {
    if !block.check_merkle_root() {
        return Err(Reject::with("bad-txnmrklroot", "hashMerkleRoot mismatch"));
    }
    // The merkle root of a list whose end is doubled can be the same as without (CVE-2012-2459),
    // so that the two would share a hash.
    let mut seen = HashSet::with_capacity(block.txdata.len());
    if !block
        .txdata
        .iter()
        .all(|transaction| seen.insert(transaction.compute_txid()))
    {
        return Err(Reject::with("bad-txns-duplicate", "duplicate transaction"));
    }
    let base_weight: usize = block
        .txdata
        .iter()
        .map(|transaction| transaction.base_size() * 4)
        .sum();
    if block.txdata.is_empty() || base_weight > Weight::MAX_BLOCK.to_wu() as usize {
        return Err(Reject::with("bad-blk-length", "size limits failed"));
    }
    if !block.txdata.first().is_some_and(Transaction::is_coinbase) {
        return Err(Reject::with("bad-cb-missing", "first tx is not coinbase"));
    }
    if block.txdata.iter().skip(1).any(Transaction::is_coinbase) {
        return Err(Reject::with("bad-cb-multiple", "more than one coinbase"));
    }
    block.txdata.iter().try_for_each(check_form)
}

/// Checks what depends on the place of the block: lock times, height in the coinbase, witness
/// commitment, weight.
pub(crate) fn check_block_at(block: &Block, place: Place) -> Result<(), Reject> {
    let locked =
        |transaction: &Transaction| !is_final(transaction, place.height, place.median_time_past);
    if block.txdata.iter().any(locked) {
        return Err(Reject::with("bad-txns-nonfinal", "non-final transaction"));
    }
    let coinbase = block
        .coinbase()
        .ok_or_else(|| Reject::new("bad-cb-missing"))?;
    let height_push = Builder::new()
        .push_int(i64::from(place.height))
        .into_script();
    let script = coinbase
        .input
        .first()
        .map(|input| input.script_sig.as_bytes())
        .unwrap_or_default();
    if !script.starts_with(height_push.as_bytes()) {
        return Err(Reject::with(
            "bad-cb-height",
            "block height mismatch in coinbase",
        ));
    }
    check_witness_commitment(block, coinbase)?;
    if block.weight() > Weight::MAX_BLOCK {
        return Err(Reject::with("bad-blk-weight", "weight limit failed"));
    }
    Ok(())
}

/// BIP 141: a commitment must be right; without one no transaction may have a witness.
fn check_witness_commitment(block: &Block, coinbase: &Transaction) -> Result<(), Reject> {
    let is_commitment = |script: &Script| {
        script.len() >= WITNESS_COMMITMENT_BYTES
            && script.as_bytes().starts_with(&WITNESS_COMMITMENT_HEAD)
    };
    let commitment = coinbase
        .output
        .iter()
        .rev()
        .find(|output| is_commitment(&output.script_pubkey))
        .and_then(|output| {
            output
                .script_pubkey
                .as_bytes()
                .get(WITNESS_COMMITMENT_HEAD.len()..WITNESS_COMMITMENT_BYTES)
        });
    let Some(commitment) = commitment else {
        let has_witness = |transaction: &Transaction| {
            transaction
                .input
                .iter()
                .any(|input| !input.witness.is_empty())
        };
        if block.txdata.iter().any(has_witness) {
            return Err(Reject::with(
                "unexpected-witness",
                "unexpected witness data found",
            ));
        }
        return Ok(());
    };
    let reserved = coinbase.input.first().map(|input| &input.witness);
    let reserved = match reserved {
        Some(witness) if witness.len() == 1 => witness.nth(0).filter(|item| item.len() == 32),
        _ => None,
    };
    let reserved = reserved.ok_or_else(|| {
        Reject::with(
            "bad-witness-nonce-size",
            "invalid witness reserved value size",
        )
    })?;
    let expected = block
        .witness_root()
        .map(|root| Block::compute_witness_commitment(&root, reserved));
    match expected {
        Some(expected) if expected.as_byte_array().as_slice() == commitment => Ok(()),
        _ => Err(Reject::with(
            "bad-witness-merkle-match",
            "witness merkle commitment mismatch",
        )),
    }
}

/// The median of the times of a block and the ten before it (fewer near genesis).
pub(crate) fn median_time(mut times: Vec<u32>) -> u32 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}
