//! One reply on its way from a method to its connection.

use super::{Phase, STREAM_CHUNK_BYTES, STREAM_CHUNKS_MAX, UNSENT_BYTES_MAX, reached};
use rpc::Id;
use rpc::error::{Code, RpcError};
use rpc::filter::{Filter, Filtering};
use rpc::notification::{Level, MESSAGE, Message};
use sendpay_rpc as rpc;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// The client has closed the connection: nobody reads this reply any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has gone")]
pub struct ClientGone;

/// A part of a streamed reply.
pub(super) enum Chunk {
    Bytes(Vec<u8>),
    /// The reply is whole. Without this it was cut off, and the connection cannot go on.
    End,
}

/// What the writer of a connection has to write, in the order it came.
pub(super) struct Outgoing {
    pub(super) content: Content,
    /// Given back when the reply is written, so that unwritten replies are bounded.
    pub(super) slot: Option<OwnedSemaphorePermit>,
}

pub(super) enum Content {
    Whole(Vec<u8>),
    Stream(mpsc::Receiver<Chunk>),
    /// Notifications: no reply, so nothing waits until they are written.
    Notifications(Vec<u8>),
}

impl Content {
    /// What it counts for while it is unwritten. A listing fills all there is, as nobody knows its
    /// length; notifications hold up nothing.
    pub(super) fn unsent_bytes(&self) -> usize {
        match self {
            Content::Whole(bytes) => bytes.len(),
            Content::Stream(_) => UNSENT_BYTES_MAX,
            Content::Notifications(_) => 0,
        }
    }
}

/// The way to the writer of a connection.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    /// How many bytes of replies are queued or being written.
    unsent: watch::Sender<usize>,
    /// Whether the connection has a feed.
    fed: Arc<AtomicBool>,
}

impl Outbox {
    /// An outbox for so many replies at most, with a notification before each, and its other end.
    pub(super) fn new(
        replies_max: usize,
    ) -> (Self, mpsc::Receiver<Outgoing>, watch::Sender<usize>) {
        let (queue, queued) = mpsc::channel(2 * replies_max);
        let unsent = watch::Sender::new(0);
        (
            Outbox {
                queue,
                unsent: unsent.clone(),
                fed: Arc::default(),
            },
            queued,
            unsent,
        )
    }

    /// Queues a reply, or notifications. There is always room: each reply holds a slot, a feed holds
    /// one for what it has queued, and a request that holds one has a notification queued at most;
    /// there are two places for each slot.
    pub(super) fn send(&self, content: Content, slot: Option<OwnedSemaphorePermit>) {
        let bytes = content.unsent_bytes();
        if bytes > 0 {
            self.unsent.send_modify(|unsent| *unsent += bytes);
        }
        if self.queue.try_send(Outgoing { content, slot }).is_err() {
            // The connection is gone, and its count with it.
            tracing::debug!("a reply has no connection to go to");
        }
    }

    /// Waits until little of what was queued is unwritten.
    pub(super) async fn room(&self) {
        self.unsent_below(UNSENT_BYTES_MAX).await;
    }

    /// Waits until everything that was queued is written.
    pub(super) async fn all_sent(&self) {
        self.unsent_below(1).await;
    }

    async fn unsent_below(&self, bytes: usize) {
        let is_below = |unsent: &usize| *unsent < bytes;
        if is_below(&self.unsent.borrow()) {
            return;
        }
        // The sender is ours: it cannot be gone.
        let _ = self.unsent.subscribe().wait_for(is_below).await;
    }
}

/// The answer to one request, to be given exactly once. If it is dropped without one, for
/// instance by a panic, the client gets an internal error.
pub struct Reply {
    id: Id,
    outbox: Outbox,
    slot: Option<OwnedSemaphorePermit>,
    answered: bool,
    phase: watch::Receiver<Phase>,
    /// What is wanted of the result, if not all of it.
    filter: Option<Filter>,
    /// Whether the client wants to be told of progress.
    notified: bool,
}

impl Reply {
    pub(super) fn new(
        id: Id,
        outbox: Outbox,
        slot: OwnedSemaphorePermit,
        phase: watch::Receiver<Phase>,
        notified: bool,
    ) -> Self {
        Reply {
            id,
            outbox,
            slot: Some(slot),
            answered: false,
            phase,
            filter: None,
            notified,
        }
    }

    /// The way to tell of progress before the answer, if the client asked for that. There is one
    /// for each request.
    pub fn notifier(&mut self) -> Option<Notifier> {
        std::mem::take(&mut self.notified).then(|| Notifier {
            id: self.id.clone(),
            outbox: self.outbox.clone(),
            phase: self.phase.clone(),
            turns: Arc::new(Semaphore::new(1)),
        })
    }

    /// Leaves out of the result, whichever way it is given, what this does not want. An error is
    /// never filtered.
    #[must_use]
    pub fn filtered(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Answers with a result.
    pub fn result(mut self, result: &impl Serialize) {
        let bytes = match self.filter.take() {
            None => rpc::reply::result(&self.id, result),
            Some(filter) => serde_json::to_vec(result)
                .map(|bytes| rpc::reply::filtered(&self.id, &[&bytes], filter)),
        };
        match bytes {
            Ok(bytes) => self.send(Content::Whole(bytes)),
            Err(error) => {
                tracing::error!(%error, "cannot write a result as JSON");
                let error = RpcError::new(Code::Internal, "Internal error: unwritable result");
                self.send(Content::Whole(rpc::reply::error(&self.id, &error)));
            }
        }
    }

    /// Answers with a result that is JSON already, in parts.
    pub fn written(mut self, parts: &[&[u8]]) {
        let bytes = match self.filter.take() {
            None => rpc::reply::written(&self.id, parts),
            Some(filter) => rpc::reply::filtered(&self.id, parts, filter),
        };
        self.send(Content::Whole(bytes));
    }

    /// Answers with an error.
    pub fn error(mut self, error: &RpcError) {
        self.send(Content::Whole(rpc::reply::error(&self.id, error)));
    }

    /// Answers with one or the other.
    pub fn outcome(self, outcome: Result<impl Serialize, RpcError>) {
        match outcome {
            Ok(result) => self.result(&result),
            Err(error) => self.error(&error),
        }
    }

    /// Answers with a result of any size, written in pieces. Once this is called, replies to
    /// other requests of the connection wait until it is finished.
    #[must_use]
    pub fn stream(mut self) -> ReplyStream {
        let (chunks, queued) = mpsc::channel(STREAM_CHUNKS_MAX);
        self.send(Content::Stream(queued));
        ReplyStream {
            chunks,
            buffer: rpc::reply::begin_result(&self.id),
            filtering: self.filter.take().map(Filtering::new),
        }
    }

    /// Answers with a result after which notifications follow, as long as the connection lasts.
    ///
    /// # Errors
    /// If the connection has such a feed already: then nothing is answered yet.
    pub fn feed(mut self, result: &impl Serialize) -> Result<Feed, Reply> {
        if self.outbox.fed.swap(true, Ordering::Relaxed) {
            return Err(self);
        }
        let turns = Arc::new(Semaphore::new(1));
        let feed = Feed {
            outbox: self.outbox.clone(),
            phase: self.phase.clone(),
            // The feed keeps the place of the request, for what it queues; the reply takes the
            // first turn in it.
            _slot: self.slot.take(),
            turns: Arc::clone(&turns),
        };
        self.slot = turns.try_acquire_owned().ok();
        self.result(result);
        Ok(feed)
    }

    /// Waits until the daemon is told to stop, for commands that only wait: they answer then, and
    /// do not use up the grace of those that have work to finish.
    pub async fn stopping(&self) {
        reached(&mut self.phase.clone(), Phase::Stopping).await;
    }

    /// Waits until the client has gone, for commands that only wait: they may end then.
    pub async fn client_gone(&self) {
        self.outbox.queue.closed().await;
    }

    fn send(&mut self, content: Content) {
        self.answered = true;
        self.outbox.send(content, self.slot.take());
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let stopping = *self.phase.borrow() >= Phase::Abandoning;
        let error = if stopping {
            RpcError::new(Code::Shutdown, "The daemon is shutting down")
        } else {
            RpcError::new(
                Code::Internal,
                "Internal error: the request was not answered",
            )
        };
        let bytes = rpc::reply::error(&self.id, &error);
        self.send(Content::Whole(bytes));
    }
}

/// A result that is written in pieces, as fast as the client reads. If it is dropped before it is
/// finished, the connection is closed: there is no other way to take back half a reply.
pub struct ReplyStream {
    chunks: mpsc::Sender<Chunk>,
    buffer: Vec<u8>,
    /// What takes out of the result what is not wanted of it.
    filtering: Option<Filtering>,
}

impl ReplyStream {
    /// Writes a piece of the result, waiting while the client is slow. The pieces together must be
    /// one JSON value without a blank line in it.
    ///
    /// # Errors
    /// If the client has gone: the rest need not be made.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientGone> {
        match &mut self.filtering {
            None => self.buffer.extend_from_slice(bytes),
            Some(filtering) => filtering.feed(bytes, &mut self.buffer),
        }
        if self.buffer.len() >= STREAM_CHUNK_BYTES {
            return self.flush().await;
        }
        // So that a listing without a client ends even while its buffer fills.
        if self.chunks.is_closed() {
            Err(ClientGone)
        } else {
            Ok(())
        }
    }

    /// As [`ReplyStream::write`], for a piece that is large already: it is not copied.
    ///
    /// # Errors
    /// If the client has gone.
    pub async fn write_whole(&mut self, bytes: Vec<u8>) -> Result<(), ClientGone> {
        if bytes.len() < STREAM_CHUNK_BYTES || self.filtering.is_some() {
            return self.write(&bytes).await;
        }
        self.flush().await?;
        self.buffer = bytes;
        self.flush().await
    }

    /// Hands over what was written so far, for listings that pause.
    ///
    /// # Errors
    /// If the client has gone.
    pub async fn flush(&mut self) -> Result<(), ClientGone> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.buffer);
        self.chunks
            .send(Chunk::Bytes(bytes))
            .await
            .map_err(|_| ClientGone)
    }

    /// Ends the reply.
    ///
    /// # Errors
    /// If the client has gone.
    pub async fn finish(mut self) -> Result<(), ClientGone> {
        self.buffer.extend_from_slice(rpc::reply::END);
        self.flush().await?;
        self.chunks.send(Chunk::End).await.map_err(|_| ClientGone)
    }
}

/// What a client is told of its request before the answer, as fast as it reads. What it has not read
/// yet holds up nobody but who tells it.
pub struct Notifier {
    id: Id,
    outbox: Outbox,
    phase: watch::Receiver<Phase>,
    /// One, which is given back when what was queued before is written.
    turns: Arc<Semaphore>,
}

impl Notifier {
    /// Tells something to people, once what was told before is written. If this is dropped before it
    /// is done, nothing was told.
    ///
    /// # Errors
    /// If the client has gone, or the daemon is told to stop: no more need be told.
    pub async fn message(&self, level: Level, message: &str) -> Result<(), ClientGone> {
        let id = &self.id;
        let message = Message { id, level, message };
        self.send(rpc::reply::notification(MESSAGE, &message)).await
    }

    async fn send(&self, written: Result<Vec<u8>, serde_json::Error>) -> Result<(), ClientGone> {
        let mut stopping = self.phase.clone();
        let turn = tokio::select! {
            biased;
            () = self.outbox.queue.closed() => return Err(ClientGone),
            () = reached(&mut stopping, Phase::Stopping) => return Err(ClientGone),
            turn = Arc::clone(&self.turns).acquire_owned() => turn.map_err(|_| ClientGone)?,
        };
        match written {
            Ok(bytes) => self.outbox.send(Content::Notifications(bytes), Some(turn)),
            // Strings and numbers can always be written.
            Err(error) => tracing::error!(%error, "cannot write a notification as JSON"),
        }
        Ok(())
    }
}

/// Notifications to one connection, as fast as the client reads. They go out between replies, never
/// inside one, and replies need not wait for more than those that are being written.
pub struct Feed {
    outbox: Outbox,
    phase: watch::Receiver<Phase>,
    _slot: Option<OwnedSemaphorePermit>,
    /// One, which is given back when what was queued before is written.
    turns: Arc<Semaphore>,
}

impl Feed {
    /// Queues whole notifications, once those before are written.
    ///
    /// # Errors
    /// If the client has gone, or the daemon is told to stop: no more need be made.
    pub async fn write(&mut self, notifications: Vec<u8>) -> Result<(), ClientGone> {
        let turn = self.turn().await?;
        self.outbox
            .send(Content::Notifications(notifications), Some(turn));
        Ok(())
    }

    /// Closes the connection after what was written, since there should be more and is not.
    pub async fn cut_off(self) {
        if let Ok(turn) = self.turn().await {
            // A stream without an end: the writer takes it for what it is.
            let (_, cut) = mpsc::channel(1);
            self.outbox.send(Content::Stream(cut), Some(turn));
        }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, ClientGone> {
        tokio::select! {
            biased;
            () = self.ended() => Err(ClientGone),
            turn = Arc::clone(&self.turns).acquire_owned() => turn.map_err(|_| ClientGone),
        }
    }

    /// Waits until the client has gone, or the daemon is told to stop: then the feed ends.
    pub async fn ended(&self) {
        let mut phase = self.phase.clone();
        tokio::select! {
            () = self.outbox.queue.closed() => {}
            () = reached(&mut phase, Phase::Stopping) => {}
        }
    }
}
