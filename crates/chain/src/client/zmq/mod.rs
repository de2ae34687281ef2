//! News of blocks by bitcoind's ZMQ (`zmqpubhashblock`), where the operator has it.
//!
//! A message wakes those who wait for a block, and nothing else: they ask RPC for the best block, and
//! they go on waiting by RPC too. So nothing is believed that comes this way, and nothing is lost when
//! nothing comes. Each connection that ends is made anew, and what is wrong is told.
//!
//! The protocol is in `protocol.rs`; waiting is `wait.rs`'s.

mod address;
mod protocol;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bitcoin::BlockHash;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use address::{ZmqAddress, ZmqAddressError};

use protocol::{Heard, ProtocolError};

/// How long a connection with its greetings may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// First and longest pause before a connection that ended is made anew.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Messages that are taken in between two pauses, and how long each lasts: more than bitcoind ever sends,
/// and too few to keep anybody busy.
const MESSAGES_MAX: u32 = 1_000;
const MESSAGES_PAUSE: Duration = Duration::from_millis(250);

/// How long blocks may come by RPC without a word of any by ZMQ. bitcoind tells of them within
/// milliseconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Why ZMQ is of no use now.
#[derive(Debug, thiserror::Error)]
enum ZmqError {
    #[error("cannot be reached: {0}")]
    Unreachable(#[source] std::io::Error),
    #[error("has not greeted within {} s", CONNECT_TIMEOUT.as_secs())]
    Slow,
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("says nothing of new blocks; does bitcoind have zmqpubhashblock there?")]
    Silent,
}

impl ZmqError {
    /// Whether only a word of a block shows that it is over; else a connection does.
    fn outlasts_a_connection(&self) -> bool {
        match self {
            ZmqError::Unreachable(_)
            | ZmqError::Slow
            | ZmqError::Protocol(ProtocolError::Ended(_)) => false,
            ZmqError::Protocol(ProtocolError::Strange(_)) | ZmqError::Silent => true,
        }
    }
}

/// A subscription that is kept up until it is dropped.
pub(super) struct Zmq {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    address: ZmqAddress,
    /// Bumped when there may be a new block.
    told: watch::Sender<u64>,
    state: Mutex<State>,
    /// Blocks came, and nothing was said of them.
    silent: Notify,
}

#[derive(Default)]
struct State {
    /// What is wrong, for people, and whether a connection alone does not end it.
    trouble: Option<(String, bool)>,
    subscribed: bool,
    /// The last block that was seen by RPC, and since when blocks have come without a word.
    seen: Option<BlockHash>,
    unsaid_since: Option<Instant>,
}

impl Zmq {
    /// Subscribes, and keeps that up. Needs a runtime.
    pub(super) fn start(address: ZmqAddress) -> Zmq {
        let shared = Arc::new(Shared {
            address,
            told: watch::Sender::new(0),
            state: Mutex::default(),
            silent: Notify::new(),
        });
        let task = tokio::spawn(keep_up(shared.clone())).abort_handle();
        Zmq { shared, task }
    }

    /// Changes when there may be a new block. It may be none, and may come late, or never.
    pub(super) fn told(&self) -> watch::Receiver<u64> {
        self.shared.told.subscribe()
    }

    /// Why it is of no use now, for people; None if it is.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = lock(&self.shared.state);
        let (text, _) = state.trouble.as_ref()?;
        let address = &self.shared.address;
        Some(format!(
            "bitcoind's ZMQ at {address} {text}; new blocks are seen by RPC alone"
        ))
    }

    /// RPC has shown this block as the best.
    pub(super) fn seen(&self, block: BlockHash) {
        let mut state = lock(&self.shared.state);
        if !state.subscribed || state.seen.replace(block) == Some(block) {
            return;
        }
        let since = *state.unsaid_since.get_or_insert_with(Instant::now);
        if since.elapsed() > SILENCE_MAX {
            self.shared.silent.notify_waiters();
        }
    }
}

impl Drop for Zmq {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn subscribed(&self) {
        let mut state = lock(&self.state);
        state.subscribed = true;
        state.unsaid_since = None;
        if state.trouble.as_ref().is_none_or(|(_, outlasts)| !outlasts) {
            state.trouble = None;
            tracing::info!(address = %self.address, "subscribed to bitcoind's ZMQ");
        }
        drop(state);
        self.tell();
    }

    fn heard_of_a_block(&self) {
        let mut state = lock(&self.state);
        state.unsaid_since = None;
        if state.trouble.take().is_some() {
            tracing::info!(address = %self.address, "bitcoind's ZMQ tells of blocks again");
        }
        drop(state);
        self.tell();
    }

    fn tell(&self) {
        self.told
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn ended(&self, error: &ZmqError) {
        let mut state = lock(&self.state);
        state.subscribed = false;
        let trouble = Some((error.to_string(), error.outlasts_a_connection()));
        if state.trouble == trouble {
            return;
        }
        tracing::warn!(
            address = %self.address,
            cause = %error,
            "bitcoind's ZMQ is of no use now; new blocks are seen by RPC alone"
        );
        state.trouble = trouble;
    }
}

async fn keep_up(shared: Arc<Shared>) {
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        let Err(error) = listen(&shared).await;
        shared.ended(&error);
        if begun.elapsed() > PAUSE_MAX {
            pause = PAUSE_MIN;
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

/// One connection, until it ends.
async fn listen(shared: &Shared) -> Result<Infallible, ZmqError> {
    let ZmqAddress { host, port } = &shared.address;
    let connected = async {
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let mut stream = BufReader::new(stream.map_err(ZmqError::Unreachable)?);
        protocol::subscribe(&mut stream).await?;
        Ok(stream)
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connected).await;
    let mut stream = connected.unwrap_or(Err(ZmqError::Slow))?;
    shared.subscribed();
    let heard = async {
        loop {
            for _ in 0..MESSAGES_MAX {
                if protocol::hear(&mut stream).await? == Heard::Block {
                    shared.heard_of_a_block();
                }
            }
            tokio::time::sleep(MESSAGES_PAUSE).await;
        }
    };
    tokio::select! {
        ended = heard => ended,
        () = shared.silent.notified() => Err(ZmqError::Silent),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
