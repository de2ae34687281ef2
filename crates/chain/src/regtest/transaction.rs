//! The consensus rules for one transaction: its form, its lock times, what it spends.
//!
//! Pure functions. Looking up the spent outputs is left to the callers (`chain.rs` for blocks,
//! `mempool.rs` for what waits for one), running scripts to `script.rs`.

use std::collections::HashSet;

use bitcoin::{Amount, Sequence, Transaction};

use super::coins::Coin;
use super::reject::Reject;

/// Blocks before the output of a coinbase may be spent.
pub(crate) const COINBASE_MATURITY: u32 = 100;

/// Lock times from here on are seconds since 1970, below it block heights.
const LOCK_TIME_THRESHOLD: u32 = 500_000_000;

/// BIP 68: set in a sequence number that is no relative lock.
const SEQUENCE_LOCK_DISABLED: u32 = 1 << 31;

/// BIP 68: set in a relative lock that counts time and not blocks.
const SEQUENCE_LOCK_IS_TIME: u32 = 1 << 22;

/// BIP 68: the bits of a sequence number that count.
const SEQUENCE_LOCK_MASK: u32 = 0xffff;

/// BIP 68: a relative lock counts in units of 2^9 = 512 seconds.
const SEQUENCE_LOCK_GRANULARITY: u32 = 9;

/// A block may weigh 4,000,000; a transaction without its witnesses counts four times its bytes.
const BASE_BYTES_MAX: usize = 1_000_000;

/// Checks what needs no other transaction (`CheckTransaction` of Bitcoin Core).
pub(crate) fn check_form(transaction: &Transaction) -> Result<(), Reject> {
    if transaction.input.is_empty() {
        return Err(Reject::new("bad-txns-vin-empty"));
    }
    if transaction.output.is_empty() {
        return Err(Reject::new("bad-txns-vout-empty"));
    }
    if transaction.base_size() > BASE_BYTES_MAX {
        return Err(Reject::new("bad-txns-oversize"));
    }
    let mut total = Amount::ZERO;
    for output in &transaction.output {
        // On the wire the amount is signed: the upper half of the range is a negative one.
        if i64::try_from(output.value.to_sat()).is_err() {
            return Err(Reject::new("bad-txns-vout-negative"));
        }
        if output.value > Amount::MAX_MONEY {
            return Err(Reject::new("bad-txns-vout-toolarge"));
        }
        total = total
            .checked_add(output.value)
            .filter(|total| *total <= Amount::MAX_MONEY)
            .ok_or_else(|| Reject::new("bad-txns-txouttotal-toolarge"))?;
    }
    let mut seen = HashSet::with_capacity(transaction.input.len());
    if !transaction
        .input
        .iter()
        .all(|input| seen.insert(input.previous_output))
    {
        return Err(Reject::new("bad-txns-inputs-duplicate"));
    }
    if transaction.is_coinbase() {
        let length = transaction
            .input
            .first()
            .map_or(0, |input| input.script_sig.len());
        if !(2..=100).contains(&length) {
            return Err(Reject::new("bad-cb-length"));
        }
    } else if transaction
        .input
        .iter()
        .any(|input| input.previous_output.is_null())
    {
        return Err(Reject::new("bad-txns-prevout-null"));
    }
    Ok(())
}

/// Whether the lock time lets a transaction into a block at `height` whose parent has this median
/// time past (BIP 113).
pub(crate) fn is_final(transaction: &Transaction, height: u32, median_time_past: u32) -> bool {
    let lock = transaction.lock_time.to_consensus_u32();
    let now = if lock < LOCK_TIME_THRESHOLD {
        height
    } else {
        median_time_past
    };
    lock == 0
        || lock < now
        || transaction
            .input
            .iter()
            .all(|input| input.sequence == Sequence::MAX)
}

/// Whether the relative locks (BIP 68) let a transaction into a block at `height` whose parent has
/// this median time past. `time_before` gives the median time past of the block before a height.
pub(crate) fn relative_locks_passed<E>(
    transaction: &Transaction,
    spent: &[Coin],
    height: u32,
    median_time_past: u32,
    mut time_before: impl FnMut(u32) -> Result<u32, E>,
) -> Result<bool, E> {
    // The version is unsigned here, as it is for BIP 68 in Bitcoin Core.
    if transaction.version.0.cast_unsigned() < 2 {
        return Ok(true);
    }
    for (input, coin) in transaction.input.iter().zip(spent) {
        let sequence = input.sequence.to_consensus_u32();
        if sequence & SEQUENCE_LOCK_DISABLED != 0 {
            continue;
        }
        let count = sequence & SEQUENCE_LOCK_MASK;
        let passed = if sequence & SEQUENCE_LOCK_IS_TIME != 0 {
            let since = u64::from(time_before(coin.height)?);
            u64::from(median_time_past) >= since + (u64::from(count) << SEQUENCE_LOCK_GRANULARITY)
        } else {
            u64::from(height) >= u64::from(coin.height) + u64::from(count)
        };
        if !passed {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks maturity and amounts of what a transaction spends in a block at `height`
/// (`CheckTxInputs` of Bitcoin Core). Returns the fee.
pub(crate) fn check_spent(
    transaction: &Transaction,
    spent: &[Coin],
    height: u32,
) -> Result<Amount, Reject> {
    let mut value_in = Amount::ZERO;
    for coin in spent {
        let depth = height.saturating_sub(coin.height);
        if coin.coinbase && depth < COINBASE_MATURITY {
            return Err(Reject::with(
                "bad-txns-premature-spend-of-coinbase",
                format!("tried to spend coinbase at depth {depth}"),
            ));
        }
        value_in = value_in
            .checked_add(coin.output.value)
            .filter(|total| *total <= Amount::MAX_MONEY)
            .ok_or_else(|| Reject::new("bad-txns-inputvalues-outofrange"))?;
    }
    let value_out = transaction
        .output
        .iter()
        .try_fold(Amount::ZERO, |total, output| {
            total.checked_add(output.value)
        })
        .ok_or_else(|| Reject::new("bad-txns-txouttotal-toolarge"))?;
    value_in.checked_sub(value_out).ok_or_else(|| {
        Reject::with(
            "bad-txns-in-belowout",
            format!(
                "value in ({}) < value out ({})",
                value_in.to_string_in(bitcoin::Denomination::Bitcoin),
                value_out.to_string_in(bitcoin::Denomination::Bitcoin)
            ),
        )
    })
}
