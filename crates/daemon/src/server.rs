//! The RPC socket: connections in, requests out to a [`Dispatch`], replies back in order.
//!
//! One task per connection, and one for each request that has to wait for something. This is the only place where the daemon reads from
//! or writes to clients; what a method does is not known here. Every queue has a limit, so that a
//! client that does not read, or reads slowly, holds up nobody but itself:
//!
//! - replies leave whole, in the order in which they first produced output;
//! - while output of a connection is unsent, nothing more is read from it, and while more than some
//!   kilobytes are, no further request of it is looked at;
//! - a listing waits for its client, with one chunk in its queue;
//! - notifications go out between replies, one page of them at a time, and no reply waits for more;
//! - a command outlives its connection, a listing does not.

mod bind;
mod connection;
mod hangup;
mod reply;

pub use bind::{BindError, Bound};
pub use reply::{ClientGone, Feed, Notifier, Reply, ReplyStream};

use connection::Connection;
use rpc::error::{Code, RpcError};
use rpc::frame::Request;
use sendpay_rpc as rpc;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, watch};

pub use rpc::frame::{NESTING_MAX, REQUEST_BYTES_MAX};

/// Connections at the same time. Each costs a file descriptor, and one more while its client
/// cannot be heard from; together they stay below the usual limit of 1024 for a process, which
/// also needs descriptors for peers and the database.
pub const CONNECTIONS_MAX: usize = 256;

/// Requests of one connection that are not yet answered. Enough for any pipeline; the rest waits
/// in the client's socket buffer.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 128;

/// Bytes of replies to one connection that may be unsent while its next request is looked at: the
/// replies to requests that came together leave together, some dozens of records at once, and the
/// connection's task does not answer for longer than about a millisecond before it writes.
pub const UNSENT_BYTES_MAX: usize = 32 << 10;

/// What is read from a connection at once, in bytes.
pub const READ_BYTES: usize = 64 << 10;

/// The chunks in which a listing goes to its connection, in bytes, if it does not hand over a page
/// as it is: large enough that the cost of a system call is nothing, small enough that a hundred
/// slow clients cost some megabytes.
pub const STREAM_CHUNK_BYTES: usize = 64 << 10;

/// Chunks of one listing that may wait for the client: one is written while the next is made.
pub const STREAM_CHUNKS_MAX: usize = 1;

/// Connections that may wait to be accepted.
pub const BACKLOG: u32 = 128;

/// How long commands under way may take after the daemon was told to stop.
pub const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long clients may take to read their last replies after that.
pub const FLUSH_GRACE: Duration = Duration::from_secs(1);

/// How long a client whose request was over a limit may go on sending before it is cut off, so
/// that it comes to read why.
pub const LINGER: Duration = Duration::from_secs(2);

/// How long to wait when the system has no descriptor for a new connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What answers requests.
pub trait Dispatch: Send + Sync + 'static {
    /// Answers one request. It begins in the connection's task, before later requests are looked
    /// at, and goes on in one of its own if it has to wait. A reply that is dropped unanswered becomes an internal error (-32603).
    fn dispatch(
        &self,
        request: Request,
        reply: Reply,
        connection: ConnectionInfo,
    ) -> impl Future<Output = ()> + Send;
}

/// What a method may know of the connection its request came in by.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    number: u64,
    notifications: Arc<AtomicBool>,
}

impl ConnectionInfo {
    fn new(number: u64) -> Self {
        ConnectionInfo {
            number,
            notifications: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Number of the connection since the start, for the log.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Turns notifications on or off for the later requests of this connection.
    pub fn enable_notifications(&self, enable: bool) {
        self.notifications.store(enable, Ordering::Relaxed);
    }

    /// Whether the client asked for notifications. Never send any unasked.
    #[must_use]
    pub fn notifications_enabled(&self) -> bool {
        self.notifications.load(Ordering::Relaxed)
    }
}

/// How far the end has come. Each step takes away more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Requests are taken.
    Running,
    /// No request is taken any more; those under way go on.
    Stopping,
    /// Those under way are given up and answered with an error.
    Abandoning,
    /// Connections are closed whatever is unsent.
    Closing,
}

/// Waits for a phase, or for the server to be gone.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // An error means that the server itself is gone: then it is over, too.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// Serves the socket until `stop` is there and the last reply is out, or its grace is over.
pub async fn serve<D: Dispatch>(listener: Bound, dispatch: Arc<D>, stop: impl Future<Output = ()>) {
    let (phase, phases) = watch::channel(Phase::Running);
    // Held by all connections and requests; it closes when the last of them is done.
    let (alive, mut all_done) = mpsc::channel::<()>(1);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections: u64 = 0;
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the RPC socket");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            refuse(&stream);
            continue;
        };
        connections += 1;
        let connection = Connection {
            dispatch: Arc::clone(&dispatch),
            info: ConnectionInfo::new(connections),
            phase: phases.clone(),
            alive: alive.clone(),
        };
        tokio::spawn(async move {
            connection.run(stream).await;
            drop(slot);
        });
    }
    drop(listener);
    drop(alive);
    for (next, grace) in [
        (Phase::Stopping, STOP_GRACE),
        (Phase::Abandoning, FLUSH_GRACE),
        (Phase::Closing, FLUSH_GRACE),
    ] {
        phase.send_replace(next);
        // Nothing is ever sent: this ends when everybody is done.
        if tokio::time::timeout(grace, all_done.recv()).await.is_ok() {
            break;
        }
    }
}

/// Tells a client that there are too many. A few bytes fit into any new socket's buffer.
fn refuse(stream: &UnixStream) {
    let text = format!("Too many connections: the limit is {CONNECTIONS_MAX}");
    let error = RpcError::new(Code::Lightningd, text);
    let bytes = rpc::reply::error(&rpc::Id::null(), &error);
    if let Err(error) = stream.try_write(&bytes) {
        tracing::debug!(%error, "cannot tell a client that there are too many");
    }
}
