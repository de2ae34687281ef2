//! How what a person types becomes JSON: one line for each rule.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use sendpay_cli::{ArgumentError, Form, params};

fn typed(arguments: &[&str], form: Form) -> Result<String, ArgumentError> {
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    params(&arguments, form).map(|raw| raw.get().to_owned())
}

#[test]
fn arguments_are_json_where_they_look_like_it_and_else_strings() {
    for (argument, expected) in [
        ("5", "5"),
        ("1.5", "1.5"),
        ("0", "0"),
        ("0.5", "0.5"),
        ("007", r#""007""#),
        ("-5", r#""-5""#),
        ("1e3", r#""1e3""#),
        ("5msat", r#""5msat""#),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ("nullx", r#""nullx""#),
        ("[1, 2]", "[1, 2]"),
        (r#"{"a":1}"#, r#"{"a":1}"#),
        (r#""quoted""#, r#""quoted""#),
        ("\"", r#""\"""#),
        ("", r#""""#),
        ("a\"b\\c\nd", r#""a\"b\\c\nd""#),
        ("café", r#""café""#),
    ] {
        assert_eq!(
            typed(&[argument], Form::Order).unwrap(),
            format!("[{expected}]"),
            "{argument}"
        );
    }
}

#[test]
fn json_that_is_none_is_refused_and_cannot_smuggle_in_another() {
    for argument in [
        "[1",
        "1.2.3",
        "...",
        "[1],[2]",
        "{a}",
        "\"a\",\"b\"",
        "[1]]",
        "{\"a\":1},{}",
    ] {
        let outcome = typed(&[argument], Form::Order);
        // What only begins like JSON is a string.
        if outcome != Ok(format!("[{}]", serde_json::Value::from(argument))) {
            let expected = ArgumentError::Malformed(argument.to_owned());
            assert_eq!(outcome, Err(expected), "{argument}");
        }
    }
    assert!(typed(&["[1],[2]"], Form::Order).is_err());
    assert!(typed(&["\"a\",\"b\""], Form::Order).is_err());
}

#[test]
fn the_first_argument_decides_whether_there_are_names() {
    let keywords = r#"{"status":"failed","limit":5}"#;
    assert_eq!(
        typed(&["status=failed", "limit=5"], Form::Guess).unwrap(),
        keywords
    );
    assert_eq!(
        typed(&["status=failed", "limit=5"], Form::Keywords).unwrap(),
        keywords
    );
    assert_eq!(
        typed(&["failed", "limit=5"], Form::Guess).unwrap(),
        r#"["failed","limit=5"]"#
    );
    assert_eq!(
        typed(&["status=failed"], Form::Order).unwrap(),
        r#"["status=failed"]"#
    );
    assert_eq!(typed(&["a=b=c"], Form::Guess).unwrap(), r#"{"a":"b=c"}"#);
    assert_eq!(typed(&["a="], Form::Guess).unwrap(), r#"{"a":""}"#);
    assert_eq!(typed(&[], Form::Guess).unwrap(), "[]");
    assert_eq!(typed(&[], Form::Keywords).unwrap(), "{}");
    let nameless = Err(ArgumentError::NoName("failed".to_owned()));
    assert_eq!(typed(&["limit=5", "failed"], Form::Guess), nameless);
    assert_eq!(typed(&["failed"], Form::Keywords), nameless);
}
