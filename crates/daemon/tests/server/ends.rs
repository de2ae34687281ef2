//! Clients that go, and the end of the server: who learns of it, and what still goes on.

use crate::harness::{assert_closed, read_reply, request, start};
use serde_json::json;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_ends_when_its_client_goes_and_a_command_does_not() {
    let server = start().await;
    let mut stream = server.raw();
    stream
        .write_all(request("1", "stream", &json!([1_000_000])).as_bytes())
        .unwrap();
    server.begun(1).await;
    drop(stream);
    // With nobody reading, a gigabyte is done only if it is given up.
    server.done(1).await;
    assert!(server.methods.streamed.load(Ordering::SeqCst) < 100 << 20);
    let mut stream = server.raw();
    stream
        .write_all(request("1", "gated", &json!([])).as_bytes())
        .unwrap();
    server.begun(2).await;
    drop(stream);
    let mut client = server.client();
    tokio::task::spawn_blocking(move || client.call("echo", &[0]))
        .await
        .unwrap()
        .unwrap();
    server.methods.gate.add_permits(1);
    server.done(3).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_only_waits_learns_that_its_client_has_gone() {
    let server = start().await;
    let mut stream = server.raw();
    stream
        .write_all(request("1", "until_gone", &json!([])).as_bytes())
        .unwrap();
    server.begun(1).await;
    // Half closed, the client can still read: it has not gone.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut client = server.client();
    tokio::task::spawn_blocking(move || client.call("echo", &[0]))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(*server.methods.done.borrow(), 1);
    drop(stream);
    server.done(2).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_writing_side_still_gets_its_replies() {
    let server = start().await;
    let mut stream = server.raw();
    stream
        .write_all(request("1", "gated", &json!([5])).as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    server.begun(1).await;
    server.methods.gate.add_permits(1);
    assert_eq!(
        read_reply(&mut stream),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[5]}\n\n"
    );
    assert_closed(&mut stream);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_stopped_late_requests_get_an_answer_and_the_server_ends() {
    let server = start().await;
    let mut waiting = server.raw();
    waiting
        .write_all(request("1", "gated", &json!([])).as_bytes())
        .unwrap();
    server.begun(1).await;
    let path = server.path.clone();
    let idle = server.raw();
    server.stop().await;
    let reply = read_reply(&mut waiting);
    assert!(
        reply.contains("\"code\":-5,\"message\":\"The daemon is shutting down\""),
        "{reply}"
    );
    assert_closed(&mut waiting);
    drop(idle);
    assert!(UnixStream::connect(&path).is_err());
}
