//! A result taken apart into names and values, as its bytes come.

use sendpay_rpc::elements::ELEMENT_BYTES_MAX;

/// One step of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An array or object begins.
    Open {
        /// Which of them.
        is_array: bool,
    },
    /// The array or object around ends.
    Close,
    /// The name of the member whose value comes next.
    Name(&'a [u8]),
    /// A string without its quotes, or a number or word. Escapes stay as they are.
    Scalar(&'a [u8]),
}

/// A string is longer than any that the daemon sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a string of it is longer than {ELEMENT_BYTES_MAX} bytes")]
pub(crate) struct TooLong;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    String { escaped: bool },
    Word,
}

/// Takes one well-formed value apart, in any number of pieces.
#[derive(Debug)]
pub(crate) struct Tokens {
    state: State,
    /// The containers around; whether each is an array.
    around: Vec<bool>,
    /// Whether the next string is the name of a member.
    names: bool,
    /// The start of a string or word whose end has not come.
    text: Vec<u8>,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Tokens {
            state: State::Between,
            around: Vec::new(),
            names: false,
            text: Vec::new(),
        }
    }

    /// Takes in bytes, handing each step that ends in them to `sink`.
    pub(crate) fn feed<E: From<TooLong>>(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Token<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for byte in bytes {
            match (self.state, byte) {
                (State::String { escaped: false }, b'"') => {
                    let token = if std::mem::take(&mut self.names) {
                        Token::Name(&self.text)
                    } else {
                        Token::Scalar(&self.text)
                    };
                    sink(token)?;
                    self.state = State::Between;
                }
                (State::String { escaped }, byte) => {
                    self.state = State::String {
                        escaped: *byte == b'\\' && !escaped,
                    };
                    self.keep(*byte)?;
                }
                (State::Word, b',' | b'}' | b']') => {
                    self.word(sink)?;
                    self.between(*byte, sink)?;
                }
                (State::Word, byte) if byte.is_ascii_whitespace() => self.word(sink)?,
                (State::Word, byte) => self.keep(*byte)?,
                (State::Between, byte) => self.between(*byte, sink)?,
            }
        }
        Ok(())
    }

    /// Ends the value: a number that is all of it has no end of its own.
    pub(crate) fn finish<E: From<TooLong>>(
        mut self,
        sink: &mut impl FnMut(Token<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.state {
            State::Word => self.word(sink),
            State::Between | State::String { .. } => Ok(()),
        }
    }

    fn between<E: From<TooLong>>(
        &mut self,
        byte: u8,
        sink: &mut impl FnMut(Token<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match byte {
            b'{' | b'[' => {
                let is_array = byte == b'[';
                self.around.push(is_array);
                self.names = !is_array;
                sink(Token::Open { is_array })
            }
            b'}' | b']' => {
                self.around.pop();
                self.names = false;
                sink(Token::Close)
            }
            b',' => {
                self.names = self.around.last() == Some(&false);
                Ok(())
            }
            b'"' => {
                self.text.clear();
                self.state = State::String { escaped: false };
                Ok(())
            }
            b':' => Ok(()),
            _ if byte.is_ascii_whitespace() => Ok(()),
            _ => {
                self.text.clear();
                self.state = State::Word;
                Ok(self.keep(byte)?)
            }
        }
    }

    fn word<E>(&mut self, sink: &mut impl FnMut(Token<'_>) -> Result<(), E>) -> Result<(), E> {
        self.state = State::Between;
        sink(Token::Scalar(&self.text))
    }

    fn keep(&mut self, byte: u8) -> Result<(), TooLong> {
        if self.text.len() >= ELEMENT_BYTES_MAX {
            return Err(TooLong);
        }
        self.text.push(byte);
        Ok(())
    }
}
