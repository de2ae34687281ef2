//! What a follower reads: the notifications of `followsendpays`, one after another.

use super::{CallError, Client, Notifications};
use crate::method::followsendpays::{
    FollowSendPays, FollowSendPaysResult, SENDPAY_CHANGED, SendpayChanged,
};
use serde_json::json;

/// A connection that follows.
#[derive(Debug)]
pub struct Changes {
    notifications: Notifications,
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
            notifications: self.into_notifications(),
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
        loop {
            let read = self.notifications.next_notification()?;
            if read.method == SENDPAY_CHANGED {
                return serde_json::from_str(read.params.get()).map_err(CallError::Decode);
            }
        }
    }
}
