//! Waits for a new block: by `waitfornewblock` where bitcoind has it, else by asking again; where
//! bitcoind's ZMQ is configured, what it says ends the wait too. Electrum servers tell of it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bitcoin::BlockHash;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::CallError;
use super::zmq::Zmq;
use super::{Best, Bitcoind, ChainClient, best_of};

/// One wait of a server that is told what we know. Short enough that a server which is gone is
/// noticed, and below the 30 s after which bitcoind may close a connection.
const WAIT: Duration = Duration::from_secs(20);

/// One wait of a server that is not told what we know: a block that came just before is seen only
/// after it.
const WAIT_BLIND: Duration = Duration::from_secs(5);

/// How often a server without `waitfornewblock` is asked.
const POLL: Duration = Duration::from_secs(1);

/// Between two looks at the best block that ZMQ is the reason of: a publisher that says much, and nothing
/// new, has RPC asked four times a second at most.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// bitcoind's number for a method that it does not have.
const RPC_METHOD_NOT_FOUND: i64 = -32601;

/// What the server was seen to support. It only goes down.
#[derive(Default)]
pub(super) struct WaitSupport(AtomicU8);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Support {
    /// `waitfornewblock` with the block that we know (Bitcoin Core 30 and later, and ours).
    WithTip,
    /// `waitfornewblock` with a timeout only.
    Blind,
    /// Neither.
    Poll,
}

impl WaitSupport {
    fn get(&self) -> Support {
        match self.0.load(Ordering::Relaxed) {
            0 => Support::WithTip,
            1 => Support::Blind,
            _ => Support::Poll,
        }
    }

    fn at_most(&self, support: Support) {
        let level = match support {
            Support::WithTip => 0,
            Support::Blind => 1,
            Support::Poll => 2,
        };
        self.0.fetch_max(level, Ordering::Relaxed);
    }
}

impl ChainClient {
    /// Returns the best block as soon as it is another one than `known`, or when the time is over.
    ///
    /// # Errors
    ///
    /// The chain could not be asked. Returns at once then: pause before asking again.
    pub async fn wait_for_block(
        &self,
        known: BlockHash,
        timeout: Duration,
    ) -> Result<Best, CallError> {
        if let Some(electrum) = self.electrum() {
            return Ok(best_of(&electrum.wait_for_news(known, timeout).await?));
        }
        let deadline = Instant::now() + timeout;
        // One at a time, also while ZMQ says much: each takes a thread of bitcoind's. Both go on together:
        // one that stood still in the middle of a call would keep the connection from the other.
        tokio::select! {
            waited = self.wait_by_rpc(known, deadline) => waited,
            looked = self.look_when_told(known) => looked,
        }
    }

    /// Looks now and whenever ZMQ tells of a block, and returns the best block as soon as it is another
    /// one than `known`.
    async fn look_when_told(&self, known: BlockHash) -> Result<Best, CallError> {
        let zmq = self.bitcoind("waitfornewblock")?.zmq.get();
        // Before the first look: nothing is missed that is told from now on.
        let mut told = zmq.map(Zmq::told);
        loop {
            let next_look = Instant::now() + LOOK_PAUSE;
            let best = self.best_block().await?;
            if best.hash != known {
                if let Some(zmq) = zmq {
                    zmq.seen(best.hash);
                }
                return Ok(best);
            }
            next(&mut told, next_look).await;
        }
    }

    /// Returns the best block as soon as RPC shows another one than `known`, or when the time is over.
    async fn wait_by_rpc(&self, known: BlockHash, deadline: Instant) -> Result<Best, CallError> {
        let bitcoind = self.bitcoind("waitfornewblock")?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                self.wait_once(bitcoind, known, left).await?;
            }
            let best = self.best_block().await?;
            if best.hash != known || left.is_zero() {
                if let Some(zmq) = bitcoind.zmq.get().filter(|_| best.hash != known) {
                    zmq.seen(best.hash);
                }
                return Ok(best);
            }
        }
    }

    async fn wait_once(
        &self,
        bitcoind: &Bitcoind,
        known: BlockHash,
        left: Duration,
    ) -> Result<(), CallError> {
        let method = "waitfornewblock";
        let support = bitcoind.wait_support.get();
        let (longest, tip) = match support {
            Support::WithTip => (WAIT, Some(json!(known))),
            Support::Blind => (WAIT_BLIND, None),
            Support::Poll => {
                tokio::time::sleep(left.min(POLL)).await;
                return Ok(());
            }
        };
        // Never 0, which would be for ever.
        let timeout_ms = u64::try_from(left.min(longest).as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let params: Vec<Value> = std::iter::once(json!(timeout_ms)).chain(tip).collect();
        let waited = bitcoind
            .connection
            .call_alone::<Value>(method, &params, Duration::from_millis(timeout_ms))
            .await;
        match waited {
            Ok(_) => Ok(()),
            Err(CallError::Refused { code, .. }) => {
                let next = match support {
                    Support::WithTip if code != RPC_METHOD_NOT_FOUND => Support::Blind,
                    _ => Support::Poll,
                };
                bitcoind.wait_support.at_most(next);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns when something is told, but not before that time; never if nobody is there to tell.
async fn next(told: &mut Option<watch::Receiver<u64>>, not_before: Instant) {
    let is_told = match told {
        Some(told) => told.changed().await.is_ok(),
        None => false,
    };
    match is_told {
        true => tokio::time::sleep_until(not_before).await,
        false => std::future::pending().await,
    }
}
