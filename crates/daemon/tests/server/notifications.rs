//! Who is told of the progress of a command, and what becomes of a client that does not listen.

use crate::harness::{read_reply, request, start};
use serde_json::json;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

const ENABLED: &str = "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}\n\n";

fn enable(enable: bool) -> String {
    request("0", "notifications", &json!([enable]))
}

fn message(id: &str) -> String {
    let text = "x".repeat(1000);
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"message\",\"params\":{{\"id\":{id},\"level\":\"info\",\
         \"message\":\"{text}\"}}}}\n\n"
    )
}

fn told(id: &str, told: bool) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{told}}}\n\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_asked_is_told_and_only_of_later_requests() {
    let server = start().await;
    server.methods.gate.add_permits(4);
    let mut stream = server.raw();
    let mut other = server.raw();
    // All at once: what stands before decides, whatever is answered first.
    let first = request("\"a\\u0062\"", "tell", &json!([1]));
    let bytes = [enable(true), first].concat();
    stream.write_all(bytes.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream), ENABLED);
    assert_eq!(read_reply(&mut stream), message("\"a\\u0062\""));
    assert_eq!(read_reply(&mut stream), told("\"a\\u0062\"", true));
    // Another connection asked for nothing.
    other
        .write_all(request("5", "tell", &json!([1])).as_bytes())
        .unwrap();
    assert_eq!(read_reply(&mut other), told("5", false));
    // This one does no longer.
    let bytes = [enable(false), request("2", "tell", &json!([1]))].concat();
    stream.write_all(bytes.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream), ENABLED);
    assert_eq!(read_reply(&mut stream), told("2", false));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_hold_up_no_other_request_of_the_connection() {
    let server = start().await;
    let mut stream = server.raw();
    let bytes = [enable(true), request("1", "tell", &json!([1]))].concat();
    stream.write_all(bytes.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream), ENABLED);
    assert_eq!(read_reply(&mut stream), message("1"));
    // It was told of, and is not done yet.
    let echo = request("2", "echo", &json!([]));
    stream.write_all(echo.as_bytes()).unwrap();
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[]}\n\n";
    assert_eq!(read_reply(&mut stream), answer);
    server.methods.gate.add_permits(1);
    assert_eq!(read_reply(&mut stream), told("1", true));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_listen_stalls_only_itself_in_bounded_memory() {
    let server = start().await;
    let mut stalled = server.raw();
    let bytes = [enable(true), request("1", "tell", &json!([100_000]))].concat();
    stalled.write_all(bytes.as_bytes()).unwrap();
    stalled.read_exact(&mut [0]).unwrap();
    let mut client = server.client();
    let calls = tokio::task::spawn_blocking(move || {
        for number in 0..1000 {
            assert_eq!(client.call("echo", &[number]).unwrap(), json!([number]));
        }
    });
    calls.await.unwrap();
    let socket_bytes_max = 1 << 20;
    assert!(server.methods.streamed.load(Ordering::SeqCst) <= socket_bytes_max);
    // When it goes, who tells it learns of that, and goes on.
    drop(stalled);
    server.methods.gate.add_permits(1);
    server.done(1002).await;
    server.stop().await;
}
