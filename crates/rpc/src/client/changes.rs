//! What a follower reads: the notifications of `followsendpays`, one after another.

use super::{CallError, Client, READ_BYTES};
use crate::method::followsendpays::{
    FollowSendPays, FollowSendPaysResult, SENDPAY_CHANGED, SendpayChanged,
};
use crate::reply::TERMINATOR;
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{self, Read};

/// The longest notification that is taken in: a payment has no text above 1 MiB, and escaped it is
/// six times as long at most.
const NOTIFICATION_BYTES_MAX: usize = 16 << 20;

/// A connection that follows.
#[derive(Debug)]
pub struct Changes {
    client: Client,
    /// Read, and not looked at yet.
    ready: VecDeque<Vec<u8>>,
}

#[derive(Deserialize)]
struct Notification {
    method: String,
    params: SendpayChanged,
}

impl Client {
    /// Follows all changes after number `from`, or only new ones, on this connection.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn follow(
        mut self,
        from: Option<u64>,
    ) -> Result<(FollowSendPaysResult, Changes), CallError> {
        let params = from.map_or(json!({}), |from| json!({"from": from}));
        let began = self.request::<FollowSendPays>(&params)?;
        let changes = Changes {
            client: self,
            ready: VecDeque::new(),
        };
        Ok((began, changes))
    }
}

impl Changes {
    /// The next change, waiting for it. After [`CallError::Receive`] for want of time it can be
    /// asked for again.
    ///
    /// # Errors
    /// [`CallError::Closed`] when the daemon is gone: connect again, and follow from the number of
    /// the last change that was dealt with.
    pub fn next_change(&mut self) -> Result<SendpayChanged, CallError> {
        let mut chunk = vec![0; READ_BYTES];
        loop {
            self.split();
            if let Some(text) = self.ready.pop_front() {
                let read: Notification =
                    serde_json::from_slice(&text).map_err(CallError::Decode)?;
                if read.method == SENDPAY_CHANGED {
                    return Ok(read.params);
                }
                continue;
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
