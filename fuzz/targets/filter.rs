//! Filters: whatever the template and the result, what is left is JSON, is the same in any pieces, and
//! is left whole by the same filter.

use sendpay_rpc::filter::{Filter, Filtering, WARNING_PARAMETER_FILTER};
use serde_json::Value;
use serde_json::value::RawValue;

fn left<'a>(filter: &Filter, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut filtering = Filtering::new(filter.clone());
    let mut out = Vec::new();
    pieces
        .into_iter()
        .for_each(|piece| filtering.feed(piece, &mut out));
    out
}

/// A template, a line break, and a result. The template of CLN's is an object, and so is a result.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some((template, result)) = text.split_once('\n') else {
        return;
    };
    let Ok(raw) = serde_json::from_str::<&RawValue>(template) else {
        return;
    };
    let filter = match Filter::read(raw) {
        Ok(filter) => filter,
        Err(error) => {
            assert_eq!(error.code, -32602);
            assert!(error.message.starts_with("filter: "));
            return;
        }
    };
    // What is no JSON is none of ours: it must do no harm all the same.
    let whole = left(&filter, [result.as_bytes()]);
    assert_eq!(left(&filter, result.as_bytes().chunks(1)), whole);
    assert!(whole.len() <= result.len() + template.len() * 6 + 100);
    // Of a name given twice the last counts where the result is read; the filter takes both.
    if !matches!(serde_json::from_str(result), Ok(Value::Object(_))) {
        return;
    }
    let found: Value = serde_json::from_slice(&whole).unwrap();
    // A warning stands for something that is not there the second time.
    if found.get(WARNING_PARAMETER_FILTER).is_none() {
        assert_eq!(left(&filter, [whole.as_slice()]), whole);
    }
}
