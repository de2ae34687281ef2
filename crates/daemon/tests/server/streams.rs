//! Results that are written in pieces, to clients that read slowly or not at all.

use crate::harness::{read_reply, request, start};
use sendpay_rpc::client::CallError;
use sendpayd::server::{REQUEST_BYTES_MAX, STREAM_CHUNK_BYTES, STREAM_CHUNKS_MAX};
use serde_json::json;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_stalls_only_itself_in_bounded_memory() {
    let server = start().await;
    let mut stalled = server.raw();
    // 100 MB for a client that reads no more than the first byte, and then a request behind it.
    stalled
        .write_all(request("1", "stream", &json!([100_000])).as_bytes())
        .unwrap();
    stalled.read_exact(&mut [0]).unwrap();
    stalled
        .write_all(request("2", "echo", &json!([])).as_bytes())
        .unwrap();
    // Others are served all the while.
    let mut client = server.client();
    let calls = tokio::task::spawn_blocking(move || {
        for number in 0..1000 {
            assert_eq!(client.call("echo", &[number]).unwrap(), json!([number]));
        }
    });
    calls.await.unwrap();
    // What was made is what fits into the socket, the chunks in the queue and one being made.
    let socket_bytes_max = 1 << 20;
    let bound = socket_bytes_max + (STREAM_CHUNKS_MAX + 3) * STREAM_CHUNK_BYTES;
    assert!(server.methods.streamed.load(Ordering::SeqCst) <= bound);
    assert_eq!(
        *server.methods.begun.borrow(),
        1001,
        "the request behind was not looked at"
    );
    // When it reads, everything comes, whole and in order.
    let (first, second) = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; 1 << 16];
        let (mut total, mut tail) = (0, Vec::new());
        while !tail.ends_with(b"\"id\":2,\"result\":[]}\n\n") {
            let read = stalled.read(&mut bytes).unwrap();
            assert_ne!(read, 0);
            total += read;
            tail.extend_from_slice(&bytes[..read]);
            let excess = tail.len().saturating_sub(100);
            tail.drain(..excess);
        }
        (total, String::from_utf8(tail).unwrap())
    })
    .await
    .unwrap();
    assert!(first > 100_000 * 1003);
    assert!(
        second.contains(",0]}\n\n{\"jsonrpc\":\"2.0\",\"id\":2,"),
        "{second}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_listing_is_taken_back_by_closing() {
    let server = start().await;
    let mut client = server.client();
    let error = tokio::task::spawn_blocking(move || client.call("cut_off", &[0]))
        .await
        .unwrap();
    assert!(matches!(error, Err(CallError::Closed)), "{error:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_behind_unread_replies_are_not_looked_at() {
    let server = start().await;
    let mut stalled = server.raw();
    // More than the socket takes, so that the reply stays unsent.
    let large = request("1", "echo", &json!(["x".repeat(REQUEST_BYTES_MAX - 100)]));
    stalled.write_all(large.as_bytes()).unwrap();
    stalled.read_exact(&mut [0]).unwrap();
    let behind = request("2", "echo", &json!([])).repeat(10);
    stalled.write_all(behind.as_bytes()).unwrap();
    let mut client = server.client();
    let calls = tokio::task::spawn_blocking(move || {
        for number in 0..1000 {
            client.call("echo", &[number]).unwrap();
        }
    });
    calls.await.unwrap();
    assert_eq!(*server.methods.begun.borrow(), 1001);
    for _ in 0..11 {
        read_reply(&mut stalled);
    }
    server.stop().await;
}
