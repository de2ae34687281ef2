//! Who may open the socket, and how many at a time.

use crate::harness::{assert_closed, read_reply, request, start};
use sendpayd::server::{BindError, Bound, CONNECTIONS_MAX};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_its_owners_alone() {
    let server = start().await;
    let mode = std::fs::metadata(&server.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let directory = std::fs::metadata(server.path.parent().unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(directory & 0o777, 0o700);
    let path = server.path.clone();
    server.stop().await;
    assert!(!path.exists(), "the socket outlived the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_socket_is_refused_a_stale_one_replaced_and_a_file_left_alone() {
    let server = start().await;
    let error = Bound::bind(&server.path).await.unwrap_err();
    assert!(matches!(error, BindError::Live(_)), "{error}");
    let echoed = tokio::task::spawn_blocking({
        let mut client = server.client();
        move || client.call("echo", &[1])
    });
    assert_eq!(
        echoed.await.unwrap().unwrap(),
        json!([1]),
        "the first server still serves"
    );

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lightning-rpc");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a stale socket is there");
    let bound = Bound::bind(&path).await.unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(bound);

    std::fs::write(&path, "precious").unwrap();
    let error = Bound::bind(&path).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let long = dir.path().join("x".repeat(120));
    let error = Bound::bind(&long).await.unwrap_err();
    assert!(matches!(error, BindError::PathTooLong { .. }), "{error}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_the_one_too_many_is_told() {
    let server = start().await;
    let mut streams: Vec<UnixStream> = (0..CONNECTIONS_MAX).map(|_| server.raw()).collect();
    // All of them were accepted: the last one is answered.
    let last = streams.last_mut().unwrap();
    last.write_all(request("1", "number", &json!([])).as_bytes())
        .unwrap();
    let expected = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{CONNECTIONS_MAX}}}\n\n");
    assert_eq!(read_reply(last), expected);
    let mut excess = server.raw();
    assert!(read_reply(&mut excess).contains("Too many connections"));
    assert_closed(&mut excess);
    // One goes, and there is room again, as soon as the server has seen it.
    drop(streams.pop());
    let room = (0..10_000).any(|_| {
        let mut stream = server.raw();
        let asked = stream.write_all(request("1", "echo", &json!([])).as_bytes());
        asked.is_ok() && read_reply(&mut stream).contains("\"result\"")
    });
    assert!(room, "no room after a connection went");
    drop(streams);
    server.stop().await;
}
