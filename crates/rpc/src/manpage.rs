//! Manual pages, from the types of the methods: as roff for `man`, as plain text for `help`.
//!
//! The words are the doc comments of the types. In them `*x*` names a parameter or method and
//! `` `x` `` is typed as it stands; no other markup is known.

use crate::method::{Entry, METHODS};
use crate::param::Presence;
use serde_json::Value;

/// One part of a page, before it has a form.
enum Block {
    Section(&'static str),
    Paragraph(String),
    /// A term and what it means, and how far it stands in.
    Item {
        depth: usize,
        term: String,
        meaning: String,
    },
    /// A line to type.
    Command(String),
}

/// The page of a method as roff: `sendpay-<method>(7)`.
#[must_use]
pub fn roff(entry: &Entry) -> String {
    let title = format!("sendpay-{}", entry.name).to_uppercase();
    let mut page = format!(
        ".\\\" Made from the types of the method; do not edit.\n.TH \"{}\" \"7\" \"\" \"Sendpay {}\" \"Sendpay\"\n",
        escape(&title),
        env!("CARGO_PKG_VERSION"),
    );
    let mut depth_now = 0;
    for block in blocks(entry) {
        let depth = if let Block::Item { depth, .. } = block {
            depth
        } else {
            0
        };
        while depth_now < depth {
            page.push_str(".RS\n");
            depth_now += 1;
        }
        while depth_now > depth {
            page.push_str(".RE\n");
            depth_now -= 1;
        }
        match block {
            Block::Section(title) => page.push_str(&format!(".SH \"{title}\"\n")),
            Block::Paragraph(text) => page.push_str(&format!(".PP\n{}\n", inline(&text))),
            Block::Item { term, meaning, .. } => {
                page.push_str(&format!(".TP\n{}\n{}\n", inline(&term), inline(&meaning)));
            }
            Block::Command(line) => {
                page.push_str(&format!(".PP\n.nf\n    {}\n.fi\n", escape(&line)));
            }
        }
    }
    page
}

/// How wide the plain text is, in characters.
const TEXT_COLUMNS: usize = 78;

/// The page of a method as plain text.
#[must_use]
pub fn plain_text(entry: &Entry) -> String {
    let mut page = String::new();
    for block in blocks(entry) {
        match block {
            // No blank line after a title.
            Block::Section(title) => {
                page.push_str(title);
                page.push('\n');
                continue;
            }
            Block::Paragraph(text) => page.push_str(&wrap(&plain(&text), 4)),
            Block::Item {
                depth,
                term,
                meaning,
            } => {
                let indent = 4 + 4 * depth;
                page.push_str(&wrap(&plain(&term), indent));
                page.push('\n');
                page.push_str(&wrap(&plain(&meaning), indent + 4));
            }
            Block::Command(line) => page.push_str(&format!("        {line}")),
        }
        page.push_str("\n\n");
    }
    page.trim_end().to_owned() + "\n"
}

/// Breaks a text into lines that begin with so many spaces.
fn wrap(text: &str, indent: usize) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let columns = indent + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && columns > TEXT_COLUMNS {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let indent = " ".repeat(indent);
    lines
        .iter()
        .map(|line| format!("{indent}{line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn blocks(entry: &Entry) -> Vec<Block> {
    let mut blocks = vec![
        Block::Section("NAME"),
        Block::Paragraph(format!("sendpay-{} - {}", entry.name, entry.summary)),
        Block::Section("SYNOPSIS"),
        Block::Paragraph(synopsis(entry)),
        Block::Section("DESCRIPTION"),
    ];
    blocks.extend(
        entry
            .description()
            .split("\n\n")
            .map(|text| Block::Paragraph(one_line(text))),
    );
    if !entry.aliases.is_empty() {
        let names = entry.aliases.join("*, *");
        blocks.push(Block::Paragraph(format!(
            "Another name for this method: *{names}*."
        )));
    }
    parameters(entry, &mut blocks);
    blocks.push(Block::Section("RETURN VALUE"));
    result(entry, &mut blocks);
    if let Some(followed) = entry.followed_by {
        blocks.push(Block::Section("NOTIFICATIONS"));
        blocks.push(Block::Paragraph(format!(
            "After the answer come notifications `{}`, until the connection closes. Their *params* \
             have these members:",
            followed.notification
        )));
        members(&followed.params_schema(), 0, &mut blocks);
    }
    errors(entry, &mut blocks);
    if !entry.examples.is_empty() {
        blocks.push(Block::Section("EXAMPLES"));
        for example in entry.examples {
            blocks.push(Block::Paragraph(example.shows.to_owned()));
            let line = format!("sendpay-cli {} {}", entry.name, example.params);
            blocks.push(Block::Command(line.trim_end().to_owned()));
        }
    }
    if !entry.see_also.is_empty() {
        blocks.push(Block::Section("SEE ALSO"));
        let pages: Vec<String> = entry
            .see_also
            .iter()
            .map(|name| format!("sendpay-{name}(7)"))
            .collect();
        blocks.push(Block::Paragraph(pages.join(", ")));
    }
    blocks
}

fn synopsis(entry: &Entry) -> String {
    let mut text = format!("`{}`", entry.name);
    for spec in entry.params {
        match spec.presence {
            Presence::Required => text.push_str(&format!(" *{}*", spec.name)),
            Presence::Optional | Presence::Default(_) => {
                text.push_str(&format!(" [*{}*]", spec.name));
            }
        }
    }
    text
}

fn parameters(entry: &Entry, blocks: &mut Vec<Block>) {
    if entry.params.is_empty() {
        return;
    }
    blocks.push(Block::Section("PARAMETERS"));
    for spec in entry.params {
        let note = match spec.presence {
            Presence::Required => String::new(),
            Presence::Optional => ", optional".to_owned(),
            Presence::Default(default) => format!(", optional, `{}` if not given", default()),
        };
        let mut meaning = one_line(&spec.description());
        if let Some(alias) = spec.alias {
            meaning.push_str(&format!(" May be given as *{alias}* too."));
        }
        blocks.push(Block::Item {
            depth: 0,
            term: format!("*{}* ({}{note})", spec.name, spec.type_name),
            meaning,
        });
    }
}

fn result(entry: &Entry, blocks: &mut Vec<Block>) {
    let schema = entry.result_schema();
    let has_members = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|properties| !properties.is_empty());
    blocks.push(Block::Paragraph(if has_members {
        "On success, an object is returned. It has these members; those marked optional are left \
         out where they do not apply or are not known."
            .to_owned()
    } else {
        "On success, an empty object is returned.".to_owned()
    }));
    members(&schema, 0, blocks);
}

/// The members of an object, and of the objects in them.
fn members(schema: &Value, depth: usize, blocks: &mut Vec<Block>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, property) in properties {
        let optional = if required.contains(&name.as_str()) {
            ""
        } else {
            ", optional"
        };
        let description = property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        blocks.push(Block::Item {
            depth,
            term: format!("*{name}* ({}{optional})", type_name(property)),
            meaning: one_line(description),
        });
        let mut inner = property;
        while let Some(items) = inner.get("items") {
            inner = items;
        }
        members(inner, depth + 1, blocks);
    }
}

/// What a member is, in the words that parameters use too.
fn type_name(schema: &Value) -> String {
    if let Some(items) = schema.get("items") {
        return match type_name(items).as_str() {
            "object" => "array of objects".to_owned(),
            item => format!("array of {item}"),
        };
    }
    if schema.get("properties").is_some() {
        return "object".to_owned();
    }
    let named = schema
        .get("title")
        .or_else(|| schema.get("format"))
        .or_else(|| schema.get("type"));
    match named.and_then(Value::as_str).unwrap_or("value") {
        "uint64" => "u64".to_owned(),
        "uint32" => "u32".to_owned(),
        "uint16" => "u16".to_owned(),
        "uint8" => "u8".to_owned(),
        "int32" => "integer".to_owned(),
        "double" => "number".to_owned(),
        name => name.to_owned(),
    }
}

fn errors(entry: &Entry, blocks: &mut Vec<Block>) {
    if entry.errors.is_empty() {
        return;
    }
    blocks.push(Block::Section("ERRORS"));
    for (code, when) in entry.errors {
        blocks.push(Block::Item {
            depth: 0,
            term: format!("`{}` {}", code.number(), code.name()),
            meaning: (*when).to_owned(),
        });
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes the markup out.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| !matches!(letter, '*' | '`'))
        .collect()
}

/// Turns the markup into fonts.
fn inline(text: &str) -> String {
    let (mut italic, mut bold) = (false, false);
    let mut out = String::new();
    for letter in escape(text).chars() {
        match letter {
            '*' if !bold => {
                italic = !italic;
                out.push_str(if italic { "\\fI" } else { "\\fR" });
            }
            '`' if !italic => {
                bold = !bold;
                out.push_str(if bold { "\\fB" } else { "\\fR" });
            }
            letter => out.push(letter),
        }
    }
    out
}

/// Keeps roff from reading text as its own.
fn escape(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('…', "...");
    match escaped.as_bytes().first() {
        Some(b'.' | b'\'') => format!("\\&{escaped}"),
        _ => escaped,
    }
}

/// Every page with the name of its file, `listsendpays` first.
pub fn pages() -> impl Iterator<Item = (String, String)> {
    METHODS
        .iter()
        .map(|entry| (format!("sendpay-{}.7", entry.name), roff(entry)))
}
