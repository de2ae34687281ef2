//! What a filter leaves of a result, whichever way the result is given.

use crate::harness::{read_reply, start};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::Ordering;

fn request(method: &str, params: &Value, filter: &Value) -> String {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params,
        "filter": filter});
    request.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_filtered_and_errors_are_not() {
    let server = start().await;
    let mut stream = server.raw();
    let params = json!({"a": 1, "b": [{"c": 2, "d": 3}]});
    for (method, filter, expected) in [
        (
            "echo",
            json!({"b": [{"d": true}]}),
            r#""result":{"b":[{"d":3}]}"#,
        ),
        ("echo", json!({}), r#""result":{}"#),
        (
            "echo",
            json!({"b": {"d": true}}),
            r#""result":{"b":[],"warning_parameter_filter":".b is an array"}"#,
        ),
        (
            "echo_written",
            json!({"b": [{"d": true}]}),
            r#""result":{"b":[{"d":3}]}"#,
        ),
        (
            "nosuch",
            json!({"message": true}),
            r#""error":{"code":-32601,"message":"Unknown command 'nosuch'"}"#,
        ),
    ] {
        stream
            .write_all(request(method, &params, &filter).as_bytes())
            .unwrap();
        let expected = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,{expected}}}\n\n");
        assert_eq!(read_reply(&mut stream), expected, "{method} {filter}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_filtered_as_it_is_written() {
    let server = start().await;
    let mut stream = server.raw();
    // Two hundred megabytes, of which two are wanted.
    let filter = json!({"list": [{"wanted": true}]});
    stream
        .write_all(request("stream_records", &json!([100_000]), &filter).as_bytes())
        .unwrap();
    let reply = tokio::task::spawn_blocking(move || read_reply(&mut stream));
    let reply: Value = serde_json::from_str(&reply.await.unwrap()).unwrap();
    assert!(server.methods.streamed.load(Ordering::SeqCst) > 100 << 20);
    let list = reply["result"]["list"].as_array().unwrap();
    assert_eq!(list.len(), 100_000);
    for (number, record) in list.iter().enumerate() {
        assert_eq!(*record, json!({"wanted": number}));
    }
    server.stop().await;
}
