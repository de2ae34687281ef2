//! How far a listing goes: where its order ends, told by `wait`, and how much of the way to there
//! lies behind a record of it.

use super::{CallError, Client};
use crate::method::Entry;
use crate::method::wait::Wait;
use crate::value::{IndexName, ListIndex, ListOrder, Subsystem};
use serde_json::{Value, json};

/// The way that a listing goes, from what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    subsystem: Subsystem,
    index: IndexName,
    order: ListOrder,
    start: u64,
}

impl Extent {
    /// That of a request; `None` if the method gives no list in the order of an index, or the
    /// parameters are none that it takes.
    #[must_use]
    pub fn of(entry: &Entry, params: &Value) -> Option<Self> {
        let subsystem = entry.lists?;
        let given = |name: &str| match params {
            Value::Array(values) => {
                let place = entry.params.iter().position(|spec| spec.name == name);
                place.and_then(|place| values.get(place))
            }
            params => params.get(name),
        };
        let word = |name| given(name).and_then(Value::as_str);
        let index = match word("index").map(str::parse) {
            None | Some(Ok(ListIndex::Created | ListIndex::Deleted)) => IndexName::Created,
            Some(Ok(ListIndex::Updated)) => IndexName::Updated,
            Some(Err(_)) => return None,
        };
        Some(Extent {
            subsystem,
            index,
            order: word("order")
                .map_or(Ok(ListOrder::Ascending), str::parse)
                .ok()?,
            start: given("start").and_then(Value::as_u64).unwrap_or(0),
        })
    }

    /// The member of a record that says where it stands.
    #[must_use]
    pub const fn member(&self) -> &'static str {
        match self.index {
            IndexName::Created | IndexName::Deleted => "created_index",
            IndexName::Updated => "updated_index",
        }
    }

    /// Asks for the last place there is now.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn last(&self, client: &mut Client) -> Result<u64, CallError> {
        // Each index has reached 0: the answer comes at once.
        let params = json!({
            "subsystem": self.subsystem, "indexname": self.index, "nextvalue": 0,
        });
        let told = client.request::<Wait>(&params)?;
        Ok(told.created.or(told.updated).unwrap_or(0))
    }

    /// How many places of how many lie behind a listing that has come to this one.
    #[must_use]
    pub fn passed(&self, place: u64, last: u64) -> (u64, u64) {
        let (passed, all) = match self.order {
            ListOrder::Ascending => {
                let before = self.start.saturating_sub(1).min(last);
                (place.saturating_sub(before), last - before)
            }
            ListOrder::Descending => {
                let from = if self.start == 0 {
                    last
                } else {
                    self.start.min(last)
                };
                (from.saturating_sub(place), from)
            }
        };
        (passed.min(all), all)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::method::find;

    fn of(method: &str, params: Value) -> Option<Extent> {
        Extent::of(find(method).unwrap(), &params)
    }

    #[test]
    fn the_way_of_a_listing_is_what_its_parameters_say() {
        let all = of("listsendpays", json!([])).unwrap();
        assert_eq!(
            (all.member(), all.passed(25, 100)),
            ("created_index", (25, 100))
        );
        // What is created while it goes on is behind its end.
        assert_eq!(all.passed(101, 100), (100, 100));
        assert_eq!(all.passed(0, 0), (0, 0));
        for params in [
            json!({"index": "updated", "start": 51}),
            json!([null, null, null, "updated", 51]),
        ] {
            let rest = of("listpays", params).unwrap();
            assert_eq!(
                (rest.member(), rest.passed(75, 100)),
                ("updated_index", (25, 50))
            );
        }
        let newest = of("listsendpays", json!({"index": "created", "order": "desc"})).unwrap();
        assert_eq!(newest.passed(75, 100), (25, 100));
        let older = json!({"index": "created", "order": "desc", "start": 50});
        assert_eq!(of("listsendpays", older).unwrap().passed(25, 100), (25, 50));
        assert_eq!(
            of("listinvoices", json!({})).unwrap().subsystem,
            Subsystem::Invoices
        );
        for (method, params) in [
            ("getinfo", json!({})),
            ("listfunds", json!({})),
            ("listsendpays", json!({"index": "size"})),
            ("listsendpays", json!({"order": "up"})),
        ] {
            assert_eq!(of(method, params), None, "{method}");
        }
    }
}
