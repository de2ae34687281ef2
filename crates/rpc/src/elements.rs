//! The elements of a list, one by one, while its bytes still come.
//!
//! A listing of a million payments is one JSON value. [`Elements`] finds where each of its elements
//! begins and ends by counting brackets, in the memory of the longest element. What stands in an
//! element is not looked into: that is left to whoever takes it. The bytes come from
//! [`crate::client::Client::call_streaming`], which has made sure that they are a whole value.

/// The longest element, in bytes. A record holds the texts of one request, which is at most
/// [`crate::frame::REQUEST_BYTES_MAX`] (1 MiB), and a few hundred bytes of its own.
pub const ELEMENT_BYTES_MAX: usize = 4 << 20;

/// How much of a member's name is kept, in bytes. The longest of the contract has twenty.
const NAME_BYTES_MAX: usize = 256;

/// How many lists beside the one that is read are remembered by name.
const LEFT_OUT_MAX: usize = 16;

/// Why a result has no elements, or no more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// The result has no list, or not the one that was asked for.
    #[error("it is no list")]
    NoList,
    /// An element is above [`ELEMENT_BYTES_MAX`].
    #[error("an element of it is longer than {ELEMENT_BYTES_MAX} bytes")]
    TooLong,
    /// There is nothing where an element should be.
    #[error("an element of its list is missing")]
    Missing,
    /// The bytes ended before the value did.
    #[error("it is cut off")]
    CutOff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before the value.
    Before,
    /// Among the members of an object, the list not found yet.
    Members,
    /// In the list; its elements stand this deep.
    List { depth: usize },
    /// Behind the list.
    Behind,
    /// In a value that is no list.
    NoList,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

/// What a byte that was looked at means.
enum Turn {
    None,
    ListBegins,
    ElementEnds { last: bool },
}

/// Finds the elements of the first list in a result: of the result itself, if it is an array,
/// else of its first member that is one.
#[derive(Debug)]
pub struct Elements {
    wanted: Option<String>,
    stage: Stage,
    quote: Quote,
    depth: usize,
    /// The last string among the members: the name of the value that comes next, if that is a list.
    name: Vec<u8>,
    /// The start of an element whose end has not come.
    kept: Vec<u8>,
    any: bool,
    left_out: Vec<String>,
}

impl Default for Elements {
    fn default() -> Self {
        Self::new()
    }
}

impl Elements {
    /// For the first list, whatever its name.
    #[must_use]
    pub fn new() -> Self {
        Elements {
            wanted: None,
            stage: Stage::Before,
            quote: Quote::Outside,
            depth: 0,
            name: Vec::new(),
            kept: Vec::new(),
            any: false,
            left_out: Vec::new(),
        }
    }

    /// For the list that is the member with this name.
    #[must_use]
    pub fn of_member(name: &str) -> Self {
        Elements {
            wanted: Some(name.to_owned()),
            ..Self::new()
        }
    }

    /// Takes in bytes, handing each element that ends in them to `sink`, without blanks around it.
    ///
    /// # Errors
    /// If an element is missing or too long, and what `sink` refuses with. Nothing can be fed
    /// after an error.
    pub fn feed<E: From<ElementError>>(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // Where the element begins, or goes on.
        let mut from = 0;
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let skipped = self.unremarkable(rest);
            if self.is_in_name() {
                let room = NAME_BYTES_MAX.saturating_sub(self.name.len());
                let name = rest.get(..skipped.min(room)).unwrap_or_default();
                self.name.extend_from_slice(name);
            }
            at += skipped;
            let Some(byte) = bytes.get(at) else { break };
            match self.step(*byte) {
                Turn::None => {}
                Turn::ListBegins => from = at + 1,
                Turn::ElementEnds { last } => {
                    self.hand_on(bytes.get(from..at).unwrap_or_default(), last, sink)?;
                    from = at + 1;
                }
            }
            at += 1;
        }
        if matches!(self.stage, Stage::List { .. }) {
            self.keep(bytes.get(from..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Whether the list has begun.
    #[must_use]
    pub fn has_list(&self) -> bool {
        matches!(self.stage, Stage::List { .. } | Stage::Behind)
    }

    /// Ends the value. Gives the names of its other lists, the elements of which were passed over.
    ///
    /// # Errors
    /// If there was no list, or the value is not whole.
    pub fn finish(self) -> Result<Vec<String>, ElementError> {
        match self.stage {
            _ if self.depth > 0 || self.quote != Quote::Outside => Err(ElementError::CutOff),
            Stage::Behind => Ok(self.left_out),
            _ => Err(ElementError::NoList),
        }
    }

    /// How many bytes at the start of these change nothing.
    fn unremarkable(&self, bytes: &[u8]) -> usize {
        let next = match (self.quote, self.stage) {
            (Quote::Escaped, _) | (_, Stage::Before) => Some(0),
            (Quote::Inside, _) => memchr::memchr2(b'"', b'\\', bytes),
            (Quote::Outside, Stage::List { depth }) if depth == self.depth => bytes
                .iter()
                .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',')),
            (Quote::Outside, _) => bytes
                .iter()
                .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')),
        };
        next.unwrap_or(bytes.len())
    }

    /// Whether a string is being read that may be the name of a list.
    fn is_in_name(&self) -> bool {
        self.quote != Quote::Outside && self.is_among_members()
    }

    fn is_among_members(&self) -> bool {
        self.depth == 1 && matches!(self.stage, Stage::Members | Stage::Behind)
    }

    fn step(&mut self, byte: u8) -> Turn {
        match (self.quote, byte) {
            (Quote::Escaped, _) => self.quote = Quote::Inside,
            (Quote::Inside, b'\\') => self.quote = Quote::Escaped,
            (Quote::Inside, b'"') => self.quote = Quote::Outside,
            (Quote::Inside, _) => {}
            (Quote::Outside, b'"') => {
                if self.is_among_members() {
                    self.name.clear();
                }
                self.begin_other();
                self.quote = Quote::Inside;
            }
            (Quote::Outside, b'{' | b'[') => return self.open(byte),
            (Quote::Outside, b'}' | b']') => return self.close(),
            (Quote::Outside, b',') if self.stage == (Stage::List { depth: self.depth }) => {
                return Turn::ElementEnds { last: false };
            }
            (Quote::Outside, _) if !byte.is_ascii_whitespace() => self.begin_other(),
            (Quote::Outside, _) => {}
        }
        Turn::None
    }

    /// The value has begun, and is neither array nor object.
    fn begin_other(&mut self) {
        if self.stage == Stage::Before {
            self.stage = Stage::NoList;
        }
    }

    fn open(&mut self, bracket: u8) -> Turn {
        self.depth += 1;
        let is_array = bracket == b'[';
        match (self.stage, self.depth) {
            (Stage::Before, _) if is_array && self.wanted.is_none() => {
                self.stage = Stage::List { depth: 1 };
                return Turn::ListBegins;
            }
            (Stage::Before, _) => {
                let nothing = if is_array {
                    Stage::NoList
                } else {
                    Stage::Members
                };
                self.stage = nothing;
            }
            (Stage::Members | Stage::Behind, 2) if is_array => {
                let name = String::from_utf8_lossy(&self.name);
                if self.stage == Stage::Members && self.is_wanted(&name) {
                    self.stage = Stage::List { depth: 2 };
                    return Turn::ListBegins;
                }
                let name = name.into_owned();
                if self.left_out.len() < LEFT_OUT_MAX {
                    self.left_out.push(name);
                }
            }
            _ => {}
        }
        Turn::None
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted == name)
    }

    fn close(&mut self) -> Turn {
        let ends = self.stage == (Stage::List { depth: self.depth });
        self.depth = self.depth.saturating_sub(1);
        if ends {
            self.stage = Stage::Behind;
            return Turn::ElementEnds { last: true };
        }
        Turn::None
    }

    fn hand_on<E: From<ElementError>>(
        &mut self,
        end: &[u8],
        last: bool,
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let element = if self.kept.is_empty() {
            end.trim_ascii()
        } else {
            self.keep(end)?;
            self.kept.trim_ascii()
        };
        if element.len() > ELEMENT_BYTES_MAX {
            return Err(ElementError::TooLong.into());
        }
        if !element.is_empty() {
            self.any = true;
            sink(element)?;
        } else if self.any || !last {
            return Err(ElementError::Missing.into());
        }
        self.kept.clear();
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), ElementError> {
        if self.kept.len() + bytes.len() > ELEMENT_BYTES_MAX {
            return Err(ElementError::TooLong);
        }
        self.kept.extend_from_slice(bytes);
        Ok(())
    }
}
