//! One connection: a reader that turns bytes into requests, and a writer that sends replies.

use super::hangup::hung_up;
use super::reply::{Chunk, Content, Outbox, Outgoing};
use super::{
    ConnectionInfo, Dispatch, LINGER, Phase, READ_BYTES, REQUESTS_IN_FLIGHT_MAX, Reply,
    UNSENT_BYTES_MAX, reached,
};
use rpc::frame::{After, Decoder, Frame, Refusal, Request};
use sendpay_rpc as rpc;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Why no more requests are read.
enum ReadEnd {
    /// The client has closed its writing side; it may still be reading.
    EndOfFile,
    /// It cannot be told where the next request begins.
    Confused,
    /// A limit was exceeded.
    OverLimit,
    /// The client is gone.
    HungUp,
    /// The daemon is stopping.
    Stopping,
}

/// What a connection needs to run.
pub(super) struct Connection<D> {
    pub(super) dispatch: Arc<D>,
    pub(super) info: ConnectionInfo,
    pub(super) phase: watch::Receiver<Phase>,
    /// Tells the server that somebody is still here.
    pub(super) alive: mpsc::Sender<()>,
}

impl<D: Dispatch> Connection<D> {
    /// Serves the connection to its end.
    pub(super) async fn run(self, stream: UnixStream) {
        let mut closing = self.phase.clone();
        let number = self.info.number();
        tokio::select! {
            served = self.serve(stream) => if let Err(error) = served {
                tracing::debug!(connection = number, %error, "connection lost");
            },
            () = reached(&mut closing, Phase::Closing) => {
                tracing::debug!(connection = number, "connection closed with replies unsent");
            }
        }
    }

    async fn serve(&self, stream: UnixStream) -> io::Result<()> {
        let (mut reading, writing) = stream.into_split();
        let (outbox, queued, unsent) = Outbox::new(REQUESTS_IN_FLIGHT_MAX);
        let writer = write_replies(writing, queued, unsent);
        tokio::pin!(writer);
        // In this order: what a request was answered at once is written at once.
        let end = tokio::select! {
            biased;
            end = self.read_requests(&mut reading, outbox) => end,
            written = &mut writer => return written.map(drop),
        };
        // The reader's outbox is gone with it: the writer ends after the last reply that is due.
        let written = match end {
            ReadEnd::HungUp => return Ok(()),
            ReadEnd::Stopping => writer.await?,
            ReadEnd::EndOfFile | ReadEnd::Confused | ReadEnd::OverLimit => tokio::select! {
                written = writer => written?,
                () = hung_up(&reading) => return Ok(()),
            },
        };
        match end {
            ReadEnd::OverLimit => {
                drop(written);
                // Closing with bytes unread would cut off the reply: let the client finish.
                tokio::time::timeout(LINGER, discard(&mut reading))
                    .await
                    .unwrap_or(Ok(()))
            }
            ReadEnd::Confused => {
                // CLN sends no end of file of its own here, so neither do we.
                let mut stopping = self.phase.clone();
                tokio::select! {
                    () = hung_up(&reading) => {}
                    () = reached(&mut stopping, Phase::Stopping) => {}
                }
                Ok(())
            }
            ReadEnd::EndOfFile | ReadEnd::HungUp | ReadEnd::Stopping => Ok(()),
        }
    }

    /// Reads requests and starts a task for each, until there are no more.
    async fn read_requests(&self, reading: &mut OwnedReadHalf, outbox: Outbox) -> ReadEnd {
        let mut stopping = self.phase.clone();
        let slots = Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX));
        let mut decoder = Decoder::new();
        let mut chunk = vec![0; READ_BYTES];
        loop {
            // Nothing more is looked at while the client leaves replies unread.
            tokio::select! {
                biased;
                () = outbox.room() => {}
                () = reached(&mut stopping, Phase::Stopping) => return ReadEnd::Stopping,
            }
            let slot = tokio::select! {
                biased;
                slot = Arc::clone(&slots).acquire_owned() => slot,
                () = hung_up(reading) => return ReadEnd::HungUp,
                () = reached(&mut stopping, Phase::Stopping) => return ReadEnd::Stopping,
            };
            // The semaphore is never closed; if it were, there would be nothing to do.
            let Ok(slot) = slot else {
                return ReadEnd::Stopping;
            };
            match decoder.next_frame() {
                Some(Frame::Request(request)) => {
                    self.start(request, &outbox, slot).await;
                    continue;
                }
                Some(Frame::Refused(refusal)) => match refuse(refusal, &outbox, slot) {
                    After::Usable => continue,
                    After::StopReading => return ReadEnd::Confused,
                    After::Close => return ReadEnd::OverLimit,
                },
                None => drop(slot),
            }
            // What was answered leaves before more is read.
            tokio::select! {
                biased;
                () = outbox.all_sent() => {}
                () = reached(&mut stopping, Phase::Stopping) => return ReadEnd::Stopping,
            }
            let read = tokio::select! {
                biased;
                read = reading.read(&mut chunk) => read,
                () = reached(&mut stopping, Phase::Stopping) => return ReadEnd::Stopping,
            };
            match read {
                Ok(0) => return ReadEnd::EndOfFile,
                Ok(read) => decoder.push(chunk.get(..read).unwrap_or_default()),
                Err(error) => {
                    tracing::debug!(connection = self.info.number(), %error, "cannot read");
                    return ReadEnd::HungUp;
                }
            }
        }
    }

    /// Begins a request. What is answered without waiting is answered here; all else goes on in a
    /// task of its own, also when the connection is gone.
    async fn start(&self, request: Request, outbox: &Outbox, slot: OwnedSemaphorePermit) {
        let phase = self.phase.clone();
        let notified = self.info.notifications_enabled();
        let reply = Reply::new(request.id.clone(), outbox.clone(), slot, phase, notified);
        let dispatch = Arc::clone(&self.dispatch);
        let info = self.info.clone();
        let mut run = Box::pin(async move { dispatch.dispatch(request, reply, info).await });
        let begun = poll_fn(|context| Poll::Ready(poll_once(run.as_mut(), context))).await;
        if begun.is_ready() {
            return;
        }
        let mut abandoning = self.phase.clone();
        let alive = self.alive.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = run => {}
                () = reached(&mut abandoning, Phase::Abandoning) => {}
            }
            drop(alive);
        });
    }
}

/// Polls a request, which may panic as it may in a task of its own: that ends it and nothing else.
fn poll_once(run: Pin<&mut impl Future<Output = ()>>, context: &mut Context<'_>) -> Poll<()> {
    // What a panic leaves behind is dropped with the request; its reply says so.
    catch_unwind(AssertUnwindSafe(|| run.poll(context))).unwrap_or(Poll::Ready(()))
}

/// Answers what is no request.
fn refuse(refusal: Refusal, outbox: &Outbox, slot: OwnedSemaphorePermit) -> After {
    let bytes = rpc::reply::error(&refusal.id, &refusal.error);
    outbox.send(Content::Whole(bytes), Some(slot));
    refusal.after
}

/// Writes replies as they are queued, each whole before the next, until nobody can queue any. Those
/// that wait together leave together.
async fn write_replies(
    mut writing: OwnedWriteHalf,
    mut queued: mpsc::Receiver<Outgoing>,
    unsent: watch::Sender<usize>,
) -> io::Result<OwnedWriteHalf> {
    let mut together = Vec::new();
    while queued
        .recv_many(&mut together, REQUESTS_IN_FLIGHT_MAX)
        .await
        > 0
    {
        let mut joined = Joined::default();
        for outgoing in together.drain(..) {
            joined.unsent += outgoing.content.unsent_bytes();
            joined.slots.push(outgoing.slot);
            match outgoing.content {
                Content::Whole(bytes) | Content::Notifications(bytes) => joined.push(bytes),
                Content::Stream(chunks) => {
                    writing.write_all(&joined.bytes).await?;
                    joined.bytes.clear();
                    write_stream(&mut writing, chunks).await?;
                }
            }
            if joined.bytes.len() >= UNSENT_BYTES_MAX {
                joined.write(&mut writing, &unsent).await?;
            }
        }
        joined.write(&mut writing, &unsent).await?;
    }
    // Handed back so that the caller decides when the client sees the end.
    Ok(writing)
}

/// Replies that are written together.
#[derive(Default)]
struct Joined {
    bytes: Vec<u8>,
    /// What they count for while they are unwritten.
    unsent: usize,
    slots: Vec<Option<OwnedSemaphorePermit>>,
}

impl Joined {
    fn push(&mut self, bytes: Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Writes them, and only then gives back what they held.
    async fn write(
        &mut self,
        writing: &mut OwnedWriteHalf,
        unsent: &watch::Sender<usize>,
    ) -> io::Result<()> {
        writing.write_all(&self.bytes).await?;
        self.bytes.clear();
        self.slots.clear();
        if self.unsent > 0 {
            unsent.send_modify(|unsent| *unsent -= self.unsent);
            self.unsent = 0;
        }
        Ok(())
    }
}

async fn write_stream(
    writing: &mut OwnedWriteHalf,
    mut chunks: mpsc::Receiver<Chunk>,
) -> io::Result<()> {
    loop {
        match chunks.recv().await {
            Some(Chunk::Bytes(bytes)) => writing.write_all(&bytes).await?,
            Some(Chunk::End) => return Ok(()),
            None => return Err(io::Error::other("a reply was cut off")),
        }
    }
}

/// Reads to the end of what the client sends, and forgets it.
async fn discard(reading: &mut OwnedReadHalf) -> io::Result<()> {
    let mut chunk = vec![0; READ_BYTES];
    while reading.read(&mut chunk).await? > 0 {}
    Ok(())
}
