//! The concrete LDK types of this node, in one place.
//!
//! LDK is generic over everything; these aliases are instantiated once, so that only this crate
//! pays for compiling them. What the parts do is in the files that own them: `store.rs` (where
//! state is kept), `logger.rs`, `wallet.rs`; the chain side comes from `sendpay_chain`.

use std::sync::Arc;

use lightning::chain::{Filter, chainmonitor};
use lightning::ln::peer_handler::IgnoringMessageHandler;
use lightning::onion_message::messenger::NullMessageRouter;
use lightning::routing::gossip;
use lightning::routing::scoring::ProbabilisticScorer;
use lightning::routing::utxo::UtxoLookup;
use lightning::sign::InMemorySigner;
use lightning::util::persist::MonitorUpdatingPersisterAsync;
use lightning::util::sweep::OutputSweeper;
use lightning_net_tokio::SocketDescriptor;
use sendpay_chain::client::{Broadcaster, Fees};

use crate::gossip::PatientGossip;
use crate::logger::NodeLogger;
use crate::messages::ChannelMessages;
use crate::router::PlannedRouter;
use crate::shutdown_keys::ShutdownKeys;
use crate::store::{EagerSpawner, LdkStore};
use crate::wallet::ChainWallet;

pub(crate) type Keys = lightning::sign::KeysManager;

pub(crate) type MonitorPersister = MonitorUpdatingPersisterAsync<
    LdkStore,
    EagerSpawner,
    Arc<NodeLogger>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Broadcaster>,
    Arc<Fees>,
>;

pub(crate) type ChainMonitor = chainmonitor::ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Broadcaster>,
    Arc<Fees>,
    Arc<NodeLogger>,
    chainmonitor::AsyncPersister<
        LdkStore,
        EagerSpawner,
        Arc<NodeLogger>,
        Arc<Keys>,
        Arc<Keys>,
        Arc<Broadcaster>,
        Arc<Fees>,
    >,
    Arc<Keys>,
>;

pub(crate) type ChannelMonitor = lightning::chain::channelmonitor::ChannelMonitor<InMemorySigner>;

pub(crate) type ChannelManager = lightning::ln::channelmanager::ChannelManager<
    Arc<ChainMonitor>,
    Arc<Broadcaster>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<ShutdownKeys>,
    Arc<Fees>,
    Arc<PlannedRouter>,
    Arc<NullMessageRouter>,
    Arc<NodeLogger>,
>;

pub(crate) type Graph = gossip::NetworkGraph<Arc<NodeLogger>>;

pub(crate) type Scorer = ProbabilisticScorer<Arc<Graph>, Arc<NodeLogger>>;

pub(crate) type Gossip =
    gossip::P2PGossipSync<Arc<Graph>, Arc<dyn UtxoLookup + Send + Sync>, Arc<NodeLogger>>;

pub(crate) type Sweeper = OutputSweeper<
    Arc<Broadcaster>,
    Arc<ChainWallet>,
    Arc<Fees>,
    Arc<dyn Filter + Send + Sync>,
    LdkStore,
    Arc<NodeLogger>,
    Arc<Keys>,
>;

pub(crate) type PeerManager = lightning::ln::peer_handler::PeerManager<
    SocketDescriptor,
    Arc<ChannelMessages>,
    Arc<PatientGossip>,
    Arc<IgnoringMessageHandler>,
    Arc<NodeLogger>,
    Arc<IgnoringMessageHandler>,
    Arc<Keys>,
    Arc<ChainMonitor>,
>;
