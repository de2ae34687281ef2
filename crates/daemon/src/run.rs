//! One node as a whole: directory, ledger, chain, node, socket; and its end.
//!
//! The order is the promise: the records are true before the socket answers. Used by `main` for
//! one node and by the demo for three.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sendpay_chain::client::{
    Auth, Broadcaster, ChainClient, ChainConfig, ConnectError, ElectrumAddress, ElectrumConfig,
};
use sendpay_chain::regtest::Regtest;
use sendpay_ledger::Ledger;
use sendpay_node::{Node, NodeConfig, Passphrase};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::autoclean::Autoclean;
use crate::backup;
use crate::config::{ChainAuth, Config, Network};
use crate::daemon::{Daemon, Methods};
use crate::descriptors;
use crate::server::{self, Bound};

/// Name of the store in the network's directory.
pub const STORE_FILE: &str = "sendpay.sqlite3";

/// Directory of the embedded chain, in the directory that `sendpayd regtest` was given.
pub const CHAIN_DIR: &str = "chain";

/// How long a start waits for the chain backend, and between two tries.
const CHAIN_WAIT: Duration = Duration::from_secs(30);
const CHAIN_RETRY: Duration = Duration::from_millis(250);

/// How often the chain backend is asked whether it is there, for `getinfo`'s warning, and how long it
/// may take to answer.
const CHAIN_LOOK: Duration = Duration::from_secs(10);

/// A node that answers at its socket.
pub struct Running {
    daemon: Arc<Daemon>,
    socket: PathBuf,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    fees: JoinHandle<()>,
    warning: JoinHandle<()>,
    changes: JoinHandle<()>,
    backup: JoinHandle<()>,
    autoclean: Option<JoinHandle<()>>,
}

/// Starts a node whose seed has no passphrase. When it returns, its socket answers.
pub async fn start(config: Config) -> Result<Running> {
    start_with(config, None).await
}

/// Starts a node. When it returns, its socket answers.
pub async fn start_with(config: Config, passphrase: Option<Passphrase>) -> Result<Running> {
    let network = match config.network {
        Network::Regtest => bitcoin::Network::Regtest,
        Network::Signet => bitcoin::Network::Signet,
        Network::Testnet4 => bitcoin::Network::Testnet4,
        Network::Bitcoin => bitcoin::Network::Bitcoin,
        Network::Testnet => {
            bail!("network testnet: testnet 3 is going out of use; take testnet4 or signet")
        }
    };
    let network_dir = config.network_dir();
    crate::recover::refuse_unfinished(&network_dir)?;
    make_private_dir(&config.dir)?;
    make_private_dir(&network_dir)?;
    let store_file = network_dir.join(STORE_FILE);
    let (store, ledger) = Ledger::open(&store_file)
        .with_context(|| format!("cannot open the store {}", store_file.display()))?;
    let client = connect_chain(&config, network).await?;
    if let Err(cause) = client.refresh_fees().await {
        tracing::warn!(%cause, "no fee estimates yet; using the fallbacks");
    }
    let node_config = NodeConfig {
        dir: network_dir.clone(),
        network,
        listen: Some(config.listen),
        alias: config.alias.clone(),
        color: config.color,
        announce: config.announce.clone(),
        passphrase,
        proxy: config.proxy,
        inbound_peers_max: descriptors::inbound_peers_max(),
        anchor_reserve: config.min_emergency,
    };
    let broadcaster = Arc::new(Broadcaster::start(client.clone()));
    let fees = Arc::new(client.fees());
    let node = Node::start(
        node_config,
        store,
        ledger,
        client.clone(),
        broadcaster,
        fees,
    )
    .await
    .context("cannot start the node")?;
    let (warn, warned) = watch::channel(None);
    let (backing, backed) = watch::channel(None);
    let backing_up = backup::keep(node.clone(), config.channels_backup(), backing);
    let backup = tokio::spawn(backing_up);
    let daemon = Arc::new(Daemon::new(node, config.clone(), warned, backed));
    let socket = config.rpc_socket();
    let listener = Bound::bind(&socket).await?;
    let (stop, mut stopped) = watch::channel(false);
    let methods = Arc::new(Methods(daemon.clone()));
    let serving = tokio::spawn(server::serve(listener, methods, async move {
        // Gone is as good as stopped.
        drop(stopped.wait_for(|stop| *stop).await);
    }));
    let refreshing = client.clone();
    let telling = daemon.clone();
    let autoclean = config.autoclean.map(|autoclean| {
        let cleaning = Autoclean::new(daemon.clone(), autoclean, client.clone());
        tokio::spawn(cleaning.run())
    });
    Ok(Running {
        daemon,
        socket,
        stop,
        serving,
        fees: tokio::spawn(async move { refreshing.keep_fees_fresh().await }),
        warning: tokio::spawn(watch_chain(client, warn)),
        changes: tokio::spawn(async move { telling.tell_of_changes().await }),
        backup,
        autoclean,
    })
}

impl Running {
    /// The node.
    pub fn daemon(&self) -> &Arc<Daemon> {
        &self.daemon
    }

    /// Where the node listens for peers.
    pub fn listening(&self) -> Option<std::net::SocketAddr> {
        self.daemon.node().listening()
    }

    /// Its RPC socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends the node: no new requests, then peers and state, then the store.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.fees.abort();
        self.warning.abort();
        self.backup.abort();
        // Wherever it is: what is in the archive and not yet removed is archived once more.
        if let Some(autoclean) = self.autoclean {
            autoclean.abort();
        }
        if let Err(cause) = self.serving.await {
            tracing::error!(%cause, "the socket's task ended badly");
        }
        // Not before: those who wait are told to the end.
        self.changes.abort();
        let node = self.daemon.node();
        node.stop().await;
        let store = node.store().clone();
        // Commits what is queued, which blocks.
        if let Err(cause) = tokio::task::spawn_blocking(move || store.close()).await {
            tracing::error!(%cause, "the store was not closed");
        }
    }
}

/// Makes a directory that only its owner may enter, from the first moment.
pub fn make_private_dir(dir: &Path) -> Result<()> {
    let context = || format!("cannot make the directory {}", dir.display());
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).with_context(context)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(dir, Permissions::from_mode(0o700)).with_context(context)
        }
        Err(cause) => Err(cause).with_context(context),
    }
}

/// Connects to the Electrum servers of the configuration, waiting until one is there.
async fn connect_electrum(
    config: &Config,
    network: bitcoin::Network,
    servers: &[ElectrumAddress],
    certificates: Option<&Path>,
) -> Result<ChainClient> {
    let client = ChainClient::of_electrum(ElectrumConfig {
        servers: servers.to_vec(),
        certificates: certificates.map(Path::to_owned),
        proxy: config.proxy,
        network,
    })?;
    let deadline = tokio::time::Instant::now() + CHAIN_WAIT;
    // The client itself says in the log what is wrong with which server.
    while let Err(cause) = client.best_block().await {
        if tokio::time::Instant::now() >= deadline {
            return Err(cause)
                .with_context(|| format!("no Electrum server within {} s", CHAIN_WAIT.as_secs()));
        }
        tokio::time::sleep(CHAIN_RETRY).await;
    }
    Ok(client)
}

/// Where bitcoind's RPC is: as configured, else the embedded chain of the same directory, else
/// bitcoind's usual place.
fn chain_config(config: &Config, network: bitcoin::Network) -> Result<ChainConfig> {
    let own = || config.dir.join(CHAIN_DIR);
    let embedded = match &config.chain.auth {
        ChainAuth::Embedded(dir) => Some(dir.clone()),
        // An address that bitcoind publishes at is bitcoind's.
        ChainAuth::Unset if config.chain.rpc_address.is_none() && config.chain.zmq.is_none() => {
            Some(own()).filter(|dir| dir.is_dir())
        }
        _ => None,
    };
    if let Some(dir) = embedded {
        let located = Regtest::locate(&dir).with_context(|| {
            let dir = dir.parent().unwrap_or(&dir).display();
            format!("cannot find the embedded chain; start it with `sendpayd regtest --dir {dir}`")
        })?;
        return Ok(ChainConfig {
            rpc_address: located.rpc_address.to_string(),
            auth: Auth::CookieFile(located.cookie_file),
            zmq: None,
            network,
        });
    }
    let usual = || format!("127.0.0.1:{}", config.network.bitcoind_port());
    let rpc_address = config.chain.rpc_address.clone().unwrap_or_else(usual);
    let zmq = config.chain.zmq.clone();
    let auth = match &config.chain.auth {
        ChainAuth::CookieFile(path) => Some(Auth::CookieFile(path.clone())),
        ChainAuth::UserPassword { user, password } => {
            Some(Auth::UserPass(user.clone(), password.clone()))
        }
        ChainAuth::Embedded(_) | ChainAuth::Electrum { .. } | ChainAuth::Unset => None,
    };
    if let Some(auth) = auth {
        return Ok(ChainConfig {
            rpc_address,
            auth,
            zmq,
            network,
        });
    }
    let home = std::env::var_os("HOME").context("chain.cookie_file is not set, nor is HOME")?;
    let cookie = Path::new(&home)
        .join(".bitcoin")
        .join(match config.network {
            Network::Bitcoin => PathBuf::from(".cookie"),
            other => Path::new(other.as_str()).join(".cookie"),
        });
    Ok(ChainConfig {
        rpc_address,
        auth: Auth::CookieFile(cookie),
        zmq,
        network,
    })
}

/// Connects, waiting for a backend that is starting or not there yet.
async fn connect_chain(config: &Config, network: bitcoin::Network) -> Result<ChainClient> {
    if let ChainAuth::Electrum {
        servers,
        certificates,
    } = &config.chain.auth
    {
        return connect_electrum(config, network, servers, certificates.as_deref()).await;
    }
    let deadline = tokio::time::Instant::now() + CHAIN_WAIT;
    let mut told = None;
    loop {
        let chain = chain_config(config, network)?;
        let address = chain.rpc_address.clone();
        let cause = match ChainClient::connect(chain).await {
            Ok(client) => return Ok(client),
            Err(cause @ (ConnectError::WrongNetwork { .. } | ConnectError::TooOld { .. })) => {
                return Err(cause.into());
            }
            Err(cause) => cause,
        };
        // One that says what it is doing will be there: it may have many blocks to check.
        let starting = matches!(cause, ConnectError::Starting { .. });
        if tokio::time::Instant::now() >= deadline && !starting {
            return Err(cause).with_context(|| {
                format!(
                    "no chain backend at {address} within {} s; start one with `sendpayd regtest \
                     --dir {}`, or set chain.rpc_address and chain.cookie_file, or chain.electrum",
                    CHAIN_WAIT.as_secs(),
                    config.dir.display()
                )
            });
        }
        let text = cause.to_string();
        if told.as_ref() != Some(&text) {
            tracing::info!(%address, cause = text, "waiting for the chain backend");
            told = Some(text);
        }
        tokio::time::sleep(CHAIN_RETRY).await;
    }
}

/// What is wrong with the chain backend though it answers: Electrum servers that are not asked though
/// others are, or bitcoind's ZMQ.
fn partly_missing(client: &ChainClient) -> Option<String> {
    let troubles = client.troubles();
    (!troubles.is_empty()).then(|| troubles.join("; "))
}

/// Keeps `getinfo`'s warning of the chain backend true, as far as only asking tells: what the node
/// sees in following it, the node says.
async fn watch_chain(client: ChainClient, warning: watch::Sender<Option<String>>) {
    loop {
        let state = tokio::time::timeout(CHAIN_LOOK, client.state()).await;
        warning.send_replace(match state {
            Ok(Ok(state)) if state.initial_block_download => Some(format!(
                "Bitcoind is not up-to-date with network: it has {} of {} blocks",
                state.best.height, state.headers
            )),
            Ok(Ok(_)) => partly_missing(&client),
            Ok(Err(cause)) => Some(format!("the chain backend does not answer: {cause}")),
            Err(_) => Some(format!(
                "the chain backend has not answered for {} s",
                CHAIN_LOOK.as_secs()
            )),
        });
        tokio::time::sleep(CHAIN_LOOK).await;
    }
}
