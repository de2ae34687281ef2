//! The log: one subscriber for the process, to standard error or to a file that only its owner may
//! read from its first byte.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::config::LogLevel;

/// Starts the log.
pub fn start(level: LogLevel, file: Option<&Path>) -> Result<()> {
    // Nothing of the environment: one source for the configuration.
    let filter = EnvFilter::builder().parse_lossy(level.as_str());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(true);
    match file {
        None => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .init(),
        Some(path) => builder
            .with_ansi(false)
            .with_writer(Mutex::new(open(path)?))
            .init(),
    }
    Ok(())
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot open the log {}", path.display()))
}
