//! JSON text as it was sent, before it has a type.
//!
//! Parsing into `serde_json::Value` would lose what the contract needs: whether a number was
//! quoted, duplicate names, the order of members. So a [`Token`] borrows the raw text.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What sort of JSON value a token is, as CLN's parser divides them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A quoted string.
    String,
    /// A number, `true`, `false` or `null`.
    Primitive,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One JSON value as text. The text is well formed.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    raw: &'a str,
}

impl<'a> Token<'a> {
    /// The token for a raw value.
    #[must_use]
    pub fn new(raw: &'a RawValue) -> Self {
        Token {
            raw: raw.get().trim_ascii(),
        }
    }

    /// The whole text, quotes included.
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// The text without the quotes of a string; escapes stay as they are.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.raw
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(self.raw)
    }

    /// What sort of value this is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.raw.as_bytes().first() {
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            _ => Kind::Primitive,
        }
    }

    /// Whether this is the literal `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.raw == "null"
    }

    /// Whether this is a number literal.
    #[must_use]
    pub fn is_number(self) -> bool {
        self.raw
            .as_bytes()
            .first()
            .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')
    }

    /// A string with its escapes decoded; none if this is no string, or has half a surrogate pair.
    #[must_use]
    pub fn string(self) -> Option<String> {
        serde_json::from_str(self.raw).ok()
    }

    /// The elements of an array, or none if this is no array.
    #[must_use]
    pub fn elements(self) -> Option<Vec<Token<'a>>> {
        let values: Vec<&'a RawValue> = serde_json::from_str(self.raw).ok()?;
        Some(values.into_iter().map(Token::new).collect())
    }

    /// The members of an object in the order they were sent, duplicates included.
    #[must_use]
    pub fn members(self) -> Option<Members<'a>> {
        members(self.raw).ok()
    }

    /// The first member with this name, if this is an object that has it.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Token<'a>> {
        self.members()?
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| Token::new(value))
    }
}

/// The members of an object, in order, duplicates included.
pub type Members<'a> = Vec<(String, &'a RawValue)>;

/// Reads an object's members without losing order or duplicates.
///
/// # Errors
/// If the text is not one well-formed JSON object.
pub fn members(text: &str) -> Result<Members<'_>, serde_json::Error> {
    struct MembersVisitor;

    impl<'de> Visitor<'de> for MembersVisitor {
        type Value = Members<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = (&mut deserializer).deserialize_map(MembersVisitor)?;
    deserializer.end()?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_keep_order_and_duplicates() {
        let found = members(r#"{"b":1,"a":[1, 2],"b":null}"#).unwrap();
        let texts: Vec<_> = found
            .iter()
            .map(|(key, raw)| (key.as_str(), raw.get()))
            .collect();
        assert_eq!(texts, [("b", "1"), ("a", "[1, 2]"), ("b", "null")]);
    }

    #[test]
    fn text_after_the_object_is_refused() {
        assert!(members(r#"{"a":1} x"#).is_err());
    }
}
