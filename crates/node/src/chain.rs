//! Following the chain: every block goes to the channel monitors, the channel manager, the sweeper
//! and the wallet, each from the block that it saw last.
//!
//! The blocks of the start are `catch_up.rs`'s affair, those that come later `follow.rs`'s. The client
//! that talks to bitcoind (or to the embedded chain), or to Electrum servers, is
//! `sendpay_chain::client`. From Electrum servers blocks come without transactions: `found.rs` has those
//! that matter.

mod catch_up;
mod follow;
mod found;
mod progress;

use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Confirm, Listen};
use lightning_block_sync::init::validate_best_block_header;
use lightning_block_sync::poll::{Validate, ValidatedBlockHeader};
use lightning_block_sync::{BlockSource, BlockSourceError};
use sendpay_chain::client::{Best, CallError, ChainClient, Confirmed};
use tokio::sync::{RwLock, watch};

use crate::ldk::{ChainMonitor, ChannelManager, ChannelMonitor, Sweeper};
use crate::logger::NodeLogger;
use crate::recovery::Recovery;
use crate::wallet::SharedWallet;

pub use catch_up::CatchUpError;
pub(crate) use catch_up::{CaughtUp, blocks, catch_up};
pub(crate) use follow::follow;
pub use follow::{ChainView, DeepReorganisation};
use found::transaction_data;
pub(crate) use found::{Finder, Watched, WithFound};
use progress::Progress;

/// The tip of the backend's best chain.
pub(crate) async fn tip(client: &ChainClient) -> Result<ValidatedBlockHeader, CatchUpError> {
    Ok(validate_best_block_header(client.block_source()).await?)
}

/// What a block source says, with the causes of it.
fn cause_text(error: BlockSourceError) -> String {
    let error = error.into_inner();
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        // Some of LDK's errors say the next one's words themselves.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

/// A monitor that is not yet in the chain monitor, with what it needs to hear of blocks.
pub(crate) type LoadedMonitor = (
    ChannelMonitor,
    Arc<sendpay_chain::client::Broadcaster>,
    Arc<sendpay_chain::client::Fees>,
    Arc<NodeLogger>,
);

/// All who hear of blocks while the node runs.
pub(crate) struct Listeners {
    pub(crate) monitor: Arc<ChainMonitor>,
    pub(crate) manager: Arc<ChannelManager>,
    pub(crate) sweeper: Arc<Sweeper>,
    pub(crate) wallet: SharedWallet,
    pub(crate) recovery: Option<Arc<Recovery>>,
    /// Bumped to the new height after all have heard of a block.
    pub(crate) height: watch::Sender<u32>,
    /// Taken to change the height; see `Inner::height_fixed`.
    pub(crate) height_fixed: Arc<RwLock<()>>,
    /// How we stand to the backend.
    pub(crate) view: watch::Sender<ChainView>,
    /// What blocks have that come without transactions; None if they come whole.
    pub(crate) finder: Option<Arc<Finder>>,
    news: News,
}

/// What is told of the blocks to people.
struct News {
    /// The last block that all have heard of; none before the start is over.
    last: Mutex<Option<BlockHash>>,
    progress: Progress,
}

impl Listeners {
    pub(crate) fn new(
        inner: &crate::Inner,
        height: watch::Sender<u32>,
        view: watch::Sender<ChainView>,
        finder: Option<Arc<Finder>>,
    ) -> Listeners {
        Listeners {
            monitor: inner.monitor.clone(),
            manager: inner.manager.clone(),
            sweeper: inner.sweeper.clone(),
            wallet: inner.wallet.clone(),
            recovery: inner.recovery.clone(),
            height,
            height_fixed: inner.height_fixed.clone(),
            view,
            finder,
            news: News {
                last: Mutex::new(None),
                progress: Progress::new(),
            },
        }
    }

    /// The last block that came or was gone back to, if any did.
    fn last(&self) -> Option<BlockHash> {
        *self
            .news
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn height(&self) -> u32 {
        *self.height.borrow()
    }

    /// The backend's best block has this height.
    fn aim(&self, best: u32) {
        self.news.progress.aim(self.height(), best);
        self.view.send_if_modified(|view| {
            let before = std::mem::replace(&mut view.best, best);
            before != best
        });
    }

    /// All blocks that there are have been heard of.
    fn followed(&self) {
        self.view.send_if_modified(|view| {
            let trouble = view.trouble.take();
            if trouble.is_some() {
                tracing::info!(height = view.best, "the chain is followed again");
            }
            let first = !std::mem::replace(&mut view.caught_up, true);
            first || trouble.is_some()
        });
    }

    /// The blocks cannot be followed now.
    fn troubled(&self, trouble: String) {
        self.view.send_if_modified(|view| {
            if view.trouble.as_ref() == Some(&trouble) {
                return false;
            }
            tracing::warn!(cause = %trouble, "the chain cannot be followed; trying again");
            view.trouble = Some(trouble);
            true
        });
    }

    /// More was taken back than LDK waits for: its outcomes of HTLCs in those blocks stay as they are.
    fn reorganised(&self, deep: DeepReorganisation) {
        tracing::error!(
            depth = deep.depth,
            fork_height = deep.fork_height,
            "blocks that counted as final were taken back: payments that ended in them on chain may \
             have ended otherwise"
        );
        self.view.send_modify(|view| {
            let deepest = view.deep.map_or(0, |known| known.depth);
            if deep.depth > deepest {
                view.deep = Some(deep);
            }
        });
    }

    /// Looks up what is watched, up to the best block, before its blocks are heard of.
    async fn look(&self, best: Best) -> Result<(), CallError> {
        match &self.finder {
            Some(finder) => finder.look(best).await,
            None => Ok(()),
        }
    }

    /// All parts stand at this block, from which on they hear of others.
    pub(crate) fn stand_at(&self, block: BlockHash) {
        *self
            .news
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(block);
    }

    /// Tells of what was found in blocks that were heard of without it, until there is no more: what is
    /// told makes LDK watch for more.
    pub(crate) async fn hear_late(&self) -> Result<(), CallError> {
        let (Some(finder), Some(last)) = (&self.finder, self.last()) else {
            return Ok(());
        };
        let height = self.height();
        loop {
            finder.look_for_more(height).await?;
            let late = finder.take_late(last, height).await;
            if late.is_empty() {
                return Ok(());
            }
            self.confirm_late(&late);
        }
    }

    fn confirm_late(&self, late: &[Confirmed]) {
        // LDK's interface is not async, and those who hold it wait for one commit at most.
        let _changing = tokio::task::block_in_place(|| self.height_fixed.blocking_write());
        let parts: [&dyn Confirm; 3] = [&*self.monitor, &*self.manager, &*self.sweeper];
        for one in late {
            tracing::debug!(height = one.height, "a transaction of an earlier block");
            let data = [(one.position, &one.transaction)];
            for part in parts {
                part.transactions_confirmed(&one.header, &data, one.height);
            }
            self.wallet.confirm_late(one);
            if let Some(recovery) = &self.recovery {
                recovery.confirm_late(&one.transaction, one.height);
            }
        }
    }

    fn each(&self, height: u32, block: BlockHash, tell: impl Fn(&dyn Listen)) {
        // LDK's interface is not async, and those who hold it wait for one commit at most.
        let _changing = tokio::task::block_in_place(|| self.height_fixed.blocking_write());
        // Monitors first: the manager may ask them about what is on chain.
        tell(&*self.monitor);
        tell(&*self.manager);
        tell(&*self.sweeper);
        tell(&*self.wallet);
        if let Some(recovery) = &self.recovery {
            tell(&**recovery);
        }
        self.height.send_replace(height);
        self.stand_at(block);
        self.news.progress.reached(height);
    }
}

impl Listen for Listeners {
    fn filtered_block_connected(&self, header: &Header, data: &TransactionData, height: u32) {
        let block = header.block_hash();
        let found = self.finder.as_ref().map(|finder| finder.take(&block));
        let found = found.as_deref().map(transaction_data);
        let data = found.as_deref().unwrap_or(data);
        self.each(height, block, |listener| {
            listener.filtered_block_connected(header, data, height)
        });
    }

    fn block_connected(&self, block: &Block, height: u32) {
        self.each(height, block.block_hash(), |listener| {
            listener.block_connected(block, height);
        });
    }

    fn blocks_disconnected(&self, fork_point: BlockLocator) {
        if let Some(deep) = DeepReorganisation::of(self.height(), fork_point.height) {
            self.reorganised(deep);
        }
        self.each(fork_point.height, fork_point.block_hash, |listener| {
            listener.blocks_disconnected(fork_point)
        });
        if let Some(finder) = &self.finder {
            finder.forget_above(fork_point.height);
        }
    }
}

/// A block as a locator, with those before it: when it is taken back, Electrum servers know it no more,
/// and where the chain forks is found by the others.
pub(crate) async fn locator(
    client: &ChainClient,
    block: &ValidatedBlockHeader,
) -> Result<BlockLocator, CatchUpError> {
    let mut locator = BlockLocator::new(block.header.block_hash(), block.height);
    let mut before = block.header.prev_blockhash;
    let last = locator.previous_blocks.len();
    for (below, slot) in (1..).zip(locator.previous_blocks.iter_mut()) {
        let Some(height) = block.height.checked_sub(below) else {
            break;
        };
        *slot = Some(before);
        if height == 0 || usize::try_from(below) == Ok(last) {
            break;
        }
        let found = client.get_header(&before, Some(height)).await?;
        before = found.validate(before)?.header.prev_blockhash;
    }
    Ok(locator)
}
