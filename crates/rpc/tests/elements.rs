//! The elements of a list, against serde_json: whatever the JSON is, and wherever it is cut.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use proptest::collection::vec;
use proptest::prelude::*;
use sendpay_rpc::elements::{ELEMENT_BYTES_MAX, ElementError, Elements};
use serde_json::{Map, Value, json};

/// Reads a value in these pieces: its elements, and what it ended with.
fn read<'a>(
    mut elements: Elements,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Value>, Result<Vec<String>, ElementError>) {
    let mut found = Vec::new();
    for piece in pieces {
        let fed = elements.feed(piece, &mut |element| {
            found.push(serde_json::from_slice(element).expect("an element is a JSON value"));
            Ok(())
        });
        if let Err(error) = fed {
            return (found, Err(error));
        }
    }
    (found, elements.finish())
}

/// Any JSON, with strings that hold what the scanner looks for.
fn any_json() -> impl Strategy<Value = Value> {
    let text = "[a-z\"\\\\{}\\[\\],: \n\u{1F511}é]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| json!(f64::from(number) / 4.0)),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((text, inner), 0..6)
                .prop_map(|members| { Value::from(members.into_iter().collect::<Map<_, _>>()) }),
        ]
    })
}

/// What the first list has, found by somebody else.
fn expected(value: &Value, name: Option<&str>) -> Option<Vec<Value>> {
    match (value, name) {
        (Value::Array(elements), None) => Some(elements.clone()),
        (Value::Object(members), None) => members.values().find_map(Value::as_array).cloned(),
        (Value::Object(members), Some(name)) => members.get(name)?.as_array().cloned(),
        _ => None,
    }
}

fn assert_read(value: &Value, text: &str, cuts: &[usize]) {
    let last_name = value.as_object().and_then(|members| {
        let last = members.iter().rfind(|(_, value)| value.is_array());
        last.map(|(name, _)| name.as_str())
    });
    // Names with escapes are not those of any method.
    let plain =
        last_name.filter(|name| serde_json::to_string(name).unwrap().len() == name.len() + 2);
    for name in [None, plain] {
        let elements = name.map_or_else(Elements::new, Elements::of_member);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]);
        let (found, outcome) = read(elements, pieces);
        match expected(value, name) {
            Some(elements) => {
                assert_eq!(found, elements, "{text}");
                assert!(outcome.is_ok(), "{text}: {outcome:?}");
            }
            None => {
                assert_eq!(
                    (found, outcome),
                    (vec![], Err(ElementError::NoList)),
                    "{text}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn elements_are_those_that_serde_json_finds_wherever_the_bytes_are_cut(
        value in any_json(),
        cuts in vec(any::<usize>(), 0..12),
        pretty: bool,
    ) {
        let text = if pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        assert_read(&value, &text, &cuts);
        let every_byte: Vec<usize> = (0..text.len()).collect();
        assert_read(&value, &text, &every_byte);
    }

    #[test]
    fn whatever_the_bytes_are_nothing_panics_and_elements_stay_bounded(
        pieces in vec(vec(any::<u8>(), 0..30), 0..8),
        brackets in vec("[\\[\\]{},\"\\\\ 1]{0,20}", 0..8),
    ) {
        for pieces in [pieces, brackets.into_iter().map(String::into_bytes).collect()] {
            let mut elements = Elements::new();
            let total: usize = pieces.iter().map(Vec::len).sum();
            for piece in &pieces {
                let fed = elements.feed(piece, &mut |element: &[u8]| {
                    assert!(!element.is_empty() && element.len() <= total);
                    Ok::<(), ElementError>(())
                });
                if fed.is_err() {
                    break;
                }
            }
        }
    }
}

#[test]
fn the_list_that_is_named_is_read_and_the_others_are_told() {
    let text =
        br#"{"outputs":[{"a":1}],"note":"channels","channels":[2,[3]],"more":[],"o":{"x":[1]}}"#;
    let (found, outcome) = read(Elements::new(), [text.as_slice()]);
    assert_eq!(found, [json!({"a": 1})]);
    assert_eq!(outcome.unwrap(), ["channels", "more"]);
    let (found, outcome) = read(Elements::of_member("channels"), [text.as_slice()]);
    assert_eq!(found, [json!(2), json!([3])]);
    assert_eq!(outcome.unwrap(), ["outputs", "more"]);
    let (found, outcome) = read(Elements::of_member("x"), [text.as_slice()]);
    assert_eq!((found, outcome), (vec![], Err(ElementError::NoList)));
}

#[test]
fn what_is_no_whole_list_is_refused() {
    for (text, error) in [
        ("5", ElementError::NoList),
        ("\"[1]\"", ElementError::NoList),
        ("{}", ElementError::NoList),
        ("{\"a\":{\"b\":[1]}}", ElementError::NoList),
        ("[1,,2]", ElementError::Missing),
        ("[,1]", ElementError::Missing),
        ("[1, ]", ElementError::Missing),
        ("[1,2", ElementError::CutOff),
        ("{\"a\":[1]", ElementError::CutOff),
        ("{\"a\":[\"1", ElementError::CutOff),
    ] {
        let (_, outcome) = read(Elements::new(), [text.as_bytes()]);
        assert_eq!(outcome, Err(error), "{text}");
    }
}

#[test]
fn an_element_may_have_so_many_bytes_and_not_one_more() {
    let piece = vec![b'x'; 1 << 16];
    for (length, expected) in [(ELEMENT_BYTES_MAX, Ok(1)), (ELEMENT_BYTES_MAX + 1, Err(()))] {
        for at_once in [true, false] {
            let mut elements = Elements::new();
            let mut found = 0;
            let text = [b"[\"", piece.repeat(length / piece.len() + 1).as_slice()].concat();
            let text = [&text[..length], b"\"]"].concat();
            let pieces: Vec<&[u8]> = if at_once {
                vec![&text]
            } else {
                text.chunks(1000).collect()
            };
            let outcome = pieces.into_iter().try_for_each(|piece| {
                elements.feed(piece, &mut |element: &[u8]| {
                    assert_eq!(element.len(), length);
                    found += 1;
                    Ok::<(), ElementError>(())
                })
            });
            match expected {
                Ok(count) => assert_eq!((outcome, found), (Ok(()), count)),
                Err(()) => assert_eq!((outcome, found), (Err(ElementError::TooLong), 0)),
            }
        }
    }
}
