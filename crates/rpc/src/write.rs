//! JSON for results of any length: byte for byte what `serde_json` writes, with passes over strings
//! that take many bytes at a time. A listing is mostly invoices and hashes, which have nothing to
//! escape.
//!
//! For results whose members are strings, integers, lists and objects; it refuses floats and members
//! whose names are no strings, which no result has. Short replies are `crate::reply`'s.

mod escape;

use escape::{append_escaped, append_string};
use serde::ser::{self, Error as _, Serialize};
use std::fmt::{self, Write as _};

/// Appends the value to the bytes.
///
/// # Errors
/// If the value cannot be written as JSON; what was written of it stays.
pub fn append(bytes: &mut Vec<u8>, value: &impl Serialize) -> Result<(), serde_json::Error> {
    value.serialize(Writer { bytes })
}

/// Takes formatted text into a string.
struct Escaping<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        append_escaped(self.0, text);
        Ok(())
    }
}

/// Writes one value.
struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    fn text(self, text: &str) -> Result<(), serde_json::Error> {
        append_string(self.bytes, text);
        Ok(())
    }

    fn literal(self, text: &str) -> Result<(), serde_json::Error> {
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn integer(self, integer: impl Serialize) -> Result<(), serde_json::Error> {
        serde_json::to_writer(self.bytes, &integer)
    }

    fn list(self) -> Members<'a> {
        self.bytes.push(b'[');
        Members::of(self.bytes, "]")
    }

    fn object(self) -> Members<'a> {
        self.bytes.push(b'{');
        Members::of(self.bytes, "}")
    }

    /// The object around the content of an enum.
    fn variant(self, variant: &str) -> Writer<'a> {
        self.bytes.push(b'{');
        append_string(self.bytes, variant);
        self.bytes.push(b':');
        self
    }
}

/// Writes what is in a list or an object, and its end.
struct Members<'a> {
    bytes: &'a mut Vec<u8>,
    any: bool,
    end: &'static str,
}

impl<'a> Members<'a> {
    fn of(bytes: &'a mut Vec<u8>, end: &'static str) -> Members<'a> {
        let any = false;
        Members { bytes, any, end }
    }

    fn next(&mut self) {
        if self.any {
            self.bytes.push(b',');
        }
        self.any = true;
    }

    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), serde_json::Error> {
        self.next();
        value.serialize(Writer { bytes: self.bytes })
    }

    fn member(
        &mut self,
        name: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), serde_json::Error> {
        self.next();
        append_string(self.bytes, name);
        self.bytes.push(b':');
        value.serialize(Writer { bytes: self.bytes })
    }

    fn finish(self) -> Result<(), serde_json::Error> {
        self.bytes.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

macro_rules! integers {
    ($($method:ident $type:ty),* $(,)?) => {
        $(fn $method(self, integer: $type) -> Result<(), serde_json::Error> {
            self.integer(integer)
        })*
    };
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Members<'a>;
    type SerializeTuple = Members<'a>;
    type SerializeTupleStruct = Members<'a>;
    type SerializeTupleVariant = Members<'a>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Members<'a>;

    integers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
    }

    fn serialize_bool(self, value: bool) -> Result<(), Self::Error> {
        self.literal(if value { "true" } else { "false" })
    }

    fn serialize_f32(self, _: f32) -> Result<(), Self::Error> {
        Err(Self::Error::custom("a result has no floats"))
    }

    fn serialize_f64(self, _: f64) -> Result<(), Self::Error> {
        Err(Self::Error::custom("a result has no floats"))
    }

    fn serialize_char(self, value: char) -> Result<(), Self::Error> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Self::Error> {
        self.text(text)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        self.bytes.push(b'"');
        write!(Escaping(self.bytes), "{value}").map_err(Self::Error::custom)?;
        self.bytes.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Self::Error> {
        self.integer(value)
    }

    fn serialize_none(self) -> Result<(), Self::Error> {
        self.literal("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Self::Error> {
        self.literal("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Self::Error> {
        self.literal("null")
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Self::Error> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        let Writer { bytes } = self.variant(variant);
        value.serialize(Writer { bytes })?;
        bytes.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'a>, Self::Error> {
        Ok(self.list())
    }

    fn serialize_tuple(self, _: usize) -> Result<Members<'a>, Self::Error> {
        Ok(self.list())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, Self::Error> {
        Ok(self.list())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a>, Self::Error> {
        let end = "]}";
        Ok(Members {
            end,
            ..self.variant(variant).list()
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>, Self::Error> {
        Ok(self.object())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, Self::Error> {
        Ok(self.object())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a>, Self::Error> {
        let end = "}}";
        Ok(Members {
            end,
            ..self.variant(variant).object()
        })
    }
}

macro_rules! elements {
    ($($trait:ident $method:ident),* $(,)?) => {
        $(impl ser::$trait for Members<'_> {
            type Ok = ();
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), Self::Error> {
                self.finish()
            }
        })*
    };
}

elements! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! members {
    ($($trait:ident),* $(,)?) => {
        $(impl ser::$trait for Members<'_> {
            type Ok = ();
            type Error = serde_json::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Self::Error> {
                self.member(name, value)
            }

            fn end(self) -> Result<(), Self::Error> {
                self.finish()
            }
        })*
    };
}

members!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Members<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Self::Error> {
        self.next();
        let start = self.bytes.len();
        name.serialize(Writer { bytes: self.bytes })?;
        if self.bytes.get(start) != Some(&b'"') {
            return Err(Self::Error::custom("the name of a member is no string"));
        }
        self.bytes.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        value.serialize(Writer { bytes: self.bytes })
    }

    fn end(self) -> Result<(), Self::Error> {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, Serialize)]
    enum Kind {
        Unit,
        Newtype(String),
        Tuple(u8, String),
        Struct { text: String, number: i64 },
    }

    #[derive(Debug, Clone, Serialize)]
    struct Flat {
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<String>,
        more: bool,
    }

    #[derive(Debug, Clone, Serialize)]
    struct Everything {
        text: String,
        letter: char,
        numbers: (u8, i8, u16, i16, u32, i32, u64, i64),
        large: (u128, i128),
        maybe: Option<u64>,
        unit: (),
        kinds: Vec<Kind>,
        map: BTreeMap<String, Vec<bool>>,
        #[serde(flatten)]
        flat: Flat,
    }

    fn written(value: &impl Serialize) -> String {
        let mut bytes = Vec::new();
        append(&mut bytes, value).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ -~]{0,100}",
            "[a-z]{0,70}[\\x00-\\x1f\\\\\"\\x7f\u{e9}]{0,3}[a-z]{0,70}",
        ]
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Unit),
            text().prop_map(Kind::Newtype),
            (any::<u8>(), text()).prop_map(|(number, text)| Kind::Tuple(number, text)),
            (text(), any::<i64>()).prop_map(|(text, number)| Kind::Struct { text, number }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_serde_json_writes(
            (text, letter, maybe, more) in (text(), any::<char>(), any::<Option<u64>>(), any::<bool>()),
            numbers in any::<(u8, i8, u16, i16, u32, i32, u64, i64)>(),
            large in any::<(u128, i128)>(),
            kinds in prop::collection::vec(kind(), 0..4),
            map in prop::collection::btree_map(text(), prop::collection::vec(any::<bool>(), 0..3), 0..3),
            member in prop::option::of(text()),
        ) {
            let flat = Flat { member, more };
            let value = Everything { text, letter, numbers, large, maybe, unit: (), kinds, map, flat };
            prop_assert_eq!(written(&value), serde_json::to_string(&value).unwrap());
        }
    }

    #[test]
    fn each_byte_is_escaped_as_serde_json_does_wherever_it_stands() {
        for byte in 0..=0x7f_u8 {
            for before in (0..=17).chain([31, 32, 33, 64]) {
                let text = format!(
                    "{}{}{}",
                    "a".repeat(before),
                    char::from(byte),
                    "b".repeat(40)
                );
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
                let shown = format_args!("{text}").to_string();
                assert_eq!(written(&shown), serde_json::to_string(&text).unwrap());
            }
        }
    }

    #[test]
    fn what_has_no_place_in_a_result_is_refused() {
        assert!(append(&mut Vec::new(), &1.5).is_err());
        assert!(append(&mut Vec::new(), &BTreeMap::from([(1, 2)])).is_err());
    }
}
