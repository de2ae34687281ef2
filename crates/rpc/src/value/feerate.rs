//! Fee rates of on-chain transactions, as a request names them. What a word or a number of blocks
//! comes to, only the daemon knows.

use crate::json::{Kind, Token};
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;

/// The least rate, in satoshi for 1000 weight units: what nodes relay, rounded up. CLN raises what is
/// below it.
const FLOOR_PER_KW: u32 = 253;

/// Weight units of a virtual byte.
const WEIGHT_A_BYTE: u32 = 4;

const SHOULD_BE_FEERATE: &str = "should be an integer with optional perkw/perkb";

/// CLN's words for rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeerateName {
    /// For funding transactions and withdrawals.
    Opening,
    /// For mutual closes.
    MutualClose,
    /// For commitment transactions without anchors.
    UnilateralClose,
    /// For commitment transactions with anchors.
    UnilateralAnchorClose,
    /// For what must be fast to save money.
    Penalty,
    /// Within some 100 blocks.
    Slow,
    /// Within some 12 blocks.
    Normal,
    /// Within some 6 blocks.
    Urgent,
    /// The least that the chain backend takes.
    Minimum,
}

impl FeerateName {
    const ALL: [(&'static str, FeerateName); 9] = [
        ("opening", FeerateName::Opening),
        ("mutual_close", FeerateName::MutualClose),
        ("unilateral_close", FeerateName::UnilateralClose),
        (
            "unilateral_anchor_close",
            FeerateName::UnilateralAnchorClose,
        ),
        ("penalty", FeerateName::Penalty),
        ("slow", FeerateName::Slow),
        ("normal", FeerateName::Normal),
        ("urgent", FeerateName::Urgent),
        ("minimum", FeerateName::Minimum),
    ];
}

/// A fee rate: a number, a word, or in how many blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feerate {
    /// Satoshi for 1000 weight units, 253 at least.
    PerKw(u32),
    /// What the daemon takes for this.
    Named(FeerateName),
    /// The estimate to be in a block within so many.
    Blocks(u32),
}

impl fmt::Display for Feerate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Feerate::PerKw(rate) => write!(f, "{rate}perkw"),
            Feerate::Blocks(blocks) => write!(f, "{blocks}blocks"),
            Feerate::Named(named) => {
                let word = FeerateName::ALL.iter().find(|(_, name)| name == named);
                f.write_str(word.map_or("", |(word, _)| word))
            }
        }
    }
}

impl Param for Feerate {
    const TYPE: &'static str = "feerate";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let text = token.text();
        let bad =
            |value: &str| BadParam::quoted(format!("{SHOULD_BE_FEERATE}, not '{value}'"), token);
        if !matches!(token.kind(), Kind::String | Kind::Primitive) {
            return Err(bad(text));
        }
        if let Some((_, name)) = FeerateName::ALL.iter().find(|(word, _)| *word == text) {
            return Ok(Feerate::Named(*name));
        }
        if let Some(blocks) = text.strip_suffix("blocks") {
            return decimal(blocks).map(Feerate::Blocks).ok_or_else(|| {
                BadParam::quoted(format!("should be an integer not '{blocks}'"), token)
            });
        }
        let (number, weight) = match text.strip_suffix("perkw") {
            Some(number) => (number, 1),
            None => (text.strip_suffix("perkb").unwrap_or(text), WEIGHT_A_BYTE),
        };
        decimal(number)
            // Rounded up, or it would not be what was asked for.
            .map(|rate| Feerate::PerKw(rate.div_ceil(weight).max(FLOOR_PER_KW)))
            .ok_or_else(|| bad(number))
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] })
    }
}

/// All of the text as decimal digits.
fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The least and the greatest rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeerateRange {
    /// The least.
    pub min: Feerate,
    /// The greatest.
    pub max: Feerate,
}

impl Param for FeerateRange {
    const TYPE: &'static str = "array";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        match token.elements().as_deref() {
            Some([min, max]) => Ok(FeerateRange {
                min: Feerate::parse(*min)?,
                max: Feerate::parse(*max)?,
            }),
            _ => Err(BadParam::new("should be an array of 2 entries", token)),
        }
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": Feerate::schema(), "minItems": 2, "maxItems": 2 })
    }
}
