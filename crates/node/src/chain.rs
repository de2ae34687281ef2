//! Following the chain: every block goes to the channel monitors, the channel manager, the sweeper
//! and the wallet, each from the block that it saw last.
//!
//! The client that talks to bitcoind (or to the embedded chain) is `sendpay_chain::client`.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::{Block, Network};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Listen};
use lightning_block_sync::init::{synchronize_listeners, validate_best_block_header};
use lightning_block_sync::poll::{ChainPoller, ValidatedBlockHeader};
use lightning_block_sync::{BlockSourceError, HeaderCache, SpvClient};
use sendpay_chain::client::ChainClient;
use tokio::sync::{RwLock, watch};

use crate::ldk::{ChainMonitor, ChannelManager, ChannelMonitor, Sweeper};
use crate::logger::NodeLogger;
use crate::wallet::SharedWallet;

/// How long one wait for a block lasts before the tip is asked for again.
const BLOCK_WAIT: Duration = Duration::from_secs(20);

/// Pause after the chain backend failed to answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The tip of the backend's best chain.
pub(crate) async fn tip(client: &ChainClient) -> Result<ValidatedBlockHeader, BlockSourceError> {
    validate_best_block_header(client.block_source()).await
}

/// A monitor that is not yet in the chain monitor, with what it needs to hear of blocks.
pub(crate) type LoadedMonitor = (
    ChannelMonitor,
    Arc<sendpay_chain::client::Broadcaster>,
    Arc<sendpay_chain::client::Fees>,
    Arc<NodeLogger>,
);

/// Brings each listener from the block it saw last to the tip. Monitors are written only every few
/// blocks, so each has a height of its own after a restart.
pub(crate) async fn catch_up(
    client: &ChainClient,
    network: Network,
    listeners: Vec<(BlockLocator, &(dyn Listen + Send + Sync))>,
) -> Result<(HeaderCache, ValidatedBlockHeader), BlockSourceError> {
    synchronize_listeners(client.block_source(), network, listeners).await
}

/// All who hear of blocks while the node runs.
pub(crate) struct Listeners {
    pub(crate) monitor: Arc<ChainMonitor>,
    pub(crate) manager: Arc<ChannelManager>,
    pub(crate) sweeper: Arc<Sweeper>,
    pub(crate) wallet: SharedWallet,
    /// Bumped to the new height after all have heard of a block.
    pub(crate) height: watch::Sender<u32>,
    /// Taken to change the height; see `Inner::height_fixed`.
    pub(crate) height_fixed: Arc<RwLock<()>>,
}

impl Listeners {
    fn each(&self, height: u32, tell: impl Fn(&dyn Listen)) {
        // LDK's interface is not async, and those who hold it wait for one commit at most.
        let _changing = tokio::task::block_in_place(|| self.height_fixed.blocking_write());
        // Monitors first: the manager may ask them about what is on chain.
        tell(&*self.monitor);
        tell(&*self.manager);
        tell(&*self.sweeper);
        tell(&*self.wallet);
        self.height.send_replace(height);
    }
}

impl Listen for Listeners {
    fn filtered_block_connected(&self, header: &Header, data: &TransactionData, height: u32) {
        self.each(height, |listener| {
            listener.filtered_block_connected(header, data, height)
        });
    }

    fn block_connected(&self, block: &Block, height: u32) {
        self.each(height, |listener| listener.block_connected(block, height));
    }

    fn blocks_disconnected(&self, fork_point: BlockLocator) {
        self.each(fork_point.height, |listener| {
            listener.blocks_disconnected(fork_point)
        });
    }
}

/// Follows the tip until `stop` turns true.
pub(crate) async fn follow(
    client: ChainClient,
    network: Network,
    headers: HeaderCache,
    tip: ValidatedBlockHeader,
    listeners: Arc<Listeners>,
    mut stop: watch::Receiver<bool>,
) {
    let poller = ChainPoller::new(client.block_source(), network);
    let mut spv = SpvClient::new(tip, poller, headers, listeners);
    let mut known = tip.header.block_hash();
    let run = async {
        loop {
            match spv.poll_best_tip().await {
                Ok((lightning_block_sync::poll::ChainTip::Better(header), _)) => {
                    known = header.header.block_hash();
                }
                Ok(_) => {}
                Err(cause) => {
                    tracing::warn!(?cause, "the chain backend does not answer; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
            if let Err(cause) = client.wait_for_block(known, BLOCK_WAIT).await {
                tracing::warn!(%cause, "the chain backend does not answer; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    };
    tokio::select! {
        () = run => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// The manager's view of the chain as a locator.
pub(crate) fn locator(header: &ValidatedBlockHeader) -> BlockLocator {
    BlockLocator::new(header.header.block_hash(), header.height)
}
