//! After a loss of channel state: peers are asked to close, and what their closes pay us is swept.
//!
//! A node that was restored from a backup has keys and no channel state. It connects to each peer of
//! its old channels and answers the peer's `channel_reestablish` with one that has lost everything
//! (zero commitment numbers) and with an error: for either, BOLT 2 has the peer publish its last
//! commitment. LDK sends both by itself for a channel that it does not know.
//!
//! Peers differ in what they need, so that is not all. LND closes for the first of the two, and cannot take an
//! error before it. CLN closes for the error, but ends the process that would read it when it has read the first
//! of the two: it needs one more error, alone and a little later ([`ERROR_AFTER`]). A peer that waits for our
//! `channel_reestablish` gets LDK's answer to one that it never sent. Then all is begun again on a new
//! connection, since CLN takes nothing more of a channel on the old one ([`Step`]). Once a commitment of a peer is in a block, our balance
//! in it is a plain output of our seed's: one of [`SCRIPTS`], watched for in every block from the
//! birthday on. It goes to LDK's sweeper, and by that into the wallet.
//!
//! What the peers' commitments hold in HTLCs is not found here: only channel state has their keys.

mod lists;
mod scripts;
mod watch;

pub use lists::{KeptRow, recovery_has, recovery_rows};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::OutPoint;
use bitcoin::secp256k1::PublicKey;
use lightning::chain::BlockLocator;
use lightning::ln::msgs::{ChannelMessageHandler, ChannelReestablish};
use lightning::ln::types::ChannelId;
use sendpay_store::Store;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Notify;

use crate::kept::{GivenOut, KeptChannel};
use crate::ldk::Keys;
use crate::{Inner, peer};
use scripts::Scripts;
use watch::{Closed, Found};

/// Where a recovery is kept in the store: primary and secondary namespace, key.
const STATE_AT: [&str; 3] = ["sendpay", "recovery", "state"];

/// How often peers are looked for, and what was found is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// First and longest pause between two tries at one peer.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long after a peer came back with a lost channel it is told an error again: longer than CLN needs to
/// have done with LDK's answer.
const ERROR_AFTER: Duration = Duration::from_secs(3);

/// What is done with a peer that is connected and has not closed, and how long after it was met.
const STEPS: [(Duration, Step); 2] = [
    (Duration::from_secs(10), Step::Answer),
    (Duration::from_secs(60), Step::MeetAgain),
];

/// One way to have a peer close.
#[derive(Clone, Copy)]
enum Step {
    /// What LDK answers to a `channel_reestablish`, whether the peer has sent one or not.
    Answer,
    /// The connection is ended, and the next one begins.
    MeetAgain,
}

/// What peers read in the error.
const LOST: &str = "this node has lost the state of the channel, please close it";

/// Why a recovery cannot be prepared or read.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// What is kept of it cannot be read.
    #[error("what is kept of the recovery cannot be read: {0}")]
    State(#[from] serde_json::Error),
    /// The store cannot be read.
    #[error("cannot read the recovery from the store: {0}")]
    Store(#[from] sendpay_store::kv::KvError),
    /// The list is of another node.
    #[error("the list of channels is of node {found}, and this seed is of {ours}")]
    OtherNode {
        /// Whose list it is.
        found: sendpay_ledger::NodeId,
        /// Whose seed it is.
        ours: sendpay_ledger::NodeId,
    },
    /// The list is of another network.
    #[error("it is of the network {found}, and this node is configured for {ours}")]
    OtherNetwork {
        /// Of the list.
        found: bitcoin::Network,
        /// Of the node.
        ours: bitcoin::Network,
    },
}

/// What is kept of a recovery in the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// The wallet begins above this block, if it is new.
    birthday: u32,
    /// Addresses that the wallet had given out.
    #[serde(flatten)]
    given_out: GivenOut,
    /// Channels whose funding is not spent yet, as far as blocks were read.
    open: Vec<KeptChannel>,
    /// Those that are closed.
    closed: Vec<Closed>,
    /// Outputs that are ours and unspent.
    found: Vec<Found>,
    /// The last block that was read: its height and hash.
    seen: Option<(u32, bitcoin::BlockHash)>,
    /// When the lists were made that it began with, in seconds since 1970.
    #[serde(default)]
    lists: Vec<u64>,
}

impl State {
    fn read(store: &Store) -> Result<Option<State>, RecoveryError> {
        let [primary, secondary, key] = STATE_AT;
        let bytes = store.kv_read(primary, secondary, key)?;
        Ok(bytes
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()?)
    }
}

/// Whether a store is of a node that recovers.
///
/// # Errors
/// If it cannot be read.
pub fn is_recovering(store: &Store) -> Result<bool, RecoveryError> {
    Ok(State::read(store)?.is_some())
}

/// How far a recovery is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryView {
    /// Channels that their peers have not closed, as far as blocks were read.
    pub open: usize,
    /// Channels that are closed.
    pub closed: usize,
    /// What closes paid us and is not on its way into the wallet, in satoshi.
    pub unswept_sat: u64,
}

/// A recovery while the node runs.
pub(crate) struct Recovery {
    state: Mutex<State>,
    scripts: Scripts,
    store: Store,
    /// Told when a block has changed what is known.
    news: Notify,
}

impl Recovery {
    /// What is kept of it, if there is one.
    pub(crate) fn load(store: &Store, keys: &Keys) -> Result<Option<Arc<Recovery>>, RecoveryError> {
        let state = State::read(store)?;
        Ok(state.map(|state| {
            Arc::new(Recovery {
                state: Mutex::new(state),
                scripts: Scripts::of(keys),
                store: store.clone(),
                news: Notify::new(),
            })
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The height of the block above which the wallet begins, if it is new, and how many addresses it
    /// had given out.
    pub(crate) fn wallet_begins(&self) -> (u32, GivenOut) {
        let state = self.lock();
        (state.birthday, state.given_out)
    }

    /// The last block that was read; `wallets` if none was.
    pub(crate) fn best_block(&self, wallets: BlockLocator) -> BlockLocator {
        match self.lock().seen {
            Some((height, hash)) => BlockLocator::new(hash, height),
            None => wallets,
        }
    }

    /// The channels that are not closed yet.
    pub(crate) fn open(&self) -> Vec<KeptChannel> {
        self.lock().open.clone()
    }

    pub(crate) fn view(&self) -> RecoveryView {
        let state = self.lock();
        RecoveryView {
            open: state.open.len(),
            closed: state.closed.len(),
            unswept_sat: state.found.iter().map(|found| found.amount_sat).sum(),
        }
    }

    /// Queues what is known now.
    fn keep(&self, state: &State) {
        let [primary, secondary, key] = STATE_AT;
        match serde_json::to_vec(state) {
            Ok(bytes) => drop(self.store.kv_write(primary, secondary, key, bytes)),
            Err(cause) => tracing::error!(%cause, "the recovery cannot be kept"),
        }
    }
}

/// When a peer was last tried and met, and how many of [`STEPS`] were taken since.
struct Tries {
    next: Instant,
    pause: Duration,
    address: usize,
    met: Option<Instant>,
    steps: usize,
}

/// Asks peers to close, and gives what was found to the sweeper, until `stop`.
pub(crate) async fn recover(
    inner: Arc<Inner>,
    recovery: Arc<Recovery>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let mut chain = inner.chain_view.clone();
    tokio::select! {
        // With half of the blocks, what was spent long ago would be swept.
        caught_up = chain.wait_for(|chain| chain.caught_up) => if caught_up.is_err() { return },
        _ = stop.wait_for(|stop| *stop) => return,
    }
    let mut tries: HashMap<PublicKey, Tries> = HashMap::new();
    loop {
        sweep(&inner, &recovery).await;
        for (peer, channel) in inner.messages.unknown.due(ERROR_AFTER) {
            tracing::info!(node_id = %peer, channel_id = %channel, "telling the peer to close, by an error");
            inner.messages.say_error(peer, channel, LOST);
            inner.peers.process_events();
        }
        let open = recovery.open();
        for channel in &open {
            approach(&inner, channel, &mut tries);
        }
        tokio::select! {
            () = recovery.news.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// One look at a peer: asked if it is there, dialled if not.
fn approach(inner: &Arc<Inner>, channel: &KeptChannel, tries: &mut HashMap<PublicKey, Tries>) {
    let node_id = channel.node_id;
    let tries = tries.entry(node_id).or_insert_with(|| Tries {
        next: Instant::now(),
        pause: PAUSE_MIN,
        address: 0,
        met: None,
        steps: 0,
    });
    if inner.peers.peer_by_node_id(&node_id).is_some() {
        let met = *tries.met.get_or_insert_with(Instant::now);
        match STEPS.get(tries.steps) {
            Some((after, step)) if met.elapsed() >= *after => {
                tries.steps += 1;
                take(inner, node_id, *step);
            }
            _ => {}
        }
        return;
    }
    tries.met = None;
    tries.steps = 0;
    if tries.next > Instant::now() || channel.addresses.is_empty() {
        return;
    }
    tries.pause = (tries.pause * 2).min(PAUSE_MAX);
    tries.next = Instant::now() + tries.pause;
    let address = tries.address % channel.addresses.len();
    tries.address = tries.address.wrapping_add(1);
    let Some(address) = channel.addresses.get(address).cloned() else {
        return;
    };
    let inner = inner.clone();
    tokio::spawn(async move {
        match peer::connect(&inner, node_id, Some(address.clone())).await {
            Ok(_) => tracing::info!(%node_id, %address, "connected, to have channels closed"),
            Err(cause) => tracing::info!(%node_id, %cause, "the peer of a lost channel is away"),
        }
    });
}

/// Takes this step with a peer.
fn take(inner: &Inner, node_id: PublicKey, step: Step) {
    match step {
        Step::Answer => answer(inner, node_id),
        Step::MeetAgain => {
            tracing::info!(%node_id, "the peer has not closed: it is met again");
            inner.peers.disconnect_by_node_id(node_id);
        }
    }
}

/// Has LDK answer for each lost channel of this peer as it answers for any that it does not know.
fn answer(inner: &Inner, node_id: PublicKey) {
    let Some(recovery) = &inner.recovery else {
        return;
    };
    for channel in recovery.open() {
        let Some(id) = channel.id().filter(|_| channel.node_id == node_id) else {
            continue;
        };
        tracing::info!(%node_id, channel_id = %channel.channel_id, "asking the peer to close");
        let lost = ChannelReestablish {
            channel_id: ChannelId(id),
            next_local_commitment_number: 1,
            next_remote_commitment_number: 0,
            your_last_per_commitment_secret: [0; 32],
            my_current_per_commitment_point: inner.node_id,
            next_funding: None,
            my_current_funding_locked: None,
        };
        inner.manager.handle_channel_reestablish(node_id, &lost);
    }
    inner.peers.process_events();
}

/// Gives to the sweeper what is ours and unspent, and what it does not have.
async fn sweep(inner: &Arc<Inner>, recovery: &Recovery) {
    let found = recovery.lock().found.clone();
    if found.is_empty() {
        return;
    }
    // Channels that were opened since are LDK's own affair, and what their closes pay too.
    let channels: Vec<OutPoint> = inner
        .monitor
        .list_monitors()
        .into_iter()
        .filter_map(|id| {
            let monitor = inner.monitor.get_monitor(id).ok()?;
            Some(monitor.get_funding_txo().into_bitcoin_outpoint())
        })
        .collect();
    for output in found {
        let tracked = inner
            .sweeper
            .tracked_spendable_outputs()
            .iter()
            .any(|tracked| {
                tracked
                    .descriptor
                    .spendable_outpoint()
                    .into_bitcoin_outpoint()
                    == output.outpoint
            });
        if tracked || output.spends.iter().any(|spent| channels.contains(spent)) {
            continue;
        }
        let Some(descriptor) = recovery.scripts.descriptor(&inner.keys, &output) else {
            continue;
        };
        let (outpoint, amount_sat) = (output.outpoint, output.amount_sat);
        let kept = inner
            .sweeper
            .track_spendable_outputs(vec![descriptor], None, None, false, None)
            .await;
        match kept {
            Ok(()) => tracing::info!(%outpoint, amount_sat, "sweeping what a close has paid us"),
            Err(()) => tracing::error!(%outpoint, amount_sat, "the sweeper does not take it"),
        }
    }
}
