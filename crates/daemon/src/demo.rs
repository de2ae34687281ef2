//! `sendpayd demo`: a Lightning network of three nodes on an embedded chain, and payments of every
//! kind from alice to carol.
//!
//! The nodes run in this process; everything is asked of them over their sockets, as a user would.
//! Each step asks first what is there, so a run that was cut off goes on where it was, and a run
//! after a whole one makes nothing new. Here are the order of the steps and the end; the steps are
//! in the modules.

mod ask;
mod channels;
mod network;
mod payments;
mod progress;
mod show;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::config::LogLevel;
use crate::log;
use crate::run::make_private_dir;
use network::Network;
use progress::Progress;

/// Name of the log in the demo's directory.
const LOG_FILE: &str = "demo.log";

/// Runs the demo in `dir` until `stop` resolves, or, with `exit`, until alice's listing is printed.
///
/// # Errors
/// If the network cannot be started, or a payment does not end as it should.
pub async fn run(
    dir: &Path,
    exit: bool,
    log_level: LogLevel,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    make_private_dir(dir)?;
    // The commands that are printed must work from anywhere.
    let dir = dir
        .canonicalize()
        .with_context(|| format!("cannot use the directory {}", dir.display()))?;
    log::start(log_level, Some(&dir.join(LOG_FILE)))?;
    let progress = Progress::start();
    progress.say(format!("The network is in {}.", dir.display()));
    tokio::pin!(stop);
    let network = tokio::select! {
        network = Network::start(&dir, &progress) => network?,
        () = &mut stop => return Ok(()),
    };
    let outcome = tokio::select! {
        outcome = story(&network, exit, &progress) => outcome,
        () = &mut stop => Ok(()),
    };
    if outcome.is_ok() && !exit {
        tokio::select! {
            () = network.stopped() => {}
            () = &mut stop => {}
        }
    }
    progress.say("Stopping.");
    network.stop().await;
    progress.end();
    outcome
}

/// Everything from the first channel to the listing.
async fn story(network: &Network, exit: bool, progress: &Progress) -> Result<()> {
    let ways = channels::open(network, progress).await?;
    let payments = payments::make(network, &ways, progress).await?;
    let listing: Value = network.alice.call("listsendpays", json!({})).await?;
    progress.end();
    if exit {
        show::json(&listing)
    } else {
        show::everything(network, &payments, &listing)
    }
}
