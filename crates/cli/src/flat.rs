//! A line for each value, with the way to it before it: `payments[0].status=complete`, as
//! `lightning-cli --flat` writes them. Constant memory whatever the size.

use crate::tokens::{Token, Tokens, TooLong};

/// Turns a result into such lines.
#[derive(Debug)]
pub(crate) struct Flat {
    tokens: Tokens,
    path: Path,
}

/// The way to the value that comes next.
#[derive(Debug, Default)]
struct Path {
    text: Vec<u8>,
    around: Vec<Around>,
}

/// A container around: how long the way to it is, and which element comes next if it is an array.
#[derive(Debug)]
struct Around {
    length: usize,
    next: Option<u64>,
}

impl Flat {
    pub(crate) fn new() -> Self {
        Flat {
            tokens: Tokens::new(),
            path: Path::default(),
        }
    }

    /// Appends the lines that end in these bytes.
    pub(crate) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
        let path = &mut self.path;
        self.tokens.feed(bytes, &mut |token| {
            path.take(token, out);
            Ok(())
        })
    }

    /// Ends the result.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.tokens.finish(&mut |token| {
            self.path.take(token, out);
            Ok(())
        })
    }
}

impl Path {
    fn take(&mut self, token: Token<'_>, out: &mut Vec<u8>) {
        match token {
            Token::Name(name) => {
                self.back();
                if !self.text.is_empty() {
                    self.text.push(b'.');
                }
                self.text.extend_from_slice(name);
            }
            Token::Open { is_array } => {
                self.element();
                self.around.push(Around {
                    length: self.text.len(),
                    next: is_array.then_some(0),
                });
            }
            Token::Close => {
                self.back();
                self.around.pop();
            }
            Token::Scalar(text) => {
                self.element();
                out.extend_from_slice(&self.text);
                out.push(b'=');
                out.extend_from_slice(text);
                out.push(b'\n');
            }
        }
    }

    /// Back to the container around.
    fn back(&mut self) {
        self.text
            .truncate(self.around.last().map_or(0, |around| around.length));
    }

    /// In an array, on to the next element.
    fn element(&mut self) {
        if let Some(Around {
            length,
            next: Some(next),
        }) = self.around.last_mut()
        {
            self.text.truncate(*length);
            self.text.extend_from_slice(format!("[{next}]").as_bytes());
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_value_has_the_way_to_it_wherever_the_bytes_are_cut() {
        for (json, expected) in [
            (r#"{"a":1,"b":"x"}"#, "a=1\nb=x\n"),
            (
                r#"{"payments":[{"id":1,"s":"a\"},\n"},{"id":2}],"n":null}"#,
                "payments[0].id=1\npayments[0].s=a\\\"},\\n\npayments[1].id=2\nn=null\n",
            ),
            (
                r#"{"a":{"b":{"c":[[1,2],[],[3]]}},"d":{}}"#,
                "a.b.c[0][0]=1\na.b.c[0][1]=2\na.b.c[2][0]=3\n",
            ),
            (r#"[true,{"a":"b"}]"#, "[0]=true\n[1].a=b\n"),
            ("{}", ""),
            ("5", "=5\n"),
            (r#" { "a" : [ 1 , "x y" ] } "#, "a[0]=1\na[1]=x y\n"),
        ] {
            for cut in 0..json.len() {
                let (start, end) = json.as_bytes().split_at(cut);
                let (mut flat, mut out) = (Flat::new(), Vec::new());
                flat.write(start, &mut out).unwrap();
                flat.write(end, &mut out).unwrap();
                flat.finish(&mut out).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{json} at {cut}");
            }
        }
    }
}
