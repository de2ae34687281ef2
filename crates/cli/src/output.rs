//! Where the bytes of a result go: on in the chosen form, or kept until they make a table.

use crate::Terminal;
use crate::options::Format;
use crate::pretty::Pretty;
use crate::table;
use std::io::{self, Write};

/// The longest list that is shown as a table, in bytes: nobody reads ten thousand rows. A longer
/// one passes through as JSON.
const TABLE_BYTES_MAX: usize = 8 << 20;

enum Way {
    Raw,
    Pretty(Pretty),
    Table(Terminal, Vec<u8>),
}

/// The way of one result.
pub(crate) struct Output<'a> {
    out: &'a mut dyn Write,
    way: Way,
}

impl<'a> Output<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, format: Format) -> Self {
        let way = match format {
            Format::Raw => Way::Raw,
            Format::Json => Way::Pretty(Pretty::new()),
            Format::Table(terminal) => Way::Table(terminal, Vec::new()),
        };
        Output { out, way }
    }

    /// Takes in bytes of the result.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.way {
            Way::Raw => self.out.write_all(bytes),
            Way::Pretty(pretty) => {
                let mut lines = Vec::with_capacity(2 * bytes.len());
                pretty.write(bytes, &mut lines);
                self.out.write_all(&lines)
            }
            Way::Table(_, kept) => {
                kept.extend_from_slice(bytes);
                if kept.len() <= TABLE_BYTES_MAX {
                    return Ok(());
                }
                let kept = std::mem::take(kept);
                self.way = Way::Pretty(Pretty::new());
                self.write(&kept)
            }
        }
    }

    /// Ends the result.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Way::Table(terminal, kept) = &self.way else {
            return self.out.write_all(b"\n");
        };
        match serde_json::from_slice(kept)
            .ok()
            .and_then(|result| table::render(&result, *terminal))
        {
            Some(text) => self.out.write_all(text.as_bytes()),
            None => {
                let mut lines = Vec::new();
                Pretty::new().write(kept, &mut lines);
                lines.push(b'\n');
                self.out.write_all(&lines)
            }
        }
    }
}
