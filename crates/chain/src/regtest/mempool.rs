//! What may wait for a block: bitcoind's relay rules, replacement, and what leaves again.
//!
//! As `bitcoind -regtest -acceptnonstdtxn=1` does it, but dust is refused all the same: script
//! templates are not checked, fees, sizes, chains of unconfirmed transactions and replacement are
//! (any transaction may be replaced by one that pays more, as Bitcoin Core does since version 28).
//! A full mempool refuses; it does not evict. What the least fee rate is of a mempool that is nearly full
//! can be set, until the end of the process. The rows are in `pool.rs`.

use std::collections::HashSet;

use bitcoin::{Amount, Block, Transaction, TxOut, Txid, Wtxid};

use super::chain::{Chain, outputs, sigops_cost};
use super::coins::Coin;
use super::pool::{Entry, rate_order};
use super::reject::{
    ALREADY_IN_MEMPOOL, ALREADY_KNOWN, AcceptError, FEE_ABOVE_MAX, MISSING_INPUTS, Reject,
};
use super::script::check_scripts;
use super::store::StoreError;
use super::transaction::{check_form, check_spent, is_final};
use super::validate::{BLOCK_SIGOPS_COST_MAX, Place};

/// Bytes of all waiting transactions: more than a dozen full blocks, and small enough to be read
/// whole when a block is made.
pub(crate) const MEMPOOL_BYTES_MAX: u64 = 20_000_000;

/// Least fee rate to be relayed, and least that a replacement adds, satoshi for 1000 virtual bytes.
pub(crate) const RELAY_FEE_SAT_PER_KVB: u64 = 1_000;

/// A waiting transaction with all it depends on, and with all that depends on it: a bound on the
/// work that one removal makes (Bitcoin Core's limit).
pub(crate) const CHAIN_LENGTH_MAX: usize = 25;

/// Transactions that one replacement may throw out (Bitcoin Core's limit).
const REPLACED_MAX: usize = 100;

/// Weight of one transaction at most (`MAX_STANDARD_TX_WEIGHT`).
const TRANSACTION_WEIGHT_MAX: u64 = 400_000;

/// Bytes of one transaction at least, so that none can pass for a node of the merkle tree.
const TRANSACTION_BYTES_MIN: usize = 65;

/// Virtual bytes that one sigop counts at least, times four (`-bytespersigop`).
const WEIGHT_PER_SIGOP: u64 = 20;

/// Transactions of a package (`MAX_PACKAGE_COUNT`).
pub(crate) const PACKAGE_LENGTH_MAX: usize = 25;

/// By which door a transaction comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    /// By itself: every rule holds.
    Relay,
    /// In a package, whose fee rate counts as a whole.
    Package,
    /// Back from a disconnected block or from before a reorganisation: it was let in once.
    Return,
}

/// A transaction that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// Its wtxid.
    pub(crate) wtxid: Wtxid,
    /// Its txid.
    pub(crate) txid: Txid,
    /// Its size for fees, virtual bytes.
    pub(crate) vsize: u64,
    /// Its fee.
    pub(crate) fee: Amount,
    /// What it replaced.
    pub(crate) replaced: Vec<Txid>,
}

impl Chain {
    /// Lets a transaction in, or says why not. `now`: seconds since 1970; `feerate_max`: satoshi for
    /// 1000 virtual bytes above which the caller takes it for a mistake.
    pub(crate) fn accept(
        &self,
        transaction: &Transaction,
        now: u64,
        feerate_max: Option<u64>,
    ) -> Result<Accepted, AcceptError> {
        let step = self.store.step()?;
        let accepted = self.enter(transaction, now, Entrance::Relay)?;
        check_feerate_max(&accepted, feerate_max)?;
        step.keep()?;
        Ok(accepted)
    }

    /// Says what [`Chain::accept`] would, and changes nothing.
    pub(crate) fn try_accept(
        &self,
        transaction: &Transaction,
        now: u64,
        feerate_max: Option<u64>,
    ) -> Result<Accepted, AcceptError> {
        let _dropped = self.store.step()?;
        let accepted = self.enter(transaction, now, Entrance::Relay)?;
        check_feerate_max(&accepted, feerate_max)?;
        Ok(accepted)
    }

    /// Lets a child and its parents in together, all or none; the fee rate of the whole counts.
    /// Those that are in already are passed over. The error names the transaction that failed.
    pub(crate) fn accept_package(
        &self,
        transactions: &[Transaction],
        now: u64,
    ) -> Result<Vec<Accepted>, (Option<Wtxid>, AcceptError)> {
        let step = self.store.step().map_err(|error| (None, error.into()))?;
        let mut accepted = Vec::new();
        for transaction in transactions {
            match self.enter(transaction, now, Entrance::Package) {
                Ok(one) => accepted.push(one),
                Err(AcceptError::Rejected(reject)) if reject.reason() == ALREADY_IN_MEMPOOL => {}
                Err(error) => return Err((Some(transaction.compute_wtxid()), error)),
            }
        }
        let fee: Amount = accepted.iter().map(|one| one.fee).sum();
        let vsize: u64 = accepted.iter().map(|one| one.vsize).sum();
        self.check_fee(fee, vsize)
            .map_err(|reject| (None, reject.into()))?;
        step.keep().map_err(|error| (None, error.into()))?;
        Ok(accepted)
    }

    /// Takes out what a newly connected block confirmed or made impossible.
    pub(super) fn clear_mempool_of(&self, connected: &[Block]) -> Result<(), StoreError> {
        for transaction in connected.iter().flat_map(|block| &block.txdata) {
            self.store.pool_remove(&transaction.compute_txid())?;
            for input in &transaction.input {
                if let Some(loser) = self.store.pool_spender(&input.previous_output)? {
                    self.remove_with_descendants(&loser)?;
                }
            }
        }
        Ok(())
    }

    /// After a reorganisation: lets the transactions of the blocks that left (tip first) and then
    /// those that waited come in anew, as far as the new chain allows.
    pub(super) fn refill_mempool(&self, left: &[Block], now: u64) -> Result<(), StoreError> {
        let waiting = self.store.pool_entries()?;
        self.store.pool_clear()?;
        let returning = left
            .iter()
            .rev()
            .flat_map(|block| block.txdata.iter())
            .filter(|transaction| !transaction.is_coinbase())
            .map(|transaction| (transaction, now));
        let waiting = waiting.iter().map(|entry| (&entry.transaction, entry.time));
        for (transaction, time) in returning.chain(waiting) {
            let step = self.store.step()?;
            match self.enter(transaction, time, Entrance::Return) {
                Ok(_) => step.keep()?,
                Err(AcceptError::Rejected(reject)) => {
                    tracing::debug!(txid = %transaction.compute_txid(), %reject, "dropped in a reorganisation");
                }
                Err(AcceptError::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Least fee rate that gets a transaction into one of the next blocks, as `mine.rs` fills them:
    /// satoshi for 1000 virtual bytes.
    pub(crate) fn feerate_within(&self, blocks: u64) -> Result<u64, StoreError> {
        let mut entries = self.store.pool_entries()?;
        entries.sort_by(|one, other| other.pays_more_than(one));
        let room = blocks.saturating_mul(super::mine::BLOCK_VSIZE);
        let mut used = 0_u64;
        for entry in &entries {
            used = used.saturating_add(entry.vsize);
            if used > room {
                let rate = entry.fee.to_sat().saturating_mul(1_000) / entry.vsize.max(1);
                // One more than the first that finds no room.
                return Ok(rate.saturating_add(1).max(self.mempool_floor.get()));
            }
        }
        Ok(self.mempool_floor.get())
    }

    /// Takes only what pays this much from now on, satoshi for 1000 virtual bytes; never less than for
    /// relay. What is in stays.
    pub(crate) fn set_mempool_floor(&self, sat_per_kvb: u64) {
        self.mempool_floor
            .set(sat_per_kvb.max(RELAY_FEE_SAT_PER_KVB));
    }

    fn check_fee(&self, fee: Amount, vsize: u64) -> Result<(), Reject> {
        check_relay_fee(fee, vsize)?;
        let least = fee_at(self.mempool_floor.get(), vsize);
        if fee.to_sat() < least {
            return Err(Reject::with(
                "mempool min fee not met",
                format!("{} < {least}", fee.to_sat()),
            ));
        }
        Ok(())
    }

    /// Checks a transaction and adds it. The caller drops its step if this fails.
    fn enter(
        &self,
        transaction: &Transaction,
        now: u64,
        entrance: Entrance,
    ) -> Result<Accepted, AcceptError> {
        check_form(transaction)?;
        check_policy(transaction)?;
        let place = self.next_place()?;
        if !is_final(transaction, place.height, place.median_time_past) {
            return Err(Reject::new("non-final").into());
        }
        let txid = transaction.compute_txid();
        let wtxid = transaction.compute_wtxid();
        if let Some(present) = self.store.pool_entry(&txid)? {
            let same = present.wtxid == wtxid;
            return Err(Reject::new(if same {
                ALREADY_IN_MEMPOOL
            } else {
                "txn-same-nonwitness-data-in-mempool"
            })
            .into());
        }
        let spent = self.find_spent(transaction, &txid, place)?;
        if !self.locks_passed(transaction, &spent, place)? {
            return Err(Reject::new("non-BIP68-final").into());
        }
        let fee = check_spent(transaction, &spent, place.height)?;
        let vsize = check_size(transaction, &spent)?;
        if entrance == Entrance::Relay {
            self.check_fee(fee, vsize)?;
        }
        let replaced = self.replace(transaction, &txid, fee, vsize, entrance)?;
        check_scripts(transaction, &outputs(&spent))?;
        let (_, bytes) = self.store.pool_size()?;
        let bytes =
            bytes.saturating_add(u64::try_from(transaction.total_size()).unwrap_or(u64::MAX));
        if bytes > MEMPOOL_BYTES_MAX {
            return Err(Reject::new("mempool full").into());
        }
        let height = place.height.saturating_sub(1);
        let entry = Entry {
            transaction: transaction.clone(),
            txid,
            wtxid,
            fee,
            vsize,
            time: now,
            height,
        };
        self.store.pool_add(&entry)?;
        if entrance != Entrance::Return {
            self.check_chain_length(&txid)?;
        }
        Ok(Accepted {
            wtxid,
            txid,
            vsize,
            fee,
            replaced,
        })
    }

    /// The coins that a transaction spends, of the chain or of waiting transactions.
    fn find_spent(
        &self,
        transaction: &Transaction,
        txid: &Txid,
        place: Place,
    ) -> Result<Vec<Coin>, AcceptError> {
        let mut spent = Vec::with_capacity(transaction.input.len());
        for input in &transaction.input {
            match self.find_coin(&input.previous_output, place)? {
                Some(coin) => spent.push(coin),
                None if self.store.has_coin_of(txid)? => {
                    return Err(Reject::new(ALREADY_KNOWN).into());
                }
                None => return Err(Reject::new(MISSING_INPUTS).into()),
            }
        }
        Ok(spent)
    }

    /// An output of the chain or of a waiting transaction, whether or not a waiting one spends it.
    pub(super) fn find_coin(
        &self,
        outpoint: &bitcoin::OutPoint,
        place: Place,
    ) -> Result<Option<Coin>, StoreError> {
        if let Some(parent) = self.store.pool_entry(&outpoint.txid)? {
            let index = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
            let output: Option<&TxOut> = parent.transaction.output.get(index);
            return Ok(output.map(|output| Coin {
                output: output.clone(),
                height: place.height,
                coinbase: false,
            }));
        }
        self.store.coin(outpoint)
    }

    /// Throws out what conflicts with a transaction if that pays for it.
    fn replace(
        &self,
        transaction: &Transaction,
        txid: &Txid,
        fee: Amount,
        vsize: u64,
        entrance: Entrance,
    ) -> Result<Vec<Txid>, AcceptError> {
        let mut conflicts = Vec::new();
        for input in &transaction.input {
            if let Some(spender) = self.store.pool_spender(&input.previous_output)?
                && !conflicts.contains(&spender)
            {
                conflicts.push(spender);
            }
        }
        if conflicts.is_empty() {
            return Ok(Vec::new());
        }
        if entrance == Entrance::Return || conflicts.len() > REPLACED_MAX {
            return Err(Reject::new("txn-mempool-conflict").into());
        }
        let mut evicted: Vec<Txid> = Vec::new();
        for conflict in &conflicts {
            let descendants = self.store.pool_descendants(conflict)?;
            for one in std::iter::once(*conflict).chain(descendants) {
                if !evicted.contains(&one) {
                    evicted.push(one);
                }
            }
        }
        self.check_replacement(transaction, txid, (fee, vsize), &conflicts, &evicted)?;
        for one in &evicted {
            self.store.pool_remove(one)?;
        }
        Ok(evicted)
    }

    /// BIP 125's rules on fees, and that a transaction does not spend what it replaces.
    fn check_replacement(
        &self,
        transaction: &Transaction,
        txid: &Txid,
        (fee, vsize): (Amount, u64),
        conflicts: &[Txid],
        evicted: &[Txid],
    ) -> Result<(), AcceptError> {
        let refused = |why: String| {
            Reject::with(
                "insufficient fee",
                format!("rejecting replacement {txid}; {why}"),
            )
        };
        if evicted.len() > REPLACED_MAX {
            return Err(Reject::with(
                "too many potential replacements",
                format!(
                    "rejecting replacement {txid}; {} > {REPLACED_MAX}",
                    evicted.len()
                ),
            )
            .into());
        }
        let evicted: HashSet<&Txid> = evicted.iter().collect();
        if transaction
            .input
            .iter()
            .any(|input| evicted.contains(&input.previous_output.txid))
        {
            return Err(Reject::with(
                "bad-txns-spends-conflicting-tx",
                format!("{txid} spends conflicting transaction"),
            )
            .into());
        }
        let mut replaced_fees = Amount::ZERO;
        for one in &evicted {
            let Some(entry) = self.store.pool_entry(one)? else {
                continue;
            };
            replaced_fees = replaced_fees
                .checked_add(entry.fee)
                .unwrap_or(Amount::MAX_MONEY);
            if conflicts.contains(one) && rate_order((fee, vsize), (entry.fee, entry.vsize)).is_le()
            {
                return Err(refused("new feerate does not exceed the old one".into()).into());
            }
        }
        let least = replaced_fees.to_sat().saturating_add(relay_fee(vsize));
        if fee.to_sat() < least {
            let why = format!("fees of {fee} are less than {}", Amount::from_sat(least));
            return Err(refused(why).into());
        }
        Ok(())
    }

    /// Bounds the chains of waiting transactions that a new entry is part of.
    fn check_chain_length(&self, txid: &Txid) -> Result<(), AcceptError> {
        let ancestors = self.store.pool_ancestors(txid)?;
        let mut longest = ancestors.len();
        for ancestor in &ancestors {
            longest = longest.max(self.store.pool_descendants(ancestor)?.len());
        }
        if longest >= CHAIN_LENGTH_MAX {
            return Err(Reject::with(
                "too-long-mempool-chain",
                format!("too many unconfirmed relatives [limit: {CHAIN_LENGTH_MAX}]"),
            )
            .into());
        }
        Ok(())
    }

    fn remove_with_descendants(&self, txid: &Txid) -> Result<(), StoreError> {
        for descendant in self.store.pool_descendants(txid)? {
            self.store.pool_remove(&descendant)?;
        }
        self.store.pool_remove(txid)
    }
}

/// Rules for relay that need no other transaction.
fn check_policy(transaction: &Transaction) -> Result<(), Reject> {
    if transaction.is_coinbase() {
        return Err(Reject::new("coinbase"));
    }
    if transaction.weight().to_wu() > TRANSACTION_WEIGHT_MAX {
        return Err(Reject::new("tx-size"));
    }
    if transaction.base_size() < TRANSACTION_BYTES_MIN {
        return Err(Reject::new("tx-size-small"));
    }
    let dust = |output: &TxOut| output.value < output.script_pubkey.minimal_non_dust();
    if transaction.output.iter().any(dust) {
        return Err(Reject::new("dust"));
    }
    Ok(())
}

/// Checks the sigops; returns the size for fees, virtual bytes.
fn check_size(transaction: &Transaction, spent: &[Coin]) -> Result<u64, Reject> {
    let sigops = sigops_cost(transaction, spent);
    if sigops > BLOCK_SIGOPS_COST_MAX / 5 {
        return Err(Reject::with("bad-txns-too-many-sigops", sigops.to_string()));
    }
    let sigops_weight = u64::try_from(sigops)
        .unwrap_or(u64::MAX)
        .saturating_mul(WEIGHT_PER_SIGOP);
    Ok(transaction.weight().to_wu().max(sigops_weight).div_ceil(4))
}

/// Least fee for a size, satoshi.
fn relay_fee(vsize: u64) -> u64 {
    fee_at(RELAY_FEE_SAT_PER_KVB, vsize)
}

fn fee_at(sat_per_kvb: u64, vsize: u64) -> u64 {
    vsize.saturating_mul(sat_per_kvb).div_ceil(1_000)
}

fn check_relay_fee(fee: Amount, vsize: u64) -> Result<(), Reject> {
    let least = relay_fee(vsize);
    if fee.to_sat() < least {
        return Err(Reject::with(
            "min relay fee not met",
            format!("{} < {least}", fee.to_sat()),
        ));
    }
    Ok(())
}

fn check_feerate_max(accepted: &Accepted, feerate_max: Option<u64>) -> Result<(), Reject> {
    let paid = u128::from(accepted.fee.to_sat()) * 1_000;
    let limit = feerate_max.map(|limit| u128::from(limit) * u128::from(accepted.vsize));
    if limit.is_some_and(|limit| paid > limit) {
        return Err(Reject::new(FEE_ABOVE_MAX));
    }
    Ok(())
}
