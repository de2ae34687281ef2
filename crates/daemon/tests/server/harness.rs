//! A server with methods that do what the tests need to see.

use rpc::client::Client;
use rpc::filter::Filter;
use rpc::frame::Request;
use rpc::notification::Level;
use sendpay_rpc as rpc;
use sendpayd::server::{Bound, ConnectionInfo, Dispatch, Reply, serve};
use serde_json::Value;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};

/// Longer than anything takes that works; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Methods that do what the tests need to see.
pub struct TestMethods {
    /// `gated` answers once per permit.
    pub gate: Semaphore,
    /// How many requests began.
    pub begun: watch::Sender<usize>,
    /// How many were done.
    pub done: watch::Sender<usize>,
    /// How many bytes `stream` has handed over.
    pub streamed: AtomicUsize,
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

    /// So many messages of a kilobyte, if they are wanted, then the gate, then whether they were.
    async fn tell(&self, params: &str, mut reply: Reply) {
        let messages: Vec<usize> = serde_json::from_str(params).unwrap();
        let notifier = reply.notifier();
        assert!(reply.notifier().is_none(), "there is one for each request");
        let mut gone = false;
        if let Some(notifier) = &notifier {
            let text = "x".repeat(1000);
            for _ in 0..messages[0] {
                gone = notifier.message(Level::Info, &text).await.is_err();
                if gone {
                    break;
                }
                self.streamed.fetch_add(text.len(), Ordering::SeqCst);
            }
        }
        self.gate.acquire().await.unwrap().forget();
        reply.result(&(notifier.is_some() && !gone));
    }

    /// Records of two kilobytes, each with its number.
    async fn stream_records(&self, params: &str, reply: Reply) {
        let records: Vec<usize> = serde_json::from_str(params).unwrap();
        let mut stream = reply.stream();
        stream.write(b"{\"list\":[").await.unwrap();
        let rest = "x".repeat(1000);
        for number in 0..records[0] {
            let comma = if number == 0 { "" } else { "," };
            let record = format!(
                "{comma}{{\"before\":\"{rest}\",\"wanted\":{number},\"after\":[\"{rest}\"]}}"
            );
            let length = record.len();
            stream.write_whole(record.into_bytes()).await.unwrap();
            self.streamed.fetch_add(length, Ordering::SeqCst);
        }
        stream.write(b"]}").await.unwrap();
        stream.finish().await.unwrap();
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
        let reply = match request.filter.as_deref().map(Filter::read) {
            None => reply,
            Some(filter) => reply.filtered(filter.unwrap()),
        };
        match request.method.as_str() {
            "echo" => reply.result(&request.params),
            "notifications" => {
                connection.enable_notifications(request.params.get() == "[true]");
                reply.result(&serde_json::json!({}));
            }
            "tell" => self.tell(request.params.get(), reply).await,
            "echo_written" => {
                let (first, second) = request.params.get().split_at(7);
                reply.written(&[first.as_bytes(), second.as_bytes()]);
            }
            "gated" => {
                self.gate.acquire().await.unwrap().forget();
                reply.result(&request.params);
            }
            "until_gone" => reply.client_gone().await,
            "stream" => self.stream(request.params.get(), reply).await,
            "stream_records" => self.stream_records(request.params.get(), reply).await,
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
pub struct Server {
    pub methods: Arc<TestMethods>,
    pub path: PathBuf,
    pub stop: Arc<Notify>,
    served: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

pub async fn start() -> Server {
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
    pub fn client(&self) -> Client {
        let mut client = Client::connect(&self.path).unwrap();
        client.set_timeout(Some(PATIENCE)).unwrap();
        client
    }

    pub fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub async fn begun(&self, count: usize) {
        let mut begun = self.methods.begun.subscribe();
        tokio::time::timeout(PATIENCE, begun.wait_for(|begun| *begun >= count))
            .await
            .expect("requests began")
            .unwrap();
    }

    pub async fn done(&self, count: usize) {
        let mut done = self.methods.done.subscribe();
        tokio::time::timeout(PATIENCE, done.wait_for(|done| *done >= count))
            .await
            .expect("requests were done")
            .unwrap();
    }

    pub async fn stop(self) {
        self.stop.notify_one();
        tokio::time::timeout(PATIENCE, self.served)
            .await
            .expect("the server stopped")
            .unwrap();
    }
}

pub fn request(id: &str, method: &str, params: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

/// One reply, up to the blank line.
pub fn read_reply(stream: &mut UnixStream) -> String {
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
pub fn assert_closed(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .expect("the connection was closed");
    assert_eq!(String::from_utf8_lossy(&rest), "");
}
