//! Integers, as C's `strtoull` with base 0 reads them, since that is what CLN does.

use super::ParseError;
use crate::json::{Kind, Token};
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;

/// The greatest groupid and partid: what a signed 64-bit column holds.
pub const NUMBER63_MAX: u64 = i64::MAX as u64;

/// Reads an unsigned integer: decimal, `0x` hexadecimal or `0` octal; a minus sign wraps around,
/// as it does in C.
fn integer(text: &str) -> Option<u64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (digits, radix) = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // from_str_radix would take a second sign.
    if !digits.as_bytes().first()?.is_ascii_hexdigit() {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// The text of a string or primitive; arrays and objects have none.
fn scalar(token: Token<'_>) -> Option<&str> {
    matches!(token.kind(), Kind::String | Kind::Primitive).then(|| token.text())
}

macro_rules! integer_param {
    ($type:ident, $name:literal, $should:literal) => {
        impl Param for $type {
            const TYPE: &'static str = $name;

            fn parse(token: Token<'_>) -> Result<Self, BadParam> {
                scalar(token)
                    .and_then(integer)
                    .and_then(|value| $type::try_from(value).ok())
                    .ok_or_else(|| BadParam::new($should, token))
            }

            fn schema() -> Value {
                json!({ "type": "integer", "minimum": 0, "maximum": $type::MAX })
            }
        }
    };
}

integer_param!(u64, "u64", "should be an unsigned 64 bit integer");
integer_param!(u32, "u32", "should be an unsigned 32 bit integer");
integer_param!(u16, "u16", "should be an unsigned 16 bit integer");

impl Param for bool {
    const TYPE: &'static str = "boolean";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        // The words alone, without quotes: CLN takes no text for them.
        match token.raw() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(BadParam::new("should be 'true' or 'false'", token)),
        }
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

/// A groupid or partid: 0 to 2^63-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Number63(u64);

impl Number63 {
    /// The number, if it is in range.
    ///
    /// # Errors
    /// If it is above [`NUMBER63_MAX`].
    pub const fn new(value: u64) -> Result<Self, ParseError> {
        if value > NUMBER63_MAX {
            return Err(ParseError("above 9223372036854775807"));
        }
        Ok(Number63(value))
    }

    /// Zero, the partid of a payment in one part.
    pub const ZERO: Number63 = Number63(0);

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Number63 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Param for Number63 {
    const TYPE: &'static str = "u63";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let value = u64::parse(token)?;
        Number63::new(value)
            .map_err(|_| BadParam::new("should be an integer from 0 to 9223372036854775807", token))
    }

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0, "maximum": NUMBER63_MAX })
    }
}

/// The error code of a failed payment: 202 to 209.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureCode(u16);

impl FailureCode {
    const RANGE: std::ops::RangeInclusive<u16> = 202..=209;

    /// The number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0 as i32
    }
}

impl Param for FailureCode {
    const TYPE: &'static str = "u16";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let code = u16::parse(token)?;
        match Self::RANGE.contains(&code) {
            true => Ok(FailureCode(code)),
            false => Err(BadParam::new("should be an integer from 202 to 209", token)),
        }
    }

    fn schema() -> Value {
        json!({
            "type": "integer", "minimum": Self::RANGE.start(), "maximum": Self::RANGE.end(),
        })
    }
}
