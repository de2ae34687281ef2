//! Bytes in, requests out: incremental, bounded, and the same however the bytes were split.
//!
//! A client need put nothing between requests, so the end of one is found by counting brackets.
//! Each byte is looked at once; the text is parsed when it is whole. What is wrong with a request
//! is answered here as far as framing goes (its shape, its size); parameters are [`crate::param`].

use crate::error::{Code, RpcError};
use crate::id::Id;
use crate::json::{self, Kind, Members, Token};
use serde_json::value::RawValue;
use std::fmt;

/// The longest request, in bytes. The longest that means anything is a `sendpay` with twenty hops,
/// an invoice and a description: some ten kilobytes.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// How deep arrays and objects may stand in each other. No method needs more than five.
pub const NESTING_MAX: usize = u64::BITS as usize;

/// How much of a request that cannot be parsed is repeated in the error, in bytes.
pub const QUOTED_BYTES_MAX: usize = 1 << 10;

/// A request that has the shape of one.
#[derive(Clone)]
pub struct Request {
    /// What its reply is found by.
    pub id: Id,
    /// The method.
    pub method: String,
    /// The parameters as sent.
    pub params: Box<RawValue>,
    /// Which members of the result are wanted, as sent.
    pub filter: Option<Box<RawValue>>,
}

/// Leaves out the parameters: they may be secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { id, method, .. } = self;
        f.debug_struct("Request")
            .field("id", id)
            .field("method", method)
            .finish_non_exhaustive()
    }
}

/// Something that is not a request, with the answer to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The id of the reply: null if none could be read.
    pub id: Id,
    /// The error of the reply.
    pub error: RpcError,
    /// What becomes of the connection.
    pub after: After,
}

/// What becomes of a connection after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next request is read.
    Usable,
    /// Nothing more is read, as nobody knows where the next request begins. Replies that are due
    /// are still sent, and the connection is left for the client to close, as CLN does.
    StopReading,
    /// Nothing more is read, and after the replies that are due the connection is closed.
    Close,
}

/// What stands in the bytes.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A request.
    Request(Request),
    /// Something else.
    Refused(Refusal),
}

/// Where the scanner stands in the first value of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before it.
    Between,
    /// In an array or object, outside of strings.
    Nested,
    /// In a string.
    Quoted,
    /// In a string, after a backslash.
    Escaped,
    /// In something that no request starts with.
    Garbage,
}

/// What the scanner found.
enum Found {
    /// A whole array or object.
    Value,
    /// Something else, up to the end of its line.
    Garbage,
    TooLong,
    TooDeep,
}

/// Turns the bytes of one connection into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the first value of the buffer begins; what is before it is done with.
    start: usize,
    /// How many bytes of that value have been looked at.
    scanned: usize,
    state: State,
    depth: usize,
    /// Of each level that is open whether it is an array, the innermost in the lowest bit: as many bits as
    /// there are levels.
    arrays: u64,
    /// Set after a fatal refusal: nothing more is read.
    dead: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new() -> Self {
        Decoder {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            state: State::Between,
            depth: 0,
            arrays: 0,
            dead: false,
        }
    }

    /// Takes in bytes. Call [`Decoder::next_frame`] until it has none before the next call, and
    /// the buffer stays below [`REQUEST_BYTES_MAX`] and what is pushed at once.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.dead {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether a fatal refusal has come out: nothing more will.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// The next frame, if the bytes so far have a whole one.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.dead {
            return None;
        }
        let found = self.scan()?;
        let frame = match found {
            Found::Value => parse(self.value()),
            Found::Garbage => Frame::Refused(unparseable(self.value())),
            Found::TooLong => {
                let text = format!("Request is longer than {REQUEST_BYTES_MAX} bytes");
                Frame::Refused(fatal(text, After::Close))
            }
            Found::TooDeep => {
                let text = format!("Request is nested deeper than {NESTING_MAX} levels");
                Frame::Refused(fatal(text, After::Close))
            }
        };
        self.start += self.scanned;
        self.scanned = 0;
        self.state = State::Between;
        self.depth = 0;
        self.arrays = 0;
        if matches!(&frame, Frame::Refused(refusal) if refusal.after != After::Usable) {
            self.dead = true;
            self.buffer = Vec::new();
            self.start = 0;
        }
        Some(frame)
    }

    /// What was looked at of the first value.
    fn value(&self) -> &[u8] {
        self.buffer
            .get(self.start..self.start + self.scanned)
            .unwrap_or_default()
    }

    /// Looks at the bytes that were not yet looked at, up to the end of a value.
    fn scan(&mut self) -> Option<Found> {
        if self.state == State::Between {
            let rest = self.buffer.iter().skip(self.start);
            self.start += rest.take_while(|byte| byte.is_ascii_whitespace()).count();
        }
        for byte in self.buffer.iter().skip(self.start + self.scanned) {
            if self.scanned == REQUEST_BYTES_MAX {
                return Some(Found::TooLong);
            }
            self.scanned += 1;
            match (self.state, byte) {
                (State::Between, b'{' | b'[') | (State::Nested, b'{' | b'[') => {
                    self.state = State::Nested;
                    self.depth += 1;
                    if self.depth > NESTING_MAX {
                        return Some(Found::TooDeep);
                    }
                    self.arrays = self.arrays << 1 | u64::from(*byte == b'[');
                }
                (State::Nested, b'}' | b']') => {
                    // One that closes what is not open would be waited for in vain.
                    if (self.arrays & 1 == 1) != (*byte == b']') {
                        return Some(Found::Garbage);
                    }
                    self.arrays >>= 1;
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(Found::Value);
                    }
                }
                (State::Nested, b'"') => self.state = State::Quoted,
                (State::Quoted, b'\\') => self.state = State::Escaped,
                (State::Quoted, b'"') => self.state = State::Nested,
                (State::Escaped, _) => self.state = State::Quoted,
                // Garbage ends with its line, or with the bracket that CLN waits for.
                (State::Between | State::Garbage, b'}' | b'\n') => {
                    return Some(Found::Garbage);
                }
                (State::Between, _) => self.state = State::Garbage,
                (State::Nested | State::Quoted | State::Garbage, _) => {}
            }
        }
        None
    }
}

fn fatal(message: String, after: After) -> Refusal {
    Refusal {
        id: Id::null(),
        error: RpcError::new(Code::InvalidRequest, message),
        after,
    }
}

fn refused(id: Id, message: &str) -> Frame {
    let error = RpcError::new(Code::InvalidRequest, message);
    Frame::Refused(Refusal {
        id,
        error,
        after: After::Usable,
    })
}

/// The start of what came, as text, for an error.
fn quoted(bytes: &[u8]) -> String {
    let start = bytes.get(..QUOTED_BYTES_MAX).unwrap_or(bytes);
    String::from_utf8_lossy(start).trim_ascii_end().to_owned()
}

fn unparseable(bytes: &[u8]) -> Refusal {
    let quoted = quoted(bytes);
    let message = format!("Failed to parse RPC JSON response '{quoted}'");
    fatal(message, After::StopReading)
}

fn without_jsonrpc(bytes: &[u8]) -> Refusal {
    let quoted = quoted(bytes);
    let message = format!("JSON-RPC message does not contain \"jsonrpc\" field: '{quoted}'");
    fatal(message, After::StopReading)
}

/// Reads a whole value. The checks and their order are CLN's.
fn parse(bytes: &[u8]) -> Frame {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Frame::Refused(unparseable(bytes));
    };
    let Ok(members) = json::members(text) else {
        // A batch is well-formed JSON and still no request.
        return Frame::Refused(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => without_jsonrpc(bytes),
            Err(_) => unparseable(bytes),
        });
    };
    let Some(jsonrpc) = member(&members, "jsonrpc") else {
        return Frame::Refused(without_jsonrpc(bytes));
    };
    let Some(id) = member(&members, "id") else {
        return refused(Id::null(), "No id");
    };
    let id = match Token::new(id).kind() {
        Kind::String | Kind::Primitive => Id::from_raw(id),
        Kind::Array | Kind::Object => {
            return refused(Id::null(), "Expected string/primitive for id");
        }
    };
    if jsonrpc.get() != "\"2.0\"" {
        return refused(
            Id::null(),
            "jsonrpc: \"2.0\" must be specified in the request",
        );
    }
    let Some(method) = member(&members, "method") else {
        return refused(id, "No method");
    };
    let Some(params) = member(&members, "params") else {
        return refused(id, "No params");
    };
    let Some(method) = Token::new(method).string() else {
        return refused(id, "Expected string for method");
    };
    let filter = member(&members, "filter").map(ToOwned::to_owned);
    Frame::Request(Request {
        id,
        method,
        params: params.to_owned(),
        filter,
    })
}

fn member<'a>(members: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    members
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, raw)| *raw)
}
