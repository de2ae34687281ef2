//! Replies as bytes: one line of JSON and a blank line after it.
//!
//! A reply is either written whole ([`result`], [`error`], [`notification`]) or, for listings of
//! any size, as an envelope ([`begin_result`], [`END`]) around a result that the caller writes.

use crate::error::RpcError;
use crate::filter::{Filter, Filtering};
use crate::id::Id;
use serde::Serialize;
use serde_json::value::RawValue;

/// What ends every reply: the blank line that clients read up to.
pub const TERMINATOR: &[u8] = b"\n\n";

/// What ends a reply begun with [`begin_result`], after its result.
pub const END: &[u8] = b"}\n\n";

/// A reply with a result.
///
/// # Errors
/// If the result cannot be written as JSON.
pub fn result(id: &Id, result: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = begin_result(id);
    serde_json::to_writer(&mut bytes, result)?;
    bytes.extend_from_slice(END);
    Ok(bytes)
}

/// A reply with a result that is JSON already, in parts, without a blank line in it.
#[must_use]
pub fn written(id: &Id, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = begin_result(id);
    let more: usize = parts.iter().map(|part| part.len()).sum();
    bytes.reserve_exact(more + END.len());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.extend_from_slice(END);
    bytes
}

/// As [`written`], with what a filter leaves of the result.
#[must_use]
pub fn filtered(id: &Id, parts: &[&[u8]], filter: Filter) -> Vec<u8> {
    let mut bytes = begin_result(id);
    let mut filtering = Filtering::new(filter);
    parts
        .iter()
        .for_each(|part| filtering.feed(part, &mut bytes));
    bytes.extend_from_slice(END);
    bytes
}

/// A reply with an error.
#[must_use]
pub fn error(id: &Id, error: &RpcError) -> Vec<u8> {
    let mut bytes = begin(id, "error");
    // An RpcError is strings, an integer and a JSON value: it can always be written.
    if serde_json::to_writer(&mut bytes, error).is_err() {
        bytes.extend_from_slice(b"null");
    }
    bytes.extend_from_slice(END);
    bytes
}

/// The start of a reply, up to where the result goes.
#[must_use]
pub fn begin_result(id: &Id) -> Vec<u8> {
    begin(id, "result")
}

fn begin(id: &Id, member: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{},"{member}":"#, id.as_str()).into_bytes()
}

/// A notification: a method and parameters, without an id.
///
/// # Errors
/// If the parameters cannot be written as JSON.
pub fn notification(method: &str, params: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Notification<'a> {
        jsonrpc: &'static str,
        method: &'a str,
        params: Box<RawValue>,
    }
    let params = serde_json::value::to_raw_value(params)?;
    let mut bytes = serde_json::to_vec(&Notification {
        jsonrpc: "2.0",
        method,
        params,
    })?;
    bytes.extend_from_slice(TERMINATOR);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Code;
    use serde_json::json;

    #[test]
    fn replies_are_compact_in_clns_order_and_end_with_a_blank_line() {
        let raw = serde_json::from_str::<&RawValue>(r#""a\u0062""#).unwrap();
        let id = Id::from_raw(raw);
        let bytes = result(&id, &json!({"x": [1, 2]})).unwrap();
        let expected = "{\"jsonrpc\":\"2.0\",\"id\":\"a\\u0062\",\"result\":{\"x\":[1,2]}}\n\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);

        let bytes = error(&Id::null(), &RpcError::new(Code::PayInProgress, "wait"));
        let expected =
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":200,\"message\":\"wait\"}}\n\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
