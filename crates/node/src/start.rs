//! The start, in the order that keeps the records true, and the stop.
//!
//! Store and ledger are open already. Then: keys, wallet, monitors, manager; blocks replayed to
//! each; queued events; our pending records compared with what LDK knows; and only then peers. The
//! daemon opens its socket after `Node::start` has returned.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use bitcoin::Network;
use lightning::chain::{BlockLocator, Listen};
use lightning::io;
use lightning::ln::channelmanager::{ChainParameters, ChannelManagerReadArgs};
use lightning::ln::peer_handler::{IgnoringMessageHandler, MessageHandler};
use lightning::ln::types::ChannelId;
use lightning::onion_message::messenger::NullMessageRouter;
use lightning::routing::scoring::{
    ProbabilisticScoringDecayParameters, ProbabilisticScoringFeeParameters,
};
use lightning::sign::{EntropySource, NodeSigner, Recipient};
use lightning::util::config::UserConfig;
use lightning::util::persist::{
    CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
    CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE, KVStore, NETWORK_GRAPH_PERSISTENCE_KEY,
    NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE, NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE,
    OUTPUT_SWEEPER_PERSISTENCE_KEY, OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
    OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE, SCORER_PERSISTENCE_KEY,
    SCORER_PERSISTENCE_PRIMARY_NAMESPACE, SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use lightning::util::ser::{ReadableArgs, Writeable};
use lightning_background_processor::{
    GossipSync, NO_LIQUIDITY_MANAGER, NO_ONION_MESSENGER, process_events_async,
};
use lightning_block_sync::HeaderCache;
use lightning_block_sync::poll::ValidatedBlockHeader;
use sendpay_chain::client::{Broadcaster, ChainClient, Fees};
use sendpay_ledger::{Ledger, Store};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, RwLock as AsyncRwLock, watch};
use tokio::task::JoinSet;

use crate::chain::{self, Listeners, LoadedMonitor};
use crate::clock::{since_epoch, unix_seconds};
use crate::keys::{Seed, SeedError};
use crate::ldk::{
    ChainMonitor, ChannelManager, ChannelMonitor, Gossip, Graph, Keys, MonitorPersister,
    PeerManager, Router, Scorer, Sweeper,
};
use crate::logger::NodeLogger;
use crate::payment::StartCheckError;
use crate::store::{EagerSpawner, LdkStore, WholeBlocks};
use crate::wallet::{ChainWallet, WalletError};
use crate::{Inner, Node, NodeConfig, event, peer};

/// Updates kept beside a monitor before it is written whole again.
const MONITOR_UPDATES_MAX: u64 = 100;
/// How often HTLCs that wait to be forwarded or received are looked for while there are any, and
/// while there have been none for a while. LDK alone waits 10 to 200 ms for each batch.
const FORWARD_TICK: Duration = Duration::from_millis(1);
const FORWARD_TICK_IDLE: Duration = Duration::from_millis(5);
/// How long without HTLCs counts as idle, in ticks.
const FORWARD_TICKS_BUSY: u32 = 2_000;
/// How often the scorer is written: LDK alone writes it with every payment.
const SCORER_EVERY: Duration = Duration::from_secs(60);
/// How often the node tells the network of itself.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(600);
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
    #[error("cannot read the chain: {0}")]
    Chain(String),
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
    /// LDK's signer gave no node id.
    #[error("the seed makes no node id")]
    NodeId,
}

/// What needs no other state: made first.
struct Ground {
    config: NodeConfig,
    store: Store,
    client: ChainClient,
    broadcaster: Arc<Broadcaster>,
    fees: Arc<Fees>,
    logger: Arc<NodeLogger>,
    keys: Arc<Keys>,
    ldk_store: LdkStore,
    user_config: UserConfig,
}

/// LDK's state as it was stored, each with the block that it saw last.
struct Loaded {
    monitor: Arc<ChainMonitor>,
    monitors: Vec<(BlockLocator, ChannelMonitor)>,
    manager: Arc<ChannelManager>,
    manager_block: BlockLocator,
    graph: Arc<Graph>,
    scorer: Arc<RwLock<Scorer>>,
    sweeper: Arc<Sweeper>,
    sweeper_block: BlockLocator,
    wallet: Arc<ChainWallet>,
}

impl Node {
    /// Starts the node over an open store. When it returns, the records are true and the node
    /// answers; peers are being connected.
    pub async fn start(
        config: NodeConfig,
        store: Store,
        ledger: Ledger,
        client: ChainClient,
        broadcaster: Arc<Broadcaster>,
        fees: Arc<Fees>,
    ) -> Result<Node, StartError> {
        let seed = Seed::read_or_make(&config.dir, config.network)?;
        let ground = Ground {
            user_config: user_config(config.network),
            keys: Arc::new(seed.ldk_keys(since_epoch())),
            logger: Arc::new(NodeLogger::default()),
            ldk_store: LdkStore(store.clone()),
            config,
            store,
            client,
            broadcaster,
            fees,
        };
        let tip = chain::tip(&ground.client)
            .await
            .map_err(|cause| StartError::Chain(format!("{:?}", cause.into_inner())))?;
        let loaded = load(&ground, &seed, chain::locator(&tip)).await?;
        let (loaded, headers, tip) = replay_blocks(&ground, loaded).await?;
        let listener = bind(&ground.config).await?;
        let listening = listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        let (height, height_seen) = watch::channel(tip.height);
        let inner = join(ground, loaded, ledger, listening, height_seen)?;
        run_queued_events(&inner).await;
        let never_left = inner.fail_what_never_left().await?;
        if never_left > 0 {
            tracing::warn!(
                never_left,
                "payments recorded before a crash never left: failed"
            );
        }
        inner.review_holds();
        crate::channel::review_openings(&inner).await;
        Ok(run(inner, listener, height, headers, tip).await)
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
    // Without anchors until the wallet can pay for bumping them.
    handshake.negotiate_anchors_zero_fee_htlc_tx = false;
    config
        .channel_handshake_limits
        .force_announced_channel_preference = false;
    // CLN's default fees: 1 satoshi and 10 millionths.
    config.channel_config.forwarding_fee_base_msat = 1_000;
    config.channel_config.forwarding_fee_proportional_millionths = 10;
    config
}

async fn stored(
    ground: &Ground,
    what: &'static str,
    at: [&str; 3],
) -> Result<Option<Vec<u8>>, StartError> {
    let [primary, secondary, key] = at;
    match ground.ldk_store.read(primary, secondary, key).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StartError::State {
            what,
            cause: cause.to_string(),
        }),
    }
}

fn damaged(what: &'static str) -> impl FnOnce(lightning::ln::msgs::DecodeError) -> StartError {
    move |cause| StartError::State {
        what,
        cause: cause.to_string(),
    }
}

async fn load(ground: &Ground, seed: &Seed, tip: BlockLocator) -> Result<Loaded, StartError> {
    let network = ground.config.network;
    let wallet = ChainWallet::open(ground.store.clone(), seed, network, tip).await?;
    let wallet = Arc::new(wallet);
    let (monitor, monitors) = load_monitors(ground).await?;
    let graph = load_graph(ground).await?;
    let scorer = load_scorer(ground, &graph).await?;
    let router = Arc::new(Router::new(
        graph.clone(),
        ground.logger.clone(),
        ground.keys.clone(),
        scorer.clone(),
        ProbabilisticScoringFeeParameters::default(),
    ));
    let (manager_block, manager) = load_manager(ground, &monitor, &monitors, router, tip).await?;
    let (sweeper_block, sweeper) = load_sweeper(ground, &wallet, tip).await?;
    Ok(Loaded {
        monitor,
        monitors,
        manager: Arc::new(manager),
        manager_block,
        graph,
        scorer,
        sweeper: Arc::new(sweeper),
        sweeper_block,
        wallet,
    })
}

type Monitors = Vec<(BlockLocator, ChannelMonitor)>;

async fn load_monitors(ground: &Ground) -> Result<(Arc<ChainMonitor>, Monitors), StartError> {
    let persister = MonitorPersister::new(
        ground.ldk_store.clone(),
        EagerSpawner(Handle::current()),
        ground.logger.clone(),
        MONITOR_UPDATES_MAX,
        ground.keys.clone(),
        ground.keys.clone(),
        ground.broadcaster.clone(),
        ground.fees.clone(),
    );
    let monitors = persister
        .read_all_channel_monitors_with_updates()
        .await
        .map_err(|cause| StartError::State {
            what: "channel monitors",
            cause: cause.to_string(),
        })?;
    // Deferred: an update is written only after a manager that knows of it, or a crash between
    // the two would force the channel closed.
    let monitor = ChainMonitor::new_async_beta(
        Some(WholeBlocks::shared()),
        ground.broadcaster.clone(),
        ground.logger.clone(),
        ground.fees.clone(),
        persister,
        ground.keys.clone(),
        ground.keys.get_peer_storage_key(),
        true,
    );
    Ok((Arc::new(monitor), monitors))
}

async fn load_graph(ground: &Ground) -> Result<Arc<Graph>, StartError> {
    let at = [
        NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE,
        NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE,
        NETWORK_GRAPH_PERSISTENCE_KEY,
    ];
    Ok(Arc::new(
        match stored(ground, "network graph", at).await? {
            Some(bytes) => Graph::read(&mut &bytes[..], ground.logger.clone())
                .map_err(damaged("network graph"))?,
            None => Graph::new(ground.config.network, ground.logger.clone()),
        },
    ))
}

async fn load_scorer(
    ground: &Ground,
    graph: &Arc<Graph>,
) -> Result<Arc<RwLock<Scorer>>, StartError> {
    let at = [
        SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
        SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
        SCORER_PERSISTENCE_KEY,
    ];
    let decay = ProbabilisticScoringDecayParameters::default();
    let scorer = match stored(ground, "scorer", at).await? {
        Some(bytes) => Scorer::read(
            &mut &bytes[..],
            (decay, graph.clone(), ground.logger.clone()),
        )
        .map_err(damaged("scorer"))?,
        None => Scorer::new(decay, graph.clone(), ground.logger.clone()),
    };
    Ok(Arc::new(RwLock::new(scorer)))
}

async fn load_manager(
    ground: &Ground,
    monitor: &Arc<ChainMonitor>,
    monitors: &Monitors,
    router: Arc<Router>,
    tip: BlockLocator,
) -> Result<(BlockLocator, ChannelManager), StartError> {
    let at = [
        CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
        CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
        CHANNEL_MANAGER_PERSISTENCE_KEY,
    ];
    let keys = &ground.keys;
    let Some(bytes) = stored(ground, "channel manager", at).await? else {
        let parameters = ChainParameters {
            network: ground.config.network,
            best_block: tip,
        };
        let manager = ChannelManager::new(
            ground.fees.clone(),
            monitor.clone(),
            ground.broadcaster.clone(),
            router,
            Arc::new(NullMessageRouter {}),
            ground.logger.clone(),
            keys.clone(),
            keys.clone(),
            keys.clone(),
            ground.user_config.clone(),
            parameters,
            u32::try_from(unix_seconds()).unwrap_or(u32::MAX),
        );
        return Ok((tip, manager));
    };
    let arguments = ChannelManagerReadArgs::new(
        keys.clone(),
        keys.clone(),
        keys.clone(),
        ground.fees.clone(),
        monitor.clone(),
        ground.broadcaster.clone(),
        router,
        Arc::new(NullMessageRouter {}),
        ground.logger.clone(),
        ground.user_config.clone(),
        monitors.iter().map(|(_, monitor)| monitor).collect(),
    );
    <(BlockLocator, ChannelManager)>::read(&mut &bytes[..], arguments)
        .map_err(damaged("channel manager"))
}

async fn load_sweeper(
    ground: &Ground,
    wallet: &Arc<ChainWallet>,
    tip: BlockLocator,
) -> Result<(BlockLocator, Sweeper), StartError> {
    let at = [
        OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
        OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
        OUTPUT_SWEEPER_PERSISTENCE_KEY,
    ];
    let (broadcaster, fees) = (ground.broadcaster.clone(), ground.fees.clone());
    let (keys, logger) = (ground.keys.clone(), ground.logger.clone());
    let (filter, store) = (Some(WholeBlocks::shared()), ground.ldk_store.clone());
    match stored(ground, "output sweeper", at).await? {
        Some(bytes) => <(BlockLocator, Sweeper)>::read(
            &mut &bytes[..],
            (
                broadcaster,
                fees,
                filter,
                keys,
                wallet.clone(),
                store,
                logger,
            ),
        )
        .map_err(damaged("output sweeper")),
        None => Ok((
            tip,
            Sweeper::new(
                tip,
                broadcaster,
                fees,
                filter,
                keys,
                wallet.clone(),
                store,
                logger,
            ),
        )),
    }
}

/// Replays blocks to each part from where it stood, then hands the monitors to the chain monitor.
async fn replay_blocks(
    ground: &Ground,
    mut loaded: Loaded,
) -> Result<(Loaded, HeaderCache, ValidatedBlockHeader), StartError> {
    let monitors: Vec<(BlockLocator, LoadedMonitor)> = std::mem::take(&mut loaded.monitors)
        .into_iter()
        .map(|(block, monitor)| {
            let (broadcaster, fees) = (ground.broadcaster.clone(), ground.fees.clone());
            (block, (monitor, broadcaster, fees, ground.logger.clone()))
        })
        .collect();
    let mut listeners: Vec<(BlockLocator, &(dyn Listen + Send + Sync))> = vec![
        (loaded.manager_block, &*loaded.manager),
        (loaded.sweeper_block, &*loaded.sweeper),
        (loaded.wallet.best_block(), &*loaded.wallet),
    ];
    for (block, monitor) in &monitors {
        listeners.push((*block, monitor));
    }
    let (headers, tip) = chain::catch_up(&ground.client, ground.config.network, listeners)
        .await
        .map_err(|cause| StartError::Chain(format!("{:?}", cause.into_inner())))?;
    for (_, (monitor, ..)) in monitors {
        let id: ChannelId = monitor.channel_id();
        loaded
            .monitor
            .load_existing_monitor(id, monitor)
            .map_err(|()| StartError::State {
                what: "channel monitors",
                cause: format!("two monitors of channel {id}"),
            })?;
    }
    Ok((loaded, headers, tip))
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
    height: watch::Receiver<u32>,
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
    let handlers = MessageHandler {
        chan_handler: loaded.manager.clone(),
        route_handler: gossip.clone(),
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
        ledger,
        logger: ground.logger,
        keys: ground.keys,
        chain: ground.client,
        fees: ground.fees,
        wallet: loaded.wallet,
        monitor: loaded.monitor,
        manager: loaded.manager,
        graph: loaded.graph,
        scorer: loaded.scorer,
        gossip,
        peers,
        sweeper: loaded.sweeper,
        listening,
        height,
        height_fixed: Arc::new(AsyncRwLock::new(())),
        stop: watch::channel(false).0,
        failures: Mutex::new(HashMap::new()),
        openings: Mutex::new(HashMap::new()),
        claiming: Mutex::new(HashSet::new()),
        paying: crate::pay::Running::default(),
        fees_collected_msat: AtomicU64::new(0),
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
    height: watch::Sender<u32>,
    headers: HeaderCache,
    tip: ValidatedBlockHeader,
) -> Node {
    let mut tasks = JoinSet::new();
    let listeners = Arc::new(Listeners {
        monitor: inner.monitor.clone(),
        manager: inner.manager.clone(),
        sweeper: inner.sweeper.clone(),
        wallet: inner.wallet.clone(),
        height,
        height_fixed: inner.height_fixed.clone(),
    });
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
    tasks.spawn(background(inner.clone()));
    tasks.spawn(forward_tick(inner.clone(), stop()));
    tasks.spawn(write_scorer(inner.clone(), stop()));
    tasks.spawn(announce(inner.clone(), stop()));
    tasks.spawn(watch_holds(inner.clone(), stop()));
    tasks.spawn(peer::keep_connected(inner.clone(), stop()));
    if let Some(listener) = listener {
        tasks.spawn(peer::listen(inner.clone(), listener, stop()));
    }
    Node {
        inner,
        tasks: Arc::new(AsyncMutex::new(tasks)),
    }
}

/// LDK's own loop: events, persistence, timers. Without a scorer, whose writes it would await.
async fn background(inner: Arc<Inner>) {
    let stop = inner.stop.subscribe();
    let sleeper = move |pause: Duration| {
        let mut stop = stop.clone();
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            }
        })
    };
    let handled = inner.clone();
    let scored = inner.clone();
    let ended = process_events_async(
        LdkStore(inner.store.clone()),
        move |event| {
            score(&scored, &event);
            event::handle(handled.clone(), event)
        },
        inner.monitor.clone(),
        inner.manager.clone(),
        NO_ONION_MESSENGER,
        GossipSync::p2p(inner.gossip.clone()),
        inner.peers.clone(),
        NO_LIQUIDITY_MANAGER,
        Some(inner.sweeper.clone()),
        inner.logger.clone(),
        None::<Arc<RwLock<Scorer>>>,
        sleeper,
        false,
        || Some(since_epoch()),
    )
    .await;
    if let Err(cause) = ended {
        // The store ends the process itself when it cannot commit; this is the rest.
        tracing::error!(%cause, "LDK's state could not be written; stopping");
        std::process::abort();
    }
}

/// Teaches the scorer what a path showed.
fn score(inner: &Inner, event: &lightning::events::Event) {
    use lightning::events::Event;
    use lightning::routing::scoring::ScoreUpdate;
    let mut scorer = inner
        .scorer
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    match event {
        Event::PaymentPathSuccessful { path, .. } => {
            scorer.payment_path_successful(path, since_epoch());
        }
        Event::PaymentPathFailed {
            path,
            short_channel_id: Some(scid),
            ..
        } => {
            scorer.payment_path_failed(path, *scid, since_epoch());
        }
        Event::PaymentPathFailed {
            path,
            payment_failed_permanently: true,
            ..
        } => {
            // It reached the destination, which says what the way can carry.
            scorer.probe_successful(path, since_epoch());
        }
        _ => {}
    }
}

async fn forward_tick(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    let mut quiet = 0u32;
    loop {
        if inner.manager.needs_pending_htlc_processing() {
            inner.manager.process_pending_htlc_forwards();
            quiet = 0;
        } else {
            quiet = quiet.saturating_add(1);
        }
        let pause = if quiet < FORWARD_TICKS_BUSY {
            FORWARD_TICK
        } else {
            FORWARD_TICK_IDLE
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Resolves true when the pause is over, false at the stop.
async fn paused(pause: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => true,
        _ = stop.wait_for(|stop| *stop) => false,
    }
}

async fn write_scorer(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    loop {
        let go_on = paused(SCORER_EVERY, &mut stop).await;
        let bytes = inner
            .scorer
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .encode();
        let (primary, secondary) = (
            SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
            SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
        );
        drop(
            inner
                .store
                .kv_write(primary, secondary, SCORER_PERSISTENCE_KEY, bytes),
        );
        if !go_on {
            return;
        }
    }
}

async fn announce(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    while paused(ANNOUNCE_EVERY, &mut stop).await {
        inner.announce();
    }
}

async fn watch_holds(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    let mut height = inner.height.clone();
    loop {
        tokio::select! {
            changed = height.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        inner.review_holds();
    }
}
