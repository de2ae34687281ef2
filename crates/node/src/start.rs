//! The start, in the order that keeps the records true, and the stop.
//!
//! Store and ledger are open already. Then: keys, wallet, monitors, manager; blocks replayed to
//! each until all have seen the same ones; queued events; our pending records compared with what LDK
//! knows; and only then the rest of the blocks, and after these peers. The daemon opens its socket
//! when `Node::start` has returned.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::Network;
use lightning::ln::peer_handler::{IgnoringMessageHandler, MessageHandler};
use lightning::sign::{EntropySource, NodeSigner, Recipient};
use lightning::util::config::UserConfig;
use lightning_block_sync::HeaderCache;
use lightning_block_sync::poll::ValidatedBlockHeader;
use sendpay_chain::client::{Broadcaster, ChainClient, Fees};
use sendpay_ledger::{Ledger, Store};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, Notify, RwLock as AsyncRwLock, watch};
use tokio::task::JoinSet;

use crate::chain::{self, CatchUpError, CaughtUp, ChainView, Listeners};
use crate::clock::{since_epoch, unix_seconds};
use crate::closed_channel::Written;
use crate::depth::DEPTH_MAX;
use crate::gossip::PatientGossip;
use crate::keys::{Seed, SeedError};
use crate::ldk::{Gossip, PeerManager};
use crate::load::{Ground, Loaded, load, replay_blocks};
use crate::logger::NodeLogger;
use crate::messages::ChannelMessages;
use crate::payment::StartCheckError;
use crate::recovery::RecoveryError;
use crate::store::LdkStore;
use crate::wallet::WalletError;
use crate::{
    Inner, Node, NodeConfig, background, event, fee_bump, invoice_end, kept, peer, recovery,
};

/// How long the parts may take to end after the stop.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// Why the node did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The seed file.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The on-chain wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The chain backend gave no tip, or not all blocks.
    #[error(transparent)]
    Chain(#[from] CatchUpError),
    /// A part of LDK's state cannot be read.
    #[error("cannot read the {what} from the store: {cause}")]
    State {
        /// Which part.
        what: &'static str,
        /// What the decoder said.
        cause: String,
    },
    /// The address to listen at is taken or not ours.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The pending records could not be checked.
    #[error(transparent)]
    Check(#[from] StartCheckError),
    /// What is kept of a recovery cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// LDK's signer gave no node id.
    #[error("the seed makes no node id")]
    NodeId,
}

impl Node {
    /// Starts the node over an open store. When it returns, the records are true and the node
    /// answers; peers are being connected, once the blocks that are still missing have been read.
    pub async fn start(
        config: NodeConfig,
        store: Store,
        ledger: Ledger,
        client: ChainClient,
        broadcaster: Arc<Broadcaster>,
        fees: Arc<Fees>,
    ) -> Result<Node, StartError> {
        let passphrase = config.passphrase.as_ref();
        let seed = Seed::read_or_make(&config.dir, config.network, passphrase)?;
        let ground = Ground {
            user_config: user_config(config.network),
            keys: Arc::new(seed.ldk_keys(since_epoch())),
            logger: Arc::new(NodeLogger::default()),
            ldk_store: LdkStore::new(store.clone()),
            config,
            store,
            watched: client.electrum().map(|_| Arc::default()),
            client,
            broadcaster,
            fees,
            backup_secret: seed.backup_secret()?,
        };
        let tip = chain::tip(&ground.client).await?;
        let loaded = load(&ground, &seed, &tip).await?;
        let (loaded, caught_up, finder) = replay_blocks(&ground, loaded).await?;
        let CaughtUp { headers, tip, view } = caught_up;
        let listener = bind(&ground.config).await?;
        let listening = listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        let (height, height_seen) = watch::channel(tip.height);
        let (view, viewed) = watch::channel(view);
        let inner = join(ground, loaded, ledger, listening, (height_seen, viewed))?;
        let listeners = Arc::new(Listeners::new(&inner, height, view, finder));
        listeners.stand_at(tip.header.block_hash());
        listeners.hear_late().await.map_err(CatchUpError::from)?;
        Written::load(&inner);
        inner.take_up_claims();
        run_queued_events(&inner).await;
        let never_left = inner.fail_what_never_left().await?;
        if never_left > 0 {
            tracing::warn!(
                never_left,
                "payments recorded before a crash never left: failed"
            );
        }
        inner.review_holds().await;
        inner.fail_what_nobody_wants();
        crate::review::review(&inner).await;
        crate::terms::review(&inner);
        Ok(run(inner, listener, listeners, headers, tip).await)
    }

    /// Stops: peers first, then the state is written whole.
    pub async fn stop(&self) {
        self.inner.stop.send_replace(true);
        self.inner.peers.disconnect_all_peers();
        let mut tasks = self.tasks.lock().await;
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
            tracing::error!("parts of the node did not end in time");
        }
    }
}

fn user_config(network: Network) -> UserConfig {
    let mut config = UserConfig::default();
    let handshake = &mut config.channel_handshake_config;
    handshake.our_max_accepted_htlcs = 483;
    handshake.announced_channel_max_inbound_htlc_value_in_flight_percentage = 100;
    handshake.announce_for_forwarding = true;
    // CLN's own default depths.
    handshake.minimum_depth = if network == Network::Regtest { 1 } else { 3 };
    // The wallet pays for what the chain asks for when a channel closes (`fee_bump.rs`), with every
    // peer that has them.
    handshake.negotiate_anchors_zero_fee_htlc_tx = true;
    // As CLN: where a close pays is chosen when it comes.
    handshake.commit_upfront_shutdown_pubkey = false;
    let limits = &mut config.channel_handshake_limits;
    limits.force_announced_channel_preference = false;
    limits.max_minimum_depth = DEPTH_MAX;
    // As other nodes do: who has only private channels could be paid by neighbours alone.
    config.accept_forwards_to_priv_channels = true;
    // CLN's default fees: 1 satoshi and 10 millionths.
    config.channel_config.forwarding_fee_base_msat = 1_000;
    config.channel_config.forwarding_fee_proportional_millionths = 10;
    config
}

async fn bind(config: &NodeConfig) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = config.listen else {
        return Ok(None);
    };
    TcpListener::bind(address)
        .await
        .map(Some)
        .map_err(|source| StartError::Listen { address, source })
}

fn join(
    ground: Ground,
    loaded: Loaded,
    ledger: Ledger,
    listening: Option<std::net::SocketAddr>,
    (height, chain_view): (watch::Receiver<u32>, watch::Receiver<ChainView>),
) -> Result<Arc<Inner>, StartError> {
    let node_id = ground
        .keys
        .get_node_id(Recipient::Node)
        .map_err(|()| StartError::NodeId)?;
    let gossip = Arc::new(Gossip::new(
        loaded.graph.clone(),
        None,
        ground.logger.clone(),
    ));
    let patient = PatientGossip::new(gossip.clone(), loaded.graph.clone(), &node_id);
    let channel_announced = patient.ours();
    let messages = Arc::new(ChannelMessages::new(loaded.manager.clone()));
    let handlers = MessageHandler {
        chan_handler: messages.clone(),
        route_handler: Arc::new(patient),
        onion_message_handler: Arc::new(IgnoringMessageHandler {}),
        custom_message_handler: Arc::new(IgnoringMessageHandler {}),
        send_only_message_handler: loaded.monitor.clone(),
    };
    let peers = Arc::new(PeerManager::new(
        handlers,
        u32::try_from(unix_seconds()).unwrap_or(u32::MAX),
        &ground.keys.get_secure_random_bytes(),
        ground.logger.clone(),
        ground.keys.clone(),
    ));
    let inner = Inner {
        node_id,
        config: ground.config,
        user_config: ground.user_config,
        store: ground.store,
        ldk_store: ground.ldk_store,
        ledger,
        logger: ground.logger,
        keys: ground.keys,
        chain: ground.client,
        broadcaster: ground.broadcaster,
        fees: ground.fees,
        wallet: loaded.wallet,
        monitor: loaded.monitor,
        manager: loaded.manager,
        messages,
        graph: loaded.graph,
        router: loaded.router,
        scorer: loaded.scorer,
        gossip,
        channel_announced,
        peers,
        sweeper: loaded.sweeper,
        listening,
        height,
        chain_view,
        height_fixed: Arc::new(AsyncRwLock::new(())),
        stop: watch::channel(false).0,
        failures: Mutex::new(HashMap::new()),
        openings: Mutex::new(HashMap::new()),
        ends: tokio::sync::broadcast::channel(crate::close::ENDS_MAX).0,
        deciding: Mutex::new(HashSet::new()),
        freed: Notify::new(),
        next_lapse_ms: AtomicU64::new(u64::MAX),
        lapses_sooner: Notify::new(),
        paying: crate::pay::Running::default(),
        channels_changed: Notify::new(),
        kept: watch::channel(None).0,
        backup_secret: ground.backup_secret,
        recovery: loaded.recovery,
        scids: crate::forward::Scids::default(),
        written: Written::default(),
        bumping: AsyncMutex::default(),
        setting_terms: AsyncMutex::default(),
        short: Mutex::default(),
    };
    Ok(Arc::new(inner))
}

/// Handles what LDK had queued when it was written, and what loading it queued.
async fn run_queued_events(inner: &Arc<Inner>) {
    let handler = |event| event::handle(inner.clone(), event);
    inner.manager.process_pending_events_async(handler).await;
    inner.monitor.process_pending_events_async(handler).await;
}

async fn run(
    inner: Arc<Inner>,
    listener: Option<TcpListener>,
    listeners: Arc<Listeners>,
    headers: HeaderCache,
    tip: ValidatedBlockHeader,
) -> Node {
    let mut tasks = JoinSet::new();
    let network = inner.config.network;
    let stop = || inner.stop.subscribe();
    tasks.spawn(chain::follow(
        inner.chain.clone(),
        network,
        headers,
        tip,
        listeners,
        stop(),
    ));
    tasks.spawn(background::run_ldk(inner.clone()));
    tasks.spawn(background::forward_tick(inner.clone(), stop()));
    tasks.spawn(background::write_scorer(inner.clone(), stop()));
    tasks.spawn(background::announce(inner.clone(), stop()));
    tasks.spawn(background::watch_holds(inner.clone(), stop()));
    tasks.spawn(fee_bump::keep_raising(inner.clone(), stop()));
    tasks.spawn(invoice_end::expire_invoices(inner.clone(), stop()));
    tasks.spawn(peer::meet(inner.clone(), listener, stop()));
    tasks.spawn(kept::keep(inner.clone(), stop()));
    if let Some(lost) = inner.recovery.clone() {
        tasks.spawn(recovery::recover(inner.clone(), lost, stop()));
    }
    Node {
        inner,
        tasks: Arc::new(AsyncMutex::new(tasks)),
    }
}
