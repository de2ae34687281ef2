//! Following the chain while the node runs, through everything that a backend may do: fall silent,
//! restart, lie, or lose its newest blocks. What is not proven by work is not believed (LDK's client
//! checks headers and blocks); here is what becomes of it: a warning, a pause, another try.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitcoin::{BlockHash, Network};
use lightning::chain::channelmonitor::ANTI_REORG_DELAY;
use lightning_block_sync::poll::{
    ChainPoller, ChainTip, Poll, ValidatedBlock, ValidatedBlockHeader,
};
use lightning_block_sync::{
    BlockHeaderData, BlockSourceError, BlockSourceErrorKind, BlockSourceResult, HEADER_CACHE_LIMIT,
    HeaderCache, SpvClient,
};
use sendpay_chain::client::{Best, CallError, ChainClient};
use tokio::sync::watch;

use super::{Listeners, cause_text};

/// How long one wait for a block lasts before the tip is asked for again.
const BLOCK_WAIT: Duration = Duration::from_secs(20);

/// First and longest pause before a backend that failed is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How the node and its chain backend stand to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainView {
    /// Height of the backend's best block when it was last asked.
    pub best: u32,
    /// Why its blocks cannot be followed now, for people.
    pub trouble: Option<String>,
    /// Every block that there was at the start has been read. Peers are let in from then on: with
    /// an old height, HTLCs would be taken that have no time left.
    pub caught_up: bool,
    /// The deepest reorganisation since the start that went beyond what outcomes on chain wait for.
    pub deep: Option<DeepReorganisation>,
}

/// Blocks that were taken back although what is in them counted as final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeepReorganisation {
    /// How many.
    pub depth: u32,
    /// The block below them, which is in the best chain still.
    pub fork_height: u32,
}

impl DeepReorganisation {
    /// None if what was taken back was not final yet.
    pub(super) fn of(height: u32, fork_height: u32) -> Option<DeepReorganisation> {
        let depth = height.saturating_sub(fork_height);
        let deep = DeepReorganisation { depth, fork_height };
        (depth >= ANTI_REORG_DELAY).then_some(deep)
    }
}

/// Follows the best chain from a block on until `stop` turns true.
pub(crate) async fn follow(
    client: ChainClient,
    network: Network,
    headers: HeaderCache,
    tip: ValidatedBlockHeader,
    listeners: Arc<Listeners>,
    mut stop: watch::Receiver<bool>,
) {
    let poll = Arc::new(Checking {
        poll: ChainPoller::new(client.block_source(), network),
        cause: Mutex::default(),
        followed: Mutex::new(HashMap::from([(tip.header.block_hash(), *tip)])),
    });
    let run = async {
        let mut spv = SpvClient::new(tip, Shared(poll.clone()), headers, listeners.clone());
        let mut pause = PAUSE_MIN;
        loop {
            let followed = match client.best_block().await {
                Ok(best) => {
                    listeners.aim(best.height);
                    hear(best, &mut spv, &listeners, &poll).await
                }
                Err(cause) => Err(cause.to_string()),
            };
            let waited = match followed {
                Ok(known) => {
                    listeners.followed();
                    tokio::select! {
                        waited = client.wait_for_block(known, BLOCK_WAIT) => {
                            waited.map(|_| ()).map_err(|cause| cause.to_string())
                        }
                        () = more(&listeners) => Ok(()),
                    }
                }
                Err(text) => Err(text),
            };
            match waited {
                Ok(()) => pause = PAUSE_MIN,
                Err(text) => {
                    listeners.troubled(text);
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
        }
    };
    tokio::select! {
        () = run => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Hears of all blocks up to the best, with what is in them. The block to wait beyond, or what is wrong.
async fn hear<P: Poll + Send + Sync>(
    best: Best,
    spv: &mut SpvClient<Shared<P>, Arc<Listeners>>,
    listeners: &Listeners,
    poll: &Checking<P>,
) -> Result<BlockHash, String> {
    let text = |cause: CallError| cause.to_string();
    listeners.look(best).await.map_err(text)?;
    let polled = spv.poll_best_tip().await.map(|(tip, _)| tip);
    let known = outcome(best, polled, listeners, poll)?;
    if known == best.hash {
        listeners.hear_late().await.map_err(text)?;
    }
    Ok(known)
}

/// Returns when there is more to look up, without a new block.
async fn more(listeners: &Listeners) {
    match &listeners.finder {
        Some(finder) => finder.more().await,
        None => std::future::pending().await,
    }
}

/// The block to wait beyond, or what is wrong.
fn outcome<P>(
    best: Best,
    polled: BlockSourceResult<ChainTip>,
    listeners: &Listeners,
    poll: &Checking<P>,
) -> Result<BlockHash, String> {
    match polled.map_err(cause_text)? {
        ChainTip::Common => Ok(best.hash),
        ChainTip::Better(tip) => {
            let hash = tip.header.block_hash();
            if listeners.last() == Some(hash) {
                return Ok(hash);
            }
            // LDK's client keeps to itself why it did not come to the tip.
            let noted = poll.take();
            Err(noted.unwrap_or_else(|| format!("the blocks up to {hash} could not be read")))
        }
        ChainTip::Worse(tip) => {
            let height = listeners.height();
            match tip.height.cmp(&height) {
                // Another block of the same work: whichever gets the next one.
                Ordering::Equal => Ok(tip.header.block_hash()),
                Ordering::Less => Err(format!(
                    "the chain backend has come to block {} only, and this node has seen block \
                     {height}",
                    tip.height
                )),
                Ordering::Greater => Err(format!(
                    "the chain backend's block {} has less work behind it than block {height}, \
                     which this node has seen",
                    tip.height
                )),
            }
        }
    }
}

/// A poll that keeps the last thing that went wrong in it, and checks what LDK's client does not.
struct Checking<P> {
    poll: P,
    cause: Mutex<Option<String>>,
    /// The headers of the blocks that were followed, for as far back as LDK's client has them.
    followed: Mutex<HashMap<BlockHash, BlockHeaderData>>,
}

impl<P> Checking<P> {
    /// Whether a header has the height and the work that it must have above the one before it. LDK's
    /// client asks that of all headers but the first above those that it knows: with work that is
    /// not there, it would hold every honest block that follows for a worse one.
    fn builds_on_what_is_known(&self, header: &ValidatedBlockHeader) -> BlockSourceResult<()> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(previous) = followed.get(&header.header.prev_blockhash) {
            if Some(header.height) != previous.height.checked_add(1) {
                return Err(BlockSourceError::persistent("invalid block height"));
            }
            if header.chainwork != previous.chainwork + header.header.work() {
                return Err(BlockSourceError::persistent("invalid chainwork"));
            }
        }
        followed.insert(header.header.block_hash(), **header);
        let lowest = header.height.saturating_sub(HEADER_CACHE_LIMIT);
        followed.retain(|_, known| known.height >= lowest);
        Ok(())
    }
}

impl<P> Checking<P> {
    /// `height`: of the block that was asked for, which LDK's words leave out.
    fn note<T>(&self, height: Option<u32>, result: BlockSourceResult<T>) -> BlockSourceResult<T> {
        result.map_err(|error| {
            let kind = error.kind();
            let cause = cause_text(error);
            let text = match height {
                Some(height) => format!("block {height}: {cause}"),
                None => cause,
            };
            let mut noted = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
            *noted = Some(text.clone());
            match kind {
                BlockSourceErrorKind::Persistent => BlockSourceError::persistent(text),
                BlockSourceErrorKind::Transient => BlockSourceError::transient(text),
            }
        })
    }

    fn take(&self) -> Option<String> {
        self.cause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The poll as LDK's client takes it, which owns it.
struct Shared<P>(Arc<Checking<P>>);

impl<P: Poll + Send + Sync> Poll for Shared<P> {
    async fn poll_chain_tip(
        &self,
        best_known: ValidatedBlockHeader,
    ) -> BlockSourceResult<ChainTip> {
        self.0.poll.poll_chain_tip(best_known).await
    }

    async fn look_up_previous_header<'a>(
        &'a self,
        header: &'a ValidatedBlockHeader,
    ) -> BlockSourceResult<ValidatedBlockHeader> {
        let previous = self.0.poll.look_up_previous_header(header).await;
        self.0.note(header.height.checked_sub(1), previous)
    }

    async fn fetch_block<'a>(
        &'a self,
        header: &'a ValidatedBlockHeader,
    ) -> BlockSourceResult<ValidatedBlock> {
        // Called for one block after the other, from the oldest on.
        let fetched = match self.0.builds_on_what_is_known(header) {
            Ok(()) => self.0.poll.fetch_block(header).await,
            Err(error) => Err(error),
        };
        self.0.note(Some(header.height), fetched)
    }

    async fn get_header<'a>(
        &'a self,
        hash: &'a BlockHash,
        height_hint: Option<u32>,
    ) -> BlockSourceResult<ValidatedBlockHeader> {
        let found = self.0.poll.get_header(hash, height_hint).await;
        self.0.note(height_hint, found)
    }
}
