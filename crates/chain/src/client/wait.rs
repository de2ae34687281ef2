//! Waits for a new block: by `waitfornewblock` where bitcoind has it, else by asking again. Electrum
//! servers tell of it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bitcoin::BlockHash;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::connection::CallError;
use super::{Best, ChainClient, best_of};

/// One wait of a server that is told what we know. Short enough that a server which is gone is
/// noticed, and below the 30 s after which bitcoind may close a connection.
const WAIT: Duration = Duration::from_secs(20);

/// One wait of a server that is not told what we know: a block that came just before is seen only
/// after it.
const WAIT_BLIND: Duration = Duration::from_secs(5);

/// How often a server without `waitfornewblock` is asked.
const POLL: Duration = Duration::from_secs(1);

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
        loop {
            let best = self.best_block().await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if best.hash != known || left.is_zero() {
                return Ok(best);
            }
            self.wait_once(known, left).await?;
        }
    }

    async fn wait_once(&self, known: BlockHash, left: Duration) -> Result<(), CallError> {
        let method = "waitfornewblock";
        let bitcoind = self.bitcoind(method)?;
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
