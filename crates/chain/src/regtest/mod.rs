//! An embedded regtest chain, durable under its directory, served as bitcoind would serve it.
//!
//! Real blocks with real proof of work at regtest's difficulty; every consensus rule that a
//! transaction can break is checked (scripts by Bitcoin Core's interpreter). It is a chain for
//! tests and demonstrations: it has no peers, and its blocks are made on request.
//!
//! The layers, from the outside in: `rpc` (bitcoind's JSON-RPC over HTTP), `mine` and `mempool`,
//! `chain` (the best chain and reorganisations), the rules in `validate`, `transaction` and
//! `script`, and `store`, `coins` and `pool` (the rows). What lies in the directory is told in `files`.

mod chain;
mod coins;
mod files;
mod mempool;
mod mine;
mod pool;
mod reject;
mod rpc;
mod script;
mod store;
mod transaction;
mod validate;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use chain::Chain;
pub use files::{LocateError, Located};
use rpc::server::{Shared, serve};
pub use store::StoreError;

/// How long a stop waits for requests that are being answered.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running chain and its RPC server. Dropped without [`Regtest::stop`] it is as if the process
/// had been killed: nothing is lost, the cookie stays behind.
pub struct Regtest {
    directory: PathBuf,
    rpc_address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<io::Result<()>>,
}

/// Why the chain could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server is for this machine only.
    #[error("{0} is not a loopback address: the regtest chain serves this machine only")]
    NotLoopback(SocketAddr),
    /// Another process runs this chain.
    #[error("the regtest chain in {0} is in use by another process")]
    Locked(PathBuf),
    /// A file of the directory could not be made.
    #[error("cannot use {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database could not be opened.
    #[error("cannot open the regtest chain in {path}: {source}")]
    Store {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The port is taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Regtest {
    /// Starts the chain of a directory, which is made if it is not there, and serves it.
    ///
    /// With port 0 the server takes the port it had before if that is free, else one that the
    /// system chooses. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start(directory: &Path, listen: SocketAddr) -> Result<Regtest, StartError> {
        if !listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(listen));
        }
        let failed = |source| StartError::Directory {
            path: directory.to_owned(),
            source,
        };
        files::make_directory(directory).map_err(failed)?;
        let lock = files::lock(directory)
            .map_err(failed)?
            .ok_or_else(|| StartError::Locked(directory.to_owned()))?;
        let database = files::prepare_database(directory).map_err(failed)?;
        let store_failed = |source| StartError::Store {
            path: directory.to_owned(),
            source,
        };
        let chain = Chain::open(&database).map_err(store_failed)?;
        let listener = bind(directory, listen).await?;
        let rpc_address = listener.local_addr().map_err(|source| StartError::Listen {
            address: listen,
            source,
        })?;
        let cookie = files::write_cookie(directory).map_err(failed)?;
        let shared = Arc::new(Shared::new(chain, &cookie, lock).map_err(store_failed)?);
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        files::write_address(directory, rpc_address).map_err(failed)?;
        tracing::info!(%rpc_address, directory = %directory.display(), "regtest chain is served");
        Ok(Regtest {
            directory: directory.to_owned(),
            rpc_address,
            shared,
            server,
        })
    }

    /// Where the chain of a directory is served, by this process or another, or was when it last
    /// ran.
    ///
    /// # Errors
    ///
    /// No chain was ever started there, or its file is damaged.
    pub fn locate(directory: &Path) -> Result<Located, LocateError> {
        files::locate(directory)
    }

    /// Address of the RPC server.
    pub fn rpc_address(&self) -> SocketAddr {
        self.rpc_address
    }

    /// The file with the user name and password that the server asks for.
    pub fn cookie_file(&self) -> PathBuf {
        files::cookie_file(&self.directory)
    }

    /// Returns once a client has called `stop`. [`Regtest::stop`] is still to be called then.
    pub async fn stop_requested(&self) {
        self.shared.stop_requested().await;
    }

    /// Ends the server: requests being answered are finished, waits return, the cookie is removed.
    pub async fn stop(mut self) {
        self.shared.request_stop();
        match tokio::time::timeout(STOP_TIMEOUT, &mut self.server).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the regtest chain's server failed"),
            Ok(Err(error)) => tracing::warn!(%error, "the regtest chain's server failed"),
            Err(_) => tracing::warn!("a client of the regtest chain did not finish in time"),
        }
        if let Err(error) = files::remove_cookie(&self.directory) {
            tracing::warn!(%error, "the regtest chain's cookie could not be removed");
        }
    }
}

impl Drop for Regtest {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Listens on the port asked for; for port 0 on the one of the last start if it is free.
async fn bind(directory: &Path, listen: SocketAddr) -> Result<TcpListener, StartError> {
    if listen.port() == 0
        && let Ok(last) = files::locate(directory)
    {
        let again = SocketAddr::new(listen.ip(), last.rpc_address.port());
        if let Ok(listener) = TcpListener::bind(again).await {
            return Ok(listener);
        }
    }
    TcpListener::bind(listen)
        .await
        .map_err(|source| StartError::Listen {
            address: listen,
            source,
        })
}
