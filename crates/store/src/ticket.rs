//! What a caller holds while its call waits for the commit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures_channel::oneshot;

/// The store was closed before the call was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

/// Resolves after the commit of the call it was given for. Dropping it changes nothing: the call
/// still runs.
#[must_use = "what the call came to is known only when its ticket resolves"]
#[derive(Debug)]
pub struct Ticket<T> {
    receiver: oneshot::Receiver<T>,
}

impl<T> Ticket<T> {
    pub(crate) fn new() -> (oneshot::Sender<T>, Ticket<T>) {
        let (sender, receiver) = oneshot::channel();
        (sender, Ticket { receiver })
    }

    /// Blocks until it resolves. Not for a store's own calls: the writer would wait for itself.
    pub fn wait(mut self) -> Result<T, Closed> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut self).poll(&mut context) {
                return outcome;
            }
            thread::park();
        }
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver)
            .poll(context)
            .map_err(|oneshot::Canceled| Closed)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
