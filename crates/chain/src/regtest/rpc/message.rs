//! JSON-RPC requests and replies, version 1 as bitcoind speaks it and version 2.
//!
//! Shapes and codes only: HTTP is in `server.rs`, parameters in `params.rs`.

use serde_json::{Map, Value, json};

use super::super::mine::MineError;
use super::super::reject::{ALREADY_KNOWN, AcceptError, FEE_ABOVE_MAX, MISSING_INPUTS};
use super::super::store::StoreError;

/// bitcoind's numbers (`rpc/protocol.h`).
pub(super) mod code {
    /// The request is no JSON-RPC request.
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    /// This program failed.
    pub(crate) const INTERNAL_ERROR: i64 = -32603;
    /// The body is not JSON.
    pub(crate) const PARSE_ERROR: i64 = -32700;
    /// Wrong count of parameters; and whatever has no number of its own.
    pub(crate) const MISC_ERROR: i64 = -1;
    /// A parameter has the wrong type.
    pub(crate) const TYPE_ERROR: i64 = -3;
    /// No such block, transaction or address.
    pub(crate) const INVALID_ADDRESS_OR_KEY: i64 = -5;
    /// A parameter is out of range.
    pub(crate) const INVALID_PARAMETER: i64 = -8;
    /// The chain's database failed.
    pub(crate) const DATABASE_ERROR: i64 = -20;
    /// What is between the hex digits is no block or transaction.
    pub(crate) const DESERIALIZATION_ERROR: i64 = -22;
    /// A block or transaction could not be used.
    pub(crate) const VERIFY_ERROR: i64 = -25;
    /// A transaction broke a rule.
    pub(crate) const VERIFY_REJECTED: i64 = -26;
    /// A transaction is in the chain already.
    pub(crate) const VERIFY_ALREADY_IN_CHAIN: i64 = -27;
}

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        RpcError {
            code,
            message: message.into(),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the regtest chain's database failed");
        RpcError::new(code::DATABASE_ERROR, error.to_string())
    }
}

impl From<AcceptError> for RpcError {
    /// A refused transaction, with the number that `sendrawtransaction` gives it.
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Store(error) => error.into(),
            AcceptError::Rejected(reject) => match reject.reason() {
                MISSING_INPUTS => RpcError::new(code::VERIFY_ERROR, reject.text()),
                ALREADY_KNOWN => RpcError::new(
                    code::VERIFY_ALREADY_IN_CHAIN,
                    "Transaction outputs already in utxo set",
                ),
                FEE_ABOVE_MAX => RpcError::new(
                    code::VERIFY_ERROR,
                    "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
                ),
                _ => RpcError::new(code::VERIFY_REJECTED, reject.text()),
            },
        }
    }
}

impl From<MineError> for RpcError {
    fn from(error: MineError) -> Self {
        match error {
            MineError::Accept(AcceptError::Store(error)) => error.into(),
            MineError::Accept(AcceptError::Rejected(reject)) => {
                RpcError::new(code::VERIFY_ERROR, reject.text())
            }
            MineError::Random(_) => RpcError::new(code::INTERNAL_ERROR, error.to_string()),
        }
    }
}

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Array, object or null.
    pub(super) params: Value,
    reply: Reply,
}

/// What a reply must repeat of its request.
#[derive(Debug)]
pub(super) struct Reply {
    /// None: a notification of version 2, which gets no reply.
    id: Option<Value>,
    version_2: bool,
}

impl Reply {
    /// For a request that could not be read.
    pub(super) fn unknown() -> Self {
        Reply {
            id: Some(Value::Null),
            version_2: false,
        }
    }

    /// The reply's body and, if it is no part of a batch, its HTTP status.
    pub(super) fn render(self, result: Result<Value, RpcError>) -> Option<(u16, Value)> {
        let id = self.id?;
        let mut body = Map::new();
        let status = match &result {
            Err(error) if !self.version_2 => http_status(error.code),
            _ => 200,
        };
        if self.version_2 {
            body.insert("jsonrpc".into(), "2.0".into());
        }
        let (result, error) = match result {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error.to_json())),
        };
        // Version 2 has one of the two, version 1 both.
        if result.is_some() || !self.version_2 {
            body.insert("result".into(), result.unwrap_or(Value::Null));
        }
        if error.is_some() || !self.version_2 {
            body.insert("error".into(), error.unwrap_or(Value::Null));
        }
        body.insert("id".into(), id);
        Some((status, Value::Object(body)))
    }
}

/// Version 1 shows errors by the HTTP status, too.
fn http_status(code: i64) -> u16 {
    match code {
        code::INVALID_REQUEST => 400,
        code::METHOD_NOT_FOUND => 404,
        _ => 500,
    }
}

impl Request {
    /// Reads a request; the error comes with what its reply must repeat.
    pub(super) fn read(value: Value) -> Result<Self, (Reply, RpcError)> {
        let invalid = |message: &str| RpcError::new(code::INVALID_REQUEST, message);
        let Value::Object(mut fields) = value else {
            return Err((Reply::unknown(), invalid("Invalid Request object")));
        };
        let id = fields.remove("id");
        let version_2 = match fields.get("jsonrpc") {
            None => false,
            Some(Value::String(version)) if version == "2.0" => true,
            Some(Value::String(version)) if version == "1.0" || version == "1.1" => false,
            Some(_) => {
                let reply = Reply {
                    id: Some(id.unwrap_or_default()),
                    version_2: false,
                };
                return Err((reply, invalid("JSON-RPC version not supported")));
            }
        };
        let id = if version_2 {
            id
        } else {
            Some(id.unwrap_or_default())
        };
        let reply = Reply { id, version_2 };
        let method = match fields.remove("method") {
            Some(Value::String(method)) => method,
            Some(_) => return Err((reply, invalid("Method must be a string"))),
            None => return Err((reply, invalid("Missing method"))),
        };
        let params = fields.remove("params").unwrap_or_default();
        if !matches!(params, Value::Array(_) | Value::Object(_) | Value::Null) {
            return Err((reply, invalid("Params must be an array or object")));
        }
        Ok(Request {
            method,
            params,
            reply,
        })
    }

    /// What the reply must repeat.
    pub(super) fn into_parts(self) -> (String, Value, Reply) {
        (self.method, self.params, self.reply)
    }
}
