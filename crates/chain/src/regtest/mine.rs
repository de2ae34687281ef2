//! Makes blocks: picks what waits by fee rate, pays the coinbase, grinds the nonce.
//!
//! The block is then handed to `chain.rs` like any other and checked like any other.

use std::collections::{BinaryHeap, HashMap, HashSet};

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction,
    TxIn, TxMerkleNode, TxOut, Txid, Witness, absolute, transaction,
};

use super::chain::{Chain, Submitted, sigops_cost};
use super::pool::Entry;
use super::reject::{AcceptError, Reject};
use super::store::StoreError;
use super::validate::{
    BLOCK_SIGOPS_COST_MAX, Place, REGTEST_BITS, WITNESS_COMMITMENT_HEAD, subsidy,
};

/// Weight left for header and coinbase (`-blockreservedweight` of Bitcoin Core).
const RESERVED_WEIGHT: u64 = 8_000;

/// Sigop cost left for the coinbase.
const RESERVED_SIGOPS: usize = 400;

/// Virtual bytes of a block that waiting transactions can have.
pub(crate) const BLOCK_VSIZE: u64 = (bitcoin::Weight::MAX_BLOCK.to_wu() - RESERVED_WEIGHT) / 4;

/// Blocks that are made in one commit: one flush to disk for all of them.
const BLOCKS_PER_COMMIT: u32 = 100;

/// Random bytes in each coinbase, so that no two blocks are the same: after `invalidateblock` a
/// block made in the same second must not be the one just thrown out.
const EXTRA_NONCE_BYTES: usize = 8;

/// Why no block was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MineError {
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The block was refused.
    #[error(transparent)]
    Accept(#[from] AcceptError),
}

impl From<StoreError> for MineError {
    fn from(error: StoreError) -> Self {
        MineError::Accept(error.into())
    }
}

impl Chain {
    /// Makes up to `count` blocks that pay `script`, with at most `tries` nonces in all. Returns
    /// the hashes of those made. `now`: seconds since 1970.
    pub(crate) fn generate(
        &self,
        count: u32,
        script: &ScriptBuf,
        mut tries: u64,
        now: u32,
    ) -> Result<Vec<BlockHash>, MineError> {
        let mut hashes = Vec::new();
        let mut left = count;
        while left > 0 && tries > 0 {
            let step = self.store.step()?;
            let group = left.min(BLOCKS_PER_COMMIT);
            for _ in 0..group {
                let mut block = self.assemble(self.pick()?, script, now)?;
                if !solve(&mut block.header, &mut tries) {
                    break;
                }
                hashes.push(self.submit_own(&block, now)?);
            }
            step.keep()?;
            left = left.saturating_sub(group);
        }
        Ok(hashes)
    }

    /// Hands in a block made here: anything but its connection is a refusal.
    pub(crate) fn submit_own(&self, block: &Block, now: u32) -> Result<BlockHash, AcceptError> {
        match self.submit(block, now)? {
            Submitted::Connected => Ok(block.block_hash()),
            _ => Err(Reject::new("inconclusive").into()),
        }
    }

    /// A block with these transactions on top of the best chain; its proof of work is still to do.
    pub(crate) fn assemble(
        &self,
        transactions: Vec<(Transaction, Amount)>,
        script: &ScriptBuf,
        now: u32,
    ) -> Result<Block, MineError> {
        let tip = self.tip()?;
        let place = self.next_place()?;
        let fees = transactions.iter().map(|(_, fee)| *fee).sum::<Amount>();
        let coinbase = coinbase(place, subsidy(place.height) + fees, script)?;
        let mut txdata = vec![coinbase];
        txdata.extend(transactions.into_iter().map(|(transaction, _)| transaction));
        let header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: tip.hash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: now.max(place.median_time_past.saturating_add(1)),
            bits: CompactTarget::from_consensus(REGTEST_BITS),
            nonce: 0,
        };
        let mut block = Block { header, txdata };
        commit_to_witnesses(&mut block);
        Ok(block)
    }

    /// Picks waiting transactions for the next block: always the best paid of those whose parents
    /// are in.
    fn pick(&self) -> Result<Vec<(Transaction, Amount)>, StoreError> {
        let place = self.next_place()?;
        let entries = self.store.pool_entries()?;
        let in_pool: HashSet<Txid> = entries.iter().map(|entry| entry.txid).collect();
        let mut missing: HashMap<Txid, usize> = HashMap::new();
        let mut children: HashMap<Txid, Vec<&Entry>> = HashMap::new();
        let mut ready = BinaryHeap::new();
        for entry in &entries {
            let parents: HashSet<Txid> = entry
                .transaction
                .input
                .iter()
                .map(|input| input.previous_output.txid)
                .filter(|txid| in_pool.contains(txid))
                .collect();
            if parents.is_empty() {
                ready.push(Ready(entry));
            }
            missing.insert(entry.txid, parents.len());
            for parent in parents {
                children.entry(parent).or_default().push(entry);
            }
        }
        let mut room = BLOCK_VSIZE * 4;
        let mut sigops = BLOCK_SIGOPS_COST_MAX - RESERVED_SIGOPS;
        let mut picked = Vec::new();
        while let Some(Ready(entry)) = ready.pop() {
            let weight = entry.transaction.weight().to_wu();
            let cost = self.pool_sigops(entry, place)?;
            let (Some(room_left), Some(sigops_left)) =
                (room.checked_sub(weight), sigops.checked_sub(cost))
            else {
                continue;
            };
            (room, sigops) = (room_left, sigops_left);
            picked.push((entry.transaction.clone(), entry.fee));
            for child in children.remove(&entry.txid).unwrap_or_default() {
                if let Some(count) = missing.get_mut(&child.txid) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        ready.push(Ready(child));
                    }
                }
            }
        }
        Ok(picked)
    }

    fn pool_sigops(&self, entry: &Entry, place: Place) -> Result<usize, StoreError> {
        let mut spent = Vec::new();
        for input in &entry.transaction.input {
            let coin = self.find_coin(&input.previous_output, place)?;
            spent.push(coin.ok_or(StoreError::Missing("output spent by a mempool entry"))?);
        }
        Ok(sigops_cost(&entry.transaction, &spent))
    }
}

/// An entry whose parents are in the block: the best paid first, of equals the one with the lower
/// txid, so that the same mempool always gives the same block.
struct Ready<'a>(&'a Entry);

impl Ord for Ready<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0
            .pays_more_than(other.0)
            .then_with(|| other.0.txid.cmp(&self.0.txid))
    }
}

impl PartialOrd for Ready<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ready<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ready<'_> {}

/// Counts the nonce up until the hash is below the target; false if the tries ran out.
pub(crate) fn solve(header: &mut Header, tries: &mut u64) -> bool {
    let target = Target::from_compact(header.bits);
    while *tries > 0 {
        *tries -= 1;
        if target.is_met_by(header.block_hash()) {
            return true;
        }
        header.nonce = header.nonce.wrapping_add(1);
    }
    false
}

fn coinbase(place: Place, value: Amount, script: &ScriptBuf) -> Result<Transaction, MineError> {
    let mut extra_nonce = [0_u8; EXTRA_NONCE_BYTES];
    getrandom::fill(&mut extra_nonce).map_err(MineError::Random)?;
    let script_sig = Builder::new()
        .push_int(i64::from(place.height))
        .push_slice(extra_nonce)
        .into_script();
    Ok(Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0_u8; 32]]),
        }],
        output: vec![TxOut {
            value,
            script_pubkey: script.clone(),
        }],
    })
}

/// Puts the witness commitment (BIP 141) into the coinbase, and the merkle root into the header.
pub(crate) fn commit_to_witnesses(block: &mut Block) {
    if let Some(root) = block.witness_root() {
        let commitment = Block::compute_witness_commitment(&root, &[0_u8; 32]);
        let mut script = WITNESS_COMMITMENT_HEAD.to_vec();
        script.extend_from_slice(commitment.as_byte_array());
        if let Some(coinbase) = block.txdata.first_mut() {
            coinbase.output.push(TxOut {
                value: Amount::ZERO,
                script_pubkey: ScriptBuf::from_bytes(script),
            });
        }
    }
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
}
