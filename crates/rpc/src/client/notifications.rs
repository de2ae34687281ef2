//! What comes on a connection without being asked for: notifications, one after another.

use super::{CallError, Client, READ_BYTES};
use crate::reply::TERMINATOR;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::io::{self, Read};

/// The longest notification that is taken in: a payment has no text above 1 MiB, and escaped it is
/// six times as long at most.
const NOTIFICATION_BYTES_MAX: usize = 16 << 20;

/// A connection on which nothing more is asked for.
#[derive(Debug)]
pub struct Notifications {
    client: Client,
    /// Read, and not looked at yet.
    ready: VecDeque<Vec<u8>>,
}

/// One notification.
#[derive(Debug, Deserialize)]
pub struct Notification {
    /// What it is about.
    pub method: String,
    /// What it says, to the letter.
    pub params: Box<RawValue>,
}

impl Client {
    /// From now on takes only what comes by itself.
    #[must_use]
    pub fn into_notifications(self) -> Notifications {
        Notifications {
            client: self,
            ready: VecDeque::new(),
        }
    }
}

impl Notifications {
    /// The next one, waiting for it. After [`CallError::Receive`] for want of time it can be asked
    /// for again.
    ///
    /// # Errors
    /// [`CallError::Closed`] when the daemon is gone.
    pub fn next_notification(&mut self) -> Result<Notification, CallError> {
        let mut chunk = vec![0; READ_BYTES];
        loop {
            self.split();
            if let Some(text) = self.ready.pop_front() {
                return serde_json::from_slice(&text).map_err(CallError::Decode);
            }
            if self.client.unread.len() > NOTIFICATION_BYTES_MAX {
                return Err(CallError::TooLong);
            }
            match self.client.stream.read(&mut chunk) {
                Ok(0) => return Err(CallError::Closed),
                Ok(read) => {
                    let read = chunk.get(..read).unwrap_or_default();
                    self.client.unread.extend_from_slice(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CallError::Receive(error)),
            }
        }
    }

    /// Takes what is whole out of what was read.
    fn split(&mut self) {
        let unread = &mut self.client.unread;
        let mut taken = 0;
        while let Some(rest) = unread.get(taken..)
            && let Some(length) = rest
                .windows(TERMINATOR.len())
                .position(|window| window == TERMINATOR)
        {
            let text = rest.get(..length).unwrap_or_default();
            if !text.trim_ascii().is_empty() {
                self.ready.push_back(text.to_vec());
            }
            taken += length + TERMINATOR.len();
        }
        unread.drain(..taken);
    }
}
