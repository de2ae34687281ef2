//! What every method says to parameters that are none of its own: the same texts, made from its
//! table, so that no method is left out.

use sendpay_rpc::method::METHODS;
use sendpay_rpc::param::ParamSpec;
use serde_json::{Value, json};

use super::{UNKNOWN, outcome};

/// Values that a type ought to refuse at least one of.
fn candidates() -> [Value; 7] {
    [
        json!({"x": 1}),
        json!([[1]]),
        json!(-1.5),
        json!(true),
        json!("zz"),
        json!("a\u{1}b"),
        json!(""),
    ]
}

/// Types that take any text, however it is written.
fn takes_anything(spec: &ParamSpec) -> bool {
    ["string", "string or integer"].contains(&spec.type_name)
}

/// Whether a text is about the value of this parameter; CLN begins a few otherwise than by its name.
fn names(said: &str, name: &str) -> bool {
    let starts = [
        format!("{name}: "),
        format!("'{name}' should be "),
        "Could not decode the outpoint array for utxos: ".to_owned(),
    ];
    starts.iter().any(|start| said.starts_with(start))
}

#[test]
fn every_method_refuses_names_that_it_does_not_know_and_what_is_no_object_or_array() {
    for entry in METHODS {
        let name = entry.name;
        assert_eq!(outcome(name, r#"{"nosuch":1}"#), UNKNOWN, "{name}");
        for params in ["1", "null", "\"text\"", "true"] {
            let said = outcome(name, params);
            assert_eq!(
                said, "Expected array or object for params",
                "{name} {params}"
            );
        }
    }
}

#[test]
fn every_method_counts_its_parameters() {
    for entry in METHODS {
        let count = entry.params.len();
        // Places are counted before what stands in them is read; null is no value.
        let too_many = vec![Value::Null; count + 1];
        let said = outcome(entry.name, &json!(too_many).to_string());
        let wanted = format!("too many parameters: got {}, expected {count}", count + 1);
        assert_eq!(said, wanted, "{}", entry.name);
    }
}

#[test]
fn every_method_names_the_first_parameter_that_is_missing() {
    for entry in METHODS {
        let first = entry.params.iter().find(|spec| spec.is_required());
        for params in ["{}", "[]"] {
            let wanted = first.map_or("ok".to_owned(), |spec| {
                format!("missing required parameter: {}", spec.name)
            });
            assert_eq!(outcome(entry.name, params), wanted, "{}", entry.name);
        }
    }
}

#[test]
fn every_parameter_refuses_what_is_not_of_its_type_by_its_name() {
    for entry in METHODS {
        for spec in entry.params.iter().filter(|spec| !takes_anything(spec)) {
            let refused = candidates()
                .iter()
                .map(|value| outcome(entry.name, &json!({spec.name: value}).to_string()))
                .any(|said| names(&said, spec.name));
            assert!(refused, "{} {} takes anything", entry.name, spec.name);
        }
    }
}

#[test]
fn every_parameter_is_refused_when_it_is_given_twice() {
    for entry in METHODS {
        for spec in entry.params.iter().filter(|spec| takes_anything(spec)) {
            let twice = format!(r#"{{"{0}":"a","{0}":"b"}}"#, spec.name);
            let said = outcome(entry.name, &twice);
            let refused =
                said == format!("duplicate json names: {}", spec.name) || names(&said, spec.name);
            assert!(refused, "{} {}: {said}", entry.name, spec.name);
        }
    }
}
