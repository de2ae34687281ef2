//! Values that are written as hex: hashes, secrets, node ids and bytes of any length.

use super::{ParseError, read_as_text, written_as_text};
use crate::json::Token;
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

/// The two digits of each byte.
#[allow(clippy::indexing_slicing)] // Out of bounds would not compile.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        hex[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    hex
};

/// Puts the hex of the bytes at the start of `text`, and returns it.
fn hex<'a>(bytes: &[u8], text: &'a mut [u8]) -> &'a str {
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        // There is one for each byte.
        *pair = HEX.get(usize::from(*byte)).copied().unwrap_or_default();
    }
    let written = text.get(..2 * bytes.len()).unwrap_or_default();
    // Digits are ASCII.
    std::str::from_utf8(written).unwrap_or_default()
}

/// Writes hex a run at a time: a long listing is mostly hashes.
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const RUN: usize = 33;
    for run in bytes.chunks(RUN) {
        f.write_str(hex(run, &mut [0; 2 * RUN]))?;
    }
    Ok(())
}

macro_rules! fixed_bytes {
    ($type:ident, $length:literal, $pattern:literal, $name:literal, $should:literal) => {
        impl $type {
            /// From the bytes, in the order the hex has them.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                $type(bytes)
            }

            /// The bytes, in the order the hex has them.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; $length] {
                self.0
            }
        }

        impl FromStr for $type {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let bytes = decode(text).ok_or(ParseError($should))?;
                let bytes = bytes.try_into().map_err(|_| ParseError($should))?;
                $type(bytes).checked().ok_or(ParseError($should))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl Param for $type {
            const TYPE: &'static str = $name;

            fn parse(token: Token<'_>) -> Result<Self, BadParam> {
                token.text().parse().map_err(|_| BadParam::new($should, token))
            }

            fn schema() -> Value {
                json!({ "type": "string", "pattern": $pattern })
            }
        }

        impl serde::Serialize for $type {
            /// At once: a long listing is mostly hashes.
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(hex(&self.0, &mut [0; 2 * $length]))
            }
        }

        read_as_text!($type, $pattern);
    };
}

/// A SHA256 hash, such as a payment_hash; also a channel_id or txid, in the order it is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash32([u8; 32]);
fixed_bytes!(
    Hash32,
    32,
    "^[0-9a-f]{64}$",
    "hash",
    "should be a 32 byte hex value"
);

impl Hash32 {
    fn checked(self) -> Option<Self> {
        Some(self)
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 32 bytes that must not be logged: a payment_preimage or a payment_secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 32]);
fixed_bytes!(
    Secret,
    32,
    "^[0-9a-f]{64}$",
    "secret",
    "should be a 32 byte hex value"
);

impl Secret {
    fn checked(self) -> Option<Self> {
        Some(self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A node id: a compressed public key. Only the form is checked here, not that the point exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 33]);
fixed_bytes!(
    NodeId,
    33,
    "^0[23][0-9a-f]{64}$",
    "pubkey",
    "should be a node id"
);

impl NodeId {
    fn checked(self) -> Option<Self> {
        matches!(self.0.first(), Some(2 | 3)).then_some(self)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes of any length, written as hex.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HexBytes(pub Vec<u8>);

impl FromStr for HexBytes {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        decode(text)
            .map(HexBytes)
            .ok_or(ParseError("should be a hex value"))
    }
}

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexBytes({} bytes)", self.0.len())
    }
}

impl Param for HexBytes {
    const TYPE: &'static str = "hex";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        token
            .text()
            .parse()
            .map_err(|_| BadParam::new("should be a hex value", token))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" })
    }
}

written_as_text!(HexBytes, "^([0-9a-f]{2})*$");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hex_of_any_length_reads_back() {
        for length in 0..200_u8 {
            let bytes = HexBytes((0..length).map(|byte| byte.wrapping_mul(7)).collect());
            let text = bytes.to_string();
            assert_eq!(text.len(), 2 * usize::from(length));
            assert_eq!(text.to_uppercase().parse::<HexBytes>().unwrap(), bytes);
            let mut by_hand = String::new();
            bytes
                .0
                .iter()
                .for_each(|byte| by_hand.push_str(&format!("{byte:02x}")));
            assert_eq!(text, by_hand);
        }
        assert!("abc".parse::<HexBytes>().is_err());
        assert!("zz".parse::<HexBytes>().is_err());
    }
}
