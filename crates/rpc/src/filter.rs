//! The `filter` member of a request: which members of its result are wanted.
//!
//! A filter is a template of the result (CLN's `common/json_filter.c`, lightningd-rpc(7)): an object
//! names the members that are wanted, an array of one element says what is wanted of each element,
//! and `true` wants a value whole. [`Filter`] is the template, read and checked; what it does to the
//! bytes of a result is in [`Filtering`], which needs no result as a whole and so works on listings
//! of any length. Errors are never filtered, and neither are notifications.
//!
//! Two things are not as in CLN, where `true` and `{}` mean the same: `true` wants an object whole,
//! of which CLN shows only what stands deeper in it, and `{}` wants nothing of it.

mod filtering;

pub use filtering::{Filtering, WARNING_PARAMETER_FILTER};

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::error::RpcError;
use crate::json::{Kind, Token};
use crate::param::{BadParam, Mode};

/// The name of the member, for its errors.
const FILTER: &str = "filter";

/// What is wanted of a result.
///
/// It is as deep as the request that it came with, at most [`crate::frame::NESTING_MAX`].
#[derive(Debug, Clone)]
pub struct Filter {
    /// All parts of the template, the whole of it first.
    parts: Vec<Wanted>,
}

/// The place of a part of the template among its parts.
type Place = usize;

/// The place of the template itself.
const ROOT: Place = 0;

/// What is wanted of one value.
#[derive(Debug, Clone)]
enum Wanted {
    /// All of it.
    Whole,
    /// These members of an object.
    Members(BTreeMap<String, Place>),
    /// Of each element of an array, this.
    Elements(Place),
}

impl Filter {
    /// Reads the `filter` member of a request.
    ///
    /// # Errors
    /// -32602 with CLN's text for the first thing that is wrong.
    pub fn read(raw: &RawValue) -> Result<Self, RpcError> {
        let token = Token::new(raw);
        let mut filter = Filter { parts: Vec::new() };
        let read = match token.kind() {
            Kind::Object => filter.add(token),
            _ => Err(BadParam::new("Expected object", token)),
        };
        match read {
            Ok(_) => Ok(filter),
            // A filter is no secret, but this is how CLN says it.
            Err(bad) => Err(bad.into_error(FILTER, Mode::Normal)),
        }
    }

    /// Adds a part, and the parts in it behind it.
    fn add(&mut self, token: Token<'_>) -> Result<Place, BadParam> {
        let place = self.parts.len();
        self.parts.push(Wanted::Whole);
        let wanted = match token.kind() {
            Kind::Object => {
                let members = token.members();
                let members = members.ok_or_else(|| BadParam::new("expected string key", token))?;
                let mut wanted = BTreeMap::new();
                for (name, value) in members {
                    let part = self.add(Token::new(value))?;
                    // Of a name given twice, the first counts.
                    wanted.entry(name).or_insert(part);
                }
                Wanted::Members(wanted)
            }
            Kind::Array => match token.elements().as_deref() {
                Some([element]) => Wanted::Elements(self.add(*element)?),
                _ => return Err(BadParam::new("Arrays can only have one element", token)),
            },
            Kind::String | Kind::Primitive if token.raw() == "true" => Wanted::Whole,
            Kind::String | Kind::Primitive => {
                return Err(BadParam::new("value must be true", token));
            }
        };
        if let Some(part) = self.parts.get_mut(place) {
            *part = wanted;
        }
        Ok(place)
    }

    fn part(&self, place: Place) -> &Wanted {
        self.parts.get(place).unwrap_or(&Wanted::Whole)
    }
}
