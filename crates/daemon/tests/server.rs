//! The RPC socket by itself: who may open it, the order of replies, and that a client that does
//! not read holds up nobody but itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use rpc::client::{CallError, Client};
use rpc::frame::Request;
use sendpay_rpc as rpc;
use sendpayd::server::{
    BindError, Bound, CONNECTIONS_MAX, ConnectionInfo, Dispatch, REQUEST_BYTES_MAX,
    REQUESTS_IN_FLIGHT_MAX, Reply, STREAM_CHUNK_BYTES, STREAM_CHUNKS_MAX, serve,
};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};

/// Longer than anything takes that works; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Methods that do what the tests need to see.
struct TestMethods {
    /// `gated` answers once per permit.
    gate: Semaphore,
    /// How many requests began.
    begun: watch::Sender<usize>,
    /// How many were done.
    done: watch::Sender<usize>,
    /// How many bytes `stream` has handed over.
    streamed: AtomicUsize,
}

impl TestMethods {
    fn new() -> Arc<Self> {
        Arc::new(TestMethods {
            gate: Semaphore::new(0),
            begun: watch::Sender::new(0),
            done: watch::Sender::new(0),
            streamed: AtomicUsize::new(0),
        })
    }

    async fn stream(&self, params: &str, reply: Reply) {
        let pieces: Vec<usize> = serde_json::from_str(params).unwrap();
        let mut stream = reply.stream();
        let piece = format!("\"{}\",", "x".repeat(1000));
        let mut gone = stream.write(b"[").await.is_err();
        for _ in 0..pieces[0] {
            if gone {
                return;
            }
            gone = stream.write(piece.as_bytes()).await.is_err();
            self.streamed.fetch_add(piece.len(), Ordering::SeqCst);
        }
        if stream.write(b"0]").await.is_ok() {
            let _ = stream.finish().await;
        }
    }
}

impl Dispatch for TestMethods {
    async fn dispatch(&self, request: Request, reply: Reply, connection: ConnectionInfo) {
        self.begun.send_modify(|begun| *begun += 1);
        match request.method.as_str() {
            "echo" => reply.result(&request.params),
            "gated" => {
                self.gate.acquire().await.unwrap().forget();
                reply.result(&request.params);
            }
            "until_gone" => reply.client_gone().await,
            "stream" => self.stream(request.params.get(), reply).await,
            "cut_off" => {
                let mut stream = reply.stream();
                stream.write(b"[1,").await.unwrap();
                stream.flush().await.unwrap();
            }
            "forget" => drop(reply),
            "panic" => panic!("as the test asked"),
            "number" => reply.result(&connection.number()),
            method => reply.error(&rpc::method::unknown(method)),
        }
        self.done.send_modify(|done| *done += 1);
    }
}

/// A server in a directory of its own.
struct Server {
    methods: Arc<TestMethods>,
    path: PathBuf,
    stop: Arc<Notify>,
    served: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

async fn start() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("regtest/lightning-rpc");
    let methods = TestMethods::new();
    let bound = Bound::bind(&path).await.unwrap();
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let dispatch = Arc::clone(&methods);
    let served = tokio::spawn(serve(
        bound,
        dispatch,
        async move { stopped.notified().await },
    ));
    Server {
        methods,
        path,
        stop,
        served,
        _dir: dir,
    }
}

impl Server {
    fn client(&self) -> Client {
        let mut client = Client::connect(&self.path).unwrap();
        client.set_timeout(Some(PATIENCE)).unwrap();
        client
    }

    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    async fn begun(&self, count: usize) {
        let mut begun = self.methods.begun.subscribe();
        tokio::time::timeout(PATIENCE, begun.wait_for(|begun| *begun >= count))
            .await
            .expect("requests began")
            .unwrap();
    }

    async fn done(&self, count: usize) {
        let mut done = self.methods.done.subscribe();
        tokio::time::timeout(PATIENCE, done.wait_for(|done| *done >= count))
            .await
            .expect("requests were done")
            .unwrap();
    }

    async fn stop(self) {
        self.stop.notify_one();
        tokio::time::timeout(PATIENCE, self.served)
            .await
            .expect("the server stopped")
            .unwrap();
    }
}

fn request(id: &str, method: &str, params: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

/// One reply, up to the blank line.
fn read_reply(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\n\n") {
        let mut byte = [0];
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "end of file after {bytes:?}"
        );
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Nothing but the end of file is left.
fn assert_closed(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .expect("the connection was closed");
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

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

#[tokio::test(flavor = "multi_thread")]
async fn framing_errors_are_answered_and_the_connection_goes_on_or_not() {
    let server = start().await;
    let good = request("1", "echo", &json!([]));
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}\n\n";

    let mut stream = server.raw();
    stream
        .write_all(format!("{{\"jsonrpc\":\"2.0\"}}{good}").as_bytes())
        .unwrap();
    assert!(
        read_reply(&mut stream)
            .contains("\"id\":null,\"error\":{\"code\":-32600,\"message\":\"No id\"")
    );
    assert_eq!(read_reply(&mut stream), answer);

    // Bytes that cannot be read: replies that are due still come, then nothing, and no end of file
    // before the client closes.
    let mut stream = server.raw();
    let gated = request("7", "gated", &json!([]));
    stream
        .write_all(format!("{gated}garbage\n{good}").as_bytes())
        .unwrap();
    assert!(read_reply(&mut stream).contains("Failed to parse RPC JSON response 'garbage'"));
    server.methods.gate.add_permits(1);
    assert_eq!(
        read_reply(&mut stream),
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":[]}\n\n"
    );
    stream.set_nonblocking(true).unwrap();
    let error = stream.read(&mut [0]).expect_err("no end of file");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(stream);
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
