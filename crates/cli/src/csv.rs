//! Records as comma-separated values (RFC 4180): a header, then a line for each, ended by CR LF.
//!
//! The columns are those of the contract, so scripts can count on them. A member that a record does
//! not have is an empty field, an empty text is `""`. Amounts (`_msat`) are integers, however the
//! daemon writes them; times are seconds since 1970; arrays and objects are JSON in one field.
//! Texts are as they are: a spreadsheet may take one that begins with `=` for a formula.

use crate::columns::Columns;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// How many members without a column are told of.
const UNKNOWN_MAX: usize = 16;

/// The writer of one list.
pub(crate) struct Csv {
    columns: Vec<Column>,
    /// Members that records had and that have no column.
    unknown: Vec<String>,
}

struct Column {
    name: String,
    is_amount: bool,
}

impl Csv {
    pub(crate) fn new(columns: Columns) -> Self {
        let columns = columns.names.into_iter().map(|name| Column {
            is_amount: name.ends_with("_msat"),
            name,
        });
        Csv {
            columns: columns.collect(),
            unknown: Vec::new(),
        }
    }

    /// Appends the header.
    pub(crate) fn header(&self, out: &mut Vec<u8>) {
        for (place, column) in self.columns.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            field(&column.name, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the line of a record, a JSON object.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn record(&mut self, json: &[u8], out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let values = deserializer.deserialize_map(RecordVisitor { csv: self })?;
        deserializer.end()?;
        for (place, (column, value)) in self.columns.iter().zip(values).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            if let Some(value) = value {
                value_field(value.get().trim_ascii(), column.is_amount, out)?;
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The members that had no column.
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The place of a member, which is most often that after `last`.
    fn place(&self, name: &str, last: usize) -> Option<usize> {
        let is_it = |column: &Column| column.name == name;
        let after = self.columns.iter().skip(last).position(is_it);
        after
            .map(|place| place + last)
            .or_else(|| self.columns.iter().position(is_it))
    }

    fn remember(&mut self, name: &str) {
        if self.unknown.len() < UNKNOWN_MAX && !self.unknown.iter().any(|known| known == name) {
            self.unknown.push(name.to_owned());
        }
    }
}

fn value_field(raw: &str, is_amount: bool, out: &mut Vec<u8>) -> serde_json::Result<()> {
    if raw == "null" {
        return Ok(());
    }
    let text = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match text {
        Some(text) if text.contains('\\') => {
            let text: String = serde_json::from_str(raw)?;
            field(&text, out);
        }
        Some(text) => field(integer(text).filter(|_| is_amount).unwrap_or(text), out),
        None => field(raw, out),
    }
    Ok(())
}

/// The number of an amount such as `1000msat`.
fn integer(amount: &str) -> Option<&str> {
    let digits = amount.strip_suffix("msat")?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(digits)
}

fn field(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte| !matches!(byte, b'"' | b',' | b'\r' | b'\n');
    if !text.is_empty() && text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for (place, part) in text.split('"').enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// Reads the values of a record in the order of the columns.
struct RecordVisitor<'c> {
    csv: &'c mut Csv,
}

impl<'de> Visitor<'de> for RecordVisitor<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.csv.columns.len()];
        let mut last = 0;
        while let Some(place) = map.next_key_seed(Place {
            csv: self.csv,
            last,
        })? {
            match place.and_then(|place| Some((place, values.get_mut(place)?))) {
                Some((place, value)) => {
                    *value = Some(map.next_value()?);
                    last = place;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

/// Reads the name of a member as the place of its column, without keeping the name.
struct Place<'c> {
    csv: &'c mut Csv,
    last: usize,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let place = self.csv.place(name, self.last);
        if place.is_none() {
            self.csv.remember(name);
        }
        Ok(place)
    }
}
