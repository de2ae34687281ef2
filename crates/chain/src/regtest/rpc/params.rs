//! Reads the parameters of a method, by position or by name, with bitcoind's refusals.

use std::str::FromStr;

use bitcoin::consensus::Decodable;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, BlockHash, Transaction, Txid};
use serde_json::Value;

use super::message::{RpcError, code};

/// The parameters of one request in the order of the method's list; what is absent is null.
#[derive(Debug)]
pub(super) struct Params {
    names: &'static [&'static str],
    values: Vec<Value>,
}

/// `method ( first second )`, for help and for refusals.
pub(super) fn usage(method: &str, names: &[&str]) -> String {
    if names.is_empty() {
        method.to_owned()
    } else {
        format!("{method} ( {} )", names.join(" "))
    }
}

impl Params {
    /// Puts the parameters of a request in order.
    pub(super) fn read(
        method: &str,
        names: &'static [&'static str],
        params: Value,
    ) -> Result<Self, RpcError> {
        let values = match params {
            Value::Array(values) if values.len() > names.len() => {
                return Err(RpcError::new(code::MISC_ERROR, usage(method, names)));
            }
            Value::Array(values) => values,
            Value::Object(mut fields) => {
                let values = names
                    .iter()
                    .map(|name| fields.remove(*name).unwrap_or_default())
                    .collect();
                if let Some(name) = fields.keys().next() {
                    let message = format!("Unknown named parameter {name}");
                    return Err(RpcError::new(code::INVALID_PARAMETER, message));
                }
                values
            }
            _ => Vec::new(),
        };
        Ok(Params { names, values })
    }

    fn name(&self, index: usize) -> &'static str {
        self.names.get(index).copied().unwrap_or("parameter")
    }

    /// A parameter of any type; none if it is absent or null.
    pub(super) fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index).filter(|value| !value.is_null())
    }

    fn required(&self, index: usize) -> Result<&Value, RpcError> {
        self.get(index).ok_or_else(|| {
            let message = format!("missing parameter {}", self.name(index));
            RpcError::new(code::MISC_ERROR, message)
        })
    }

    fn wrong_type(&self, index: usize, value: &Value, expected: &str) -> RpcError {
        RpcError::new(
            code::TYPE_ERROR,
            format!(
                "Wrong type passed: position {} ({}): JSON value of type {} is not of expected type {expected}",
                index + 1,
                self.name(index),
                type_name(value)
            ),
        )
    }

    /// A text that must be there.
    pub(super) fn text(&self, index: usize) -> Result<&str, RpcError> {
        let value = self.required(index)?;
        value
            .as_str()
            .ok_or_else(|| self.wrong_type(index, value, "string"))
    }

    /// An array that must be there.
    pub(super) fn array(&self, index: usize) -> Result<&[Value], RpcError> {
        let value = self.required(index)?;
        match value {
            Value::Array(items) => Ok(items),
            _ => Err(self.wrong_type(index, value, "array")),
        }
    }

    /// A truth value; `absent` if it is not there.
    pub(super) fn flag(&self, index: usize, absent: bool) -> Result<bool, RpcError> {
        match self.get(index) {
            None => Ok(absent),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.wrong_type(index, value, "bool")),
        }
    }

    /// A whole number of an unsigned type; none if it is not there.
    pub(super) fn number<T: TryFrom<i64>>(&self, index: usize) -> Result<Option<T>, RpcError> {
        let Some(value) = self.get(index) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .ok_or_else(|| self.wrong_type(index, value, "number"))?;
        T::try_from(number).map(Some).map_err(|_| {
            let message = format!("{} out of range", self.name(index));
            RpcError::new(code::INVALID_PARAMETER, message)
        })
    }

    /// A whole number that must be there.
    pub(super) fn required_number<T: TryFrom<i64>>(&self, index: usize) -> Result<T, RpcError> {
        self.required(index)?;
        self.number(index)?
            .ok_or_else(|| RpcError::new(code::MISC_ERROR, self.name(index)))
    }

    /// How much to tell: a number, or false and true for 0 and 1.
    pub(super) fn verbosity(&self, index: usize, absent: u32) -> Result<u32, RpcError> {
        match self.get(index) {
            Some(Value::Bool(flag)) => Ok(u32::from(*flag)),
            _ => Ok(self.number(index)?.unwrap_or(absent)),
        }
    }

    /// A fee rate in bitcoin for 1000 virtual bytes; none if it is not there.
    pub(super) fn feerate_btc(&self, index: usize) -> Result<Option<Amount>, RpcError> {
        let Some(value) = self.get(index) else {
            return Ok(None);
        };
        let text = match value {
            // Through the shortest decimal, as it stood in the request.
            Value::Number(number) => number.as_f64().map(|rate| format!("{rate}")),
            Value::String(text) => Some(text.clone()),
            _ => None,
        };
        let text = text.ok_or_else(|| self.wrong_type(index, value, "number"))?;
        Amount::from_str_in(&text, bitcoin::Denomination::Bitcoin)
            .map(Some)
            .map_err(|_| RpcError::new(code::TYPE_ERROR, "Invalid amount"))
    }

    /// The hash of a block.
    pub(super) fn block_hash(&self, index: usize) -> Result<BlockHash, RpcError> {
        self.hash(index)
    }

    /// The hash of a transaction.
    pub(super) fn txid(&self, index: usize) -> Result<Txid, RpcError> {
        self.hash(index)
    }

    fn hash<T: FromStr>(&self, index: usize) -> Result<T, RpcError> {
        let (name, text) = (self.name(index), self.text(index)?);
        if text.len() != 64 {
            let length = text.len();
            let message = format!("{name} must be of length 64 (not {length}, for '{text}')");
            return Err(RpcError::new(code::INVALID_PARAMETER, message));
        }
        text.parse().map_err(|_| {
            let message = format!("{name} must be hexadecimal string (not '{text}')");
            RpcError::new(code::INVALID_PARAMETER, message)
        })
    }

    /// A block in hex.
    pub(super) fn hex<T: Decodable>(&self, index: usize, refusal: &str) -> Result<T, RpcError> {
        deserialize_hex(self.text(index)?)
            .map_err(|_| RpcError::new(code::DESERIALIZATION_ERROR, refusal))
    }
}

/// A transaction in hex, as bitcoind refuses it.
pub(super) fn transaction(value: &Value) -> Result<Transaction, RpcError> {
    value
        .as_str()
        .and_then(|text| deserialize_hex(text).ok())
        .ok_or_else(|| {
            RpcError::new(
                code::DESERIALIZATION_ERROR,
                "TX decode failed. Make sure the tx has at least one input.",
            )
        })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
