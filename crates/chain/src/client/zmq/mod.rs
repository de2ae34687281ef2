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
    /// A word came while none was missed: it is for a block that RPC has yet to show. However many came
    /// there is one, so that a word too many hides silence for one block only.
    said_ahead: bool,
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
        if std::mem::take(&mut state.said_ahead) {
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
        state.said_ahead = false;
        if state.trouble.as_ref().is_none_or(|(_, outlasts)| !outlasts) {
            state.trouble = None;
            tracing::info!(address = %self.address, "subscribed to bitcoind's ZMQ");
        }
        drop(state);
        self.tell();
    }

    fn heard_of_a_block(&self) {
        let mut state = lock(&self.state);
        state.said_ahead = state.unsaid_since.take().is_none();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::hashes::Hash;
    use std::pin::pin;

    /// Longer than blocks may come without a word.
    const LONG: Duration = Duration::from_secs(600);

    /// A subscription without a connection.
    fn subscription() -> Zmq {
        let shared = Arc::new(Shared {
            address: "tcp://127.0.0.1:1".parse().unwrap(),
            told: watch::Sender::new(0),
            state: Mutex::default(),
            silent: Notify::new(),
        });
        shared.subscribed();
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        Zmq { shared, task }
    }

    impl Zmq {
        /// RPC shows a block. Whether ZMQ counts as silent then.
        async fn is_silent_at(&self, block: u8) -> bool {
            let mut silent = pin!(self.shared.silent.notified());
            silent.as_mut().enable();
            self.seen(BlockHash::from_byte_array([block; 32]));
            tokio::time::timeout(Duration::ZERO, silent).await.is_ok()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_that_comes_before_its_block_is_seen_counts_for_it() {
        let zmq = subscription();
        for block in 0..20 {
            // Whichever wins the race.
            let word_first = block % 3 != 1;
            if word_first {
                zmq.shared.heard_of_a_block();
            }
            assert!(!zmq.is_silent_at(block).await, "{block}");
            if !word_first {
                zmq.shared.heard_of_a_block();
            }
            tokio::time::advance(LONG).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_words_for_one_look_and_looks_without_a_word_are_told_apart() {
        let zmq = subscription();
        // Of three blocks, of which the last alone is seen.
        for _ in 0..3 {
            zmq.shared.heard_of_a_block();
        }
        assert!(!zmq.is_silent_at(3).await);
        tokio::time::advance(LONG).await;
        // It says no more: the words were for what was seen, however many there were.
        assert!(!zmq.is_silent_at(4).await, "its word may still come");
        tokio::time::advance(LONG).await;
        assert!(zmq.is_silent_at(5).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_too_many_hides_silence_for_one_block_only() {
        let zmq = subscription();
        assert!(!zmq.is_silent_at(1).await);
        // The first is for the block; the others are for none.
        for _ in 0..5 {
            zmq.shared.heard_of_a_block();
        }
        tokio::time::advance(LONG).await;
        let mut silent = Vec::new();
        for block in 2..6 {
            silent.push(zmq.is_silent_at(block).await);
            tokio::time::advance(LONG).await;
        }
        assert_eq!(silent, [false, false, true, true]);
        // Another word, and all is well again.
        zmq.shared.heard_of_a_block();
        assert!(!zmq.is_silent_at(6).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_of_an_earlier_subscription_counts_for_nothing() {
        let zmq = subscription();
        zmq.shared.heard_of_a_block();
        zmq.shared.subscribed();
        assert!(!zmq.is_silent_at(1).await);
        tokio::time::advance(LONG).await;
        assert!(zmq.is_silent_at(2).await);
    }
}
