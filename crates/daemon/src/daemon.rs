//! What every method needs: the node, and how this process was told to show things.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;
use sendpay_node::Node;
use sendpay_rpc::frame::Request;
use sendpay_rpc::value::{Amounts, NodeId};
use tokio::sync::watch;

use crate::changes::Changes;
use crate::config::{self, Config, Shown};
use crate::method;
use crate::server::{ConnectionInfo, Dispatch, Reply};

/// The process as the methods see it.
pub struct Daemon {
    node: Node,
    amounts: Amounts,
    network_dir: PathBuf,
    config: Config,
    chain_warning: watch::Receiver<Option<String>>,
    backup_warning: watch::Receiver<Option<String>>,
    changes: Changes,
    stop: watch::Sender<bool>,
}

impl Daemon {
    /// Puts a running node behind the methods. `chain_warning` holds a sentence while the chain
    /// backend does not answer or is behind its network, `backup_warning` while the list of channels
    /// cannot be backed up.
    pub fn new(
        node: Node,
        config: Config,
        chain_warning: watch::Receiver<Option<String>>,
        backup_warning: watch::Receiver<Option<String>>,
    ) -> Daemon {
        Daemon {
            node,
            amounts: config.amounts,
            network_dir: config.network_dir(),
            config,
            chain_warning,
            backup_warning,
            changes: Changes::new(),
            stop: watch::channel(false).0,
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn amounts(&self) -> Amounts {
        self.amounts
    }

    pub(crate) fn network(&self) -> Network {
        self.node.config().network
    }

    /// CLN's name of the network.
    pub(crate) fn network_name(&self) -> &'static str {
        network_name(self.network())
    }

    pub(crate) fn network_dir(&self) -> &Path {
        &self.network_dir
    }

    /// The configuration, in CLN's form.
    pub(crate) fn configs(&self) -> Shown {
        let [red, green, blue] = self.node.color();
        let color = format!("{red:02x}{green:02x}{blue:02x}");
        config::shown(&self.config, &self.node.alias(), &color)
    }

    /// What is wrong with the chain backend, if anything is.
    pub(crate) fn chain_warning(&self) -> Option<String> {
        let trouble = self.node.chain_view().trouble;
        trouble.or_else(|| self.chain_warning.borrow().clone())
    }

    /// Why the list of channels is not backed up, if it is not.
    pub(crate) fn backup_warning(&self) -> Option<String> {
        self.backup_warning.borrow().clone()
    }

    /// Who waits for the ledger's numbers to move.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Tells those who wait for changes of them, for ever.
    pub(crate) async fn tell_of_changes(&self) {
        self.changes.keep_up(self.node.ledger()).await;
    }

    /// Asks the process to end, as the method `stop` does.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Resolves when `stop` was called.
    pub async fn stopped(&self) {
        // The sender is ours: it cannot be gone.
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }
}

/// Answers requests from the socket with the daemon's methods.
pub struct Methods(pub Arc<Daemon>);

impl Dispatch for Methods {
    async fn dispatch(&self, request: Request, reply: Reply, connection: ConnectionInfo) {
        method::dispatch(&self.0, request, reply, &connection).await;
    }
}

/// The names that CLN's clients and directories use.
pub fn network_name(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "bitcoin",
        Network::Testnet => "testnet",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}

/// A node id as a point of the curve.
pub(crate) fn public_key(id: NodeId) -> Option<PublicKey> {
    PublicKey::from_slice(&id.to_bytes()).ok()
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
