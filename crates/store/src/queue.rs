//! The one queue: calls in their order, how much memory they hold, and who waits for room.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use rusqlite::Connection;

use crate::Ticket;
use crate::failure::{EndProcessOnPanic, untrusted_cause};

/// Most calls of one commit: with more, the first of them would wait long for little gain, as
/// the cost of the fsync is spread thin enough.
const GROUP_CALLS_MAX: usize = 1024;

/// Most bytes of one commit (one call may be larger by itself): bounds what the log grows by
/// between two looks at its size.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Calls in the queue above which room is to be waited for. Soft, like the limit on bytes: calls
/// that must not wait are let in. At 20,000 calls a second this is about a second of work.
const QUEUE_CALLS_MAX: usize = 20_000;

/// How a call left its savepoint.
pub(crate) enum Ran {
    /// Its changes stay.
    Keep,
    /// It refused: its changes are undone.
    Undo,
    /// It met an error after which the file cannot be trusted.
    Untrusted(String),
}

/// A call in the queue.
pub(crate) trait Call: Send {
    /// Runs it, inside its savepoint.
    fn run(&mut self, connection: &Connection) -> Ran;
    /// Tells the caller, after the commit.
    fn deliver(self: Box<Self>);
}

/// A call, what it came to, and what to do with that after the commit.
pub(crate) struct Pending<F, G, T, E, U> {
    call: Option<F>,
    outcome: Option<Result<T, E>>,
    finish: G,
    caller: oneshot::Sender<U>,
}

impl<F, G, T, E, U> Pending<F, G, T, E, U>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    G: FnOnce(Result<T, E>) -> U + Send + 'static,
    T: Send + 'static,
    E: Error + From<rusqlite::Error> + Send + 'static,
    U: Send + 'static,
{
    pub(crate) fn with_ticket(call: F, finish: G) -> (Box<dyn Call>, Ticket<U>) {
        let (caller, ticket) = Ticket::new();
        let pending = Pending {
            call: Some(call),
            outcome: None,
            finish,
            caller,
        };
        (Box::new(pending), ticket)
    }
}

impl<F, G, T, E, U> Call for Pending<F, G, T, E, U>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    G: FnOnce(Result<T, E>) -> U + Send,
    T: Send,
    E: Error + From<rusqlite::Error> + Send + 'static,
    U: Send,
{
    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(call) = self.call.take() else {
            return Ran::Undo;
        };
        let outcome = {
            // Here, so that a panic ends the process before unwinding drops any caller's end.
            let _guard = EndProcessOnPanic;
            call(connection)
        };
        let ran = match &outcome {
            Ok(_) => Ran::Keep,
            Err(error) => match untrusted_cause(error) {
                Some(cause) => Ran::Untrusted(cause.to_string()),
                None => Ran::Undo,
            },
        };
        self.outcome = Some(outcome);
        ran
    }

    fn deliver(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            let finished = {
                let _guard = EndProcessOnPanic;
                (self.finish)(outcome)
            };
            // A caller who has dropped its ticket does not want to know.
            let _ = self.caller.send(finished);
        }
    }
}

/// What waits in the queue or is being committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// How many calls.
    pub calls: usize,
    /// About how many bytes they hold.
    pub bytes: usize,
}

#[derive(Default)]
struct State {
    calls: VecDeque<(usize, Box<dyn Call>)>,
    /// Those in `calls` and those of the group that is being committed.
    queued: Queued,
    room_wanted: Vec<oneshot::Sender<()>>,
    closed: bool,
}

/// Calls that are committed together.
pub(crate) struct Group {
    pub(crate) calls: Vec<Box<dyn Call>>,
    queued: Queued,
}

impl Group {
    /// Takes from the front of the queue what there is room for.
    fn fill_from(&mut self, calls: &mut VecDeque<(usize, Box<dyn Call>)>) {
        while let Some((bytes, _)) = calls.front()
            && self.calls.len() < GROUP_CALLS_MAX
            && (self.calls.is_empty() || self.queued.bytes + bytes <= GROUP_BYTES_MAX)
            && let Some((bytes, call)) = calls.pop_front()
        {
            self.calls.push(call);
            self.queued.calls += 1;
            self.queued.bytes += bytes;
        }
    }
}

/// The one queue.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    bytes_max: usize,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Queue {
        Queue {
            state: Mutex::default(),
            arrived: Condvar::new(),
            bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock but for want of memory, which aborts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a call at the end. One that comes after the close is dropped, and its ticket says so.
    pub(crate) fn push(&self, bytes: usize, call: Box<dyn Call>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let bytes = bytes.saturating_add(size_of_val(&*call));
        state.calls.push_back((bytes, call));
        state.queued.calls += 1;
        state.queued.bytes = state.queued.bytes.saturating_add(bytes);
        let first = state.calls.len() == 1;
        drop(state);
        if first {
            self.arrived.notify_one();
        }
    }

    /// Waits for calls and begins the next group with them; `None` when closed and empty.
    pub(crate) fn take_group(&self) -> Option<Group> {
        let mut state = self.lock();
        while state.calls.is_empty() {
            if state.closed {
                return None;
            }
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Group {
            calls: Vec::with_capacity(state.calls.len().min(GROUP_CALLS_MAX)),
            queued: Queued::default(),
        };
        group.fill_from(&mut state.calls);
        Some(group)
    }

    /// Adds to the group what has come since, as far as it has room; without waiting.
    pub(crate) fn take_more(&self, group: &mut Group) {
        group.fill_from(&mut self.lock().calls);
    }

    /// Gives back the room of a group after its commit, and delivers its outcomes in order.
    pub(crate) fn deliver(&self, group: Group) {
        let mut state = self.lock();
        state.queued.calls -= group.queued.calls;
        state.queued.bytes = state.queued.bytes.saturating_sub(group.queued.bytes);
        let has_room = self.has_room(state.queued);
        let woken = match has_room {
            true => std::mem::take(&mut state.room_wanted),
            false => Vec::new(),
        };
        drop(state);
        for call in group.calls {
            call.deliver();
        }
        for waiting in woken {
            let _ = waiting.send(());
        }
    }

    fn has_room(&self, queued: Queued) -> bool {
        queued.bytes < self.bytes_max && queued.calls < QUEUE_CALLS_MAX
    }

    pub(crate) fn room(&self) -> Ticket<()> {
        let (sender, ticket) = Ticket::new();
        let mut state = self.lock();
        if state.closed {
            drop(sender);
        } else if self.has_room(state.queued) {
            let _ = sender.send(());
        } else {
            // Those who gave up are not kept: the list is no longer than those who wait.
            state.room_wanted.retain(|waiting| !waiting.is_canceled());
            state.room_wanted.push(sender);
        }
        ticket
    }

    pub(crate) fn queued(&self) -> Queued {
        self.lock().queued
    }

    /// No call after this one; what is queued still runs.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.room_wanted.clear();
        drop(state);
        self.arrived.notify_all();
    }
}
