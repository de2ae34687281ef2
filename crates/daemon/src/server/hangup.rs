//! Whether a client is gone, seen without reading from it.
//!
//! A client that has only shut down its writing side may still read replies, and one whose
//! requests we do not read sends no end of file that we would see. The system does tell when the
//! whole socket was closed; it tells it to anyone who waits for the socket to be writable.

use std::io;
use std::os::fd::AsFd;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

/// Waits until the client has closed the connection on both sides.
pub(super) async fn hung_up(stream: &OwnedReadHalf) {
    match watch(stream) {
        Ok(watched) => wait(&watched).await,
        Err(error) => {
            // Without a descriptor to watch with, the connection ends with its next write.
            tracing::debug!(%error, "cannot watch a connection");
            std::future::pending::<()>().await;
        }
    }
}

/// A second descriptor, so that waiting here takes no wake-up from the one that replies go by.
fn watch(stream: &OwnedReadHalf) -> io::Result<UnixStream> {
    let descriptor = stream.as_ref().as_fd().try_clone_to_owned()?;
    UnixStream::from_std(descriptor.into())
}

async fn wait(watched: &UnixStream) {
    while let Ok(ready) = watched.ready(Interest::WRITABLE).await {
        if ready.is_write_closed() {
            return;
        }
        // Forgets that it is writable, and waits for the next change.
        let forget = || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock));
        let _ = watched.try_io(Interest::WRITABLE, forget);
    }
}
