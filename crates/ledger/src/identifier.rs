//! The fixed-size names a ledger knows things by: payment hash, preimage, node id, payment id.

use std::fmt;
use std::str::FromStr;

use bitcoin_hashes::{Hash as _, HashEngine as _, sha256};

/// A text that is not the expected number of bytes in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("should be a {bytes} byte hex value")]
pub struct NotHex {
    /// How many bytes it should have.
    pub bytes: usize,
}

fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], NotHex> {
    let wrong = NotHex { bytes: N };
    if text.len() != 2 * N {
        return Err(wrong);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            let digit = char::from(*digit).to_digit(16).ok_or(wrong)?;
            value = value * 16 + digit;
        }
        *byte = u8::try_from(value).map_err(|_| wrong)?;
    }
    Ok(bytes)
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotHex;

            fn from_str(text: &str) -> Result<Self, NotHex> {
                decode_hex(text).map(Self)
            }
        }
    };
}

macro_rules! debug_as_hex {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

fixed_bytes!(
    /// SHA256 of a payment's preimage (BOLT 2, BOLT 11).
    PaymentHash,
    32
);
fixed_bytes!(
    /// The 32 bytes that prove a payment. `Display` prints them; `Debug` never does, so that a
    /// derived `Debug` cannot leak an unsettled one into a log.
    Preimage,
    32
);
fixed_bytes!(
    /// A compressed public key that names a node (BOLT 7). The ledger does not check the curve.
    NodeId,
    33
);
fixed_bytes!(
    /// What LDK is told to call one part; see [`payment_id`].
    PaymentId,
    32
);
debug_as_hex!(PaymentHash);
debug_as_hex!(NodeId);
debug_as_hex!(PaymentId);

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preimage(..)")
    }
}

impl Preimage {
    /// The payment hash that this preimage proves.
    pub fn payment_hash(&self) -> PaymentHash {
        PaymentHash(sha256::Hash::hash(&self.0).to_byte_array())
    }
}

/// The name under which LDK knows the record with these numbers: a tagged SHA256
/// (`SHA256(SHA256(tag) || SHA256(tag) || payment_hash || groupid || partid || created_index)`,
/// numbers as 8 bytes big endian).
///
/// `created_index` is never used twice, so an event of a deleted record never meets a later one
/// of the same hash, group and part.
pub fn payment_id(
    payment_hash: &PaymentHash,
    groupid: u64,
    partid: u64,
    created_index: u64,
) -> PaymentId {
    const TAG: sha256::Hash = sha256::Hash::const_hash(b"sendpay/payment_id/v1");
    let mut engine = sha256::HashEngine::default();
    engine.input(TAG.as_byte_array());
    engine.input(TAG.as_byte_array());
    engine.input(payment_hash.as_bytes());
    engine.input(&groupid.to_be_bytes());
    engine.input(&partid.to_be_bytes());
    engine.input(&created_index.to_be_bytes());
    PaymentId(sha256::Hash::from_engine(engine).to_byte_array())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_refuses_everything_else() {
        let text = "00ff10".to_owned() + &"ab".repeat(29);
        assert_eq!(text.parse::<PaymentHash>().unwrap().to_string(), text);
        assert_eq!(
            text.to_uppercase()
                .parse::<PaymentHash>()
                .unwrap()
                .to_string(),
            text
        );
        for wrong in ["", "00", &text[..63], &format!("{text}0"), &"zz".repeat(32)] {
            assert_eq!(wrong.parse::<PaymentHash>(), Err(NotHex { bytes: 32 }));
        }
        // 64 bytes, but not 64 characters.
        assert!("é".repeat(32).parse::<PaymentHash>().is_err());
    }

    #[test]
    fn a_preimage_is_not_printed_by_debug() {
        let preimage = Preimage([0xab; 32]);
        assert_eq!(format!("{preimage:?}"), "Preimage(..)");
    }

    #[test]
    fn a_preimage_hashes_to_its_payment_hash() {
        // SHA256 of 32 zero bytes, as sha256sum prints it.
        assert_eq!(
            Preimage([0; 32]).payment_hash().to_string(),
            "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
        );
    }

    #[test]
    fn each_number_of_a_record_changes_its_payment_id() {
        let hash = PaymentHash([1; 32]);
        let ids = [
            payment_id(&hash, 1, 0, 1),
            payment_id(&PaymentHash([2; 32]), 1, 0, 1),
            payment_id(&hash, 2, 0, 1),
            payment_id(&hash, 1, 1, 1),
            payment_id(&hash, 1, 0, 2),
        ];
        for (i, one) in ids.iter().enumerate() {
            assert!(ids.iter().skip(i + 1).all(|other| other != one));
        }
    }
}
