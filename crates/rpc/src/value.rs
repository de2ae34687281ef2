//! The types of single values: what a parameter or a member of a result can be.
//!
//! Each parses from a parameter with CLN's error text, is written as CLN writes it, and knows its
//! JSON schema. Amounts are integers of millisatoshi in a type of their own, never floats.

mod amount;
mod bytes;
mod channel;
mod choice;
mod feerate;
mod integer;
mod outpoint;
mod route;
mod scid;
mod spontaneous;
mod text;

pub use amount::{
    AmountOrAny, Amounts, BITCOIN_SUPPLY_MSAT, Millionths, Msat, NonzeroMsat, PaymentMsat, Sat,
    SatOrAll, SumMsat,
};
pub use bytes::{Hash32, HexBytes, NodeId, Secret};
pub use channel::{ChannelRef, ChannelsRef, PeerId};
pub use choice::{
    AddressType, ChangeKind, DeletableStatus, FeerateStyle, ForwardStatus, IndexName, ListIndex,
    ListOrder, PaymentStatus, Subsystem,
};
pub use feerate::{Feerate, FeerateName, FeerateRange};
pub use integer::{FailureCode, NUMBER63_MAX, Number63};
pub use outpoint::{Outpoint, Outpoints};
pub use route::{Exclude, Excludes, RouteHop, RouteHops};
pub use scid::{ExposedChannels, Scid, ScidDir};
pub use spontaneous::{ExtraTlvs, PrivateHop, PrivateRoutes};
pub use text::{
    EscapedText, IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, InvoiceString, Label, PlainText,
    TextList,
};

/// Gives a type that is written as a string its serde and schema implementations, from its
/// `Display`, its `FromStr` and a regular expression.
macro_rules! written_as_text {
    ($type:ident, $pattern:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        crate::value::read_as_text!($type, $pattern);
    };
}

/// As `written_as_text`, for a type that has a quicker way to be written.
macro_rules! read_as_text {
    ($type:ident, $pattern:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "title": <$type as crate::param::Param>::TYPE,
                })
            }
        }
    };
}

use {read_as_text, written_as_text};

/// The text was not a value of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub &'static str);
