//! Outputs of transactions, named as `txid:output`.

use super::{Hash32, ParseError};
use crate::json::Token;
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// One output of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outpoint {
    /// The id of the transaction.
    pub txid: Hash32,
    /// Which output of it.
    pub output: u32,
}

impl FromStr for Outpoint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const ERROR: ParseError = ParseError("should be a txid:outnum");
        let (txid, output) = text.split_once(':').ok_or(ERROR)?;
        if output.is_empty() || !output.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ERROR);
        }
        Ok(Outpoint {
            txid: txid.parse().map_err(|_| ERROR)?,
            output: output.parse().map_err(|_| ERROR)?,
        })
    }
}

impl fmt::Display for Outpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.output)
    }
}

impl Param for Outpoint {
    const TYPE: &'static str = "outpoint";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let outpoint = token.text().parse();
        outpoint.map_err(|_| BadParam::new("should be a txid:outnum", token))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9a-f]{64}:[0-9]+$" })
    }
}

/// An array of outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outpoints(pub Vec<Outpoint>);

impl Param for Outpoints {
    const TYPE: &'static str = "array";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let elements = token.elements().ok_or_else(|| {
            let value = token.text();
            let text = format!(
                "Could not decode the outpoint array for utxos: \"{value}\" is not a valid outpoint \
                 array."
            );
            BadParam::alone(text, token)
        })?;
        let outpoints = elements.into_iter().map(|element| {
            element.text().parse().map_err(|_| {
                let raw = element.raw();
                let text =
                    format!("Could not decode outpoint \"{raw}\", expected format: txid:output");
                BadParam::alone(text, element)
            })
        });
        outpoints.collect::<Result<_, _>>().map(Outpoints)
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": Outpoint::schema() })
    }
}
