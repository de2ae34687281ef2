//! The `filter` member: what templates are taken, what they leave of a result, and that neither the
//! pieces in which the result comes nor its size make a difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use proptest::prelude::*;
use sendpay_rpc::filter::{Filter, Filtering};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

fn read(template: &str) -> Result<Filter, String> {
    let raw: &RawValue = serde_json::from_str(template).unwrap();
    Filter::read(raw).map_err(|error| {
        assert_eq!(error.code, -32602);
        error.message
    })
}

/// What a template leaves of a result that comes in these pieces.
fn filtered<'a>(template: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut filtering = Filtering::new(read(template).unwrap());
    let mut out = Vec::new();
    for piece in pieces {
        filtering.feed(piece, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn left(template: &str, result: &str) -> String {
    filtered(template, [result.as_bytes()])
}

/// CLN's own example, of lightningd-rpc(7).
const TRANSACTIONS: &str = r#"{"transactions":[{"hash":"3b","blockheight":102,"inputs":[{"txid":"e9","index":0}],"outputs":[{"index":0,"amount_msat":"1000000000msat","type":"deposit","scriptPubKey":"a9"},{"index":1,"amount_msat":"4998999857000msat","scriptPubKey":"a9"}]},{"hash":"3a","outputs":[]}],"more":true}"#;

#[test]
fn a_template_leaves_what_it_names() {
    for (template, result, expected) in [
        // CLN's example, and what is around it.
        (
            r#"{"transactions": [{"outputs": [{"amount_msat": true, "type": true}]}]}"#,
            TRANSACTIONS,
            r#"{"transactions":[{"outputs":[{"amount_msat":"1000000000msat","type":"deposit"},{"amount_msat":"4998999857000msat"}]},{"outputs":[]}]}"#,
        ),
        (
            r#"{"transactions":[{"hash":true}]}"#,
            TRANSACTIONS,
            r#"{"transactions":[{"hash":"3b"},{"hash":"3a"}]}"#,
        ),
        (
            r#"{"transactions":true}"#,
            r#"{"transactions":[{"a":[1,{"b":"]"}]},7]}"#,
            r#"{"transactions":[{"a":[1,{"b":"]"}]},7]}"#,
        ),
        (
            r#"{"transactions":[true]}"#,
            r#"{"transactions":[{"a":1},[2],3]}"#,
            r#"{"transactions":[{"a":1},[2],3]}"#,
        ),
        // The order is the result's, whatever the template's is.
        (
            r#"{"b":true,"a":true}"#,
            r#"{"a":1,"x":2,"b":"3"}"#,
            r#"{"a":1,"b":"3"}"#,
        ),
        // What is not there is not missed.
        (r#"{"foobar":true}"#, r#"{"a":1}"#, "{}"),
        (
            r#"{"a":[{"b":true}]}"#,
            r#"{"a":[{"c":1},{},{"b":2,"c":3}]}"#,
            r#"{"a":[{},{},{"b":2}]}"#,
        ),
        // Nothing is wanted.
        ("{}", r#"{"a":1,"b":[2],"c":{}}"#, "{}"),
        (
            r#"{"a":[{}]}"#,
            r#"{"a":[{"b":1},{"c":{"d":1}}]}"#,
            r#"{"a":[{},{}]}"#,
        ),
        // Of a name given twice, the first counts.
        (
            r#"{"a":[{"b":true}],"a":true}"#,
            r#"{"a":[{"b":1,"c":2}]}"#,
            r#"{"a":[{"b":1}]}"#,
        ),
        // A member that is no container is wanted or not, whatever the template has for it.
        (
            r#"{"a":{"b":true},"c":[true]}"#,
            r#"{"a":"s","c":null}"#,
            r#"{"a":"s","c":null}"#,
        ),
        // Arrays in arrays.
        (
            r#"{"a":[[{"b":true}]]}"#,
            r#"{"a":[[{"b":1,"c":1}],[]]}"#,
            r#"{"a":[[{"b":1}],[]]}"#,
        ),
        // An object is wanted whole: CLN shows only what stands deeper in it.
        (
            r#"{"a":true}"#,
            r#"{"a":{"b":1,"c":{"d":2}},"e":1}"#,
            r#"{"a":{"b":1,"c":{"d":2}}}"#,
        ),
        // Strings with all that has a meaning outside of them; blanks; names with escapes.
        (
            r#"{"b":true}"#,
            r#"{"a":"}\"],{\\","b":"}\"],{\\"}"#,
            r#"{"b":"}\"],{\\"}"#,
        ),
        (
            r#"{"b":true}"#,
            " { \"a\" : 1 , \"b\" : [ 1 , 2 ] } ",
            r#"{"b":[ 1 , 2 ]}"#,
        ),
        (
            r#"{"a\"b":true}"#,
            r#"{"a\"b":1,"a":2,"\u0061\u0022b":3}"#,
            r#"{"a\"b":1,"\u0061\u0022b":3}"#,
        ),
        (r#"{"\u0061":true}"#, r#"{"a":1,"b":2}"#, r#"{"a":1}"#),
        // Numbers and words end where they end.
        (
            r#"{"a":true,"c":true}"#,
            r#"{"a":-1.5e3,"b":true,"c":false}"#,
            r#"{"a":-1.5e3,"c":false}"#,
        ),
        // A result that is no object.
        (r#"{"a":true}"#, "5", "5"),
    ] {
        assert_eq!(left(template, result), expected, "{template} of {result}");
    }
}

#[test]
fn a_template_of_another_shape_gives_a_warning() {
    for (template, result, expected) in [
        (
            r#"{"help":{"command":true}}"#,
            r#"{"help":[{"command":"a"}],"format-hint":"simple"}"#,
            r#"{"help":[],"warning_parameter_filter":".help is an array"}"#,
        ),
        (
            r#"{"currency":true,"fallbacks":{"type":true}}"#,
            r#"{"currency":"bcrt","fallbacks":[{"type":"P2SH"}],"x":1}"#,
            r#"{"currency":"bcrt","fallbacks":[],"warning_parameter_filter":".fallbacks is an array"}"#,
        ),
        (
            r#"{"our_features":[{"init":true}]}"#,
            r#"{"our_features":{"init":"08"}}"#,
            r#"{"our_features":{},"warning_parameter_filter":".our_features is an object"}"#,
        ),
        (
            r#"{"a":[{"b":{"c":true}}]}"#,
            r#"{"a":[{"b":[{"c":1}]},{"b":{"c":2}}]}"#,
            r#"{"a":[{"b":[]},{"b":{"c":2}}],"warning_parameter_filter":".a[].b is an array"}"#,
        ),
        // Only the first by name is told of.
        (
            r#"{"z":{"x":true},"b":[true]}"#,
            r#"{"z":[{"x":1}],"b":{"y":[]}}"#,
            r#"{"z":[],"b":{},"warning_parameter_filter":".b is an object"}"#,
        ),
        // With nothing in it, nobody can tell.
        (r#"{"a":{"b":true}}"#, r#"{"a":[]}"#, r#"{"a":[]}"#),
        (r#"{"a":[true]}"#, r#"{"a":{}}"#, r#"{"a":{}}"#),
        // A name in the warning that must be escaped.
        (
            r#"{"a\"":{"b":true}}"#,
            r#"{"a\"":[[]]}"#,
            r#"{"a\"":[],"warning_parameter_filter":".a\" is an array"}"#,
        ),
    ] {
        assert_eq!(left(template, result), expected, "{template} of {result}");
    }
}

#[test]
fn what_is_no_template_is_refused_in_clns_words() {
    let tail = "invalid token (see logs for details)";
    for (template, should) in [
        ("1", "Expected object"),
        ("true", "Expected object"),
        ("null", "Expected object"),
        (r#""a""#, "Expected object"),
        ("[]", "Expected object"),
        (r#"[{"a":true}]"#, "Expected object"),
        (r#"{"a":[]}"#, "Arrays can only have one element"),
        (r#"{"a":[true,true]}"#, "Arrays can only have one element"),
        (r#"{"a":[{"b":[]}]}"#, "Arrays can only have one element"),
        (r#"{"a":false}"#, "value must be true"),
        (r#"{"a":null}"#, "value must be true"),
        (r#"{"a":1}"#, "value must be true"),
        (r#"{"a":"true"}"#, "value must be true"),
        (r#"{"a":[false]}"#, "value must be true"),
        (r#"{"a":true,"a":false}"#, "value must be true"),
        (r#"{"a":{"b":{"c":0}}}"#, "value must be true"),
        (r#"{"\ud800":true}"#, "expected string key"),
    ] {
        let error = read(template).expect_err(template);
        assert_eq!(error, format!("filter: {should}: {tail}"), "{template}");
    }
}

#[test]
fn a_name_longer_than_any_of_the_contract_is_not_wanted() {
    let name = "n".repeat(100_000);
    let result = format!(r#"{{"{name}":1,"a":2}}"#);
    let template = format!(r#"{{"{name}":true,"a":true}}"#);
    assert_eq!(left(&template, &result), r#"{"a":2}"#);
}

/// The members that occur, few enough that templates meet results.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "\"", "é"]).prop_map(str::to_owned)
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((name(), value), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn result() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec!["", "x", "\"}", "],\\", "{\"a\":"]);
    let leaf = prop_oneof![
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        text.prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner),
        ]
    });
    object(value)
}

fn template() -> impl Strategy<Value = Value> {
    let value = Just(Value::Bool(true)).prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|element| Value::from(vec![element])),
            object(inner),
        ]
    });
    object(value)
}

/// What is left, by another way: over a result that is held whole.
fn expected(template: &Value, result: &Value, misused: &mut bool) -> Value {
    match (template, result) {
        (Value::Object(wanted), Value::Object(members)) => {
            let mut left = Map::new();
            for (name, value) in members {
                if let Some(template) = wanted.get(name) {
                    left.insert(name.clone(), expected(template, value, misused));
                }
            }
            Value::Object(left)
        }
        (Value::Array(wanted), Value::Array(elements)) => elements
            .iter()
            .map(|element| expected(&wanted[0], element, misused))
            .collect(),
        (Value::Object(_), Value::Array(elements)) => {
            *misused |= !elements.is_empty();
            Value::from(Vec::<Value>::new())
        }
        (Value::Array(_), Value::Object(members)) => {
            *misused |= !members.is_empty();
            Value::Object(Map::new())
        }
        _ => result.clone(),
    }
}

proptest! {
    #[test]
    fn any_template_leaves_of_any_result_the_same_in_any_pieces(
        template in template(),
        result in result(),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let text = if pretty {
            serde_json::to_string_pretty(&result).unwrap()
        } else {
            result.to_string()
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        cuts.sort_unstable();
        cuts.push(text.len());
        let mut from = 0;
        let pieces: Vec<&[u8]> = cuts
            .into_iter()
            .map(|to| &text.as_bytes()[std::mem::replace(&mut from, to)..to])
            .collect();
        let template_text = template.to_string();
        let out = filtered(&template_text, pieces);
        prop_assert_eq!(&out, &left(&template_text, &text));

        let mut found: Value = serde_json::from_str(&out).unwrap();
        let mut misused = false;
        let expected = expected(&template, &result, &mut misused);
        let warning = found.as_object_mut().unwrap().shift_remove("warning_parameter_filter");
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(found.to_string(), expected.to_string());
        prop_assert_eq!(warning.is_some(), misused);
    }
}
