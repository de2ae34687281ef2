//! The blocks: which lost channels were closed, and which outputs are ours and unspent.
//!
//! What is known and the block up to which it is known are kept together, so a crash repeats some
//! blocks and misses none.

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, OutPoint, ScriptBuf, Transaction, Txid};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Listen};
use serde::{Deserialize, Serialize};

use super::{Recovery, State};
use crate::kept::KeptChannel;

/// While nothing happens, what is known is kept every so many blocks.
const KEEP_EVERY: u32 = 500;

/// A channel that was lost and is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Closed {
    pub(super) channel: KeptChannel,
    by: Txid,
    height: u32,
}

/// An output that is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) outpoint: OutPoint,
    pub(crate) amount_sat: u64,
    pub(crate) script: ScriptBuf,
    /// Of its block.
    pub(crate) height: u32,
    /// What its transaction spends.
    pub(crate) spends: Vec<OutPoint>,
}

impl Recovery {
    fn transaction(&self, state: &mut State, transaction: &Transaction, height: u32) -> bool {
        let txid = transaction.compute_txid();
        let spends = || transaction.input.iter().map(|input| input.previous_output);
        let before = (state.open.len(), state.found.len());
        let (closed, open) = std::mem::take(&mut state.open)
            .into_iter()
            .partition::<Vec<_>, _>(|channel| spends().any(|spent| spent == channel.funding));
        state.open = open;
        for channel in closed {
            let (node_id, channel_id) = (channel.node_id, &channel.channel_id);
            tracing::info!(%node_id, channel_id, %txid, height, "a lost channel is closed");
            state.closed.push(Closed {
                channel,
                by: txid,
                height,
            });
        }
        state
            .found
            .retain(|found| !spends().any(|spent| spent == found.outpoint));
        let mut changed = before != (state.open.len(), state.found.len());
        for (vout, output) in (0..).zip(&transaction.output) {
            let outpoint = OutPoint::new(txid, vout);
            let known = state.found.iter().any(|found| found.outpoint == outpoint);
            if known || !self.scripts.contains(&output.script_pubkey) {
                continue;
            }
            let amount_sat = output.value.to_sat();
            tracing::info!(%outpoint, amount_sat, height, "found what a close has paid us");
            state.found.push(Found {
                outpoint,
                amount_sat,
                script: output.script_pubkey.clone(),
                height,
                spends: spends().collect(),
            });
            changed = true;
        }
        changed
    }
}

impl Recovery {
    /// Takes what a block has, or what of it matters.
    fn block<'t>(
        &self,
        transactions: impl Iterator<Item = &'t Transaction>,
        (height, hash): (u32, BlockHash),
    ) {
        let mut state = self.lock();
        let mut changed = false;
        for transaction in transactions {
            changed |= self.transaction(&mut state, transaction, height);
        }
        state.seen = Some((height, hash));
        if changed || height.is_multiple_of(KEEP_EVERY) {
            self.keep(&state);
        }
        drop(state);
        if changed {
            self.news.notify_one();
        }
    }

    /// Takes a transaction of a block that was heard of already.
    pub(crate) fn confirm_late(&self, transaction: &Transaction, height: u32) {
        let mut state = self.lock();
        if self.transaction(&mut state, transaction, height) {
            self.keep(&state);
            self.news.notify_one();
        }
    }

    /// What must be looked up where blocks come without transactions.
    pub(crate) fn scripts(&self) -> Vec<ScriptBuf> {
        let fundings = self.open().into_iter().filter_map(|channel| channel.script);
        self.scripts.all().chain(fundings).collect()
    }
}

impl Listen for Recovery {
    fn filtered_block_connected(&self, header: &Header, data: &TransactionData, height: u32) {
        let transactions = data.iter().map(|(_, transaction)| *transaction);
        self.block(transactions, (height, header.block_hash()));
    }

    fn block_connected(&self, block: &Block, height: u32) {
        self.block(block.txdata.iter(), (height, block.block_hash()));
    }

    fn blocks_disconnected(&self, fork: BlockLocator) {
        let mut state = self.lock();
        let (back, closed) = std::mem::take(&mut state.closed)
            .into_iter()
            .partition::<Vec<_>, _>(|closed| closed.height > fork.height);
        state.closed = closed;
        state
            .open
            .extend(back.into_iter().map(|closed| closed.channel));
        state.found.retain(|found| found.height <= fork.height);
        state.seen = Some((fork.height, fork.block_hash));
        self.keep(&state);
    }
}
