//! `sendpayd backup`, and the list of channels that is written whenever it changes.
//!
//! What a backup is, is `sendpay-backup`'s affair; what must be remembered of channels, the node's.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use sendpay_backup::{BackupKey, Snapshot, WriteError, replace, write_channels, write_whole};
use sendpay_node::{KEPT_AT, Kept, Node, Passphrase, Seed, SeedError};
use tokio::sync::watch;

use crate::config::Config;
use crate::run::STORE_FILE;

/// Pause before a list that could not be written is written again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// Writes every record and the list of channels to `file`, of a node that runs or does not: what a
/// snapshot of its store holds.
///
/// # Errors
/// If there is no seed or no store, or the file cannot be written; what was there before stays.
pub fn write(config: &Config, file: &Path, passphrase: Option<&Passphrase>) -> Result<()> {
    let dir = config.network_dir();
    let network = config.bitcoin_network();
    let seed = Seed::read(&dir, network, passphrase)?;
    let seed = seed.ok_or_else(|| SeedError::Missing(dir.clone()))?;
    let key = BackupKey::new(seed.backup_secret()?);
    let snapshot = Snapshot::open(&dir.join(STORE_FILE))?;
    let [primary, secondary, name] = KEPT_AT;
    let manifest = snapshot.kept(primary, secondary, name)?.context(
        "this store has no list of its channels yet: start sendpayd once with this version",
    )?;
    let kept = Kept::from_bytes(&manifest).context("the list of channels cannot be read")?;
    let bar = spinner("backing up");
    let dumped = replace(file, |to| {
        write_whole(to, &key, &manifest, &snapshot, &mut |rows| {
            bar.set_position(rows);
        })
    });
    bar.finish_and_clear();
    let dumped = dumped.map_err(|cause: WriteError| {
        anyhow::Error::new(cause).context(format!("no backup in {}", file.display()))
    })?;
    let text = format!(
        "{} payments, {} invoices and the list of {} channels are in {}\n",
        dumped.payments,
        dumped.invoices,
        kept.channels.len(),
        file.display()
    );
    // If nobody reads it, the backup is as good.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(())
}

/// A line on standard error with a count of rows, if that is a terminal.
pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what);
    match ProgressStyle::with_template("{spinner} {msg} {human_pos} rows ({per_sec})") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Writes the list of channels to `file` at each change of it, for as long as the node runs. While that
/// fails, `warning` says why.
pub(crate) async fn keep(node: Node, file: PathBuf, warning: watch::Sender<Option<String>>) {
    let key = BackupKey::new(node.backup_secret());
    let mut list = node.kept();
    loop {
        let kept = list.borrow_and_update().clone();
        let mut written = true;
        if let Some(kept) = kept {
            let (key, to) = (key.clone(), file.clone());
            let writing = tokio::task::spawn_blocking(move || write_list(&key, &to, &kept));
            let failed = match writing.await {
                Ok(Ok(())) => None,
                Ok(Err(cause)) => Some(format!("{cause:#}")),
                Err(cause) => Some(cause.to_string()),
            };
            written = failed.is_none();
            warning.send_if_modified(|warning| {
                if let Some(cause) = &failed
                    && warning.is_none()
                {
                    tracing::error!(%cause, "the list of channels is not backed up");
                }
                let before = std::mem::replace(warning, failed);
                before != *warning
            });
        }
        let changed = async {
            match written {
                true => list.changed().await,
                false => {
                    tokio::time::sleep(TRY_AGAIN).await;
                    Ok(())
                }
            }
        };
        // The node is gone.
        if changed.await.is_err() {
            return;
        }
    }
}

fn write_list(key: &BackupKey, file: &Path, kept: &Arc<Kept>) -> Result<()> {
    let manifest = kept.to_bytes()?;
    replace(file, |to| write_channels(to, key, &manifest))
        .with_context(|| format!("cannot write {}", file.display()))
}
