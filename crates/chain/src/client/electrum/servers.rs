//! The servers that may be asked, one after the other: which is asked now, and when one that failed is
//! tried again.
//!
//! One server is asked until it fails; then the next is. What a server says is judged elsewhere, and
//! told here with `failed`. Another one is connected to only to compare (`compare.rs`).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bitcoin::Network;
use bitcoin::blockdata::constants::genesis_block;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::address::ElectrumAddress;
use super::error::ElectrumError;
use super::line::Line;

/// First and longest pause before a server that failed is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The pause after what cannot be true: there is no hurry to hear it again.
const UNTRUE_PAUSE: Duration = Duration::from_secs(600);

/// The versions of the protocol that are spoken here, the oldest and the newest.
const PROTOCOL: [&str; 2] = ["1.4", "1.6"];

/// What a server is called by.
const NAME: &str = concat!("sendpay ", env!("CARGO_PKG_VERSION"));

struct Server {
    address: ElectrumAddress,
    standing: Mutex<Standing>,
}

/// What is known of a server.
#[derive(Default)]
struct Standing {
    trouble: Option<String>,
    failures: u32,
    not_before: Option<Instant>,
    /// The trouble is that it was away or behind, so that its best block shows the end of it.
    was_away: bool,
}

#[derive(Default)]
struct Current {
    index: usize,
    line: Option<Arc<Line>>,
}

/// All servers of the configuration.
pub(super) struct Servers {
    list: Vec<Server>,
    network: Network,
    tls: TlsConnector,
    proxy: Option<SocketAddr>,
    current: AsyncMutex<Current>,
    /// How many times another server was looked for.
    compared: AtomicUsize,
}

impl Servers {
    pub(super) fn new(
        addresses: Vec<ElectrumAddress>,
        network: Network,
        tls: TlsConnector,
        proxy: Option<SocketAddr>,
    ) -> Servers {
        let servers = addresses.into_iter().map(|address| Server {
            address,
            standing: Mutex::default(),
        });
        Servers {
            list: servers.collect(),
            network,
            tls,
            proxy,
            current: AsyncMutex::default(),
            compared: AtomicUsize::new(0),
        }
    }

    /// One try of what may have to be asked of several servers.
    pub(super) fn tries(&self) -> Tries<'_> {
        Tries {
            servers: self,
            left: self.list.len().saturating_add(1),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// A connection of its own to a server that is not asked now, of all in turn; none if there is no
    /// other that may be asked.
    pub(super) async fn another(&self) -> Option<Arc<Line>> {
        let current = {
            let current = self.current.lock().await;
            current.line.as_ref()?;
            current.index
        };
        let others = self.list.len().checked_sub(1).filter(|count| *count > 0)?;
        let turn = self.compared.fetch_add(1, Ordering::Relaxed) % others;
        let index = current.saturating_add(1).saturating_add(turn) % self.list.len();
        let server = self.list.get(index).filter(|server| !server.waits())?;
        match self.connect(&server.address).await {
            Ok(line) => Some(Arc::new(line)),
            Err(error) => {
                server.failed(&error);
                None
            }
        }
    }

    /// What is wrong with servers now, for people; the address of each and why it is not asked.
    pub(super) fn troubles(&self) -> Vec<String> {
        let told = |server: &Server| lock(&server.standing).trouble.clone();
        self.list.iter().filter_map(told).collect()
    }

    /// A connection to the server that is asked now.
    pub(super) async fn line(&self) -> Result<Arc<Line>, ElectrumError> {
        // Held while connecting: all who want a connection wait for this one.
        let mut current = self.current.lock().await;
        if let Some(line) = current.line.as_ref().filter(|line| !line.has_ended()) {
            return Ok(line.clone());
        }
        current.line = None;
        for step in 0..self.list.len() {
            let index = (current.index.saturating_add(step)) % self.list.len();
            let Some(server) = self.list.get(index) else {
                continue;
            };
            if server.waits() {
                continue;
            }
            match self.connect(&server.address).await {
                Ok(line) => {
                    tracing::info!(server = %server.address, "connected to an Electrum server");
                    let line = Arc::new(line);
                    *current = Current {
                        index,
                        line: Some(line.clone()),
                    };
                    return Ok(line);
                }
                Err(error) => server.failed(&error),
            }
        }
        Err(ElectrumError::NoServer(self.troubles().join("; ")))
    }

    /// Connects, and makes sure that the server is on our network.
    async fn connect(&self, address: &ElectrumAddress) -> Result<Line, ElectrumError> {
        let proxy = self.proxy.filter(|_| !is_loopback(address));
        let line = Line::open(address, &self.tls, proxy).await?;
        let method = "server.version";
        let answer = line.call(method, json!([NAME, PROTOCOL])).await?;
        if answer.get(1).and_then(Value::as_str).is_none() {
            return Err(line.malformed(method, "no version"));
        }
        // Its first block, and not only its word for it, which old servers do not give.
        let method = "blockchain.block.header";
        let header = line.call(method, json!([0])).await?;
        let genesis = genesis_block(self.network).header;
        if header.as_str() != Some(&serialize_hex(&genesis)) {
            let network = self.network;
            return Err(line.untrue(format!("its first block is not that of {network}")));
        }
        Ok(line)
    }

    /// This connection has failed: another server is asked next.
    pub(super) async fn failed(&self, line: &Arc<Line>, error: &ElectrumError) {
        let mut current = self.current.lock().await;
        if let Some(server) = self.named(line) {
            server.failed(error);
        }
        let is_current = |known: &Arc<Line>| Arc::ptr_eq(known, line);
        if current.line.as_ref().is_some_and(is_current) {
            *current = Current {
                index: current.index.saturating_add(1) % self.list.len().max(1),
                line: None,
            };
        }
    }

    /// All that was asked of this server came, and was true.
    pub(super) fn worked(&self, line: &Line) {
        if let Some(server) = self.named(line) {
            server.worked();
        }
    }

    /// Its best block is as good as the best that is known.
    pub(super) fn keeps_up(&self, line: &Line) {
        let was_away = |server: &&Server| lock(&server.standing).was_away;
        if let Some(server) = self.named(line).filter(was_away) {
            server.worked();
        }
    }

    fn named(&self, line: &Line) -> Option<&Server> {
        self.list
            .iter()
            .find(|server| server.address == *line.server())
    }
}

impl Server {
    /// Whether it is too early to ask it again.
    fn waits(&self) -> bool {
        let not_before = lock(&self.standing).not_before;
        not_before.is_some_and(|at| Instant::now() < at)
    }

    fn worked(&self) {
        let mut standing = lock(&self.standing);
        if standing.trouble.is_some() {
            tracing::info!(server = %self.address, "an Electrum server works again");
        }
        *standing = Standing::default();
    }

    fn failed(&self, error: &ElectrumError) {
        let mut standing = lock(&self.standing);
        let pause = match error {
            ElectrumError::Untrue { .. } => UNTRUE_PAUSE,
            // As at a restart of it: tried again at once, but not twice.
            ElectrumError::Closed { .. } if standing.failures == 0 => Duration::ZERO,
            _ => PAUSE_MIN
                .saturating_mul(2_u32.saturating_pow(standing.failures))
                .min(PAUSE_MAX),
        };
        standing.failures = standing.failures.saturating_add(1);
        standing.not_before = Some(Instant::now() + pause);
        standing.was_away = matches!(
            error,
            ElectrumError::Unreachable { .. }
                | ElectrumError::Closed { .. }
                | ElectrumError::Slow { .. }
                | ElectrumError::Behind { .. }
        );
        let text = error.to_string();
        if standing.trouble.as_ref() != Some(&text) {
            match error {
                ElectrumError::Untrue { .. } => {
                    tracing::error!(cause = text, "an Electrum server is not believed");
                }
                _ => tracing::warn!(cause = text, "an Electrum server cannot be used"),
            }
            standing.trouble = Some(text);
        }
    }
}

/// A try that goes on with the next server when one fails.
pub(super) struct Tries<'s> {
    servers: &'s Servers,
    left: usize,
}

impl Tries<'_> {
    /// The server to ask.
    pub(super) async fn line(&self) -> Result<Arc<Line>, ElectrumError> {
        self.servers.line().await
    }

    /// It failed: Ok if there is another to ask, else the error.
    pub(super) async fn failed(
        &mut self,
        line: &Arc<Line>,
        error: ElectrumError,
    ) -> Result<(), ElectrumError> {
        // A chain that changes meanwhile is nobody's fault.
        if !matches!(error, ElectrumError::Changed { .. }) {
            self.servers.failed(line, &error).await;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { Err(error) } else { Ok(()) }
    }
}

/// What is on this machine is not reached through a proxy.
fn is_loopback(address: &ElectrumAddress) -> bool {
    let ip = address.host.parse::<std::net::IpAddr>();
    address.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
