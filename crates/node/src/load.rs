//! LDK's state from the store, each part with the block that it saw last, and the blocks since then
//! replayed to it. In which order that happens is `start.rs`.

use std::sync::{Arc, RwLock};

use lightning::chain::{BlockLocator, Confirm, Filter, Listen};
use lightning::io;
use lightning::ln::channelmanager::{ChainParameters, ChannelManagerReadArgs};
use lightning::onion_message::messenger::NullMessageRouter;
use lightning::routing::scoring::ProbabilisticScoringDecayParameters;
use lightning::sign::NodeSigner;
use lightning::util::config::UserConfig;
use lightning::util::persist::{
    CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
    CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE, KVStore, NETWORK_GRAPH_PERSISTENCE_KEY,
    NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE, NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE,
    OUTPUT_SWEEPER_PERSISTENCE_KEY, OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
    OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE, SCORER_PERSISTENCE_KEY,
    SCORER_PERSISTENCE_PRIMARY_NAMESPACE, SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use lightning::util::ser::ReadableArgs;
use lightning_block_sync::poll::ValidatedBlockHeader;
use sendpay_chain::client::{Broadcaster, ChainClient, Fees};
use sendpay_ledger::Store;
use tokio::runtime::Handle;

use crate::NodeConfig;
use crate::chain::{self, CatchUpError, CaughtUp, Finder, LoadedMonitor, Watched, WithFound};
use crate::clock::unix_seconds;
use crate::kept::GivenOut;
use crate::keys::Seed;
use crate::ldk::{
    ChainMonitor, ChannelManager, ChannelMonitor, Graph, Keys, MonitorPersister, Scorer, Sweeper,
};
use crate::logger::NodeLogger;
use crate::recovery::Recovery;
use crate::router::PlannedRouter;
use crate::shutdown_keys::ShutdownKeys;
use crate::start::StartError;
use crate::store::{EagerSpawner, LdkStore, WholeBlocks};
use crate::wallet::ChainWallet;

/// Updates kept beside a monitor before it is written whole again.
const MONITOR_UPDATES_MAX: u64 = 100;

/// What needs no other state: made first.
pub(crate) struct Ground {
    pub(crate) config: NodeConfig,
    pub(crate) store: Store,
    pub(crate) client: ChainClient,
    pub(crate) broadcaster: Arc<Broadcaster>,
    pub(crate) fees: Arc<Fees>,
    pub(crate) logger: Arc<NodeLogger>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) ldk_store: LdkStore,
    pub(crate) user_config: UserConfig,
    pub(crate) backup_secret: [u8; 32],
    /// What LDK watches for, if blocks come without transactions.
    pub(crate) watched: Option<Arc<Watched>>,
}

impl Ground {
    /// What hears of what LDK watches for.
    fn filter(&self) -> Arc<dyn Filter + Send + Sync> {
        match &self.watched {
            Some(watched) => watched.clone(),
            None => WholeBlocks::shared(),
        }
    }
}

/// LDK's state as it was stored, each with the block that it saw last.
pub(crate) struct Loaded {
    pub(crate) monitor: Arc<ChainMonitor>,
    pub(crate) monitors: Vec<(BlockLocator, ChannelMonitor)>,
    pub(crate) manager: Arc<ChannelManager>,
    pub(crate) manager_block: BlockLocator,
    pub(crate) router: Arc<PlannedRouter>,
    pub(crate) graph: Arc<Graph>,
    pub(crate) scorer: Arc<RwLock<Scorer>>,
    pub(crate) sweeper: Arc<Sweeper>,
    pub(crate) sweeper_block: BlockLocator,
    pub(crate) wallet: Arc<ChainWallet>,
    pub(crate) recovery: Option<Arc<Recovery>>,
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

pub(crate) async fn load(
    ground: &Ground,
    seed: &Seed,
    tip: &ValidatedBlockHeader,
) -> Result<Loaded, StartError> {
    let network = ground.config.network;
    let store = ground.store.clone();
    let tip = match ChainWallet::is_kept(&store)? {
        // It knows where it stands.
        true => BlockLocator::new(tip.header.block_hash(), tip.height),
        false => chain::locator(&ground.client, tip).await?,
    };
    let recovery = Recovery::load(&ground.store, &ground.keys)?;
    let (begins, given_out) = match &recovery {
        None => (tip, GivenOut::default()),
        Some(recovery) => {
            let (height, given_out) = recovery.wallet_begins();
            (block_at(ground, height, tip).await?, given_out)
        }
    };
    let wallet = ChainWallet::open(store, seed, network, begins, given_out).await?;
    // What is made anew beside an older wallet (the sweeper is stored when it has something to sweep)
    // begins where the wallet stands: at the tip, it would hold up the start until all blocks are read.
    let tip = wallet.best_block();
    let wallet = Arc::new(wallet);
    let (monitor, monitors) = load_monitors(ground).await?;
    let graph = load_graph(ground).await?;
    let scorer = load_scorer(ground, &graph).await?;
    let router = Arc::new(PlannedRouter::default());
    let (manager_block, manager) =
        load_manager(ground, &monitor, &monitors, router.clone(), tip).await?;
    let (sweeper_block, sweeper) = load_sweeper(ground, &wallet, tip).await?;
    Ok(Loaded {
        monitor,
        monitors,
        manager: Arc::new(manager),
        manager_block,
        graph,
        router,
        scorer,
        sweeper: Arc::new(sweeper),
        sweeper_block,
        wallet,
        recovery,
    })
}

/// The block of the best chain at this height; `tip` if there is none.
async fn block_at(
    ground: &Ground,
    height: u32,
    tip: BlockLocator,
) -> Result<BlockLocator, StartError> {
    let hash = ground.client.block_hash(height).await;
    let hash = hash.map_err(chain::CatchUpError::from)?;
    Ok(hash.map_or(tip, |hash| BlockLocator::new(hash, height)))
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
        Some(ground.filter()),
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
    router: Arc<PlannedRouter>,
    tip: BlockLocator,
) -> Result<(BlockLocator, ChannelManager), StartError> {
    let at = [
        CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE,
        CHANNEL_MANAGER_PERSISTENCE_SECONDARY_NAMESPACE,
        CHANNEL_MANAGER_PERSISTENCE_KEY,
    ];
    let keys = &ground.keys;
    let channel_keys = Arc::new(ShutdownKeys::new(keys.clone()));
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
            channel_keys,
            ground.user_config.clone(),
            parameters,
            u32::try_from(unix_seconds()).unwrap_or(u32::MAX),
        );
        return Ok((tip, manager));
    };
    let arguments = ChannelManagerReadArgs::new(
        keys.clone(),
        keys.clone(),
        channel_keys,
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
    let (filter, store) = (Some(ground.filter()), ground.ldk_store.clone());
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
pub(crate) async fn replay_blocks(
    ground: &Ground,
    mut loaded: Loaded,
) -> Result<(Loaded, CaughtUp, Option<Arc<Finder>>), StartError> {
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
    if let Some(recovery) = &loaded.recovery {
        let block = recovery.best_block(loaded.wallet.best_block());
        listeners.push((block, &**recovery));
        if let Some(watched) = &ground.watched {
            watched.add(recovery.scripts());
        }
    }
    let finder = match &ground.watched {
        None => None,
        Some(watched) => {
            for (_, (monitor, ..)) in &monitors {
                monitor.load_outputs_to_watch(watched, &ground.logger);
            }
            let lowest = listeners.iter().map(|(block, _)| block.height).min();
            Some(find(ground, watched, &loaded, lowest.unwrap_or(0)).await?)
        }
    };
    let caught_up = match &finder {
        None => chain::catch_up(&ground.client, ground.config.network, listeners).await?,
        Some(finder) => {
            let with_found: Vec<(BlockLocator, WithFound<'_>)> = listeners
                .into_iter()
                .map(|(block, listener)| (block, WithFound { listener, finder }))
                .collect();
            let listeners: Vec<(BlockLocator, &(dyn Listen + Send + Sync))> = with_found
                .iter()
                .map(|(block, listener)| (*block, listener as &(dyn Listen + Send + Sync)))
                .collect();
            chain::catch_up(&ground.client, ground.config.network, listeners).await?
        }
    };
    for (_, (monitor, ..)) in monitors {
        keep_monitor(&loaded.monitor, monitor)?;
    }
    Ok((loaded, caught_up, finder))
}

/// Hands a monitor to LDK, and says that it is durable if it never was updated.
///
/// A manager that was written while a channel's first monitor was on its way believes that it still is.
/// Of updates LDK finds out by itself, of a first monitor it does not: the channel would wait for good,
/// and take no message.
fn keep_monitor(monitors: &ChainMonitor, monitor: ChannelMonitor) -> Result<(), StartError> {
    let id = monitor.channel_id();
    let wrong = |cause| StartError::State {
        what: "channel monitors",
        cause,
    };
    let update = monitor.get_latest_update_id();
    monitors
        .load_existing_monitor(id, monitor)
        .map_err(|()| wrong(format!("two monitors of channel {id}")))?;
    if update == 0 {
        monitors
            .channel_monitor_updated(id, update)
            .map_err(|cause| wrong(format!("{cause:?}")))?;
    }
    Ok(())
}

/// Looks up what the parts watch for, before they hear of the blocks.
async fn find(
    ground: &Ground,
    watched: &Arc<Watched>,
    loaded: &Loaded,
    lowest: u32,
) -> Result<Arc<Finder>, StartError> {
    let (client, wallet) = (ground.client.clone(), loaded.wallet.clone());
    let finder = Finder::new(client, watched.clone(), wallet);
    let of_channels = loaded.manager.get_relevant_txids().into_iter();
    let of_channels = of_channels.filter_map(|(txid, height, block)| Some((txid, height, block?)));
    finder.leave_out(lowest, of_channels.chain(loaded.wallet.confirmed()));
    let best = ground
        .client
        .best_block()
        .await
        .map_err(CatchUpError::from)?;
    finder.look(best).await.map_err(CatchUpError::from)?;
    Ok(Arc::new(finder))
}
