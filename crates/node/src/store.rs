//! LDK's key-value store over our one ordered file, and the spawner that keeps its order.
//!
//! What is stored, and how calls are grouped into commits, is `sendpay_store`'s affair. Here is
//! only what LDK needs to know about waiting:
//!
//! - A write takes its place in the queue at the call and never waits (LDK calls it with its own
//!   locks held).
//! - The channel manager's write is answered as soon as it is queued: everything LDK does because
//!   of it (flushing monitor updates) is queued behind it and so cannot be durable before it.
//! - A monitor's write is answered when it is durable: LDK then lets the commitment go to the peer.
//! - A lazy removal is answered when queued: LDK permits it to be lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lightning::io;
use lightning::util::native_async::FutureSpawner;
use lightning::util::persist::{
    ARCHIVED_CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE, CHANNEL_MANAGER_PERSISTENCE_KEY,
    CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE, CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE,
    CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE, KVStore,
};
use sendpay_store::Store;
use sendpay_store::kv::KvError;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

/// Whether state under this name (primary and secondary namespace, key) is of channels: what must
/// never run again once it is old.
pub fn is_channel_state(primary: &str, _secondary: &str, key: &str) -> bool {
    let of_manager = primary == CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE
        && key == CHANNEL_MANAGER_PERSISTENCE_KEY;
    let of_monitors = [
        CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE,
        CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE,
        ARCHIVED_CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE,
    ];
    of_manager || of_monitors.contains(&primary)
}

/// LDK's view of the store.
#[derive(Clone)]
pub(crate) struct LdkStore {
    store: Store,
    /// How often the channel manager was queued to be written.
    managers: Arc<watch::Sender<u64>>,
}

impl LdkStore {
    pub(crate) fn new(store: Store) -> LdkStore {
        LdkStore {
            store,
            managers: Arc::new(watch::Sender::new(0)),
        }
    }

    /// How often the channel manager was queued to be written, for [`LdkStore::manager_after`].
    pub(crate) fn managers(&self) -> u64 {
        *self.managers.borrow()
    }

    /// Waits until a channel manager that was queued after the first `seen` is durable. LDK writes one
    /// after each round of events, so that what an event says is in the one after it.
    pub(crate) async fn manager_after(&self, seen: u64) {
        let mut managers = self.managers.subscribe();
        // The sender is ours.
        drop(managers.wait_for(|managers| *managers > seen).await);
        // Whatever is queued now is committed no earlier than that manager.
        let behind = self.store.enqueue(0, |_| Ok::<(), KvError>(()));
        drop(behind.await);
    }

    /// Whether LDK must learn of the commit before it goes on (see the top of this file).
    fn waits_for_commit(primary: &str, key: &str) -> bool {
        !(primary == CHANNEL_MANAGER_PERSISTENCE_PRIMARY_NAMESPACE
            && key == CHANNEL_MANAGER_PERSISTENCE_KEY)
    }
}

fn io_error(cause: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::Other, cause.to_string())
}

impl KVStore for LdkStore {
    fn read(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
    ) -> impl Future<Output = Result<Vec<u8>, io::Error>> + 'static + Send {
        let found = self.store.kv_read(primary, secondary, key);
        let name = format!("{primary}/{secondary}/{key}");
        std::future::ready(match found {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(io::Error::new(io::ErrorKind::NotFound, name)),
            Err(cause) => Err(io_error(cause)),
        })
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        value: Vec<u8>,
    ) -> impl Future<Output = Result<(), io::Error>> + 'static + Send {
        let ticket = self.store.kv_write(primary, secondary, key, value);
        let waits = Self::waits_for_commit(primary, key);
        if !waits {
            self.managers.send_modify(|managers| *managers += 1);
        }
        async move {
            if !waits {
                return Ok(());
            }
            ticket.await.map_err(io_error)?.map_err(io_error)
        }
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        lazy: bool,
    ) -> impl Future<Output = Result<(), io::Error>> + 'static + Send {
        let ticket = self.store.kv_remove(primary, secondary, key);
        async move {
            if lazy {
                return Ok(());
            }
            ticket.await.map_err(io_error)?.map_err(io_error)
        }
    }

    fn list(
        &self,
        primary: &str,
        secondary: &str,
    ) -> impl Future<Output = Result<Vec<String>, io::Error>> + 'static + Send {
        std::future::ready(self.store.kv_list(primary, secondary).map_err(io_error))
    }
}

/// Runs LDK's persistence futures on tokio, after one poll in the caller's thread.
///
/// LDK 0.3.0-rc3 calls `KVStore::write` for a monitor update inside the future, at its first
/// poll. Were that poll left to the runtime, two updates of one channel could be queued in the
/// wrong order, and a crash between their commits would leave a monitor that cannot be read. The
/// first poll here fixes the order at the call, as the trait's documentation asks for.
#[derive(Clone)]
pub(crate) struct EagerSpawner(pub(crate) Handle);

impl FutureSpawner for EagerSpawner {
    type E = oneshot::error::RecvError;
    type SpawnedFutureResult<O> = oneshot::Receiver<O>;

    fn spawn<O: Send + 'static, T: Future<Output = O> + Send + 'static>(
        &self,
        future: T,
    ) -> oneshot::Receiver<O> {
        let (done, result) = oneshot::channel();
        let mut future: Pin<Box<T>> = Box::pin(future);
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            // Nobody may be waiting for the result: LDK drops it for monitor writes.
            Poll::Ready(output) => drop(done.send(output)),
            Poll::Pending => {
                self.0.spawn(async move { drop(done.send(future.await)) });
            }
        }
        result
    }
}

/// A chain filter that wants every block whole.
///
/// bitcoind delivers whole blocks, so LDK's wishes for single transactions are met anyway.
pub(crate) struct WholeBlocks;

impl lightning::chain::Filter for WholeBlocks {
    fn register_tx(&self, _: &bitcoin::Txid, _: &bitcoin::Script) {}
    fn register_output(&self, _: lightning::chain::WatchedOutput) {}
}

impl WholeBlocks {
    pub(crate) fn shared() -> Arc<dyn lightning::chain::Filter + Send + Sync> {
        Arc::new(WholeBlocks)
    }
}
