//! Lists as tables, for people: short hashes, dates, coloured status.
//!
//! No method is known here, only what a list looks like: a result whose first member is an array
//! of objects. Members are known by their names alone.

mod cell;
mod line;
mod rows;

pub(crate) use cell::date;
pub(crate) use line::line;
pub(crate) use rows::Rows;

use crate::Terminal;
use cell::Shown;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Map, Value};
use std::fmt::Write;

/// Columns that make way first where the line is too short, the first of them first.
const DISPENSABLE: &[&str] = &[
    "raw_message",
    "erroronion",
    "bolt12",
    "bolt11",
    "payment_preimage",
    "preimage",
    "scriptpubkey",
    "description",
    "updated_index",
    "failcode",
    "erring_index",
    "erring_direction",
    "erring_node",
    "completed_at",
    "channel_id",
    "amount_sent_msat",
    "code",
    "message",
    "failcodename",
    "erring_channel",
    "groupid",
    "cltv_expiry",
    "destination",
    "partid",
    "label",
];

/// Columns that stay to the last: what a row is, and how it stands.
const INDISPENSABLE: &[&str] = &["status", "state", "payment_hash", "label"];

/// The text for a result that is a list; none for one that is not.
#[must_use]
pub fn render(result: &Value, terminal: Terminal) -> Option<String> {
    let members = result.as_object()?;
    let first = members.values().next()?;
    rows(first)?;
    if members.get("format-hint").and_then(Value::as_str) == Some("simple") {
        return Some(simple(rows(first)?));
    }
    let mut text = String::new();
    let lists = members
        .values()
        .filter(|member| rows(member).is_some())
        .count();
    for (name, member) in members {
        match rows(member) {
            Some(rows) if rows.is_empty() => {
                let _ = writeln!(text, "{name}: none");
            }
            Some(rows) => {
                if lists > 1 {
                    let _ = writeln!(text, "{name}:");
                }
                text.push_str(&list(&rows, terminal));
            }
            None => {
                let _ = writeln!(text, "{name}: {}", Shown::new(name, Some(member)).text);
            }
        }
    }
    Some(text)
}

type Row<'a> = &'a Map<String, Value>;

/// The rows of an array of objects.
fn rows(member: &Value) -> Option<Vec<Row<'_>>> {
    member.as_array()?.iter().map(Value::as_object).collect()
}

/// What a result that asks for it is shown as: its texts, one after another. Those of a list of
/// commands stand apart, with a word on how to learn more.
fn simple(rows: Vec<Row<'_>>) -> String {
    let mut text = String::new();
    let mut is_overview = false;
    for row in rows {
        is_overview |= row.contains_key("command") && !row.contains_key("verbose");
        // A long form stands for everything that is in the short ones.
        let values: Vec<&Value> = match row.get("verbose") {
            Some(verbose) => vec![verbose],
            None => row.values().collect(),
        };
        for value in values {
            let line = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if is_overview {
            text.push('\n');
        }
    }
    if is_overview {
        text.push_str(
            "---\nrun `sendpay-cli help <command>` for more information on a specific command\n",
        );
    }
    text
}

/// The space between two columns, in characters.
const SPACE: u16 = 2;

struct Column<'a> {
    name: &'a str,
    cells: Vec<Shown>,
    /// How many characters it takes at least, without the space after it.
    width_min: usize,
}

impl Column<'_> {
    /// How many characters it takes, with the space after it.
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.text.chars().count());
        let others = [self.name.chars().count(), self.width_min];
        cells.chain(others).max().unwrap_or(0) + usize::from(SPACE)
    }
}

fn list(rows: &[Row<'_>], terminal: Terminal) -> String {
    let mut columns = columns(rows);
    let dropped = make_fit(&mut columns, terminal.columns);
    let header = columns.iter().map(|column| column.name.to_owned());
    let cells = (0..rows.len()).map(|place| {
        let column = columns.iter();
        column
            .filter_map(|column| column.cells.get(place))
            .collect()
    });
    let mut text = lines(Some(header.collect()), cells, terminal);
    text.push_str(&footer(rows.len(), &dropped));
    text
}

/// The lines of rows, in columns that are as wide as their widest cell.
fn lines<'a>(
    header: Option<Vec<String>>,
    rows: impl Iterator<Item = Vec<&'a Shown>>,
    terminal: Terminal,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if terminal.colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if let Some(header) = header {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row.into_iter().map(|shown| {
            let mut cell = Cell::new(&shown.text);
            if shown.is_number {
                cell = cell.set_alignment(CellAlignment::Right);
            }
            match shown.colour.filter(|_| terminal.colours) {
                Some(colour) => cell.fg(colour),
                None => cell,
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, SPACE));
    }
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// The line after the rows: how many there are, and what of them is not shown.
fn footer(rows: usize, not_shown: &[String]) -> String {
    let noun = if rows == 1 { "row" } else { "rows" };
    let mut text = format!("{rows} {noun}");
    if !not_shown.is_empty() {
        let _ = write!(text, "; not shown: {} (-J shows all)", not_shown.join(", "));
    }
    text.push('\n');
    text
}

/// The columns in the order in which their names first come, without those that say what another
/// has said.
fn columns<'a>(rows: &[Row<'a>]) -> Vec<Column<'a>> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        for name in row.keys() {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    // An old name for the same thing.
    let repeats = |name: &str, other: &str| {
        names.contains(&other) && rows.iter().all(|row| row.get(name) == row.get(other))
    };
    names
        .iter()
        .filter(|name| !(**name == "id" && repeats("id", "created_index")))
        .map(|name| Column {
            name,
            cells: rows
                .iter()
                .map(|row| Shown::new(name, row.get(*name)))
                .collect(),
            width_min: 0,
        })
        .collect()
}

/// Takes columns away until the rest fits; gives the names of those that went.
fn make_fit(columns: &mut Vec<Column<'_>>, width: usize) -> Vec<String> {
    let mut dropped = Vec::new();
    let mut dispensable = DISPENSABLE.iter();
    while columns.len() > 1 && columns.iter().map(Column::width).sum::<usize>() > width {
        let place = match dispensable.next() {
            Some(name) => columns.iter().position(|column| column.name == *name),
            None => columns
                .iter()
                .rposition(|column| !INDISPENSABLE.contains(&column.name))
                .or(Some(columns.len() - 1)),
        };
        if let Some(place) = place {
            dropped.push(columns.remove(place).name.to_owned());
        }
    }
    dropped
}
