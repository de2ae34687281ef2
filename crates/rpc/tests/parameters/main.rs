//! How parameters are read: the contract's table of rules and texts, one line for each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod every_method;
mod values;

use sendpay_rpc::method::{METHODS, check::Check, find};
use sendpay_rpc::param::{Mode, Params};
use serde_json::value::RawValue;

/// What a method says to parameters: `ok`, or the text of its -32602.
fn outcome(method: &str, params: &str) -> String {
    let raw: &RawValue = serde_json::from_str(params).unwrap();
    let entry = find(method).unwrap();
    match Params::read(raw).and_then(|params| entry.validate(&params, Mode::Normal)) {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            assert_eq!(error.code, -32602, "{method} {params}");
            assert_eq!(error.data, None, "{method} {params}");
            error.message
        }
    }
}

const HASH: &str = "b3fc90fc443866cf024296493fd57c0e0f1172b592e7eacbb52d8cc32ec9aeba";
const NODE: &str = "03804575d4b88b8e2e9d12a7e1362b0954ffe56ef4f396e9f45671d68824b20443";

const TAIL: &str = "invalid token (see logs for details)";

fn table(cases: &[(&str, &str, &str)]) {
    for (method, params, expected) in cases {
        let params = params.replace("HASH", HASH).replace("NODE", NODE);
        let expected = expected.replace("TAIL", TAIL);
        assert_eq!(outcome(method, &params), expected, "{method} {params}");
    }
}

const UNKNOWN: &str = "unknown parameter: nosuch, this may be caused by a failure to autodetect \
    key=value-style parameters. Please try using the -k flag and explicit key=value pairs of \
    parameters.";

#[test]
fn forms_names_and_counts() {
    table(&[
        ("listsendpays", "[]", "ok"),
        ("listsendpays", "{}", "ok"),
        ("listsendpays", "5", "Expected array or object for params"),
        (
            "listsendpays",
            "\"x\"",
            "Expected array or object for params",
        ),
        ("listsendpays", "[null,null,null,null,null,null]", "ok"),
        (
            "listsendpays",
            "[null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,1]",
            "too many parameters: got 19, expected 18",
        ),
        (
            "getinfo",
            "[null]",
            "too many parameters: got 1, expected 0",
        ),
        ("listsendpays", r#"{"nosuch":1}"#, UNKNOWN),
        (
            "listsendpays",
            r#"{"start":1,"limit":2,"start":3}"#,
            "duplicate json names: start",
        ),
        (
            "pay",
            r#"{"bolt11":"x","invstring":"y"}"#,
            "duplicate json names: bolt11",
        ),
        ("pay", r#"{"invstring":"y"}"#, "ok"),
        (
            "waitsendpay",
            "[]",
            "missing required parameter: payment_hash",
        ),
        (
            "waitsendpay",
            "[null]",
            "missing required parameter: payment_hash",
        ),
        ("sendpay", "{}", "missing required parameter: route"),
        // A named null is a value: the text null.
        ("listsendpays", r#"{"bolt11":null}"#, "ok"),
        (
            "listsendpays",
            r#"{"payment_hash":null}"#,
            "payment_hash: should be a 32 byte hex value: TAIL",
        ),
        // The first thing that is wrong, in the order sent.
        (
            "listsendpays",
            r#"{"limit":"x","nosuch":1}"#,
            "limit: should be an unsigned 32 bit integer: TAIL",
        ),
        ("listsendpays", r#"{"nosuch":1,"limit":"x"}"#, UNKNOWN),
    ]);
}

#[test]
fn filters() {
    const U64: &str = "should be an unsigned 64 bit integer: TAIL";
    const MSAT: &str = "should be a millisatoshi amount: TAIL";
    const CODE: &str = "should be an integer from 202 to 209: TAIL";
    const LABEL: &str = "should be a string (without \\u): TAIL";
    const GROUP: &str = "should be an integer from 0 to 9223372036854775807: TAIL";
    let refused = [
        ("destination", r#""02""#, "should be a node id: TAIL"),
        ("destination", "7", "should be a node id: TAIL"),
        ("label", "7", LABEL),
        ("label", r#"["rent"]"#, LABEL),
        ("groupid", r#""first""#, U64),
        ("groupid", "9223372036854775808", GROUP),
        ("created_from", r#""yesterday""#, U64),
        ("created_from", "1.5", U64),
        ("created_to", "[]", U64),
        ("completed_from", "{}", U64),
        ("completed_to", "18446744073709551616", U64),
        ("amount_from_msat", r#""1.5""#, MSAT),
        ("amount_from_msat", "-1", MSAT),
        ("amount_to_msat", r#""many""#, MSAT),
        ("amount_to_msat", "2100000000000000001", MSAT),
        ("code", "201", CODE),
        ("code", "16394", CODE),
        (
            "code",
            r#""x""#,
            "should be an unsigned 16 bit integer: TAIL",
        ),
        (
            "failcode",
            "65536",
            "should be an unsigned 16 bit integer: TAIL",
        ),
    ];
    let taken = [
        ("destination", r#""NODE""#),
        ("label", r#""rent""#),
        ("groupid", "9223372036854775807"),
        ("created_from", "0"),
        ("created_to", r#""1767225600""#),
        ("completed_from", "18446744073709551615"),
        ("completed_to", "1"),
        ("amount_from_msat", r#""1sat""#),
        ("amount_to_msat", "2100000000000000000"),
        ("code", "202"),
        ("failcode", "16394"),
    ];
    for method in ["listsendpays", "listpays", "countsendpays"] {
        for (name, value, text) in refused {
            let params = format!("{{\"{name}\":{value}}}");
            table(&[(method, &params, &format!("{name}: {text}"))]);
        }
        for (name, value) in taken {
            table(&[(method, &format!("{{\"{name}\":{value}}}"), "ok")]);
        }
    }
    for method in ["listsendpays", "listpays"] {
        table(&[
            (method, r#"{"order":"desc"}"#, "ok"),
            (method, r#"{"order":"asc"}"#, "ok"),
            (
                method,
                r#"{"order":"newest"}"#,
                "order: should be 'asc' or 'desc': TAIL",
            ),
            (
                method,
                r#"{"order":1}"#,
                "order: should be 'asc' or 'desc': TAIL",
            ),
        ]);
    }
    let unknown = UNKNOWN.replace("nosuch", "order");
    table(&[("countsendpays", r#"{"order":"asc"}"#, &unknown)]);
}

#[test]
fn check_reads_the_other_methods_parameters_and_repeats_what_is_wrong() {
    for (params, expected) in [
        (r#"{"command_to_check":"listsendpays"}"#, "ok"),
        (r#"["listsendpays",null,"HASH"]"#, "ok"),
        (
            r#"{"status":"bogus","command_to_check":"listsendpays"}"#,
            "status: should be an invoice status: invalid token '\"bogus\"'",
        ),
        (
            r#"{"command_to_check":"listsendpays","payment_hash":"zz"}"#,
            "payment_hash: should be a 32 byte hex value: invalid token '\"zz\"'",
        ),
        ("{}", "missing required parameter: command_to_check"),
        ("[]", "missing required parameter: command_to_check"),
        (r#"["nosuch"]"#, "Unknown command 'nosuch'"),
        (r#"["sendpay"]"#, "missing required parameter: route"),
    ] {
        let raw = RawValue::from_string(params.replace("HASH", HASH)).unwrap();
        let outcome = match Check::answer(&raw) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.message,
        };
        assert_eq!(outcome, expected, "{params}");
    }
}

#[test]
fn required_parameters_come_first_in_every_table() {
    for entry in METHODS {
        let required: Vec<bool> = entry.params.iter().map(|spec| spec.is_required()).collect();
        assert!(required.is_sorted_by(|a, b| a >= b), "{}", entry.name);
    }
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let entry: sendpay_rpc::value::Secret = HASH.parse().unwrap();
    assert!(!format!("{entry:?}").contains("b3fc"));
    assert_eq!(entry.to_string(), HASH);
}
