//! The bytes inside a backup: numbers, texts and SQLite's values. Integers are big endian.

use std::io::{self, Read, Write};

use rusqlite::types::{Value, ValueRef};

/// Longest text or blob that is read: far above any invoice or route, far below what memory has.
const BYTES_MAX: u32 = 64 << 20;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

pub(crate) fn put_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|length| *length <= BYTES_MAX)
        .ok_or_else(|| io::Error::other("a value is longer than a backup can hold"))?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(bytes)
}

pub(crate) fn put_value(to: &mut impl Write, value: ValueRef<'_>) -> io::Result<()> {
    match value {
        ValueRef::Null => to.write_all(&[NULL]),
        ValueRef::Integer(number) => {
            to.write_all(&[INTEGER])?;
            to.write_all(&number.to_be_bytes())
        }
        ValueRef::Real(number) => {
            to.write_all(&[REAL])?;
            to.write_all(&number.to_be_bytes())
        }
        ValueRef::Text(text) => {
            to.write_all(&[TEXT])?;
            put_bytes(to, text)
        }
        ValueRef::Blob(blob) => {
            to.write_all(&[BLOB])?;
            put_bytes(to, blob)
        }
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn get_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn get_byte(from: &mut impl Read) -> io::Result<u8> {
    let [byte] = get_array(from)?;
    Ok(byte)
}

pub(crate) fn get_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = u32::from_be_bytes(get_array(from)?);
    if length > BYTES_MAX {
        return Err(wrong("a value is longer than any that is written"));
    }
    let mut bytes = Vec::new();
    let read = from.take(u64::from(length)).read_to_end(&mut bytes)?;
    if u32::try_from(read) != Ok(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

pub(crate) fn get_text(from: &mut impl Read) -> io::Result<String> {
    String::from_utf8(get_bytes(from)?).map_err(|_| wrong("a text is not UTF-8"))
}

pub(crate) fn get_value(from: &mut impl Read) -> io::Result<Value> {
    Ok(match get_byte(from)? {
        NULL => Value::Null,
        INTEGER => Value::Integer(i64::from_be_bytes(get_array(from)?)),
        REAL => Value::Real(f64::from_be_bytes(get_array(from)?)),
        TEXT => Value::Text(get_text(from)?),
        BLOB => Value::Blob(get_bytes(from)?),
        _ => return Err(wrong("a value of no kind that SQLite has")),
    })
}
