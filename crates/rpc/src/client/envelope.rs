//! The object around a result, read as its bytes come.
//!
//! The result is handed on without being looked into; `id` and `error` are small and kept. The
//! order of the members does not matter.

use super::CallError;
use crate::error::RpcError;
use crate::notification::Told;
use serde_json::value::RawValue;
use std::io;

/// The longest `id`, name, error or notification that is taken in. Errors of `pay` tell of every try.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Whether a reply has ended.
pub(super) enum Progress {
    /// It goes on.
    More,
    /// It ended so many bytes into what was fed.
    Done {
        /// How many bytes belong to the reply.
        consumed: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Name,
    InName,
    Colon,
    ValueStart,
    /// In a value: how deep, and whether it is a number or word, which has no end of its own.
    Value {
        depth: usize,
        primitive: bool,
    },
    InString {
        depth: usize,
        escaped: bool,
    },
    AfterValue,
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Id,
    Result,
    Error,
    Method,
    Params,
    Other,
}

/// One reply, or notification, on its way in.
pub(super) struct Envelope {
    place: Place,
    name: Vec<u8>,
    member: Member,
    id: Vec<u8>,
    error: Vec<u8>,
    has_result: bool,
    /// Of a notification.
    method: Vec<u8>,
    params: Vec<u8>,
}

impl Envelope {
    pub(super) fn new() -> Self {
        Envelope {
            place: Place::Before,
            name: Vec::new(),
            member: Member::Other,
            id: Vec::new(),
            error: Vec::new(),
            has_result: false,
            method: Vec::new(),
            params: Vec::new(),
        }
    }

    /// Takes in bytes, handing those of the result to `sink`.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Progress, CallError> {
        // Where the run of value bytes that is not yet handed on began.
        let mut run = in_value(self.place).then_some(0);
        let mut at = 0;
        loop {
            // Most bytes of a long result are passed over here, many at a time.
            at += self.unremarkable(bytes.get(at..).unwrap_or_default());
            let Some(byte) = bytes.get(at) else { break };
            let before = in_value(self.place);
            self.step(*byte)?;
            match (before, in_value(self.place)) {
                (false, true) => run = Some(at),
                (true, false) => {
                    // A number ends before the byte that ends it, all else with it.
                    let end = if self.ends_before(*byte) { at } else { at + 1 };
                    self.keep(
                        bytes
                            .get(run.take().unwrap_or(end)..end)
                            .unwrap_or_default(),
                        sink,
                    )?;
                }
                _ => {}
            }
            at += 1;
            if self.place == Place::End {
                return Ok(Progress::Done { consumed: at });
            }
        }
        if let Some(run) = run {
            self.keep(bytes.get(run..).unwrap_or_default(), sink)?;
        }
        Ok(Progress::More)
    }

    /// Passes over bytes at the start of these that end nothing: how many.
    fn unremarkable(&mut self, bytes: &[u8]) -> usize {
        match self.place {
            Place::Value {
                depth: depth @ 1..,
                primitive: false,
            } => self.inside(bytes, depth, false),
            Place::InString {
                depth: depth @ 1..,
                escaped: false,
            } => self.inside(bytes, depth, true),
            Place::InString { escaped: false, .. } => {
                memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())
            }
            _ => 0,
        }
    }

    /// The same inside a list or an object: up to the byte that ends it, or one that is escaped.
    fn inside(&mut self, bytes: &[u8], mut depth: usize, mut in_string: bool) -> usize {
        let mut rest = bytes;
        loop {
            let next = match in_string {
                true => memchr::memchr2(b'"', b'\\', rest),
                false => rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')),
            };
            let found = next.and_then(|next| rest.get(next..)?.split_first());
            let Some((byte, after)) = found else {
                rest = &[];
                break;
            };
            match byte {
                b'"' => in_string = !in_string,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 1 => depth -= 1,
                // It is looked at by itself.
                _ => {
                    rest = rest.get(next.unwrap_or(0)..).unwrap_or_default();
                    break;
                }
            }
            rest = after;
        }
        self.place = match in_string {
            true => Place::InString {
                depth,
                escaped: false,
            },
            false => Place::Value {
                depth,
                primitive: false,
            },
        };
        bytes.len() - rest.len()
    }

    /// Whether the value that just ended was a number or word: then this byte is not of it.
    fn ends_before(&self, byte: u8) -> bool {
        matches!(self.place, Place::Name | Place::End) || byte.is_ascii_whitespace()
    }

    fn step(&mut self, byte: u8) -> Result<(), CallError> {
        let blank = byte.is_ascii_whitespace();
        self.place = match (self.place, byte) {
            (Place::Before, b'{') => Place::Name,
            (Place::Name, b'"') => {
                self.name.clear();
                Place::InName
            }
            (Place::Name | Place::AfterValue, b'}') => Place::End,
            (Place::InName, b'"') => {
                self.begin_member();
                Place::Colon
            }
            (Place::InName, _) if self.name.len() < KEPT_BYTES_MAX => {
                self.name.push(byte);
                Place::InName
            }
            (Place::Colon, b':') => Place::ValueStart,
            (Place::ValueStart, b'{' | b'[') => Place::Value {
                depth: 1,
                primitive: false,
            },
            (Place::ValueStart, b'"') => Place::InString {
                depth: 0,
                escaped: false,
            },
            (Place::ValueStart, _) if !blank => Place::Value {
                depth: 0,
                primitive: true,
            },
            (
                Place::Value {
                    depth,
                    primitive: false,
                },
                b'{' | b'[',
            ) => Place::Value {
                depth: depth + 1,
                primitive: false,
            },
            (
                Place::Value {
                    depth: 1,
                    primitive: false,
                },
                b'}' | b']',
            ) => Place::AfterValue,
            (
                Place::Value {
                    depth,
                    primitive: false,
                },
                b'}' | b']',
            ) => Place::Value {
                depth: depth.saturating_sub(1),
                primitive: false,
            },
            (
                Place::Value {
                    depth,
                    primitive: false,
                },
                b'"',
            ) => Place::InString {
                depth,
                escaped: false,
            },
            (
                Place::Value {
                    primitive: true, ..
                },
                b',',
            ) => Place::Name,
            (
                Place::Value {
                    primitive: true, ..
                },
                b'}',
            ) => Place::End,
            (
                Place::Value {
                    primitive: true, ..
                },
                _,
            ) if blank => Place::AfterValue,
            (
                Place::InString {
                    depth,
                    escaped: true,
                },
                _,
            ) => Place::InString {
                depth,
                escaped: false,
            },
            (Place::InString { depth, .. }, b'\\') => Place::InString {
                depth,
                escaped: true,
            },
            (Place::InString { depth: 0, .. }, b'"') => Place::AfterValue,
            (Place::InString { depth, .. }, b'"') => Place::Value {
                depth,
                primitive: false,
            },
            (Place::AfterValue, b',') => Place::Name,
            (place @ (Place::Value { .. } | Place::InString { .. }), _) => place,
            (place, _) if blank => place,
            _ => return Err(CallError::BadReply("it is no JSON object".to_owned())),
        };
        Ok(())
    }

    fn begin_member(&mut self) {
        self.member = match self.name.as_slice() {
            b"id" => Member::Id,
            b"result" => Member::Result,
            b"error" => Member::Error,
            b"method" => Member::Method,
            b"params" => Member::Params,
            _ => Member::Other,
        };
        self.has_result |= self.member == Member::Result;
    }

    fn keep(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CallError> {
        let kept = match self.member {
            Member::Result => return sink(bytes).map_err(CallError::Sink),
            Member::Id => &mut self.id,
            Member::Error => &mut self.error,
            Member::Method => &mut self.method,
            Member::Params => &mut self.params,
            Member::Other => return Ok(()),
        };
        if kept.len() + bytes.len() > KEPT_BYTES_MAX {
            return Err(CallError::BadReply(format!(
                "a part of it is over {KEPT_BYTES_MAX} bytes"
            )));
        }
        kept.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether this was no reply but a notification.
    pub(super) fn is_notification(&self) -> bool {
        !self.method.is_empty() && self.id.is_empty()
    }

    /// The notification that this was, if it is of a known kind.
    pub(super) fn notification(&self) -> Option<Told> {
        let method: String = serde_json::from_slice(&self.method).ok()?;
        let params: &RawValue = serde_json::from_slice(&self.params).ok()?;
        Told::read(&method, params)
    }

    /// What the reply says, when all of it was read.
    pub(super) fn finish(self, id: &str) -> Result<(), CallError> {
        // CLN counts an error of null as none.
        if !self.error.is_empty() && self.error != b"null" {
            let error: RpcError = serde_json::from_slice(&self.error).map_err(|error| {
                CallError::BadReply(format!("its error cannot be read: {error}"))
            })?;
            return Err(CallError::Rpc(error));
        }
        if self.id != id.as_bytes() {
            let got = String::from_utf8_lossy(&self.id);
            return Err(CallError::BadReply(format!("its id is {got}, not {id}")));
        }
        if !self.has_result {
            return Err(CallError::BadReply(
                "it has neither result nor error".to_owned(),
            ));
        }
        Ok(())
    }
}

fn in_value(place: Place) -> bool {
    matches!(place, Place::Value { .. } | Place::InString { .. })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Reads a reply cut in pieces; gives the result and what finish says.
    fn read(pieces: &[&[u8]]) -> (String, Result<(), CallError>) {
        let mut result = Vec::new();
        let mut envelope = Envelope::new();
        for piece in pieces {
            let mut sink = |bytes: &[u8]| {
                result.extend_from_slice(bytes);
                Ok(())
            };
            if let Err(error) = envelope.feed(piece, &mut sink) {
                return (String::from_utf8(result).unwrap(), Err(error));
            }
        }
        (String::from_utf8(result).unwrap(), envelope.finish("\"x\""))
    }

    #[test]
    fn results_are_handed_on_whatever_their_kind_and_wherever_they_are_cut() {
        for result in [
            r#"{"a":["}",1,{"b":"\"]"}]}"#,
            "[]",
            "{}",
            "\"a\\\\\"",
            "12",
            "true",
            "\"\"",
        ] {
            for text in [
                format!(r#"{{"jsonrpc":"2.0","id":"x","result":{result}}}"#),
                format!(r#" {{ "result" : {result} , "id" : "x" }}"#),
            ] {
                for cut in 0..text.len() {
                    let (start, end) = text.as_bytes().split_at(cut);
                    let (got, outcome) = read(&[start, end]);
                    outcome.unwrap();
                    assert_eq!(got, result, "cut at {cut} of {text}");
                }
            }
        }
    }

    #[test]
    fn errors_are_errors_and_other_ids_are_refused() {
        let (_, outcome) =
            read(&[br#"{"jsonrpc":"2.0","id":"x","error":{"code":208,"message":"no"}}"#]);
        assert!(matches!(outcome, Err(CallError::Rpc(error)) if error.code == 208));
        let (_, outcome) = read(&[br#"{"jsonrpc":"2.0","id":"y","result":{}}"#]);
        assert!(matches!(outcome, Err(CallError::BadReply(_))));
        let (_, outcome) = read(&[br#"{"jsonrpc":"2.0","id":"x"}"#]);
        assert!(matches!(outcome, Err(CallError::BadReply(_))));
        let (_, outcome) = read(&[b"HTTP/1.1 200 OK"]);
        assert!(matches!(outcome, Err(CallError::BadReply(_))));
    }
}
