//! Values without their brackets, as `lightning-cli --human-readable` writes them: a line for each
//! value, `name=value` in objects, and of an object with one member only the value.

use crate::tokens::{Token, Tokens, TooLong};

/// The longest value that is held until it is known whether it is all of its object, in bytes.
/// Listings need no more than a record: that their list is all there is, is known from the contract.
const HELD_BYTES_MAX: usize = 64 << 20;

/// The member by which a result says how it wants to be shown; it is not shown itself.
const FORMAT_HINT: &[u8] = b"format-hint";

/// Why a result cannot be shown so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HumanError {
    #[error(transparent)]
    String(#[from] TooLong),
    #[error("a value of it is longer than {HELD_BYTES_MAX} bytes (-J shows any result)")]
    Held,
}

/// Turns a result into such lines.
#[derive(Debug)]
pub(crate) struct Human {
    tokens: Tokens,
    shown: Shown,
}

#[derive(Debug)]
struct Shown {
    /// Whether the result is known to have one member.
    is_sole: bool,
    around: Vec<Around>,
    /// Whether the next value is the hint.
    skips: bool,
}

#[derive(Debug)]
enum Around {
    Array,
    /// An object, before its first member.
    Empty,
    /// An object with one member so far, and the lines of its value.
    One {
        name: Vec<u8>,
        lines: Vec<u8>,
    },
    /// An object of which everything is written as it comes.
    Many,
}

impl Human {
    /// For a result of which it is known, or not, that it has one member.
    pub(crate) fn new(is_sole: bool) -> Self {
        let shown = Shown {
            is_sole,
            around: Vec::new(),
            skips: false,
        };
        Human {
            tokens: Tokens::new(),
            shown,
        }
    }

    /// Appends the lines that can be written after these bytes.
    pub(crate) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), HumanError> {
        let shown = &mut self.shown;
        self.tokens.feed(bytes, &mut |token| shown.take(token, out))
    }

    /// Ends the result.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), HumanError> {
        self.tokens.finish(&mut |token| self.shown.take(token, out))
    }
}

impl Shown {
    fn take(&mut self, token: Token<'_>, out: &mut Vec<u8>) -> Result<(), HumanError> {
        match token {
            Token::Open { is_array: true } => self.around.push(Around::Array),
            Token::Open { is_array: false } => {
                let is_sole = self.is_sole && self.around.is_empty();
                self.around
                    .push(if is_sole { Around::Many } else { Around::Empty });
            }
            Token::Close => {
                if let Some(Around::One { lines, .. }) = self.around.pop() {
                    self.put(&lines, out)?;
                }
            }
            Token::Name(name) => self.name(name, out)?,
            Token::Scalar(_) if std::mem::take(&mut self.skips) => {}
            Token::Scalar(text) => {
                let mut line = Vec::with_capacity(text.len() + 1);
                plain(text, &mut line);
                line.push(b'\n');
                self.put(&line, out)?;
            }
        }
        Ok(())
    }

    fn name(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<(), HumanError> {
        if self.around.len() == 1 && name == FORMAT_HINT {
            self.skips = true;
            return Ok(());
        }
        if self.is_sole && self.around.len() == 1 {
            return Ok(());
        }
        let mut text = name.to_vec();
        text.push(b'=');
        match self.around.last_mut() {
            Some(around @ Around::Empty) => {
                *around = Around::One {
                    name: text,
                    lines: Vec::new(),
                };
                Ok(())
            }
            Some(around @ Around::One { .. }) => {
                if let Around::One { name, lines } = std::mem::replace(around, Around::Many) {
                    self.put(&name, out)?;
                    self.put(&lines, out)?;
                }
                self.put(&text, out)
            }
            Some(Around::Many | Around::Array) | None => self.put(&text, out),
        }
    }

    /// Appends to what is held of the innermost object with one member so far, or to the output.
    fn put(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), HumanError> {
        for around in self.around.iter_mut().rev() {
            if let Around::One { lines, .. } = around {
                if lines.len() + text.len() > HELD_BYTES_MAX {
                    return Err(HumanError::Held);
                }
                lines.extend_from_slice(text);
                return Ok(());
            }
        }
        out.extend_from_slice(text);
        Ok(())
    }
}

/// The text of a string: line breaks and tabs as such, and of other escapes what is behind the
/// backslash.
fn plain(text: &[u8], line: &mut Vec<u8>) {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let escaped = if *byte == b'\\' { bytes.next() } else { None };
        line.push(match escaped {
            None => *byte,
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(other) => *other,
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(json: &str, cut: usize, is_sole: bool) -> String {
        let (start, end) = json.as_bytes().split_at(cut);
        let (mut human, mut out) = (Human::new(is_sole), Vec::new());
        human.write(start, &mut out).unwrap();
        human.write(end, &mut out).unwrap();
        human.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_lines_with_names_where_there_are_several() {
        for (json, expected) in [
            (r#"{"a":1,"b":"x"}"#, "a=1\nb=x\n"),
            (r#"{"a":1}"#, "1\n"),
            (r#"{"a":{"b":{"c":"d"}}}"#, "d\n"),
            (r#"{"a":{"b":1,"c":2}}"#, "b=1\nc=2\n"),
            (r#"{"a":{"b":1,"c":2},"d":{"e":3}}"#, "a=b=1\nc=2\nd=3\n"),
            (
                r#"{"help":[{"command":"a b"},{"command":"c"}],"format-hint":"simple"}"#,
                "a b\nc\n",
            ),
            (
                r#"{"list":[{"a":1,"b":[2,3]},{"a":4,"b":[]}]}"#,
                "a=1\nb=2\n3\na=4\nb=",
            ),
            (r#""a\nb\tc\"d\\e\/f\u0041""#, "a\nb\tc\"d\\e/fu0041\n"),
            (r#"[true,null,-1.5e3]"#, "true\nnull\n-1.5e3\n"),
            (r#"{"a":{},"b":[]}"#, "a=b="),
            ("{}", ""),
            ("5", "5\n"),
        ] {
            for cut in 0..json.len() {
                assert_eq!(shown(json, cut, false), expected, "{json} at {cut}");
            }
        }
    }

    #[test]
    fn of_a_result_that_is_known_to_be_one_list_nothing_is_held() {
        let json = r#"{"list":[{"a":1,"b":{"c":2}},{"a":{"d":3,"e":4}}]}"#;
        for cut in 0..json.len() {
            assert_eq!(shown(json, cut, true), "a=1\nb=2\nd=3\ne=4\n");
            assert_eq!(shown(json, cut, true), shown(json, cut, false));
        }
        let (mut human, mut out) = (Human::new(true), Vec::new());
        human.write(br#"{"list":[{"a":1},"#, &mut out).unwrap();
        assert_eq!(out, b"1\n");
    }

    #[test]
    fn more_than_can_be_held_is_refused() {
        let (mut human, mut out) = (Human::new(false), Vec::new());
        human.write(br#"{"list":["#, &mut out).unwrap();
        let text = format!("\"{}\",", "x".repeat(1 << 20));
        let held = (0..65).try_for_each(|_| human.write(text.as_bytes(), &mut out));
        assert_eq!(held, Err(HumanError::Held));
        assert!(out.is_empty());
    }
}
