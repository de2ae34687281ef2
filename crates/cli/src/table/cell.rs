//! One value in a table: short enough to be read at a glance.

use comfy_table::Color;
use serde_json::Value;

/// Hex and invoices above this are cut in the middle, in characters.
const LONG_WORD: usize = 24;
/// Texts above this are cut at the end, in characters.
const LONG_TEXT: usize = 32;
/// What is left of a cut word: enough at the start to find it by, and something of its end.
const WORD_START: usize = 8;
const WORD_END: usize = 4;

/// How a value is shown.
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) is_number: bool,
    pub(super) colour: Option<Color>,
}

impl Shown {
    /// The value of the member with this name; a missing one is blank.
    pub(super) fn new(name: &str, value: Option<&Value>) -> Self {
        let text = match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => shorten(text),
            Some(Value::Array(items)) => match items.len() {
                0 => String::new(),
                count => format!("({count})"),
            },
            Some(Value::Object(_)) => "{…}".to_owned(),
            Some(value) => match value.as_u64() {
                Some(seconds) if name.ends_with("_at") => date(seconds),
                _ => value.to_string(),
            },
        };
        let is_number = value.is_some_and(Value::is_number) || is_amount(name);
        let colour = matches!(name, "status" | "state" | "hold_state").then(|| colour(&text));
        Shown {
            text,
            is_number,
            colour: colour.flatten(),
        }
    }

    /// The same in exactly so many characters; only a number that needs more keeps them.
    pub(super) fn of_width(mut self, width: usize) -> Self {
        let length = self.text.chars().count();
        let missing = " ".repeat(width.saturating_sub(length));
        if self.is_number {
            self.text.insert_str(0, &missing);
        } else if length > width {
            self.text = self.text.chars().take(width.saturating_sub(1)).collect();
            self.text.push('…');
        } else {
            self.text.push_str(&missing);
        }
        self
    }
}

fn is_amount(name: &str) -> bool {
    name.ends_with("_msat")
}

/// What is well is green, what is not is red, what may go either way is yellow.
fn colour(word: &str) -> Option<Color> {
    match word {
        "complete" | "paid" | "settled" | "confirmed" | "CHANNELD_NORMAL" => Some(Color::Green),
        "failed" | "expired" | "cancelled" => Some(Color::Red),
        "pending" | "unpaid" | "open" | "held" | "unconfirmed" => Some(Color::Yellow),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    // What a stranger may have put into a label must not move the cursor.
    let clean: Vec<char> = text
        .chars()
        .map(|letter| if letter.is_control() { '·' } else { letter })
        .collect();
    let is_word = clean.iter().all(|letter| letter.is_ascii_alphanumeric());
    if is_word && clean.len() > LONG_WORD {
        let end = clean.len().saturating_sub(WORD_END);
        let (start, end) = (clean.iter().take(WORD_START), clean.iter().skip(end));
        start.chain([&'…']).chain(end).collect()
    } else if clean.len() > LONG_TEXT {
        clean.iter().take(LONG_TEXT - 1).chain([&'…']).collect()
    } else {
        clean.iter().collect()
    }
}

/// A time in UTC, to the minute; JSON has the second.
pub(crate) fn date(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    // The days of the civil calendar, counted from 0000-03-01 so that leap days come last (after
    // Howard Hinnant, "chrono-compatible low-level date algorithms").
    let days = seconds / DAY + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (seconds % DAY / 3600, seconds % 3600 / 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // By `date -u -d @N`.
        for (seconds, expected) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (1_795_361_960, "2026-11-22 15:39"),
            (4_107_542_400, "2100-03-01 00:00"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
