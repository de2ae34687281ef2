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
    /// How many commas stood between the elements of lists of the result.
    commas: u64,
}

/// How deep the elements of a listing stand: in an array in the result.
const ELEMENT_DEPTH: usize = 2;

impl Pretty {
    /// A formatter for a new value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records of a listing have gone by: a comma comes after each but the last.
    pub(crate) fn records(&self) -> u64 {
        self.commas
    }

    /// Appends the lines for these bytes.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if !self.in_string {
                let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
                let (text, end) = rest.split_at(plain);
                if plain > 0 {
                    self.begin(out);
                    out.extend_from_slice(text);
                    rest = end;
                } else {
                    self.outside(*byte, out);
                    rest = after;
                }
                continue;
            }
            if std::mem::take(&mut self.escaped) {
                out.push(*byte);
                rest = after;
                continue;
            }
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            let (text, end) = rest.split_at(plain);
            out.extend_from_slice(text);
            rest = end;
            if let Some((byte, after)) = end.split_first() {
                out.push(*byte);
                self.escaped = *byte == b'\\';
                self.in_string = self.escaped;
                rest = after;
            }
        }
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte.is_ascii_whitespace() {
            return;
        }
        if matches!(byte, b'}' | b']') {
            self.depth = self.depth.saturating_sub(1);
            if !std::mem::take(&mut self.empty) {
                self.line(out);
            }
            out.push(byte);
            return;
        }
        self.begin(out);
        out.push(byte);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.empty = true;
            }
            b',' => {
                self.commas += u64::from(self.depth == ELEMENT_DEPTH);
                self.line(out);
            }
            b':' => out.push(b' '),
            b'"' => self.in_string = true,
            _ => {}
        }
    }

    /// Before the first thing in an array or object.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.empty) {
            self.line(out);
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        // Enough for anything that is not made to be deep.
        const LINE: &[u8] = b"\n                                                ";
        let columns = 3 * self.depth;
        match LINE.get(..=columns) {
            Some(line) => out.extend_from_slice(line),
            None => {
                out.push(b'\n');
                out.resize(out.len() + columns, b' ');
            }
        }
    }
}

/// Part of a number or a word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
