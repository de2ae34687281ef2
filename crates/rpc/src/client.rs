//! A blocking client over a Unix socket: for the command line, for tests, and for any program
//! that talks to a node.
//!
//! A result can be taken whole ([`Client::call`]) or as the bytes come ([`Client::call_streaming`]),
//! so that a listing of any size passes through in constant memory.

mod changes;
mod envelope;
mod extent;
mod notifications;

pub use changes::Changes;
pub use extent::Extent;
pub use notifications::{Notification, Notifications};

use crate::error::RpcError;
use crate::method::Method;
use crate::method::notifications::Notifications as Enabling;
use crate::notification::Told;
use envelope::{Envelope, Progress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest result that [`Client::call`] takes in: 256 MiB, some hundred thousand payments.
/// For more, stream.
pub const RESULT_BYTES_MAX: usize = 256 << 20;

/// What is read from the socket at once.
const READ_BYTES: usize = 64 << 10;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The method answered with an error.
    #[error("{0}")]
    Rpc(#[source] RpcError),
    /// There is no daemon at the socket.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The parameters cannot be written as JSON.
    #[error("cannot write the parameters as JSON")]
    Encode(#[source] serde_json::Error),
    /// The request could not be sent.
    #[error("cannot send the request")]
    Send(#[source] io::Error),
    /// The reply could not be read.
    #[error("cannot read the reply")]
    Receive(#[source] io::Error),
    /// The daemon closed the connection before the reply was whole.
    #[error("the daemon closed the connection before its answer was whole")]
    Closed,
    /// The reply is not one.
    #[error("the reply is not as it should be: {0}")]
    BadReply(String),
    /// The result is not of the type that the method gives.
    #[error("the result is not of the expected type")]
    Decode(#[source] serde_json::Error),
    /// The result is above [`RESULT_BYTES_MAX`].
    #[error("the result is longer than {RESULT_BYTES_MAX} bytes")]
    TooLong,
    /// What the result was handed to failed.
    #[error("cannot pass the result on")]
    Sink(#[source] io::Error),
}

/// A connection to a daemon. Calls are made one after another.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    /// What was read past the end of the last reply.
    unread: Vec<u8>,
    calls: u64,
    /// What is wanted of the results, if not all.
    filter: Option<Box<RawValue>>,
    /// Set when a reply was left half read: the connection cannot be used again.
    broken: bool,
}

impl Client {
    /// Connects to the socket at this path.
    ///
    /// # Errors
    /// [`CallError::Connect`] if nobody answers there.
    pub fn connect(path: &Path) -> Result<Self, CallError> {
        let stream = UnixStream::connect(path).map_err(|source| CallError::Connect {
            path: path.to_owned(),
            source,
        })?;
        Ok(Client {
            stream,
            unread: Vec::new(),
            calls: 0,
            filter: None,
            broken: false,
        })
    }

    /// Gives up a call when nothing comes for so long. The default is to wait for ever.
    ///
    /// # Errors
    /// If the time is zero.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    /// Asks for no more of the results of later calls than this template names (see
    /// [`crate::filter`]); for all of them again with none.
    pub fn set_filter(&mut self, filter: Option<Box<RawValue>>) {
        self.filter = filter;
    }

    /// Asks to be told of the progress of later calls ([`Client::call_telling`]).
    ///
    /// # Errors
    /// As [`Client::call`]; [`CallError::Rpc`] from a daemon that tells nothing.
    pub fn enable_notifications(&mut self) -> Result<(), CallError> {
        self.call_streaming(Enabling::NAME, &[true], &mut |_| Ok(()))
    }

    /// Calls a method and takes its result whole.
    ///
    /// # Errors
    /// [`CallError::Rpc`] if the method answers with an error, else what went wrong on the way.
    pub fn call(&mut self, method: &str, params: &impl Serialize) -> Result<Value, CallError> {
        serde_json::from_slice(&self.call_bytes(method, params)?).map_err(CallError::Decode)
    }

    /// Calls a method of the contract and takes its result in the type it has.
    ///
    /// # Errors
    /// As [`Client::call`], and if the result is not of that type.
    pub fn request<M: Method>(&mut self, params: &impl Serialize) -> Result<M::Result, CallError>
    where
        M::Result: DeserializeOwned,
    {
        serde_json::from_slice(&self.call_bytes(M::NAME, params)?).map_err(CallError::Decode)
    }

    fn call_bytes(&mut self, method: &str, params: &impl Serialize) -> Result<Vec<u8>, CallError> {
        let mut result = Vec::new();
        let mut too_long = false;
        let outcome = self.call_streaming(method, params, &mut |bytes| {
            if result.len() + bytes.len() > RESULT_BYTES_MAX {
                too_long = true;
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            result.extend_from_slice(bytes);
            Ok(())
        });
        match outcome {
            Err(CallError::Sink(_)) if too_long => Err(CallError::TooLong),
            outcome => outcome.map(|()| result),
        }
    }

    /// Calls a method and hands the bytes of its result to `sink` as they come. The bytes
    /// together are one JSON value; an error of the method is returned, not handed on.
    ///
    /// # Errors
    /// As [`Client::call`], and [`CallError::Sink`] with what `sink` refused with.
    pub fn call_streaming(
        &mut self,
        method: &str,
        params: &impl Serialize,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CallError> {
        self.call_telling(method, params, &mut |_| (), sink)
    }

    /// As [`Client::call_streaming`], and hands to `told` what the command tells before its answer.
    /// It tells nothing before [`Client::enable_notifications`].
    ///
    /// # Errors
    /// As [`Client::call_streaming`].
    pub fn call_telling(
        &mut self,
        method: &str,
        params: &impl Serialize,
        told: &mut dyn FnMut(&Told),
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CallError> {
        if self.broken {
            return Err(CallError::Closed);
        }
        self.calls += 1;
        let id = Value::from(format!("sendpay:{method}#{}", self.calls)).to_string();
        self.send(method, params, &id)?;
        self.broken = true;
        let outcome = self.receive(&id, told, sink);
        // Only a reply that was read to its end leaves the connection in a known place.
        self.broken = !matches!(outcome, Ok(()) | Err(CallError::Rpc(_)));
        outcome
    }

    fn send(&mut self, method: &str, params: &impl Serialize, id: &str) -> Result<(), CallError> {
        let method = Value::from(method);
        let params = serde_json::to_string(params).map_err(CallError::Encode)?;
        let filter = match &self.filter {
            None => String::new(),
            Some(filter) => format!(r#""filter":{},"#, filter.get()),
        };
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},{filter}"params":{params}}}"#);
        self.stream
            .write_all(request.as_bytes())
            .map_err(CallError::Send)
    }

    fn receive(
        &mut self,
        id: &str,
        told: &mut dyn FnMut(&Told),
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CallError> {
        let mut envelope = Envelope::new();
        let mut buffer = std::mem::take(&mut self.unread);
        // What of the buffer was read and not yet looked at.
        let mut unread = 0..buffer.len();
        buffer.resize(buffer.len().max(READ_BYTES), 0);
        loop {
            let bytes = buffer.get(unread.clone()).unwrap_or_default();
            match envelope.feed(bytes, sink)? {
                Progress::More => unread.start = unread.end,
                Progress::Done { consumed } => {
                    unread.start += consumed;
                    if envelope.is_notification() {
                        if let Some(notification) = envelope.notification() {
                            told(&notification);
                        }
                        envelope = Envelope::new();
                        continue;
                    }
                    self.unread = buffer.get(unread).unwrap_or_default().to_vec();
                    return envelope.finish(id);
                }
            }
            unread = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(CallError::Closed),
                Ok(read) => 0..read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CallError::Receive(error)),
            };
        }
    }
}
