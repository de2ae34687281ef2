//! Peers: listening, connecting, and connecting again by itself.
//!
//! The addresses of peers that we dialled are kept in the store; those with whom we have a channel
//! are dialled again until they answer. The Lightning transport itself is LDK's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::hex::DisplayHex;
use bitcoin::secp256k1::PublicKey;
use lightning::sign::EntropySource;
use thiserror::Error;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio_socks::Error as SocksError;
use tokio_socks::tcp::Socks5Stream;

use crate::Inner;

const PRIMARY: &str = "sendpay";
const SECONDARY: &str = "peers";

/// How long a TCP connection and the Lightning handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same through a proxy: Tor may have to find its way to an onion service first.
const PROXIED_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked whether a handshake is done, of which LDK tells nobody; it takes a millisecond or
/// two.
const HANDSHAKE_LOOK: Duration = Duration::from_millis(2);
/// How long another connection of the same peer is waited for when one has ended.
const OTHER_CONNECTION_WAIT: Duration = Duration::from_secs(1);
/// How often peers are looked over.
const LOOK: Duration = Duration::from_millis(250);
/// First and longest pause between two tries at one peer.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Why a peer is not connected.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No address given, and none known from before.
    #[error("no address known for {0}; give it as id@host:port")]
    NoAddress(PublicKey),
    /// The name does not resolve.
    #[error("cannot resolve {address}: {source}")]
    Resolve {
        /// What was asked for.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to {address}: {source}")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The proxy did not get us there.
    #[error("cannot connect to {address} through the proxy {proxy}: {source}")]
    Proxy {
        /// Where.
        address: String,
        /// The proxy.
        proxy: SocketAddr,
        /// What it said.
        source: SocksError,
    },
    /// The system does not let us use the connection.
    #[error("cannot use the connection: {0}")]
    Socket(std::io::Error),
    /// It is an onion service, and we have no proxy to reach it by.
    #[error("{0} is an onion service: that needs proxy in the configuration")]
    NoProxy(String),
    /// The connection stands but the Lightning handshake does not, or nothing came in time.
    #[error("{0} did not complete the Lightning handshake")]
    Handshake(PublicKey),
    /// It is our own id.
    #[error("that is this node itself")]
    Ourselves,
    /// We do not know yet how high the chain is, and could take an HTLC that has no time left.
    #[error("still reading blocks, at {height} of {best}: peers are connected after that")]
    CatchingUp {
        /// Height of the last block that was read.
        height: u32,
        /// Height of the last block that there is.
        best: u32,
    },
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its node id.
    pub node_id: PublicKey,
    /// The feature bits of its `init` message (BOLT 9), big endian as on the wire.
    pub features: Vec<u8>,
    /// The other end of the connection, where known.
    pub address: Option<SocketAddr>,
    /// Whether it dialled us.
    pub inbound: bool,
}

/// Lets peers in and dials those of our channels until `stop`, from when the blocks that came while
/// the node was away have been read.
pub(crate) async fn meet(
    inner: Arc<Inner>,
    listener: Option<TcpListener>,
    mut stop: watch::Receiver<bool>,
) {
    let mut chain = inner.chain_view.clone();
    tokio::select! {
        caught_up = chain.wait_for(|chain| chain.caught_up) => if caught_up.is_err() { return },
        _ = stop.wait_for(|stop| *stop) => return,
    }
    let dialling = keep_connected(inner.clone(), stop.clone());
    match listener {
        Some(listener) => {
            tokio::join!(dialling, listen(inner, listener, stop));
        }
        None => dialling.await,
    }
}

/// Accepts connections until `stop`.
async fn listen(inner: Arc<Inner>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(tokio::sync::Semaphore::new(inner.config.inbound_peers_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted.and_then(|(stream, _)| prepared(stream)) {
            Ok(stream) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "cannot accept a connection");
                tokio::time::sleep(PAUSE_MIN).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(
                limit = inner.config.inbound_peers_max,
                "too many inbound connections; one refused"
            );
            continue;
        };
        let (stream, twin) = stream;
        let from = twin.peer_addr().ok();
        let disconnected = lightning_net_tokio::setup_inbound(inner.peers.clone(), stream);
        let inner = inner.clone();
        tokio::spawn(async move {
            watch_for_the_end(&twin, disconnected, || {
                let peer = list(&inner).into_iter().find(|peer| peer.address == from);
                if let Some(peer) = peer {
                    inner.peers.disconnect_by_node_id(peer.node_id);
                }
            })
            .await;
            drop(place);
        });
    }
}

/// The stream for LDK, and a twin on the same socket to watch it by.
///
/// LDK's net layer leaves Nagle's algorithm on, which costs 40 ms a message.
fn prepared(stream: TcpStream) -> std::io::Result<(std::net::TcpStream, TcpStream)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let twin = TcpStream::from_std(stream.try_clone()?)?;
    Ok((stream, twin))
}

/// Waits until LDK has let a connection go, and makes it do so when the other end is gone.
///
/// LDK pauses reading while it has much to write. If the peer dies then, the write fails, and
/// nobody reads the end: the peer counts as connected, and its new connection is refused as a
/// second one, until two pings were not answered (20 s).
async fn watch_for_the_end(
    twin: &TcpStream,
    disconnected: impl Future<Output = ()>,
    mut disconnect: impl FnMut(),
) {
    tokio::pin!(disconnected);
    let mut ended = false;
    loop {
        tokio::select! {
            () = &mut disconnected => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        // Closed in two looks: what LDK was still reading it has read by then.
        if std::mem::replace(&mut ended, is_closed(twin).await) && ended {
            disconnect();
        }
    }
}

/// Whether the peer has closed the connection, whatever is left to read.
async fn is_closed(twin: &TcpStream) -> bool {
    let known = tokio::time::timeout(Duration::ZERO, twin.ready(Interest::READABLE)).await;
    match known {
        Ok(Ok(ready)) => ready.is_read_closed(),
        Ok(Err(_)) => true,
        Err(_) => false,
    }
}

/// Connects to a peer, at the address given or the one known, and remembers it.
pub(crate) async fn connect(
    inner: &Arc<Inner>,
    node_id: PublicKey,
    address: Option<String>,
) -> Result<Peer, ConnectError> {
    if node_id == inner.node_id {
        return Err(ConnectError::Ourselves);
    }
    let chain = inner.chain_view.borrow().clone();
    if !chain.caught_up {
        return Err(ConnectError::CatchingUp {
            height: *inner.height.borrow(),
            best: chain.best,
        });
    }
    if let Some(peer) = find(inner, &node_id) {
        if let Some(address) = address {
            remember(inner, &node_id, &address);
        }
        return Ok(peer);
    }
    let address = match address.or_else(|| known_address(inner, &node_id)) {
        Some(address) => address,
        None => return Err(ConnectError::NoAddress(node_id)),
    };
    let peer = tokio::time::timeout(patience(inner), dial(inner, node_id, &address))
        .await
        .map_err(|_| ConnectError::Handshake(node_id))??;
    remember(inner, &node_id, &address);
    Ok(peer)
}

fn patience(inner: &Inner) -> Duration {
    match inner.config.proxy {
        Some(_) => PROXIED_TIMEOUT,
        None => CONNECT_TIMEOUT,
    }
}

async fn dial(inner: &Arc<Inner>, node_id: PublicKey, address: &str) -> Result<Peer, ConnectError> {
    let stream = match inner.config.proxy {
        Some(proxy) => reach_through(inner, proxy, address).await?,
        None => reach(address).await?,
    };
    let (stream, twin) = prepared(stream).map_err(ConnectError::Socket)?;
    let disconnected = lightning_net_tokio::setup_outbound(inner.peers.clone(), node_id, stream);
    let peers = inner.peers.clone();
    let mut watched = tokio::spawn(async move {
        watch_for_the_end(&twin, disconnected, || peers.disconnect_by_node_id(node_id)).await;
    });
    loop {
        if let Some(peer) = find(inner, &node_id) {
            return Ok(peer);
        }
        tokio::select! {
            _ = &mut watched => return met_otherwise(inner, node_id).await,
            () = tokio::time::sleep(HANDSHAKE_LOOK) => {}
        }
    }
}

/// The peer has ended the connection. It does so too when another of the same two nodes is under way, which
/// either may have begun: that one will do.
async fn met_otherwise(inner: &Inner, node_id: PublicKey) -> Result<Peer, ConnectError> {
    let met = async {
        loop {
            if let Some(peer) = find(inner, &node_id) {
                return peer;
            }
            tokio::time::sleep(HANDSHAKE_LOOK).await;
        }
    };
    let met = tokio::time::timeout(OTHER_CONNECTION_WAIT, met).await;
    met.map_err(|_| ConnectError::Handshake(node_id))
}

/// Connects without a proxy.
async fn reach(address: &str) -> Result<TcpStream, ConnectError> {
    let name = address.rsplit_once(':').map_or(address, |(name, _)| name);
    if name.ends_with(".onion") {
        return Err(ConnectError::NoProxy(address.to_owned()));
    }
    let resolve = |source| ConnectError::Resolve {
        address: address.to_owned(),
        source,
    };
    let socket = lookup_host(address).await.map_err(resolve)?.next();
    let socket = socket.ok_or_else(|| resolve(std::io::ErrorKind::NotFound.into()))?;
    let tcp = |source| ConnectError::Tcp {
        address: socket,
        source,
    };
    TcpStream::connect(socket).await.map_err(tcp)
}

/// Connects through a SOCKS5 proxy, which resolves names too: nobody else hears of them. Each
/// connection logs in under another name, for which Tor takes another way through its network.
async fn reach_through(
    inner: &Inner,
    proxy: SocketAddr,
    address: &str,
) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError::Proxy {
        address: address.to_owned(),
        proxy,
        source,
    };
    let name = inner.keys.get_secure_random_bytes().to_lower_hex_string();
    let connected = Socks5Stream::connect_with_password(proxy, address, &name, &name).await;
    Ok(connected.map_err(failed)?.into_inner())
}

fn find(inner: &Inner, node_id: &PublicKey) -> Option<Peer> {
    inner.peers.peer_by_node_id(node_id).map(to_peer)
}

/// Every connected peer.
pub(crate) fn list(inner: &Inner) -> Vec<Peer> {
    inner.peers.list_peers().into_iter().map(to_peer).collect()
}

fn to_peer(details: lightning::ln::peer_handler::PeerDetails) -> Peer {
    use lightning::util::ser::Writeable;
    let mut features = details.init_features.encode();
    // The encoding starts with its own two-byte length.
    features.drain(..features.len().min(2));
    Peer {
        node_id: details.counterparty_node_id,
        features,
        address: details
            .socket_address
            .and_then(|address| address.to_string().parse().ok()),
        inbound: details.is_inbound_connection,
    }
}

fn remember(inner: &Inner, node_id: &PublicKey, address: &str) {
    let key = node_id.to_string();
    drop(
        inner
            .store
            .kv_write(PRIMARY, SECONDARY, &key, address.as_bytes().to_vec()),
    );
    inner.channels_changed.notify_waiters();
}

/// Where the address of a peer is kept: primary and secondary namespace, key.
pub(crate) fn kept_at(node_id: &PublicKey) -> [String; 3] {
    [
        PRIMARY.to_owned(),
        SECONDARY.to_owned(),
        node_id.to_string(),
    ]
}

pub(crate) fn known_address(inner: &Inner, node_id: &PublicKey) -> Option<String> {
    let found = inner
        .store
        .kv_read(PRIMARY, SECONDARY, &node_id.to_string());
    String::from_utf8(found.ok()??).ok()
}

/// Dials every peer with whom we have a channel, whose address we know, and who is away.
async fn keep_connected(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    let mut tries: HashMap<PublicKey, (Instant, Duration)> = HashMap::new();
    loop {
        let away: Vec<PublicKey> = channel_peers(&inner)
            .into_iter()
            .filter(|node_id| inner.peers.peer_by_node_id(node_id).is_none())
            .collect();
        tries.retain(|node_id, _| away.contains(node_id));
        for node_id in away {
            let (next, pause) = tries.entry(node_id).or_insert((Instant::now(), PAUSE_MIN));
            if *next > Instant::now() {
                continue;
            }
            *pause = (*pause * 2).min(PAUSE_MAX);
            *next = Instant::now() + *pause;
            let Some(address) = known_address(&inner, &node_id) else {
                continue;
            };
            let inner = inner.clone();
            tokio::spawn(async move {
                let dialled = dial(&inner, node_id, &address);
                match tokio::time::timeout(patience(&inner), dialled).await {
                    Ok(Ok(_)) => tracing::info!(%node_id, %address, "connected again"),
                    Ok(Err(cause)) => tracing::debug!(%node_id, %cause, "peer is away"),
                    Err(_) => tracing::debug!(%node_id, "peer does not answer"),
                }
            });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

fn channel_peers(inner: &Inner) -> Vec<PublicKey> {
    let channels = inner.manager.list_channels();
    let mut peers: Vec<PublicKey> = channels
        .iter()
        .map(|channel| channel.counterparty.node_id)
        .collect();
    peers.sort();
    peers.dedup();
    peers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// LDK as it is with its reading paused: it never lets go by itself.
    async fn watched(twin: TcpStream) {
        let told = Arc::new(tokio::sync::Notify::new());
        let tell = told.clone();
        watch_for_the_end(&twin, told.notified(), move || tell.notify_one()).await;
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_seen_while_nobody_reads() {
        for unread in [&b""[..], b"unread"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let other = TcpStream::connect(address).await.unwrap();
            let (ours, _) = listener.accept().await.unwrap();
            let (_stream, twin) = prepared(ours).unwrap();
            other.writable().await.unwrap();
            assert_eq!(other.try_write(unread).unwrap(), unread.len());
            assert!(!is_closed(&twin).await);
            let watched = tokio::spawn(watched(twin));
            drop(other);
            watched.await.unwrap();
        }
    }
}
