//! Where the bytes of a result go: on in the chosen form, in memory that does not grow with them.

use crate::Terminal;
use crate::columns::Shape;
use crate::csv::Csv;
use crate::flat::Flat;
use crate::human::{Human, HumanError};
use crate::options::Format;
use crate::pretty::Pretty;
use crate::table::{self, Rows};
use crate::tokens::TooLong;
use sendpay_rpc::elements::{ElementError, Elements};
use std::io::{self, Write};

/// The longest result whose table is fitted to all of it, in bytes: more than a thousand records.
/// The columns of a longer list are those of its start.
const TABLE_BYTES_MAX: usize = 1 << 20;

/// Why a result cannot be shown in the chosen form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// Nothing can be written.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
    /// The result is not what the form needs.
    #[error("the result is not as it should be: {0}")]
    Elements(#[from] ElementError),
    /// A record is no object, or no JSON.
    #[error("a record of the result cannot be read")]
    Record(#[from] serde_json::Error),
    /// A value of the result is too long for lines of values.
    #[error("the result cannot be shown: {0}")]
    Human(#[from] HumanError),
    /// A string of the result is too long.
    #[error("the result cannot be shown: {0}")]
    Flat(#[from] TooLong),
}

enum Way {
    Raw,
    Pretty(Pretty),
    JsonLines(Elements),
    Csv(Elements, Csv),
    Human(Human),
    Flat(Flat),
    /// Kept until it is known whether it is short.
    Kept(Terminal, Vec<u8>),
    Rows(Elements, Rows),
}

/// The way of one result.
pub(crate) struct Output<'a> {
    out: &'a mut dyn Write,
    way: Way,
    /// What was made of the last bytes; kept to use its memory again.
    text: Vec<u8>,
    bytes: u64,
    /// How many elements were handed over, where they are looked at.
    records: u64,
}

/// A form that a method's result cannot have.
pub(crate) struct NoSuchForm(pub(crate) &'static str);

impl<'a> Output<'a> {
    /// An output for the result of a method.
    ///
    /// # Errors
    /// If it is known that the result has no list and the format needs one.
    pub(crate) fn new(
        out: &'a mut dyn Write,
        format: Format,
        method: &str,
        filtered: bool,
    ) -> Result<Self, NoSuchForm> {
        const NO_LIST: &str = "its result is no list";
        let way = match format {
            Format::Raw => Way::Raw,
            Format::Json => Way::Pretty(Pretty::new()),
            Format::Table(terminal) => Way::Kept(terminal, Vec::new()),
            Format::Flat => Way::Flat(Flat::new()),
            // A filter may add a warning to the only member.
            Format::Human => Way::Human(Human::new(!filtered && Shape::is_sole_list(method))),
            Format::JsonLines => match Shape::of(method) {
                Shape::NoList => return Err(NoSuchForm(NO_LIST)),
                Shape::List(columns) => Way::JsonLines(Elements::of_member(&columns.list)),
                Shape::Unknown => Way::JsonLines(Elements::new()),
            },
            Format::Csv => match Shape::of(method) {
                Shape::NoList => return Err(NoSuchForm(NO_LIST)),
                Shape::Unknown => return Err(NoSuchForm("its columns are not known here")),
                Shape::List(columns) => {
                    Way::Csv(Elements::of_member(&columns.list), Csv::new(columns))
                }
            },
        };
        Ok(Output {
            out,
            way,
            text: Vec::new(),
            bytes: 0,
            records: 0,
        })
    }

    /// How many bytes came in so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many records came in so far; none where they are not looked at.
    pub(crate) fn records(&self) -> u64 {
        match &self.way {
            Way::Pretty(pretty) => pretty.records(),
            _ => self.records,
        }
    }

    /// Takes in bytes of the result.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let is_first = self.bytes == 0;
        self.bytes += bytes.len() as u64;
        self.text.clear();
        let (text, records) = (&mut self.text, &mut self.records);
        let fed = match &mut self.way {
            Way::Raw => return Ok(self.out.write_all(bytes)?),
            Way::Pretty(pretty) => {
                pretty.write(bytes, text);
                Ok(())
            }
            Way::Human(human) => human.write(bytes, text).map_err(Into::into),
            Way::Flat(flat) => flat.write(bytes, text).map_err(Into::into),
            Way::JsonLines(elements) => elements.feed(bytes, &mut |element| {
                *records += 1;
                json_line(element, text);
                Ok(())
            }),
            Way::Csv(elements, csv) => {
                if is_first {
                    csv.header(text);
                }
                elements.feed(bytes, &mut |element| {
                    *records += 1;
                    Ok(csv.record(element, text)?)
                })
            }
            Way::Rows(elements, rows) => elements.feed(bytes, &mut |element| {
                *records += 1;
                rows.push(serde_json::from_slice(element)?, text);
                Ok(())
            }),
            Way::Kept(terminal, kept) => {
                kept.extend_from_slice(bytes);
                if kept.len() <= TABLE_BYTES_MAX {
                    return Ok(());
                }
                let (terminal, kept) = (*terminal, std::mem::take(kept));
                return self.begin_long(terminal, &kept);
            }
        };
        // What was whole before an error is shown too.
        self.out.write_all(&self.text)?;
        fed
    }

    /// Goes on with a result that is too long to be kept: row by row if it is a list.
    fn begin_long(&mut self, terminal: Terminal, kept: &[u8]) -> Result<(), OutputError> {
        let mut elements = Elements::new();
        let mut sample = Vec::new();
        let fed: Result<(), OutputError> = elements.feed(kept, &mut |element| {
            sample.push(serde_json::from_slice(element)?);
            Ok(())
        });
        self.way = if fed.is_err() || sample.is_empty() {
            let mut pretty = Pretty::new();
            pretty.write(kept, &mut self.text);
            Way::Pretty(pretty)
        } else {
            self.records = sample.len() as u64;
            Way::Rows(elements, Rows::begin(sample, terminal, &mut self.text))
        };
        Ok(self.out.write_all(&self.text)?)
    }

    /// Ends the result. Gives what a person should know of what is not in the output.
    pub(crate) fn finish(self) -> Result<Option<String>, OutputError> {
        let (out, mut text) = (self.out, self.text);
        text.clear();
        let mut left_out = Vec::new();
        match self.way {
            Way::Raw | Way::Pretty(_) => text.push(b'\n'),
            Way::Human(human) => human.finish(&mut text)?,
            Way::Flat(flat) => flat.finish(&mut text)?,
            Way::JsonLines(elements) => left_out = elements.finish()?,
            Way::Csv(elements, csv) => {
                left_out = elements.finish()?;
                left_out.extend_from_slice(csv.unknown());
            }
            Way::Rows(elements, rows) => rows.finish(&elements.finish()?, &mut text),
            Way::Kept(terminal, kept) => short_table(terminal, &kept, &mut text),
        }
        out.write_all(&text)?;
        Ok((!left_out.is_empty()).then(|| left_out.join(", ")))
    }

    /// Ends a result that did not come to its end, so that nobody takes what came for all: JSON
    /// has no closing bracket then, and the last line of the other forms is none.
    pub(crate) fn cut_off(self) -> io::Result<()> {
        let end: &[u8] = match self.way {
            _ if self.bytes == 0 => b"",
            Way::Raw | Way::Pretty(_) => b"\n",
            // An object without an end.
            Way::JsonLines(_) => b"{\"cut off here\":\n",
            // A field without an end.
            Way::Csv(..) => b"\"cut off here\r\n",
            Way::Rows(..) | Way::Human(_) | Way::Flat(_) => b"cut off here\n",
            Way::Kept(..) => b"",
        };
        self.out.write_all(end)
    }
}

/// Appends an element as one line, whatever blanks it came with. A line break in JSON is a blank:
/// in a string it is written as `\n`.
pub(crate) fn json_line(element: &[u8], text: &mut Vec<u8>) {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if memchr::memchr2(b'\n', b'\r', element).is_none() {
        text.extend_from_slice(element);
    } else {
        text.extend(element.iter().filter(|byte| !is_break(byte)));
    }
    text.push(b'\n');
}

/// The table of a result that was kept, or its JSON if it is no list.
fn short_table(terminal: Terminal, kept: &[u8], text: &mut Vec<u8>) {
    let result = serde_json::from_slice(kept).ok();
    match result.and_then(|result| table::render(&result, terminal)) {
        Some(table) => text.extend_from_slice(table.as_bytes()),
        None => {
            Pretty::new().write(kept, text);
            text.push(b'\n');
        }
    }
}
