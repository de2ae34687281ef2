//! The id of a request, kept as the bytes it came in.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// A request's id: the JSON text of a string or other primitive, echoed byte for byte.
#[derive(Clone)]
pub struct Id(Box<RawValue>);

impl Id {
    /// The id of replies to what could not be understood: `null`.
    #[must_use]
    pub fn null() -> Self {
        Id(RawValue::NULL.to_owned())
    }

    /// The id with this JSON text. The caller has seen that it is a string or a primitive.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Self {
        Id(raw.to_owned())
    }

    /// The JSON text, quotes and escapes included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Id {}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
