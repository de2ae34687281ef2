//! What runs as long as the node: LDK's own loop, and the ticks that it is too slow for or has none
//! for. Following the chain and keeping peers connected have files of their own.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use lightning::util::persist::{
    SCORER_PERSISTENCE_KEY, SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
    SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use lightning::util::ser::Writeable;
use lightning_background_processor::{
    GossipSync, NO_LIQUIDITY_MANAGER, NO_ONION_MESSENGER, process_events_async,
};
use tokio::sync::watch;

use crate::clock::since_epoch;
use crate::ldk::Scorer;
use crate::{Inner, event};

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
/// How long after a channel of its own was announced: the word of that goes first, as nobody takes in
/// what a node without a channel tells of itself.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(1);

/// LDK's own loop: events, persistence, timers. Without a scorer, whose writes it would await.
pub(crate) async fn run_ldk(inner: Arc<Inner>) {
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
        inner.ldk_store.clone(),
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

pub(crate) async fn forward_tick(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
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

pub(crate) async fn write_scorer(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    loop {
        let go_on = paused(SCORER_EVERY, &mut stop).await;
        let bytes = {
            use lightning::routing::scoring::ScoreUpdate;
            let mut scorer = inner
                .scorer
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            // What was learned long ago counts for less.
            scorer.time_passed(since_epoch());
            scorer.encode()
        };
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

pub(crate) async fn announce(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    loop {
        let go_on = tokio::select! {
            go_on = paused(ANNOUNCE_EVERY, &mut stop) => go_on,
            () = inner.channel_announced.notified() => paused(ANNOUNCE_AFTER, &mut stop).await,
        };
        if !go_on {
            return;
        }
        inner.announce();
    }
}

pub(crate) async fn watch_holds(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    let mut height = inner.height.clone();
    loop {
        tokio::select! {
            changed = height.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        inner.review_holds().await;
    }
}
