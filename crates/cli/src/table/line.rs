//! One object as one line, for a person who watches them come: `name=value` beside each other. No two
//! need have the same members, and none is known before it is there, so there are no columns.

use super::{DISPENSABLE, cell::Shown};
use crate::Terminal;
use comfy_table::Color;
use serde_json::{Map, Value};

/// The members of an object, and of the objects in it in their place, in a line. Those that can be
/// done without make way where the terminal is too narrow.
pub(crate) fn line(value: &Value, terminal: Terminal) -> String {
    let mut members = Vec::new();
    match value.as_object() {
        Some(object) => flatten(object, &mut members),
        None => return format!("{value}\n"),
    }
    // An old name for the same thing.
    let index = members.iter().find(|(name, _)| *name == "created_index");
    let index = index.map(|(_, value)| *value);
    members.retain(|(name, value)| *name != "id" || Some(*value) != index);
    let mut words: Vec<Word> = members
        .iter()
        .map(|(name, value)| Word::new(name, value))
        .collect();
    for name in DISPENSABLE {
        let length: usize = words.iter().map(|word| word.length() + 1).sum();
        if length.saturating_sub(1) <= terminal.columns {
            break;
        }
        words.retain(|word| word.name != *name);
    }
    let words: Vec<String> = words.iter().map(|word| word.text(terminal)).collect();
    words.join(" ") + "\n"
}

fn flatten<'a>(object: &'a Map<String, Value>, members: &mut Vec<(&'a str, &'a Value)>) {
    for (name, value) in object {
        match value {
            Value::Object(inner) => flatten(inner, members),
            value => members.push((name, value)),
        }
    }
}

struct Word<'a> {
    name: &'a str,
    shown: Shown,
}

impl<'a> Word<'a> {
    fn new(name: &'a str, value: &Value) -> Self {
        let mut shown = Shown::new(name, Some(value));
        if shown.text.is_empty() || shown.text.contains([' ', '=']) {
            shown.text = format!("\"{}\"", shown.text);
        }
        Word { name, shown }
    }

    /// In characters.
    fn length(&self) -> usize {
        self.name.chars().count() + 1 + self.shown.text.chars().count()
    }

    fn text(&self, terminal: Terminal) -> String {
        let code = match self.shown.colour.filter(|_| terminal.colours) {
            Some(Color::Green) => 32,
            Some(Color::Red) => 31,
            Some(Color::Yellow) => 33,
            _ => return format!("{}={}", self.name, self.shown.text),
        };
        format!("{}=\x1b[{code}m{}\x1b[0m", self.name, self.shown.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change() -> Value {
        json!({"change": 7, "kind": "updated", "payment": {
            "created_index": 3, "id": 3, "payment_hash": "ab".repeat(32), "groupid": 1,
            "amount_msat": "5000msat", "created_at": 1_795_361_960, "status": "complete",
            "label": "the rent", "description": "",
        }})
    }

    #[test]
    fn a_change_is_a_line_with_all_of_its_members() {
        assert_eq!(
            line(&change(), Terminal::NONE),
            "change=7 kind=updated created_index=3 payment_hash=abababab…abab groupid=1 \
             amount_msat=5000msat created_at=\"2026-11-22 15:39\" status=complete \
             label=\"the rent\" description=\"\"\n"
        );
    }

    #[test]
    fn a_narrow_terminal_has_what_cannot_be_done_without_and_colours_do_not_count() {
        for colours in [false, true] {
            let terminal = Terminal {
                columns: 118,
                colours,
            };
            let line = line(&change(), terminal);
            assert!(
                line.contains("status=") && line.contains("complete"),
                "{line}"
            );
            assert!(
                !line.contains("description") && !line.contains("groupid"),
                "{line}"
            );
            assert_eq!(line.contains("\x1b[32mcomplete\x1b[0m"), colours, "{line}");
            assert!(line.contains("amount_msat=5000msat"), "{line}");
        }
    }

    #[test]
    fn a_label_of_a_stranger_moves_no_cursor() {
        let line = line(&json!({"label": "a\u{1b}[2J\n b"}), Terminal::NONE);
        assert_eq!(line, "label=\"a·[2J· b\"\n");
    }
}
