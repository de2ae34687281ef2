//! The one way the node talks to a chain: bitcoind's JSON-RPC over HTTP, the same dialect from the
//! embedded regtest chain, or Electrum servers.
//!
//! [`ChainClient`] is a block source for `lightning-block-sync` and sends transactions; [`Fees`] is
//! LDK's fee estimator and [`Broadcaster`] LDK's broadcaster. What the blocks mean is left to those
//! who listen to them. From Electrum servers the blocks come without transactions: those that somebody
//! watches for are found with [`Electrum::confirmed`].

mod broadcast;
mod config;
mod connection;
mod electrum;
mod error;
mod fees;
mod mine;
mod source;
#[cfg(test)]
mod tests;
mod wait;
mod zmq;

use std::sync::{Arc, OnceLock, Weak};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{BlockHash, Network, Transaction};
use lightning_block_sync::BlockHeaderData;
use serde_json::{Value, json};

pub use broadcast::{BROADCAST_QUEUE_MAX, Broadcaster};
pub use config::{Auth, ChainConfig};
pub use connection::CallError;
pub use electrum::{
    Confirmed, Electrum, ElectrumAddress, ElectrumAddressError, ElectrumConfig, ElectrumError,
    Found, TrustError,
};
pub use error::{BroadcastError, ConnectError, VERSION_MIN};
pub use fees::{Estimate, Fees};
pub use zmq::{ZmqAddress, ZmqAddressError};

use connection::Connection;
use electrum::COMPARE_EVERY;
use wait::WaitSupport;
use zmq::Zmq;

/// The best block of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Best {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
}

/// How far the chain itself has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainState {
    /// The best block whose transactions it has.
    pub best: Best,
    /// Height of the best header that it knows.
    pub headers: u32,
    /// It is still downloading old blocks.
    pub initial_block_download: bool,
    /// The median time of the last eleven blocks, in seconds since 1970, if it is told.
    pub median_time: Option<u64>,
    /// The lowest block that it still has, if it removes old ones.
    pub pruned_below: Option<u32>,
}

/// bitcoind's number for a server that is still starting.
const RPC_IN_WARMUP: i64 = -28;

/// bitcoind's number for a height that the chain does not reach.
const RPC_INVALID_PARAMETER: i64 = -8;

/// bitcoind's number for a transaction whose outputs are in the chain.
const RPC_ALREADY_IN_CHAIN: i64 = -27;

/// bitcoind's number for a transaction that broke a rule.
const RPC_REJECTED: i64 = -26;

/// Reasons under which a transaction is where it should be: what a broadcast wants.
const KNOWN_REASONS: [&str; 3] = [
    "txn-already-in-mempool",
    "txn-already-known",
    "txn-same-nonwitness-data-in-mempool",
];

/// A connection to the chain. Clones share it.
#[derive(Clone)]
pub struct ChainClient {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    network: Network,
    fees: Fees,
}

/// Who is asked.
enum Backend {
    Bitcoind(Bitcoind),
    Electrum(Electrum),
}

/// bitcoind's RPC, or the embedded chain's.
struct Bitcoind {
    connection: Connection,
    wait_support: WaitSupport,
    /// Set once the server has shown to be the right one, if the operator has ZMQ there.
    zmq: OnceLock<Zmq>,
}

impl ChainClient {
    /// Connects, and makes sure that the chain is on the right network.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]. Nothing is retried.
    pub async fn connect(config: ChainConfig) -> Result<ChainClient, ConnectError> {
        let address = config.rpc_address.clone();
        let connection = Connection::open(config.rpc_address, config.auth)?;
        let client = ChainClient {
            inner: Arc::new(Inner {
                backend: Backend::Bitcoind(Bitcoind {
                    connection,
                    wait_support: WaitSupport::default(),
                    zmq: OnceLock::new(),
                }),
                network: config.network,
                fees: Fees::default(),
            }),
        };
        let starting = |error| match error {
            CallError::Refused {
                code: RPC_IN_WARMUP,
                message,
                ..
            } => ConnectError::Starting {
                address: address.clone(),
                message,
            },
            other => other.into(),
        };
        let info = client.call("getblockchaininfo", &[]).await;
        let info = info.map_err(starting)?;
        let found = info
            .get("chain")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if Network::from_core_arg(&found).ok() != Some(config.network) {
            return Err(ConnectError::WrongNetwork {
                address,
                expected: config.network,
                found,
            });
        }
        let method = "getnetworkinfo";
        let info = client.call(method, &[]).await?;
        let found = info.get("version").and_then(Value::as_u64);
        let found = found.ok_or_else(|| CallError::malformed(method, "no version"))?;
        if found < VERSION_MIN {
            return Err(ConnectError::TooOld { address, found });
        }
        if let (Some(zmq), Backend::Bitcoind(bitcoind)) = (config.zmq, &client.inner.backend) {
            bitcoind.zmq.get_or_init(|| Zmq::start(zmq));
        }
        Ok(client)
    }

    /// A client of Electrum servers. None is asked yet, so that whoever waits for them to be there asks
    /// this client again, which knows how soon. Needs a runtime, in which several are compared.
    ///
    /// # Errors
    ///
    /// What servers must prove to be cannot be said.
    pub fn of_electrum(config: ElectrumConfig) -> Result<ChainClient, TrustError> {
        let network = config.network;
        let inner = Arc::new(Inner {
            backend: Backend::Electrum(Electrum::new(config)?),
            network,
            fees: Fees::default(),
        });
        let client = ChainClient { inner };
        if client.electrum().is_some_and(Electrum::has_others) {
            tokio::spawn(keep_comparing(Arc::downgrade(&client.inner)));
        }
        Ok(client)
    }

    /// The Electrum servers, if these are what is asked.
    pub fn electrum(&self) -> Option<&Electrum> {
        match &self.inner.backend {
            Backend::Electrum(electrum) => Some(electrum),
            Backend::Bitcoind(_) => None,
        }
    }

    /// What is wrong though blocks can be had, for people: Electrum servers that are not asked, or
    /// bitcoind's ZMQ.
    pub fn troubles(&self) -> Vec<String> {
        match &self.inner.backend {
            Backend::Electrum(electrum) => electrum.troubles(),
            Backend::Bitcoind(bitcoind) => {
                let trouble = bitcoind.zmq.get().and_then(Zmq::trouble);
                trouble.into_iter().collect()
            }
        }
    }

    /// bitcoind, for what only it can be asked.
    fn bitcoind(&self, method: &'static str) -> Result<&Bitcoind, CallError> {
        match &self.inner.backend {
            Backend::Bitcoind(bitcoind) => Ok(bitcoind),
            Backend::Electrum(_) => Err(CallError::NotOfElectrum { method }),
        }
    }

    /// The network of the chain.
    pub fn network(&self) -> Network {
        self.inner.network
    }

    /// The blocks, for `lightning_block_sync::init` and `SpvClient`. (The client itself is one; it
    /// comes in an `Arc` because they take what dereferences to one.)
    pub fn block_source(&self) -> Arc<ChainClient> {
        Arc::new(self.clone())
    }

    /// LDK's fee estimator. It has fallbacks until [`ChainClient::refresh_fees`] was called.
    pub fn fees(&self) -> Fees {
        self.inner.fees.clone()
    }

    /// The best block.
    ///
    /// # Errors
    ///
    /// The chain could not be asked, or answered something else.
    pub async fn best_block(&self) -> Result<Best, CallError> {
        match self.electrum() {
            Some(electrum) => Ok(best_of(&electrum.best().await?)),
            None => Ok(self.state().await?.best),
        }
    }

    /// How far the chain has come.
    ///
    /// # Errors
    ///
    /// The chain could not be asked, or answered something else.
    pub async fn state(&self) -> Result<ChainState, CallError> {
        if let Some(electrum) = self.electrum() {
            let best = electrum.best().await?;
            return Ok(ChainState {
                best: best_of(&best),
                headers: best.height,
                initial_block_download: false,
                median_time: electrum.median_time(best.height).await?,
                pruned_below: None,
            });
        }
        let method = "getblockchaininfo";
        let info = self.call(method, &[]).await?;
        let height = |name: &str| {
            info.get(name)
                .and_then(Value::as_u64)
                .and_then(|height| u32::try_from(height).ok())
        };
        let pruned_below = height("pruneheight");
        let hash = info
            .get("bestblockhash")
            .and_then(Value::as_str)
            .and_then(|hash| hash.parse().ok());
        match (hash, height("blocks"), height("headers")) {
            (Some(hash), Some(height), Some(headers)) => Ok(ChainState {
                best: Best { hash, height },
                headers,
                initial_block_download: info
                    .get("initialblockdownload")
                    .and_then(Value::as_bool)
                    .unwrap_or(false),
                median_time: info.get("mediantime").and_then(Value::as_u64),
                pruned_below,
            }),
            _ => Err(CallError::malformed(method, "no best block")),
        }
    }

    /// The block of the best chain at a height, if it reaches that far.
    ///
    /// # Errors
    ///
    /// The chain could not be asked, or answered something else.
    pub async fn block_hash(&self, height: u32) -> Result<Option<BlockHash>, CallError> {
        if let Some(electrum) = self.electrum() {
            let data = electrum.header_at(height).await?;
            return Ok(data.map(|data| data.header.block_hash()));
        }
        let method = "getblockhash";
        let hash = match self.call(method, &[json!(height)]).await {
            Err(CallError::Refused {
                code: RPC_INVALID_PARAMETER,
                ..
            }) => return Ok(None),
            answer => answer?,
        };
        let hash = hash.as_str().and_then(|hash| hash.parse().ok());
        hash.map(Some)
            .ok_or_else(|| CallError::malformed(method, "no hash"))
    }

    /// Sends a transaction. One that waits or is in the chain already was sent, too.
    ///
    /// # Errors
    ///
    /// See [`BroadcastError`].
    pub async fn broadcast(&self, transaction: &Transaction) -> Result<(), BroadcastError> {
        if let Some(electrum) = self.electrum() {
            return broadcast_by(electrum, transaction).await;
        }
        let hex = json!(serialize_hex(transaction));
        match self.call("sendrawtransaction", &[hex]).await {
            Ok(_)
            | Err(CallError::Refused {
                code: RPC_ALREADY_IN_CHAIN,
                ..
            }) => Ok(()),
            Err(CallError::Refused {
                code: RPC_REJECTED,
                message,
                ..
            }) if KNOWN_REASONS
                .iter()
                .any(|reason| message.starts_with(reason)) =>
            {
                Ok(())
            }
            // It may have it from before it was started again.
            Err(
                error @ CallError::Refused {
                    code: RPC_IN_WARMUP,
                    ..
                },
            ) => Err(error.into()),
            Err(CallError::Refused { code, message, .. }) => Err(BroadcastError::Refused {
                txid: transaction.compute_txid(),
                code,
                message,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a child and its parents, in any order. Together where the chain takes packages, so
    /// that the child's fee counts for parents below the least fee rate; else one by one.
    ///
    /// # Errors
    ///
    /// See [`BroadcastError`]. Some may have been sent all the same.
    pub async fn broadcast_package(
        &self,
        transactions: &[Transaction],
    ) -> Result<(), BroadcastError> {
        let ordered = broadcast::parents_first(transactions);
        let mut unsure = None;
        if ordered.len() > 1 {
            let hex: Vec<String> = ordered
                .iter()
                .map(|transaction| serialize_hex(*transaction))
                .collect();
            match self.submit_package(hex).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(CallError::Electrum(error @ ElectrumError::Unsure { .. })) => {
                    unsure = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut outcome = Ok(());
        for transaction in ordered {
            let sent = self.broadcast(transaction).await;
            outcome = worse(outcome, sent);
        }
        match unsure {
            // One by one they were refused, but one server may have them together.
            Some(error) => outcome.map_err(|_| CallError::from(error).into()),
            None => outcome,
        }
    }

    /// Hands over transactions together. False: they were not taken so.
    async fn submit_package(&self, hex: Vec<String>) -> Result<bool, CallError> {
        if let Some(electrum) = self.electrum() {
            return Ok(electrum.broadcast_package(hex).await?);
        }
        match self.call("submitpackage", &[json!(hex)]).await {
            Ok(answer) => Ok(answer.get("package_msg") == Some(&json!("success"))),
            Err(CallError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks bitcoind for anything, with the answer as JSON.
    async fn call(&self, method: &'static str, params: &[Value]) -> Result<Value, CallError> {
        self.bitcoind(method)?.connection.call(method, params).await
    }
}

/// Compares Electrum servers with each other until the client is gone.
async fn keep_comparing(client: Weak<Inner>) {
    loop {
        tokio::time::sleep(COMPARE_EVERY).await;
        match client.upgrade().as_deref() {
            Some(Inner {
                backend: Backend::Electrum(electrum),
                ..
            }) => electrum.compare().await,
            _ => return,
        }
    }
}

fn best_of(data: &BlockHeaderData) -> Best {
    Best {
        hash: data.header.block_hash(),
        height: data.height,
    }
}

/// Of two outcomes, the one that counts for both: what may have been sent is not said to be refused.
fn worse(
    one: Result<(), BroadcastError>,
    other: Result<(), BroadcastError>,
) -> Result<(), BroadcastError> {
    match (one, other) {
        (Err(BroadcastError::Refused { .. }), Err(unsure @ BroadcastError::Unavailable(_))) => {
            Err(unsure)
        }
        (one, other) => one.and(other),
    }
}

/// Sends a transaction by an Electrum server.
async fn broadcast_by(
    electrum: &Electrum,
    transaction: &Transaction,
) -> Result<(), BroadcastError> {
    let sent = electrum.broadcast(transaction).await;
    sent.map_err(|error| match error {
        ElectrumError::Refused { code, message, .. } => BroadcastError::Refused {
            txid: transaction.compute_txid(),
            code,
            message,
        },
        error => CallError::from(error).into(),
    })
}
