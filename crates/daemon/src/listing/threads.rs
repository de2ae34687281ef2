//! The threads that read the pages of long listings: few, and always the same. The runtime would hand each
//! page to another of its many threads, cold in every cache and with memory of its own.
//!
//! What waits here is bounded by those who read: a listing asks for its next pages only while its client
//! takes those before.

use std::collections::VecDeque;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// Threads at least, for two pages of a listing at a time.
const THREADS_MIN: usize = 2;

/// Threads at most: half of the ledger's readers, so that look-ups find one free.
const THREADS_MAX: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// What is to be read, in the order in which it was asked for.
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    threads: usize,
}

static QUEUE: LazyLock<Queue> = LazyLock::new(|| {
    let count = thread::available_parallelism().map_or(THREADS_MIN, NonZero::get);
    let start = |number: &usize| {
        thread::Builder::new()
            .name(format!("listing-{number}"))
            .spawn(|| QUEUE.serve())
            .inspect_err(|cause| tracing::warn!(%cause, "a thread for listings cannot be started"))
            .is_ok()
    };
    let numbers = 0..count.clamp(THREADS_MIN, THREADS_MAX);
    Queue {
        jobs: Mutex::default(),
        arrived: Condvar::new(),
        threads: numbers.filter(start).count(),
    }
});

/// Runs it on one of the threads. The receiver fails if it panics there.
pub(super) fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, waiting) = oneshot::channel();
    let job = move || {
        // Nobody waits any more when the client has gone.
        if !done.is_closed() {
            let _ = done.send(work());
        }
    };
    if QUEUE.threads == 0 {
        tokio::task::spawn_blocking(job);
        return waiting;
    }
    QUEUE.lock().push_back(Box::new(job));
    QUEUE.arrived.notify_one();
    waiting
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let mut jobs = self.lock();
            let job = loop {
                match jobs.pop_front() {
                    Some(job) => break job,
                    None => {
                        jobs = self
                            .arrived
                            .wait(jobs)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(jobs);
            // A panic ends this page, whose listing is then cut off, and nothing else.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    /// A thread that is gone would be waited for without an end.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_page_that_panics_takes_no_thread_with_it() {
        for _ in 0..2 * THREADS_MAX {
            let page = run(|| -> u8 { panic!("as a page might") });
            assert!(timeout(PATIENCE, page).await.unwrap().is_err());
        }
        let pages: Vec<_> = (0..100).map(|number| run(move || number)).collect();
        for (number, page) in pages.into_iter().enumerate() {
            assert_eq!(timeout(PATIENCE, page).await.unwrap().unwrap(), number);
        }
    }
}
