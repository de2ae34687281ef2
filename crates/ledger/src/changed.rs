//! Who waits for a change of which payment hash, or of any. Woken by the writer after the commit
//! only.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_channel::oneshot;

use crate::PaymentHash;

#[derive(Default)]
struct Waiting {
    next_key: u64,
    /// By what they wait for; under `None`, those who wait for any change.
    by_hash: HashMap<Option<PaymentHash>, HashMap<u64, oneshot::Sender<()>>>,
}

/// All waiters of one kind of change.
#[derive(Default)]
pub(crate) struct Registry {
    waiting: Mutex<Waiting>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock, and the map is whole at every step.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change of this hash, or of any.
    pub(crate) fn wait_for(self: &Arc<Self>, hash: Option<PaymentHash>) -> Waiter {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        let key = waiting.next_key;
        waiting.next_key = key.wrapping_add(1);
        waiting.by_hash.entry(hash).or_default().insert(key, sender);
        drop(waiting);
        Waiter {
            registry: Arc::clone(self),
            hash,
            key,
            receiver,
        }
    }

    /// Wakes all who wait for `hash`, or for any. For the writer, after the commit.
    pub(crate) fn wake(&self, hash: &PaymentHash) {
        let mut waiting = self.lock();
        let woken = [Some(*hash), None].map(|wanted| waiting.by_hash.remove(&wanted));
        drop(waiting);
        let woken = woken.into_iter().flatten().flatten();
        for sender in woken.map(|(_, sender)| sender) {
            // One who has just stopped waiting needs no word.
            let _ = sender.send(());
        }
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.lock().by_hash.values().map(HashMap::len).sum()
    }
}

/// Resolves at the next commit that changes what it waits for. Dropping it unregisters.
#[must_use = "a waiter does nothing unless awaited"]
pub struct Waiter {
    registry: Arc<Registry>,
    hash: Option<PaymentHash>,
    key: u64,
    receiver: oneshot::Receiver<()>,
}

impl Future for Waiter {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.receiver).poll(context).map(|_| ())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.registry.lock();
        if let Some(same_hash) = waiting.by_hash.get_mut(&self.hash) {
            same_hash.remove(&self.key);
            if same_hash.is_empty() {
                waiting.by_hash.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_executor::block_on;

    #[test]
    fn all_who_wait_for_a_hash_are_woken_and_no_others() {
        let registry = Arc::new(Registry::default());
        let one = registry.wait_for(Some(PaymentHash([1; 32])));
        let same = registry.wait_for(Some(PaymentHash([1; 32])));
        let other = registry.wait_for(Some(PaymentHash([2; 32])));
        registry.wake(&PaymentHash([1; 32]));
        block_on(one);
        block_on(same);
        assert_eq!(registry.count(), 1);
        drop(other);
        assert_eq!(registry.count(), 0);
    }

    #[test]
    fn who_waits_for_any_change_is_woken_by_each() {
        let registry = Arc::new(Registry::default());
        let other = registry.wait_for(Some(PaymentHash([9; 32])));
        for hash in [[1; 32], [2; 32]] {
            let any = registry.wait_for(None);
            registry.wake(&PaymentHash(hash));
            block_on(any);
        }
        assert_eq!(registry.count(), 1);
        drop(other);
    }

    #[test]
    fn one_who_stops_waiting_leaves_nothing_behind() {
        let registry = Arc::new(Registry::default());
        let stays = registry.wait_for(Some(PaymentHash([1; 32])));
        drop(registry.wait_for(Some(PaymentHash([1; 32]))));
        assert_eq!(registry.count(), 1);
        registry.wake(&PaymentHash([1; 32]));
        block_on(stays);
    }
}
