//! The blocks that came while the node was away, at its start.
//!
//! The parts of the state are written at different times, so each stands at a block of its own.
//! They are brought to one block, the newest that any of them has seen: from there on the node can
//! answer, and `follow.rs` reads what is missing for all of them together, however long that takes.

use bitcoin::{BlockHash, Network};
use lightning::chain::{BlockLocator, Listen};
use lightning_block_sync::init::synchronize_listeners;
use lightning_block_sync::poll::ValidatedBlockHeader;
use lightning_block_sync::{
    BlockData, BlockHeaderData, BlockSource, BlockSourceError, BlockSourceResult, HeaderCache,
};
use sendpay_chain::client::{Best, CallError, ChainClient};
use thiserror::Error;

use super::follow::{ChainView, DeepReorganisation};
use super::progress::Progress;

/// With fewer blocks missing than these, the start waits for all of them: it takes a second or two.
const FEW_BLOCKS: u32 = 36;

/// Why the blocks since the last run cannot be had.
#[derive(Debug, Error)]
pub enum CatchUpError {
    /// The backend could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It gave blocks or headers that are none, or none at all.
    #[error("cannot read the chain: {0}")]
    Blocks(String),
    /// It has removed blocks that this node has not read.
    #[error(
        "the chain backend is pruned and starts at block {kept}, but this node has read blocks up \
         to {read} only: it needs a backend that still has block {}", read.saturating_add(1)
    )]
    Pruned {
        /// Height of the last block that every part has seen.
        read: u32,
        /// Height of the lowest block that the backend has.
        kept: u32,
    },
}

impl From<BlockSourceError> for CatchUpError {
    fn from(error: BlockSourceError) -> Self {
        CatchUpError::Blocks(super::cause_text(error))
    }
}

/// Where all listeners stand.
pub(crate) struct CaughtUp {
    pub(crate) headers: HeaderCache,
    /// The block that all have seen.
    pub(crate) tip: ValidatedBlockHeader,
    /// Where the backend stands.
    pub(crate) view: ChainView,
}

/// Brings every listener from the block it saw last to one and the same block of the best chain.
pub(crate) async fn catch_up(
    client: &ChainClient,
    network: Network,
    mut listeners: Vec<(BlockLocator, &(dyn Listen + Send + Sync))>,
) -> Result<CaughtUp, CatchUpError> {
    let state = client.state().await?;
    let seen: Vec<BlockLocator> = listeners.iter().map(|(block, _)| *block).collect();
    let meeting = meeting_block(client, state.best, &seen).await?;
    // Each block that a part stands at: the deepest of what is taken back counts.
    let mut from = seen.clone();
    from.sort_unstable_by_key(|block| (block.height, block.block_hash));
    from.dedup_by_key(|block| block.block_hash);
    let from: Vec<(BlockLocator, Progress)> = from
        .into_iter()
        .map(|block| (block, Progress::new()))
        .collect();
    for (block, progress) in &from {
        listeners.push((*block, progress));
    }
    if let Some((lowest, progress)) = from.first() {
        if let Some(kept) = state.pruned_below
            && lowest.height < state.best.height
            && kept > lowest.height.saturating_add(1)
        {
            let read = lowest.height;
            return Err(CatchUpError::Pruned { read, kept });
        }
        progress.aim(lowest.height, meeting.height);
    }
    let source = UpTo { client, meeting };
    let (headers, tip) = synchronize_listeners(&source, network, listeners).await?;
    let view = ChainView {
        best: state.best.height,
        trouble: None,
        caught_up: meeting == state.best,
        deep: from
            .iter()
            .filter_map(|(block, progress)| {
                DeepReorganisation::of(block.height, progress.lowest_fork()?)
            })
            .max_by_key(|deep| deep.depth),
    };
    Ok(CaughtUp { headers, tip, view })
}

/// The newest block of the best chain that any part has seen; the best block itself if that is not
/// far, or if they have seen none of it.
async fn meeting_block(
    client: &ChainClient,
    best: Best,
    seen: &[BlockLocator],
) -> Result<Best, CallError> {
    let mut candidates: Vec<(u32, BlockHash)> = seen.iter().flat_map(blocks).collect();
    candidates.sort_unstable();
    candidates.dedup();
    for (height, hash) in candidates.into_iter().rev() {
        if height.saturating_add(FEW_BLOCKS) >= best.height {
            return Ok(best);
        }
        if client.block_hash(height).await? == Some(hash) {
            return Ok(Best { hash, height });
        }
    }
    Ok(best)
}

/// The blocks that a locator names, with their heights.
pub(crate) fn blocks(locator: &BlockLocator) -> impl Iterator<Item = (u32, BlockHash)> {
    let earlier = (1..).zip(locator.previous_blocks).filter_map({
        let height = locator.height;
        move |(below, hash)| Some((height.checked_sub(below)?, hash?))
    });
    std::iter::once((locator.height, locator.block_hash)).chain(earlier)
}

/// The chain as far as one of its blocks.
struct UpTo<'c> {
    client: &'c ChainClient,
    meeting: Best,
}

impl BlockSource for UpTo<'_> {
    async fn get_header<'a>(
        &'a self,
        hash: &'a BlockHash,
        height: Option<u32>,
    ) -> BlockSourceResult<BlockHeaderData> {
        self.client.get_header(hash, height).await
    }

    async fn get_block<'a>(&'a self, hash: &'a BlockHash) -> BlockSourceResult<BlockData> {
        self.client.get_block(hash).await
    }

    async fn get_best_block(&self) -> BlockSourceResult<(BlockHash, Option<u32>)> {
        Ok((self.meeting.hash, Some(self.meeting.height)))
    }
}
