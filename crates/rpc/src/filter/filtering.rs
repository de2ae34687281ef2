//! A filter at work: the bytes of a result in, those that are wanted out, as they come.

use std::collections::BTreeSet;

use super::{Filter, Place, ROOT, Wanted};

/// The member that a result gets if the filter takes an array for an object, or the other way
/// round. It comes last.
pub const WARNING_PARAMETER_FILTER: &str = "warning_parameter_filter";

/// How much of a member's name is kept, in bytes. The longest of the contract has thirty; one that
/// is longer than this is not wanted.
const NAME_BYTES_MAX: usize = 256;

/// Leaves out of one result what its filter does not want.
///
/// It holds the template, where it stands in it, and the name of the member it is at: nothing of the
/// result. The result is taken to be well-formed JSON.
#[derive(Debug)]
pub struct Filtering {
    filter: Filter,
    /// Parts of the template that were held against the wrong sort of value.
    misused: BTreeSet<Place>,
    /// The containers around, outermost first, of which some may be wanted.
    open: Vec<Open>,
    stage: Stage,
    /// The name of the member that is being read, as it is written, without quotes.
    name: Vec<u8>,
}

/// A container of which some may be wanted.
#[derive(Debug, Clone, Copy)]
struct Open {
    part: Place,
    is_array: bool,
    /// Whether something was written in it, so that a comma comes next.
    any: bool,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy)]
enum Fate {
    LeftOut,
    /// What this part of the template wants of it.
    By(Place),
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Before a value, the fate of which is known.
    Value(Fate),
    /// Before an element of an array, or its end.
    Element,
    /// Before the name of a member, or the end of the object.
    Member,
    /// In the name of a member.
    Name { escaped: bool },
    /// Behind a name.
    Colon,
    /// In a string, or in a container that is wanted whole or not at all.
    Inside {
        kept: bool,
        depth: usize,
        quote: Quote,
    },
    /// In a number, or in `true`, `false` or `null`.
    Scalar { kept: bool },
    /// Behind a value.
    Behind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

impl Filtering {
    /// For one result.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        Filtering {
            filter,
            misused: BTreeSet::new(),
            open: Vec::new(),
            stage: Stage::Value(Fate::By(ROOT)),
            name: Vec::new(),
        }
    }

    /// Takes in bytes of the result, and writes to `out` what is wanted of them.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let done = self.step(*first, rest, out);
            rest = rest.get(done..).unwrap_or_default();
        }
    }

    /// Takes in some bytes, and says how many. If none, the stage is another.
    fn step(&mut self, first: u8, rest: &[u8], out: &mut Vec<u8>) -> usize {
        match self.stage {
            Stage::Inside { kept, depth, quote } => {
                return self.inside(kept, depth, quote, rest, out);
            }
            Stage::Scalar { kept } => return self.scalar(kept, rest, out),
            Stage::Name { escaped } => self.in_name(escaped, first),
            _ if first.is_ascii_whitespace() => {}
            Stage::Value(fate) => self.begin(fate, first, out),
            Stage::Element if first == b']' => self.close(first, out),
            Stage::Element => {
                self.stage = Stage::Value(self.fate_of_element());
                return 0;
            }
            Stage::Member if first == b'"' => {
                self.name.clear();
                self.stage = Stage::Name { escaped: false };
            }
            Stage::Member => self.close(first, out),
            Stage::Colon => self.stage = Stage::Value(self.fate_of_member()),
            Stage::Behind if first == b',' => {
                let in_array = self.open.last().is_some_and(|open| open.is_array);
                self.stage = if in_array {
                    Stage::Element
                } else {
                    Stage::Member
                };
            }
            Stage::Behind => self.close(first, out),
        }
        1
    }

    fn in_name(&mut self, escaped: bool, byte: u8) {
        if byte == b'"' && !escaped {
            self.stage = Stage::Colon;
            return;
        }
        // One byte more than may be, so that a name that is too long is seen to be.
        if self.name.len() <= NAME_BYTES_MAX {
            self.name.push(byte);
        }
        self.stage = Stage::Name {
            escaped: byte == b'\\' && !escaped,
        };
    }

    /// What becomes of the member whose name was read.
    fn fate_of_member(&mut self) -> Fate {
        let Some(open) = self.open.last() else {
            return Fate::LeftOut;
        };
        match self.filter.part(open.part) {
            Wanted::Members(wanted) => {
                let text = std::str::from_utf8(&self.name).unwrap_or_default();
                let place = if text.len() > NAME_BYTES_MAX {
                    None
                } else if text.contains('\\') {
                    let unescaped = serde_json::from_str::<String>(&format!("\"{text}\""));
                    unescaped.ok().and_then(|name| wanted.get(&name))
                } else {
                    wanted.get(text)
                };
                place.map_or(Fate::LeftOut, |place| Fate::By(*place))
            }
            _ => {
                self.misused.insert(open.part);
                Fate::LeftOut
            }
        }
    }

    /// What becomes of the next element of the array.
    fn fate_of_element(&mut self) -> Fate {
        let Some(open) = self.open.last() else {
            return Fate::LeftOut;
        };
        match self.filter.part(open.part) {
            Wanted::Elements(wanted) => Fate::By(*wanted),
            _ => {
                self.misused.insert(open.part);
                Fate::LeftOut
            }
        }
    }

    /// Begins a value.
    fn begin(&mut self, fate: Fate, first: u8, out: &mut Vec<u8>) {
        let kept = match fate {
            Fate::LeftOut => false,
            Fate::By(_) => true,
        };
        if kept {
            self.introduce(out);
            out.push(first);
        }
        let by = match fate {
            Fate::By(part) if !matches!(self.filter.part(part), Wanted::Whole) => Some(part),
            _ => None,
        };
        self.stage = match (first, by) {
            (b'{' | b'[', Some(part)) => {
                let is_array = first == b'[';
                self.open.push(Open {
                    part,
                    is_array,
                    any: false,
                });
                if is_array {
                    Stage::Element
                } else {
                    Stage::Member
                }
            }
            (b'{' | b'[', None) => Stage::Inside {
                kept,
                depth: 1,
                quote: Quote::Outside,
            },
            (b'"', _) => Stage::Inside {
                kept,
                depth: 0,
                quote: Quote::Inside,
            },
            _ => Stage::Scalar { kept },
        };
    }

    /// Writes what comes before a value: the comma, and the name if it is a member.
    fn introduce(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        if open.any {
            out.push(b',');
        }
        open.any = true;
        if !open.is_array {
            out.push(b'"');
            out.extend_from_slice(&self.name);
            out.extend_from_slice(b"\":");
        }
    }

    /// Ends the container around.
    fn close(&mut self, bracket: u8, out: &mut Vec<u8>) {
        let closed = self.open.pop();
        if let Some(closed) = closed
            && self.open.is_empty()
            && !closed.is_array
            && let Some(misuse) = self.misuse(ROOT)
        {
            if closed.any {
                out.push(b',');
            }
            let warning = serde_json::Value::from(misuse);
            out.extend_from_slice(format!("\"{WARNING_PARAMETER_FILTER}\":{warning}").as_bytes());
        }
        if closed.is_some() {
            out.push(bracket);
        }
        self.stage = Stage::Behind;
    }

    /// Goes on in a string, or in a container that is kept or left out whole, to its next turn.
    fn inside(
        &mut self,
        kept: bool,
        mut depth: usize,
        mut quote: Quote,
        rest: &[u8],
        out: &mut Vec<u8>,
    ) -> usize {
        let turn = match quote {
            Quote::Escaped => Some(0),
            Quote::Inside => memchr::memchr2(b'"', b'\\', rest),
            Quote::Outside => rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')),
        };
        let done = turn.map_or(rest.len(), |turn| turn + 1);
        if kept {
            out.extend_from_slice(rest.get(..done).unwrap_or_default());
        }
        match (quote, turn.and_then(|turn| rest.get(turn))) {
            (_, None) => return done,
            (Quote::Escaped, _) => quote = Quote::Inside,
            (Quote::Inside, Some(b'\\')) => quote = Quote::Escaped,
            (Quote::Inside, _) => quote = Quote::Outside,
            (Quote::Outside, Some(b'"')) => quote = Quote::Inside,
            (Quote::Outside, Some(b'{' | b'[')) => depth += 1,
            (Quote::Outside, _) => depth = depth.saturating_sub(1),
        }
        self.stage = if depth == 0 && quote == Quote::Outside {
            Stage::Behind
        } else {
            Stage::Inside { kept, depth, quote }
        };
        done
    }

    fn scalar(&mut self, kept: bool, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
        let end = rest.iter().position(ends);
        let done = end.unwrap_or(rest.len());
        if kept {
            out.extend_from_slice(rest.get(..done).unwrap_or_default());
        }
        if end.is_some() {
            self.stage = Stage::Behind;
        }
        done
    }

    /// Where a part of the template does not fit what it was held against; CLN's words for the first
    /// such place, by name.
    fn misuse(&self, part: Place) -> Option<String> {
        let wanted = self.filter.part(part);
        if self.misused.contains(&part) {
            return Some(match wanted {
                Wanted::Elements(_) => " is an object".to_owned(),
                Wanted::Whole | Wanted::Members(_) => " is an array".to_owned(),
            });
        }
        match wanted {
            Wanted::Whole => None,
            Wanted::Elements(wanted) => self.misuse(*wanted).map(|rest| format!("[]{rest}")),
            Wanted::Members(wanted) => wanted
                .iter()
                .find_map(|(name, wanted)| Some(format!(".{name}{}", self.misuse(*wanted)?))),
        }
    }
}
