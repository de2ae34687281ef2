//! The transactions of blocks that come without any: those of scripts that LDK or the wallet watch,
//! looked up at Electrum servers and kept until their block is connected.
//!
//! For each new tip all scripts are looked up before its blocks are connected, so that what a block has
//! comes with it, in the order of the chain, as it does from whole blocks. What LDK begins to watch
//! while it hears of a block is looked up afterwards, and comes late. Which server is asked, and what
//! proves that a block has a transaction, is `sendpay_chain`'s.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::block::Header;
use bitcoin::{BlockHash, Script, ScriptBuf, Transaction, Txid};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Filter, Listen, WatchedOutput};
use sendpay_chain::client::{Best, CallError, ChainClient, Confirmed, Found};
use tokio::sync::Notify;

use crate::wallet::SharedWallet;

/// What is this deep below every part of the state was heard of by all of them in an earlier run: as far
/// as LDK's client can go back, which is a week.
const DEEP: u32 = lightning_block_sync::HEADER_CACHE_LIMIT;

/// The scripts that are watched, in the order in which they came. They stay: there are a few for each
/// channel and address.
#[derive(Default)]
pub(crate) struct Watched {
    scripts: Mutex<Scripts>,
    more: Notify,
}

#[derive(Default)]
struct Scripts {
    known: HashSet<ScriptBuf>,
    in_order: Vec<ScriptBuf>,
}

impl Watched {
    pub(crate) fn add(&self, scripts: impl IntoIterator<Item = ScriptBuf>) -> bool {
        let mut all = lock(&self.scripts);
        let before = all.in_order.len();
        for script in scripts {
            if all.known.insert(script.clone()) {
                all.in_order.push(script);
            }
        }
        all.in_order.len() > before
    }

    /// All from a place on.
    fn from(&self, place: usize) -> Vec<ScriptBuf> {
        let all = lock(&self.scripts);
        all.in_order.iter().skip(place).cloned().collect()
    }
}

impl Filter for Watched {
    fn register_tx(&self, _: &Txid, script_pubkey: &Script) {
        if self.add([script_pubkey.to_owned()]) {
            self.more.notify_one();
        }
    }

    fn register_output(&self, output: WatchedOutput) {
        if self.add([output.script_pubkey]) {
            self.more.notify_one();
        }
    }
}

/// Looks up what is watched.
pub(crate) struct Finder {
    client: ChainClient,
    watched: Arc<Watched>,
    wallet: SharedWallet,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: Found,
    /// What was found and not heard of yet, by block.
    waiting: HashMap<BlockHash, Vec<Confirmed>>,
    /// The tip for which all scripts were looked up, and how many there were.
    looked_at: Option<BlockHash>,
    looked_up: usize,
}

impl Finder {
    pub(crate) fn new(client: ChainClient, watched: Arc<Watched>, wallet: SharedWallet) -> Finder {
        Finder {
            client,
            watched,
            wallet,
            state: Mutex::default(),
        }
    }

    /// Leaves out what was heard of long ago: transactions with their blocks, of which only those count
    /// that are deep below the height at which the least of the parts stands.
    pub(crate) fn leave_out(
        &self,
        lowest: u32,
        known: impl IntoIterator<Item = (Txid, u32, BlockHash)>,
    ) {
        let mut state = lock(&self.state);
        for (txid, height, block) in known {
            if height < lowest.saturating_sub(DEEP) {
                state.found.insert(txid, (height, block));
            }
        }
    }

    /// Looks up what is in blocks up to the best: of all scripts if it is a new one, else of those that
    /// came since.
    pub(crate) async fn look(&self, best: Best) -> Result<(), CallError> {
        let Some(electrum) = self.client.electrum() else {
            return Ok(());
        };
        self.watched.add(self.wallet.scripts());
        let (is_new, found) = {
            let state = lock(&self.state);
            let is_new = state.looked_at != Some(best.hash);
            (is_new, state.found.clone())
        };
        if is_new {
            let scripts = self.watched.from(0);
            let confirmed = electrum.confirmed(&scripts, best.height, &found).await?;
            let mut state = lock(&self.state);
            state.keep(confirmed);
            state.looked_at = Some(best.hash);
            state.looked_up = scripts.len();
            return Ok(());
        }
        self.look_for_more(best.height).await
    }

    /// Looks up only what is watched since the last time, in blocks up to a height.
    pub(super) async fn look_for_more(&self, up_to: u32) -> Result<(), CallError> {
        let Some(electrum) = self.client.electrum() else {
            return Ok(());
        };
        let looked_up = lock(&self.state).looked_up;
        let scripts = self.watched.from(looked_up);
        if scripts.is_empty() {
            return Ok(());
        }
        // What was heard of before it was known to matter is told once more.
        let nothing = Found::new();
        let confirmed = electrum.confirmed(&scripts, up_to, &nothing).await?;
        let mut state = lock(&self.state);
        state.keep(confirmed);
        state.looked_up = looked_up.saturating_add(scripts.len());
        Ok(())
    }

    /// What was found in a block.
    fn of(&self, block: &BlockHash) -> Vec<Confirmed> {
        let state = lock(&self.state);
        state.waiting.get(block).cloned().unwrap_or_default()
    }

    /// The same, which is heard of now.
    pub(super) fn take(&self, block: &BlockHash) -> Vec<Confirmed> {
        let mut state = lock(&self.state);
        state.waiting.remove(block).unwrap_or_default()
    }

    /// What was found in blocks that were heard of without it, up to this one; in the order of the chain.
    pub(super) async fn take_late(&self, last: BlockHash, height: u32) -> Vec<Confirmed> {
        let Some(electrum) = self.client.electrum() else {
            return Vec::new();
        };
        // While the servers are on another branch than we are, nothing of it is told.
        if electrum.hash_at(height).await != Some(last) {
            return Vec::new();
        }
        let mut late = self.take_up_to(height);
        let mut stale = Vec::new();
        for one in std::mem::take(&mut late) {
            match electrum.hash_at(one.height).await == Some(one.header.block_hash()) {
                true => late.push(one),
                false => stale.push(one.transaction.compute_txid()),
            }
        }
        let mut state = lock(&self.state);
        for txid in stale {
            state.found.remove(&txid);
        }
        late.sort_by_key(|one| (one.height, one.position));
        late
    }

    /// Blocks above a height were taken back: what was heard of in them is told again if they return.
    pub(super) fn forget_above(&self, height: u32) {
        let mut state = lock(&self.state);
        let State { found, waiting, .. } = &mut *state;
        found.retain(|_, (at, block)| *at <= height || waiting.contains_key(block));
    }

    fn take_up_to(&self, height: u32) -> Vec<Confirmed> {
        let mut state = lock(&self.state);
        let is_late = |_: &BlockHash, found: &mut Vec<Confirmed>| {
            found.first().is_none_or(|one| one.height <= height)
        };
        let late = state.waiting.extract_if(is_late);
        late.flat_map(|(_, found)| found).collect()
    }

    /// Returns when LDK begins to watch something that was not looked up yet.
    pub(super) async fn more(&self) {
        self.watched.more.notified().await;
    }
}

impl State {
    fn keep(&mut self, confirmed: Vec<Confirmed>) {
        for one in confirmed {
            let (txid, block) = (one.transaction.compute_txid(), one.header.block_hash());
            self.found.insert(txid, (one.height, block));
            let waiting = self.waiting.entry(block).or_default();
            if waiting.iter().all(|known| known.position != one.position) {
                waiting.push(one);
            }
            waiting.sort_by_key(|known| known.position);
        }
    }
}

/// What was found in a block, as LDK takes it.
pub(super) fn transaction_data(found: &[Confirmed]) -> Vec<(usize, &Transaction)> {
    found
        .iter()
        .map(|one| (one.position, &one.transaction))
        .collect()
}

/// A listener that hears of a block with what was found in it.
pub(crate) struct WithFound<'l> {
    pub(crate) listener: &'l (dyn Listen + Send + Sync),
    pub(crate) finder: &'l Finder,
}

impl Listen for WithFound<'_> {
    fn filtered_block_connected(&self, header: &Header, _: &TransactionData, height: u32) {
        let found = self.finder.of(&header.block_hash());
        let data = transaction_data(&found);
        self.listener
            .filtered_block_connected(header, &data, height);
    }

    fn blocks_disconnected(&self, fork_point: BlockLocator) {
        self.listener.blocks_disconnected(fork_point);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
