//! A table too long to be seen before it is shown: its columns are chosen by its first rows, and
//! stay as they are.

use super::cell::Shown;
use super::{Row, columns, footer, lines, make_fit};
use crate::Terminal;
use serde_json::{Map, Value};

/// How many rows are laid out at once.
const BATCH_ROWS: usize = 256;

/// The least width of a column of numbers: they grow on the way, as indexes and times do.
const NUMBER_WIDTH_MIN: usize = 10;

/// How many names of members that are not shown are told.
const NOT_SHOWN_MAX: usize = 64;

/// A table of which more rows come.
pub(crate) struct Rows {
    terminal: Terminal,
    columns: Vec<Fixed>,
    not_shown: Vec<String>,
    /// Rows that are not laid out yet.
    batch: Vec<Map<String, Value>>,
    count: usize,
}

struct Fixed {
    name: String,
    width: usize,
}

impl Rows {
    /// Begins with these rows, which the columns are chosen by.
    pub(crate) fn begin(
        sample: Vec<Map<String, Value>>,
        terminal: Terminal,
        text: &mut Vec<u8>,
    ) -> Self {
        let rows: Vec<Row<'_>> = sample.iter().collect();
        let mut chosen = columns(&rows);
        for column in &mut chosen {
            if column.cells.iter().any(|cell| cell.is_number) {
                column.width_min = NUMBER_WIDTH_MIN;
            }
        }
        let not_shown = make_fit(&mut chosen, terminal.columns);
        let fixed = chosen.iter().map(|column| Fixed {
            name: column.name.to_owned(),
            width: column.width().saturating_sub(usize::from(super::SPACE)),
        });
        let mut table = Rows {
            terminal,
            columns: fixed.collect(),
            not_shown,
            batch: Vec::new(),
            count: 0,
        };
        let header = table.columns.iter().map(|column| column.name.clone());
        let header = header.collect();
        table.batch = sample;
        table.lay_out(Some(header), text);
        table
    }

    /// Takes in one more row.
    pub(crate) fn push(&mut self, row: Map<String, Value>, text: &mut Vec<u8>) {
        for name in row.keys() {
            let is_shown = self.columns.iter().any(|column| column.name == *name);
            // What the first rows did not have; `id` is left out on purpose.
            let is_known = is_shown || name == "id" || self.not_shown.contains(name);
            if !is_known && self.not_shown.len() < NOT_SHOWN_MAX {
                self.not_shown.push(name.clone());
            }
        }
        self.batch.push(row);
        if self.batch.len() >= BATCH_ROWS {
            self.lay_out(None, text);
        }
    }

    /// Ends the table. `left_out` are lists that are not in it.
    pub(crate) fn finish(mut self, left_out: &[String], text: &mut Vec<u8>) {
        self.lay_out(None, text);
        self.not_shown.extend_from_slice(left_out);
        text.extend_from_slice(footer(self.count, &self.not_shown).as_bytes());
    }

    fn lay_out(&mut self, header: Option<Vec<String>>, text: &mut Vec<u8>) {
        let cells: Vec<Vec<Shown>> = self
            .batch
            .iter()
            .map(|row| {
                let columns = self.columns.iter();
                let cell = |column: &Fixed| {
                    Shown::new(&column.name, row.get(&column.name)).of_width(column.width)
                };
                columns.map(cell).collect()
            })
            .collect();
        self.count += self.batch.len();
        self.batch.clear();
        let rows = cells.iter().map(|row| row.iter().collect());
        text.extend_from_slice(lines(header, rows, self.terminal).as_bytes());
    }
}
