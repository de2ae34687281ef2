//! Short channel ids: block x transaction x output, as BOLT 7 packs them.

use super::{ParseError, written_as_text};
use crate::json::Token;
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

const BLOCK_MAX: u64 = 0xff_ffff;
const TRANSACTION_MAX: u64 = 0xff_ffff;
const OUTPUT_MAX: u64 = 0xffff;

/// A short_channel_id, written `BxTxO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scid(pub u64);

impl FromStr for Scid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const ERROR: ParseError = ParseError("should be a short_channel_id of form NxNxN");
        let mut parts = text.split('x').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten()
        });
        let mut part = |max: u64| {
            parts
                .next()
                .flatten()
                .filter(|part| *part <= max)
                .ok_or(ERROR)
        };
        let block = part(BLOCK_MAX)?;
        let transaction = part(TRANSACTION_MAX)?;
        let output = part(OUTPUT_MAX)?;
        if parts.next().is_some() {
            return Err(ERROR);
        }
        Ok(Scid(block << 40 | transaction << 16 | output))
    }
}

impl fmt::Display for Scid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transaction = (self.0 >> 16) & TRANSACTION_MAX;
        write!(
            f,
            "{}x{}x{}",
            self.0 >> 40,
            transaction,
            self.0 & OUTPUT_MAX
        )
    }
}

impl Param for Scid {
    const TYPE: &'static str = "short_channel_id";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        token
            .text()
            .parse()
            .map_err(|_| BadParam::new("should be a short_channel_id of form NxNxN", token))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+x[0-9]+x[0-9]+$" })
    }
}

written_as_text!(Scid, "^[0-9]+x[0-9]+x[0-9]+$");

/// A channel in one direction, written `BxTxO/D`. Direction 0 is from the lesser node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScidDir {
    /// The channel.
    pub scid: Scid,
    /// 0 or 1.
    pub direction: u8,
}

impl FromStr for ScidDir {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const ERROR: ParseError = ParseError("should be a short_channel_id_dir of form NxNxN/N");
        let (scid, direction) = text.split_once('/').ok_or(ERROR)?;
        let direction = match direction {
            "0" => 0,
            "1" => 1,
            _ => return Err(ERROR),
        };
        Ok(ScidDir {
            scid: scid.parse().map_err(|_| ERROR)?,
            direction,
        })
    }
}

impl fmt::Display for ScidDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.scid, self.direction)
    }
}

impl Param for ScidDir {
    const TYPE: &'static str = "short_channel_id_dir";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        token
            .text()
            .parse()
            .map_err(|_| BadParam::new("should be a short_channel_id_dir of form NxNxN/N", token))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+x[0-9]+x[0-9]+/[01]$" })
    }
}

written_as_text!(ScidDir, "^[0-9]+x[0-9]+x[0-9]+/[01]$");
/// Which channels an invoice may name as ways to us: a truth value, a short_channel_id, or an array of
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExposedChannels {
    /// `true`: unannounced ones too. `false`: none of these.
    Unannounced(bool),
    /// Only these.
    Only(Vec<Scid>),
}

impl Param for ExposedChannels {
    const TYPE: &'static str = "boolean, short_channel_id or array of short_channel_ids";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        match token.text() {
            "true" => return Ok(ExposedChannels::Unannounced(true)),
            "false" => return Ok(ExposedChannels::Unannounced(false)),
            _ => {}
        }
        let channels = match token.elements() {
            Some(elements) => elements.into_iter().map(Scid::parse).collect(),
            None => Scid::parse(token).map(|channel| vec![channel]),
        };
        channels.map(ExposedChannels::Only)
    }

    fn schema() -> Value {
        json!({ "oneOf": [
            { "type": "boolean" },
            { "type": "array", "items": Scid::schema() },
            Scid::schema(),
        ] })
    }
}
