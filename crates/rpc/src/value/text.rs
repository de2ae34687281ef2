//! Texts: labels, descriptions, invoice strings.

use crate::json::{Kind, Token};
use crate::param::{BadParam, Param};
use serde_json::{Value, json};
use std::fmt;

macro_rules! text {
    ($type:ident) => {
        impl $type {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, owned.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                $type(text.to_owned())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A string in which CLN takes no `\u` escapes: the label of a payment, a description.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EscapedText(String);
text!(EscapedText);

impl Param for EscapedText {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let text = match token.kind() {
            Kind::String if !has_unicode_escape(token.text()) => token.string(),
            _ => None,
        };
        text.map(EscapedText)
            .ok_or_else(|| BadParam::new("should be a string (without \\u)", token))
    }
}

/// Whether a `\u` stands in the text of a string; `\\u` is a backslash and a `u`.
fn has_unicode_escape(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && bytes.next() == Some(b'u') {
            return true;
        }
    }
    false
}

/// The label of an invoice: a string or a number, which is kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(String);
text!(Label);

impl Param for Label {
    const TYPE: &'static str = "string or integer";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let text = match token.kind() {
            Kind::String => token.string(),
            Kind::Primitive if token.is_number() => Some(token.raw().to_owned()),
            _ => None,
        };
        text.map(Label)
            .ok_or_else(|| BadParam::new("should be a string or number", token))
    }

    fn schema() -> Value {
        json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] })
    }
}

/// Any text; other values are taken as the text they were written in, as CLN does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlainText(String);
text!(PlainText);

impl Param for PlainText {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        Ok(PlainText(
            token.string().unwrap_or_else(|| token.text().to_owned()),
        ))
    }
}

/// An invoice as a string: without a leading `lightning:`, in lower case. Not decoded here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InvoiceString(String);
text!(InvoiceString);

impl InvoiceString {
    /// Brings an invoice string into the one form it is stored and compared in.
    #[must_use]
    pub fn canonical(text: &str) -> Self {
        const PREFIX: &str = "lightning:";
        let bare = match text.get(..PREFIX.len()) {
            Some(start) if start.eq_ignore_ascii_case(PREFIX) => {
                text.get(PREFIX.len()..).unwrap_or_default()
            }
            _ => text,
        };
        InvoiceString(bare.to_ascii_lowercase())
    }
}

impl Param for InvoiceString {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        Ok(InvoiceString::canonical(token.text()))
    }
}

/// Longest key of a request, in bytes: room for any kind of id with a name before it.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// A caller's own name for a request, by which it knows the request again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);
text!(IdempotencyKey);

impl Param for IdempotencyKey {
    const TYPE: &'static str = "string";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let text = match token.kind() {
            Kind::String => token.string(),
            _ => None,
        };
        text.filter(|text| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()))
            .map(IdempotencyKey)
            .ok_or_else(|| BadParam::new("should be a string of 1 to 128 bytes", token))
    }

    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX })
    }
}

/// An array of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextList(pub Vec<String>);

impl Param for TextList {
    const TYPE: &'static str = "array";

    fn parse(token: Token<'_>) -> Result<Self, BadParam> {
        let elements = token
            .elements()
            .ok_or_else(|| BadParam::new("should be an array", token))?;
        let texts = elements
            .into_iter()
            .map(|element| PlainText::parse(element).map(|text| text.0));
        texts.collect::<Result<_, _>>().map(TextList)
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "type": "string" } })
    }
}
