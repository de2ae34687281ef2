//! Requests in and replies out: their order, and what becomes of what is no request.

use crate::harness::{PATIENCE, assert_closed, read_reply, request, start};
use sendpayd::server::{REQUEST_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_as_they_finish() {
    let server = start().await;
    let mut stream = server.raw();
    let bytes = [
        request("\"wait\"", "gated", &json!([1])),
        request("2", "echo", &json!({"b": 2})),
        request("true", "forget", &json!([])),
        request("\"\\u0041\"", "panic", &json!([])),
        request("null", "nosuch", &json!([])),
    ];
    stream.write_all(bytes.concat().as_bytes()).unwrap();
    // Requests run side by side, so their replies come in any order; the gated one comes last.
    let mut replies: Vec<String> = (0..4).map(|_| read_reply(&mut stream)).collect();
    replies.sort();
    let internal = "{\"code\":-32603,\"message\":\"Internal error: the request was not answered\"}";
    let mut expected = [
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"b\":2}}\n\n".to_owned(),
        format!("{{\"jsonrpc\":\"2.0\",\"id\":true,\"error\":{internal}}}\n\n"),
        format!("{{\"jsonrpc\":\"2.0\",\"id\":\"\\u0041\",\"error\":{internal}}}\n\n"),
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32601,\
         \"message\":\"Unknown command 'nosuch'\"}}\n\n"
            .to_owned(),
    ];
    expected.sort();
    assert_eq!(replies, expected);
    server.methods.gate.add_permits(1);
    let expected = "{\"jsonrpc\":\"2.0\",\"id\":\"wait\",\"result\":[1]}\n\n";
    assert_eq!(read_reply(&mut stream), expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_to_requests_that_came_together_leave_together() {
    let server = start().await;
    let mut stream = server.raw();
    let asked = request("1", "echo", &json!([])).repeat(100);
    let answered = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}\n\n".repeat(100);
    stream.write_all(asked.as_bytes()).unwrap();
    let mut bytes = vec![0; 2 * answered.len()];
    // One read takes no more than what one write put there.
    let read = stream.read(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes[..read]), answered);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_framing_error_is_answered_and_the_connection_goes_on_or_not() {
    const NO_JSONRPC: &str = "JSON-RPC message does not contain \"jsonrpc\" field: ";
    const JSONRPC: &str = "jsonrpc: \"2.0\" must be specified in the request";
    const ID: &str = "Expected string/primitive for id";
    let server = start().await;
    let good = request("1", "echo", &json!([]));
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}\n\n";
    for (bytes, id, message, goes_on) in [
        (
            "garbage\n",
            "null",
            "Failed to parse RPC JSON response 'garbage'",
            false,
        ),
        (
            "{\"a\" b}",
            "null",
            "Failed to parse RPC JSON response '{\"a\" b}'",
            false,
        ),
        ("{\"id\":1}", "null", NO_JSONRPC, false),
        ("[{\"jsonrpc\":\"2.0\"}]", "null", NO_JSONRPC, false),
        ("{\"jsonrpc\":\"2.0\"}", "null", "No id", true),
        (
            r#"{"jsonrpc":"2.0","id":[1],"method":"echo","params":[]}"#,
            "null",
            ID,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"echo","params":[]}"#,
            "null",
            ID,
            true,
        ),
        (
            r#"{"jsonrpc":"1.0","id":5,"method":"echo","params":[]}"#,
            "null",
            JSONRPC,
            true,
        ),
        (
            r#"{"jsonrpc":2.0,"id":5,"method":"echo","params":[]}"#,
            "null",
            JSONRPC,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"params":[]}"#,
            "5",
            "No method",
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"echo"}"#,
            "\"x\"",
            "No params",
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":[],"params":[]}"#,
            "5",
            "Expected string for method",
            true,
        ),
    ] {
        let mut stream = server.raw();
        // A request that is under way is answered whatever comes after it.
        let gated = request("7", "gated", &json!([]));
        stream
            .write_all(format!("{gated}{bytes}{good}").as_bytes())
            .unwrap();
        let told: Value = serde_json::from_str(&read_reply(&mut stream)).unwrap();
        assert_eq!(told["id"].to_string(), id, "{bytes}");
        assert_eq!(told["error"]["code"], -32600, "{bytes}");
        let text = told["error"]["message"].as_str().unwrap();
        assert!(text.starts_with(message), "{bytes}: {text}");
        if goes_on {
            assert_eq!(read_reply(&mut stream), answer, "{bytes}");
        }
        server.methods.gate.add_permits(1);
        let due = "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":[]}\n\n";
        assert_eq!(read_reply(&mut stream), due, "{bytes}");
        // Nothing more comes, and no end of file before the client closes.
        stream.set_nonblocking(true).unwrap();
        let error = stream.read(&mut [0]).expect_err("no end of file");
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{bytes}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_the_limits_is_refused_and_the_connection_closed() {
    let server = start().await;
    let path = server.path.clone();
    let refused = tokio::task::spawn_blocking(move || {
        for bytes in [
            request("1", "echo", &json!(["x".repeat(REQUEST_BYTES_MAX)])),
            // Still being sent when it is refused: the client must come to read why.
            request("1", "echo", &json!(["x".repeat(5 * REQUEST_BYTES_MAX)])),
            format!("{{\"a\":{}", "[".repeat(1000)),
        ] {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            let reply = read_reply(&mut stream);
            assert!(
                reply.starts_with("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600")
            );
            assert_closed(&mut stream);
        }
    });
    refused.await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_bounded_per_connection() {
    let server = start().await;
    let mut stream = server.raw();
    let bytes = request("1", "gated", &json!([])).repeat(REQUESTS_IN_FLIGHT_MAX + 10);
    stream.write_all(bytes.as_bytes()).unwrap();
    server.begun(REQUESTS_IN_FLIGHT_MAX).await;
    // Another connection is served, and by then the first has begun no more.
    let mut client = server.client();
    tokio::task::spawn_blocking(move || client.call("echo", &[0]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(*server.methods.begun.borrow(), REQUESTS_IN_FLIGHT_MAX + 1);
    server.methods.gate.add_permits(REQUESTS_IN_FLIGHT_MAX + 10);
    for _ in 0..REQUESTS_IN_FLIGHT_MAX + 10 {
        read_reply(&mut stream);
    }
    server.stop().await;
}
