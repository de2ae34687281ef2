//! Amounts of money, and percentages without floats.

use super::ParseError;
use crate::json::{Kind, Token};
use crate::param::{BadParam, Param};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// 21 million bitcoin in millisatoshi: no amount is above it.
pub const BITCOIN_SUPPLY_MSAT: u64 = 2_100_000_000_000_000_000;

const MSAT_PER_SAT: u64 = 1_000;
/// Decimals of a bitcoin down to one millisatoshi.
const BITCOIN_DECIMALS_MAX: usize = 11;
/// Decimals of a satoshi down to one millisatoshi.
const SAT_DECIMALS: usize = 3;

const SHOULD_BE_MSAT: &str = "should be a millisatoshi amount";
const SHOULD_BE_POSITIVE: &str = "should be a positive millisatoshi amount";
const SHOULD_BE_SAT: &str = "should be a satoshi amount";

/// An amount in millisatoshi, written as an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Msat(pub u64);

/// All of the text as decimal digits.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A number with decimals, in units of `10^-decimals`.
fn fixed_point(text: &str, decimals: std::ops::RangeInclusive<usize>) -> Option<u64> {
    let (whole, fraction) = text.split_once('.')?;
    if !decimals.contains(&fraction.len()) {
        return None;
    }
    let unit = 10u64.checked_pow(u32::try_from(*decimals.end()).ok()?)?;
    let missing = u32::try_from(decimals.end().checked_sub(fraction.len())?).ok()?;
    let fraction = decimal(fraction)?.checked_mul(10u64.checked_pow(missing)?)?;
    decimal(whole)?.checked_mul(unit)?.checked_add(fraction)
}

fn msat(text: &str) -> Option<u64> {
    if let Some(number) = text.strip_suffix("msat") {
        decimal(number)
    } else if let Some(number) = text.strip_suffix("sat") {
        match decimal(number) {
            Some(sat) => sat.checked_mul(MSAT_PER_SAT),
            None => fixed_point(number, SAT_DECIMALS..=SAT_DECIMALS),
        }
    } else if let Some(number) = text.strip_suffix("btc") {
        fixed_point(number, 1..=BITCOIN_DECIMALS_MAX)
    } else {
        decimal(text)
    }
}

impl FromStr for Msat {
    type Err = ParseError;

    /// Reads `1000`, `1000msat`, `1sat`, `1.000sat` and `0.00000001btc`, up to all bitcoin there
    /// can be.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match msat(text) {
            Some(msat) if msat <= BITCOIN_SUPPLY_MSAT => Ok(Msat(msat)),
            _ => Err(ParseError(SHOULD_BE_MSAT)),
        }
    }
}

/// As in error texts and the listing: `1000msat`.
impl fmt::Display for Msat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}msat", self.0)
    }
}

fn is_scalar(token: Token<'_>) -> bool {
    matches!(token.kind(), Kind::String | Kind::Primitive)
}

impl Param for Msat {
    const TYPE: &'static str = "msat";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let bad = |_| BadParam::new(SHOULD_BE_MSAT, token);
        if !is_scalar(token) {
            return Err(BadParam::new(SHOULD_BE_MSAT, token));
        }
        token.text().parse().map_err(bad)
    }

    fn schema() -> Value {
        json!({ "oneOf": [
            { "type": "integer", "minimum": 0, "maximum": BITCOIN_SUPPLY_MSAT },
            { "type": "string", "pattern": "^[0-9]+(msat|sat)?$|^[0-9]+\\.[0-9]{3}sat$|^[0-9]+\\.[0-9]{1,11}btc$" },
        ] })
    }
}

struct MsatVisitor;

impl Visitor<'_> for MsatVisitor {
    type Value = Msat;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount in millisatoshi")
    }

    fn visit_u64<E: de::Error>(self, msat: u64) -> Result<Msat, E> {
        Ok(Msat(msat))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Msat, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Msat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MsatVisitor)
    }
}

impl JsonSchema for Msat {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Msat".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "title": "msat" })
    }
}

/// An amount to be paid: not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonzeroMsat(Msat);

impl NonzeroMsat {
    /// The amount, unless it is zero.
    #[must_use]
    pub fn new(amount: Msat) -> Option<Self> {
        (amount.0 > 0).then_some(NonzeroMsat(amount))
    }

    /// The amount.
    #[must_use]
    pub fn msat(self) -> Msat {
        self.0
    }
}

impl fmt::Display for NonzeroMsat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Param for NonzeroMsat {
    const TYPE: &'static str = "msat";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        NonzeroMsat::new(Msat::parse(token)?)
            .ok_or_else(|| BadParam::new(SHOULD_BE_POSITIVE, token))
    }

    fn schema() -> Value {
        Msat::schema()
    }
}

/// The amount of an invoice: a positive amount, or whatever the payer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountOrAny {
    /// The payer chooses.
    Any,
    /// This amount.
    Amount(NonzeroMsat),
}

impl Param for AmountOrAny {
    const TYPE: &'static str = "msat_or_any";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        if is_scalar(token) && token.text() == "any" {
            return Ok(AmountOrAny::Any);
        }
        NonzeroMsat::parse(token)
            .map(AmountOrAny::Amount)
            .map_err(|_| BadParam::new("should be positive msat or 'any'", token))
    }

    fn schema() -> Value {
        Msat::schema()
    }
}

/// An on-chain amount in whole satoshi, or all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SatOrAll {
    /// Everything the wallet holds.
    All,
    /// This many satoshi.
    Sat(u64),
}

impl Param for SatOrAll {
    const TYPE: &'static str = "sat_or_all";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        match is_scalar(token) && token.text() == "all" {
            true => Ok(SatOrAll::All),
            false => Sat::parse(token).map(|Sat(sat)| SatOrAll::Sat(sat)),
        }
    }

    fn schema() -> Value {
        Sat::schema()
    }
}

/// A sum in satoshi: a number, or one with `sat`, `msat` (in whole satoshi) or `btc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sat(pub u64);

impl Param for Sat {
    const TYPE: &'static str = "sat";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let bad = || BadParam::new(SHOULD_BE_SAT, token);
        if !is_scalar(token) {
            return Err(bad());
        }
        let text = token.text();
        // A bare number is satoshi here, millisatoshi only with the suffix and in whole satoshi.
        let msat = match decimal(text) {
            Some(sat) => sat.checked_mul(MSAT_PER_SAT),
            None => msat(text),
        };
        match msat {
            Some(msat) if msat <= BITCOIN_SUPPLY_MSAT && msat % MSAT_PER_SAT == 0 => {
                Ok(Sat(msat / MSAT_PER_SAT))
            }
            _ => Err(bad()),
        }
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] })
    }
}

/// How the amounts of payments are written. One setting for the whole process; results are built
/// with it, so that no method can forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Amounts {
    /// `"1000msat"`, as in the first manual page of the method.
    #[default]
    #[serde(rename = "msat-strings")]
    MsatStrings,
    /// `1000`, as Core Lightning since v23.
    #[serde(rename = "integer")]
    Integer,
}

impl Amounts {
    /// The amount as a member of a payment.
    #[must_use]
    pub const fn payment(self, msat: u64) -> PaymentMsat {
        PaymentMsat {
            msat,
            amounts: self,
        }
    }

    /// A sum of such amounts.
    #[must_use]
    pub const fn sum(self, msat: u128) -> SumMsat {
        SumMsat {
            msat,
            amounts: self,
        }
    }
}

/// An amount of a payment, written as the configuration says. Read in either form.
#[derive(Debug, Clone, Copy, Eq)]
pub struct PaymentMsat {
    msat: u64,
    amounts: Amounts,
}

impl PaymentMsat {
    /// The amount in millisatoshi.
    #[must_use]
    pub const fn msat(self) -> u64 {
        self.msat
    }
}

const UNIT: &[u8] = b"msat";

/// The longest text of an amount: the digits of the greatest `u64`, and the unit.
const TEXT_BYTES: usize = 20 + UNIT.len();

/// What [`Msat`] shows, made without the machinery of formatting: each record has two.
fn text(msat: u64, room: &mut [u8; TEXT_BYTES]) -> &str {
    let (digits, unit) = room.split_at_mut(TEXT_BYTES - UNIT.len());
    unit.copy_from_slice(UNIT);
    let mut left = msat;
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        // Below ten.
        *digit = b'0' + u8::try_from(left % 10).unwrap_or_default();
        start -= 1;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let written = room.get(start..).unwrap_or_default();
    // Digits and the unit are ASCII.
    std::str::from_utf8(written).unwrap_or_default()
}

/// The same amount, however it is written.
impl PartialEq for PaymentMsat {
    fn eq(&self, other: &Self) -> bool {
        self.msat == other.msat
    }
}

impl Serialize for PaymentMsat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.amounts {
            Amounts::MsatStrings => serializer.serialize_str(text(self.msat, &mut [0; TEXT_BYTES])),
            Amounts::Integer => serializer.serialize_u64(self.msat),
        }
    }
}

impl<'de> Deserialize<'de> for PaymentMsat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Msat::deserialize(deserializer).map(|msat| Amounts::default().payment(msat.0))
    }
}

impl JsonSchema for PaymentMsat {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PaymentMsat".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": "msat", "oneOf": [
            { "type": "string", "pattern": "^[0-9]+msat$" },
            { "type": "integer", "minimum": 0 },
        ] })
    }
}

/// A sum of amounts of payments, written as they are. It may be above all bitcoin there can be: the
/// same bitcoin is sent again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumMsat {
    msat: u128,
    amounts: Amounts,
}

impl SumMsat {
    /// The sum in millisatoshi.
    #[must_use]
    pub const fn msat(self) -> u128 {
        self.msat
    }
}

impl Serialize for SumMsat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.amounts {
            Amounts::MsatStrings => serializer.collect_str(&format_args!("{}msat", self.msat)),
            Amounts::Integer => serializer.serialize_u128(self.msat),
        }
    }
}

impl JsonSchema for SumMsat {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SumMsat".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PaymentMsat::json_schema(generator)
    }
}

/// A non-negative decimal number in millionths: percentages and risk factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u64);

impl Millionths {
    const DECIMALS: usize = 6;
    const ONE: u64 = 1_000_000;
}

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::ONE, self.0 % Self::ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:06}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl Param for Millionths {
    const TYPE: &'static str = "number";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let text = if is_scalar(token) { token.text() } else { "" };
        let value = match text.split_once('.') {
            None => decimal(text).and_then(|whole| whole.checked_mul(Self::ONE)),
            // Digits past the sixth are cut off, as in CLN, but they must be digits.
            Some((whole, fraction)) if fraction.len() > Self::DECIMALS => {
                let kept = fraction.get(..Self::DECIMALS).unwrap_or_default();
                fraction
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
                    .then(|| fixed_point(&format!("{whole}.{kept}"), 1..=Self::DECIMALS))
                    .flatten()
            }
            Some(_) => fixed_point(text, 1..=Self::DECIMALS),
        };
        value
            .map(Millionths)
            .ok_or_else(|| BadParam::new("should be a non-negative floating-point number", token))
    }

    fn schema() -> Value {
        json!({ "type": "number", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_a_payment_is_written_as_it_is_shown() {
        for msat in [
            0,
            1,
            9,
            10,
            999,
            1000,
            BITCOIN_SUPPLY_MSAT,
            u64::MAX - 1,
            u64::MAX,
        ] {
            assert_eq!(text(msat, &mut [0; TEXT_BYTES]), Msat(msat).to_string());
        }
    }
}
