//! Framing: the contract's table of errors, the limits, and that splits make no difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use proptest::prelude::*;
use sendpay_rpc::frame::{After, Decoder, Frame, NESTING_MAX, REQUEST_BYTES_MAX};

/// All frames of the bytes, pushed in these pieces, as text.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut found = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame() {
            found.push(match frame {
                Frame::Request(request) => format!(
                    "{} {} {}",
                    request.id.as_str(),
                    request.method,
                    request.params.get()
                ),
                Frame::Refused(refusal) => format!(
                    "{} {} {}{}",
                    refusal.id.as_str(),
                    refusal.error.code,
                    refusal.error.message,
                    after(refusal.after)
                ),
            });
        }
    }
    found
}

/// What an error line says of the connection.
fn after(after: After) -> &'static str {
    match after {
        After::Usable => "",
        After::StopReading => " (stops reading)",
        After::Close => " (closes)",
    }
}

fn all(bytes: &[u8]) -> Vec<String> {
    frames([bytes])
}

#[test]
fn every_row_of_the_framing_table() {
    for (bytes, expected) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#,
            "1 m []",
        ),
        (
            r#" {"jsonrpc" : "2.0" , "method":"m","id":"a\u0062\"","params":{"x": 1},"more":2} "#,
            r#""a\u0062\"" m {"x": 1}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"m","params":[]}"#,
            "null m []",
        ),
        (
            r#"{"jsonrpc":"2.0","id":true,"method":"m","params":5}"#,
            "true m 5",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.50,"method":"m","params":[]}"#,
            "1.50 m []",
        ),
        (
            "hello}",
            "null -32600 Failed to parse RPC JSON response 'hello}' (stops reading)",
        ),
        (
            "hello\n",
            "null -32600 Failed to parse RPC JSON response 'hello' (stops reading)",
        ),
        (
            r#"{"a" b}"#,
            r#"null -32600 Failed to parse RPC JSON response '{"a" b}' (stops reading)"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[}"#,
            r#"null -32600 Failed to parse RPC JSON response '{"jsonrpc":"2.0","id":1,"method":"m","params":[}' (stops reading)"#,
        ),
        (
            r#"[{"a":["x"}]"#,
            r#"null -32600 Failed to parse RPC JSON response '[{"a":["x"}' (stops reading)"#,
        ),
        (
            r#"{"a":1]"#,
            r#"null -32600 Failed to parse RPC JSON response '{"a":1]' (stops reading)"#,
        ),
        (
            r#"{"id":1}"#,
            r#"null -32600 JSON-RPC message does not contain "jsonrpc" field: '{"id":1}' (stops reading)"#,
        ),
        (
            r#"[{"jsonrpc":"2.0"}]"#,
            r#"null -32600 JSON-RPC message does not contain "jsonrpc" field: '[{"jsonrpc":"2.0"}]' (stops reading)"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"m","params":[]}"#,
            "null -32600 No id",
        ),
        (
            r#"{"jsonrpc":"2.0","id":[],"method":"m","params":[]}"#,
            "null -32600 Expected string/primitive for id",
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"m","params":[]}"#,
            "null -32600 Expected string/primitive for id",
        ),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"m","params":[]}"#,
            r#"null -32600 jsonrpc: "2.0" must be specified in the request"#,
        ),
        (
            r#"{"jsonrpc":2.0,"id":1,"method":"m","params":[]}"#,
            r#"null -32600 jsonrpc: "2.0" must be specified in the request"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"params":[]}"#,
            "7 -32600 No method",
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"m"}"#,
            "7 -32600 No params",
        ),
        (r#"{"jsonrpc":"2.0","id":7}"#, "7 -32600 No method"),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":5,"params":[]}"#,
            "7 -32600 Expected string for method",
        ),
    ] {
        assert_eq!(all(bytes.as_bytes()), [expected], "{bytes}");
    }
    let bytes = b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"m\",\"params\":[]}";
    let found = all(bytes);
    assert!(
        found[0].starts_with("null -32600 Failed to parse")
            && found[0].ends_with("(stops reading)")
    );
}

#[test]
fn requests_need_nothing_between_them_and_survive_a_refused_one() {
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#;
    let two = r#"{"jsonrpc":"2.0","id":2,"method":"b","params":{"x":"}{\""}}"#;
    let bytes = format!("{one}{two}\n\n{{\"jsonrpc\":\"2.0\"}}{one}garbage\n{two}");
    let found = all(bytes.as_bytes());
    assert_eq!(
        found,
        [
            "1 a []",
            r#"2 b {"x":"}{\""}"#,
            "null -32600 No id",
            "1 a []",
            "null -32600 Failed to parse RPC JSON response 'garbage' (stops reading)",
        ]
    );
}

#[test]
fn limits_are_exact() {
    let request = |filling: usize| {
        let start = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[""#;
        let bytes = format!("{start}{}\"]}}", "x".repeat(filling));
        let more = bytes.len();
        (bytes, more)
    };
    let (_, empty) = request(0);
    let (longest, length) = request(REQUEST_BYTES_MAX - empty);
    assert_eq!(length, REQUEST_BYTES_MAX);
    assert!(all(longest.as_bytes())[0].starts_with("1 m "));
    let (too_long, _) = request(REQUEST_BYTES_MAX - empty + 1);
    assert_eq!(
        all(too_long.as_bytes()),
        [format!(
            "null -32600 Request is longer than {REQUEST_BYTES_MAX} bytes (closes)"
        )]
    );

    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{open}{close}}}"#)
    };
    assert!(all(nested(NESTING_MAX).as_bytes())[0].starts_with("1 m "));
    assert_eq!(
        all(nested(NESTING_MAX + 1).as_bytes()),
        [format!(
            "null -32600 Request is nested deeper than {NESTING_MAX} levels (closes)"
        )]
    );
}

/// Bytes that are often almost requests.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#
                .as_bytes()
                .to_vec()
        ),
        Just(br#"{"jsonrpc":"2.0","id":"\"","method":"#.to_vec()),
        Just(br#""m","params":{"x":["}"]}}"#.to_vec()),
        Just(b"\n\n".to_vec()),
        "[{}\\[\\]\",:\\\\ a1\n]{0,8}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn splits_make_no_difference(bytes in bytes(), cuts in prop::collection::vec(0usize..200, 0..8)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(frames(pieces), all(&bytes));
    }
}
