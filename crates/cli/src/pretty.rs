//! JSON over many lines, made as the bytes come: three spaces for each level, as `lightning-cli`
//! writes it. Constant memory whatever the size.

/// Turns compact JSON into lines. The input is one well-formed value in any number of pieces.
#[derive(Debug, Default)]
pub struct Pretty {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// An array or object was opened and nothing stands in it yet.
    empty: bool,
}

impl Pretty {
    /// A formatter for a new value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the lines for these bytes.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            if self.in_string {
                self.string_byte(*byte);
                out.push(*byte);
                continue;
            }
            if byte.is_ascii_whitespace() {
                continue;
            }
            match byte {
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if !std::mem::take(&mut self.empty) {
                        self.line(out);
                    }
                    out.push(*byte);
                    continue;
                }
                _ if std::mem::take(&mut self.empty) => self.line(out),
                _ => {}
            }
            out.push(*byte);
            match byte {
                b'{' | b'[' => {
                    self.depth += 1;
                    self.empty = true;
                }
                b',' => self.line(out),
                b':' => out.push(b' '),
                b'"' => self.in_string = true,
                _ => {}
            }
        }
    }

    fn string_byte(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b"   ", self.depth).flatten());
    }
}
