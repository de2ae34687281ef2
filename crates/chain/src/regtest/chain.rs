//! The best chain: takes blocks in, connects and disconnects them, follows the most work.
//!
//! Every change is one step of the store, so a block is connected with all it entails (unspent
//! outputs, undo data, mempool) or not at all. The rules themselves are in `validate.rs` and
//! `transaction.rs`; making blocks is left to `mine.rs`.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Transaction, TxOut};

use super::coins::Coin;
use super::mempool::RELAY_FEE_SAT_PER_KVB;
use super::reject::{AcceptError, MISSING_INPUTS, Reject};
use super::script::check_scripts;
use super::store::{Failure, Store, StoreError, Stored};
use super::transaction::{check_spent, relative_locks_passed};
use super::validate::{
    BLOCK_SIGOPS_COST_MAX, Place, check_block, check_block_at, check_header, median_time, subsidy,
};

/// Scripts longer than this can never be run (`MAX_SCRIPT_SIZE` of Bitcoin Core).
const SCRIPT_BYTES_MAX: usize = 10_000;

/// The best block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    /// Its height.
    pub(crate) height: u32,
    /// Its hash.
    pub(crate) hash: BlockHash,
}

/// What became of a block that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It is on the best chain.
    Connected,
    /// It is stored on a side branch that has no more work.
    SideBranch,
    /// It was stored before.
    Duplicate,
    /// It was stored before and is kept off the best chain.
    DuplicateInvalid,
}

/// The chain and its mempool. One at a time may use it; see [`super::Regtest`].
pub(crate) struct Chain {
    pub(super) store: Store,
    /// Least fee rate that the mempool takes, satoshi for 1000 virtual bytes.
    pub(super) mempool_floor: Cell<u64>,
}

/// What a change of the best chain means for the mempool.
#[derive(Default)]
struct Change {
    disconnected: Vec<Block>,
    connected: Vec<Block>,
}

impl Chain {
    /// Opens the chain in this file, or begins one with regtest's genesis block.
    pub(crate) fn open(file: &Path) -> Result<Self, StoreError> {
        let chain = Chain {
            store: Store::open(file)?,
            mempool_floor: Cell::new(RELAY_FEE_SAT_PER_KVB),
        };
        let genesis = genesis_block(Network::Regtest);
        match chain.store.active(0)? {
            Some(hash) if hash == genesis.block_hash() => {}
            Some(hash) => {
                return Err(StoreError::Foreign(format!(
                    "the chain begins with {hash}, not with regtest's genesis"
                )));
            }
            None => {
                // Its coinbase is not spendable: no unspent output, as in Bitcoin Core.
                let step = chain.store.step()?;
                chain.store.add_block(&genesis, 0, genesis.header.work())?;
                chain.store.set_undo(&genesis.block_hash(), &[])?;
                chain.store.push_active(0, &genesis.block_hash())?;
                step.keep()?;
            }
        }
        Ok(chain)
    }

    /// The best block.
    pub(crate) fn tip(&self) -> Result<Tip, StoreError> {
        let (height, hash) = self
            .store
            .tip()?
            .ok_or(StoreError::Missing("genesis block"))?;
        Ok(Tip { height, hash })
    }

    /// Median time past of a stored block, seconds since 1970.
    pub(crate) fn median_time_past(&self, hash: &BlockHash) -> Result<u32, StoreError> {
        Ok(median_time(self.store.times_back_from(hash)?))
    }

    /// The place of the next block on the best chain.
    pub(crate) fn next_place(&self) -> Result<Place, StoreError> {
        let tip = self.tip()?;
        Ok(Place {
            height: tip.height.saturating_add(1),
            median_time_past: self.median_time_past(&tip.hash)?,
        })
    }

    /// Takes a block in. `now` is our clock, seconds since 1970.
    pub(crate) fn submit(&self, block: &Block, now: u32) -> Result<Submitted, AcceptError> {
        let hash = block.block_hash();
        if let Some(stored) = self.store.block(&hash)? {
            return Ok(match stored.failure {
                Failure::None => Submitted::Duplicate,
                _ => Submitted::DuplicateInvalid,
            });
        }
        let parent = self
            .store
            .block(&block.header.prev_blockhash)?
            .ok_or_else(|| Reject::new("prev-blk-not-found"))?;
        if parent.failure != Failure::None {
            return Err(Reject::new("bad-prevblk").into());
        }
        let place = Place {
            height: parent.height.saturating_add(1),
            median_time_past: self.median_time_past(&parent.hash)?,
        };
        check_header(&block.header, place, now)?;
        check_block(block)?;
        check_block_at(block, place)?;

        let step = self.store.step()?;
        self.store
            .add_block(block, place.height, parent.chainwork + block.header.work())?;
        let failed = self.follow_most_work(u64::from(now))?;
        step.keep()?;
        if let Some((_, reject)) = failed.into_iter().find(|(bad, _)| *bad == hash) {
            return Err(reject.into());
        }
        let connected = self.store.active(place.height)? == Some(hash);
        Ok(if connected {
            Submitted::Connected
        } else {
            Submitted::SideBranch
        })
    }

    /// Keeps a block and all after it off the best chain (`invalidateblock`). False: no such block,
    /// or genesis, which cannot go.
    pub(crate) fn invalidate(&self, hash: &BlockHash, now: u64) -> Result<bool, StoreError> {
        match self.store.block(hash)? {
            Some(block) if block.height > 0 => {}
            _ => return Ok(false),
        }
        let step = self.store.step()?;
        self.store.set_failure(hash, Failure::Invalidated)?;
        self.store.fail_descendants(hash)?;
        self.follow_most_work(now)?;
        step.keep()?;
        Ok(true)
    }

    /// Takes back `invalidateblock` for a block, its ancestors and its descendants
    /// (`reconsiderblock`). False: no such block.
    pub(crate) fn reconsider(&self, hash: &BlockHash, now: u64) -> Result<bool, StoreError> {
        if self.store.block(hash)?.is_none() {
            return Ok(false);
        }
        let step = self.store.step()?;
        self.store.clear_failures_around(hash)?;
        self.follow_most_work(now)?;
        step.keep()?;
        Ok(true)
    }

    /// Makes the branch with the most work the best chain; of two with the same work the present
    /// one stays. Returns the blocks that failed on the way, which are then kept off.
    fn follow_most_work(&self, now: u64) -> Result<Vec<(BlockHash, Reject)>, StoreError> {
        let mut change = Change::default();
        self.leave_failed_blocks(&mut change)?;
        let mut failed = Vec::new();
        loop {
            let tip = self.tip()?;
            let tip_work = self.stored(&tip.hash)?.chainwork;
            let Some(best) = self.store.best_candidate()? else {
                break;
            };
            if best.chainwork <= tip_work {
                break;
            }
            let step = self.store.step()?;
            match self.switch_to(&best)? {
                Ok(switched) => {
                    step.keep()?;
                    change.disconnected.extend(switched.disconnected);
                    change.connected.extend(switched.connected);
                }
                Err((bad, reject)) => {
                    drop(step);
                    tracing::debug!(block = %bad, %reject, "a block of a branch with more work was refused");
                    self.store.set_failure(&bad, Failure::Invalid)?;
                    self.store.fail_descendants(&bad)?;
                    failed.push((bad, reject));
                }
            }
        }
        if !change.disconnected.is_empty() {
            self.refill_mempool(&change.disconnected, now)?;
        } else if !change.connected.is_empty() {
            self.clear_mempool_of(&change.connected)?;
        }
        Ok(failed)
    }

    /// Disconnects the best chain down to below the lowest block that may not be on it.
    fn leave_failed_blocks(&self, change: &mut Change) -> Result<(), StoreError> {
        loop {
            // A failed block fails its descendants, so only the tip has to be looked at.
            let tip = self.stored(&self.tip()?.hash)?;
            if tip.failure == Failure::None {
                return Ok(());
            }
            change.disconnected.push(self.disconnect(&tip)?);
        }
    }

    /// Disconnects to the fork with a branch and connects that. The inner error names the block of
    /// the branch that broke a rule; the caller then drops its step.
    fn switch_to(&self, best: &Stored) -> Result<Result<Change, (BlockHash, Reject)>, StoreError> {
        let mut branch = Vec::new();
        let mut at = best.clone();
        while self.store.active(at.height)? != Some(at.hash) {
            let parent = self.stored(&at.header.prev_blockhash)?;
            branch.push(at);
            at = parent;
        }
        let mut change = Change::default();
        loop {
            let tip = self.stored(&self.tip()?.hash)?;
            if tip.hash == at.hash {
                break;
            }
            change.disconnected.push(self.disconnect(&tip)?);
        }
        for stored in branch.iter().rev() {
            let block = self.store.body(&stored.hash)?;
            match self.connect(stored, &block) {
                Ok(()) => change.connected.push(block),
                Err(AcceptError::Rejected(reject)) => return Ok(Err((stored.hash, reject))),
                Err(AcceptError::Store(error)) => return Err(error),
            }
        }
        Ok(Ok(change))
    }

    fn stored(&self, hash: &BlockHash) -> Result<Stored, StoreError> {
        self.store.block(hash)?.ok_or(StoreError::Missing("block"))
    }

    /// Connects a block to the tip: checks all it spends, and changes the unspent outputs.
    fn connect(&self, stored: &Stored, block: &Block) -> Result<(), AcceptError> {
        let place = Place {
            height: stored.height,
            median_time_past: self.median_time_past(&stored.header.prev_blockhash)?,
        };
        let mut fees = Amount::ZERO;
        let mut sigops = 0_usize;
        let mut undo = Vec::new();
        for (position, transaction) in block.txdata.iter().enumerate() {
            let txid = transaction.compute_txid();
            if self.store.has_coin_of(&txid)? {
                // BIP 30: nothing may overwrite an unspent output.
                return Err(
                    Reject::with("bad-txns-BIP30", "tried to overwrite transaction").into(),
                );
            }
            let spent = if transaction.is_coinbase() {
                Vec::new()
            } else {
                self.spend(transaction, place, &mut fees)?
            };
            sigops = sigops.saturating_add(sigops_cost(transaction, &spent));
            undo.extend(spent);
            self.add_outputs(transaction, stored.height)?;
            self.store.locate(&txid, &stored.hash, position)?;
        }
        if sigops > BLOCK_SIGOPS_COST_MAX {
            return Err(Reject::with("bad-blk-sigops", "too many sigops").into());
        }
        let made: Amount = block.coinbase().map_or(Amount::ZERO, |coinbase| {
            coinbase.output.iter().map(|output| output.value).sum()
        });
        let limit = subsidy(stored.height)
            .checked_add(fees)
            .unwrap_or(Amount::MAX_MONEY);
        if made > limit {
            return Err(Reject::with(
                "bad-cb-amount",
                format!(
                    "coinbase pays too much (actual={} vs limit={})",
                    made.to_sat(),
                    limit.to_sat()
                ),
            )
            .into());
        }
        self.store.set_undo(&stored.hash, &undo)?;
        self.store.push_active(stored.height, &stored.hash)?;
        Ok(())
    }

    /// Checks the inputs of a transaction of a block and takes what they spend out of the set.
    fn spend(
        &self,
        transaction: &Transaction,
        place: Place,
        fees: &mut Amount,
    ) -> Result<Vec<Coin>, AcceptError> {
        let mut spent = Vec::with_capacity(transaction.input.len());
        for input in &transaction.input {
            let coin = self
                .store
                .coin(&input.previous_output)?
                .ok_or_else(|| Reject::with(MISSING_INPUTS, "inputs missing or spent"))?;
            spent.push(coin);
        }
        let fee = check_spent(transaction, &spent, place.height)?;
        *fees = fees
            .checked_add(fee)
            .filter(|total| *total <= Amount::MAX_MONEY)
            .ok_or_else(|| Reject::new("bad-txns-accumulated-fee-outofrange"))?;
        if !self.locks_passed(transaction, &spent, place)? {
            return Err(Reject::with(
                "bad-txns-nonfinal",
                "contains a non-BIP68-final transaction",
            )
            .into());
        }
        check_scripts(transaction, &outputs(&spent))?;
        for input in &transaction.input {
            self.store.remove_coin(&input.previous_output)?;
        }
        Ok(spent)
    }

    /// Whether BIP 68 lets a transaction into the block at a place on the best chain.
    pub(super) fn locks_passed(
        &self,
        transaction: &Transaction,
        spent: &[Coin],
        place: Place,
    ) -> Result<bool, StoreError> {
        relative_locks_passed(
            transaction,
            spent,
            place.height,
            place.median_time_past,
            |height| {
                let before = height.saturating_sub(1);
                let hash = self
                    .store
                    .active(before)?
                    .ok_or(StoreError::Missing("block of the best chain"))?;
                self.median_time_past(&hash)
            },
        )
    }

    fn add_outputs(&self, transaction: &Transaction, height: u32) -> Result<(), StoreError> {
        let txid = transaction.compute_txid();
        let coinbase = transaction.is_coinbase();
        for (vout, output) in (0_u32..).zip(&transaction.output) {
            if is_spendable(&output.script_pubkey) {
                let coin = Coin {
                    output: output.clone(),
                    height,
                    coinbase,
                };
                self.store.add_coin(&OutPoint { txid, vout }, &coin)?;
            }
        }
        Ok(())
    }

    /// Takes the tip off the best chain and puts the unspent outputs back as they were.
    fn disconnect(&self, tip: &Stored) -> Result<Block, StoreError> {
        let block = self.store.body(&tip.hash)?;
        let mut undo = self.store.undo(&tip.hash)?;
        for transaction in block.txdata.iter().rev() {
            let txid = transaction.compute_txid();
            for (vout, _) in (0_u32..).zip(&transaction.output) {
                self.store.remove_coin(&OutPoint { txid, vout })?;
            }
            self.store.unlocate(&txid)?;
            if transaction.is_coinbase() {
                continue;
            }
            for input in transaction.input.iter().rev() {
                let coin = undo
                    .pop()
                    .ok_or(StoreError::Missing("spent output of an undo record"))?;
                self.store.add_coin(&input.previous_output, &coin)?;
            }
        }
        self.store.pop_active(tip.height)?;
        Ok(block)
    }
}

/// Whether an output can ever be spent; those that cannot are not kept.
fn is_spendable(script: &ScriptBuf) -> bool {
    !script.is_op_return() && script.len() <= SCRIPT_BYTES_MAX
}

/// The outputs of some coins, in order.
pub(super) fn outputs(coins: &[Coin]) -> Vec<TxOut> {
    coins.iter().map(|coin| coin.output.clone()).collect()
}

/// Sigop cost of a transaction that spends these coins.
pub(super) fn sigops_cost(transaction: &Transaction, spent: &[Coin]) -> usize {
    let by_outpoint: HashMap<OutPoint, &TxOut> = transaction
        .input
        .iter()
        .map(|input| input.previous_output)
        .zip(spent.iter().map(|coin| &coin.output))
        .collect();
    transaction.total_sigop_cost(|outpoint| by_outpoint.get(outpoint).copied().cloned())
}
