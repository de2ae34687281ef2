//! One reply on its way from a method to its connection.

use super::{Phase, STREAM_CHUNK_BYTES, STREAM_CHUNKS_MAX, UNSENT_BYTES_MAX, reached};
use rpc::Id;
use rpc::error::{Code, RpcError};
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
    /// An outbox for so many replies at most, and its other end.
    pub(super) fn new(
        replies_max: usize,
    ) -> (Self, mpsc::Receiver<Outgoing>, watch::Sender<usize>) {
        let (queue, queued) = mpsc::channel(replies_max);
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
    /// one for what it has queued, and there are as many slots as places.
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
}

impl Reply {
    pub(super) fn new(
        id: Id,
        outbox: Outbox,
        slot: OwnedSemaphorePermit,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Reply {
            id,
            outbox,
            slot: Some(slot),
            answered: false,
            phase,
        }
    }

    /// Answers with a result.
    pub fn result(mut self, result: &impl Serialize) {
        match rpc::reply::result(&self.id, result) {
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
        let bytes = rpc::reply::written(&self.id, parts);
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
}

impl ReplyStream {
    /// Writes a piece of the result, waiting while the client is slow. The pieces together must be
    /// one JSON value without a blank line in it.
    ///
    /// # Errors
    /// If the client has gone: the rest need not be made.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientGone> {
        self.buffer.extend_from_slice(bytes);
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
        if bytes.len() < STREAM_CHUNK_BYTES {
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
