//! Serves the methods over HTTP on a loopback port, as bitcoind does: `POST` with basic
//! authentication, one request or a batch.
//!
//! The chain is used by one request at a time, on a thread that may block. `waitfornewblock` waits
//! without it.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, Method as HttpMethod, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::super::chain::{Chain, Tip};
use super::super::store::StoreError;
use super::message::{Reply, Request, RpcError, code};
use super::params::Params;
use super::{Context, STOP, WAIT_FOR_NEW_BLOCK, WAIT_PARAMETERS, find};

/// Bytes of one request: a block of 4 MB in hex, and its JSON.
const REQUEST_BYTES_MAX: usize = 8_500_000;

/// Requests of one batch: more would hold up the other clients.
const BATCH_MAX: usize = 1_000;

/// Connections at once. A node has about three (requests, a wait, a wallet); more wait to be
/// accepted.
const CONNECTIONS_MAX: usize = 128;

/// What the server's tasks share.
pub(in super::super) struct Shared {
    chain: Mutex<Chain>,
    tip: watch::Sender<Tip>,
    stop: watch::Sender<bool>,
    authorization: String,
    started: Instant,
    /// Held as long as anything may write to the chain.
    _lock: File,
}

impl Shared {
    /// `cookie` is `user:password`.
    pub(in super::super) fn new(
        chain: Chain,
        cookie: &str,
        lock: File,
    ) -> Result<Self, StoreError> {
        let tip = chain.tip()?;
        Ok(Shared {
            chain: Mutex::new(chain),
            tip: watch::Sender::new(tip),
            stop: watch::Sender::new(false),
            authorization: format!("Basic {}", BASE64.encode(cookie)),
            started: Instant::now(),
            _lock: lock,
        })
    }

    /// Asks the server to end.
    pub(in super::super) fn request_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once the server was asked to end.
    pub(in super::super) async fn stop_requested(&self) {
        // Fails only if the sender is gone, and we hold it.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Runs a method with the chain to itself, and tells the waiters of a new tip.
    fn run(&self, name: &str, params: Value) -> Result<Value, RpcError> {
        let not_found = || RpcError::new(code::METHOD_NOT_FOUND, "Method not found");
        let method = find(name).ok_or_else(not_found)?;
        let params = Params::read(name, method.parameters, params)?;
        // A panic while it was held left no open step behind: dropping one rolls it back.
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let context = Context {
            chain: &chain,
            started: self.started,
        };
        let result = (method.run)(&context, &params);
        let tip = chain.tip()?;
        self.tip.send_if_modified(|known| {
            let changed = *known != tip;
            *known = tip;
            changed
        });
        result
    }
}

/// Serves until [`Shared::request_stop`].
pub(in super::super) async fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let limited = LimitedListener {
        listener,
        permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
    };
    let stopping = Arc::clone(&shared);
    let router = Router::new().fallback(answer).with_state(shared);
    axum::serve(limited, router)
        .with_graceful_shutdown(async move { stopping.stop_requested().await })
        .await
}

async fn answer(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    if request.method() != HttpMethod::POST {
        let text = "JSONRPC server handles only POST requests";
        return (StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    }
    if !is_authorized(request.headers(), &shared.authorization) {
        let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"jsonrpc\"")];
        return (StatusCode::UNAUTHORIZED, realm).into_response();
    }
    let body = request.into_body();
    // What says that it is too long is not read at all.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > REQUEST_BYTES_MAX {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match serde_json::from_slice(&body) {
        Ok(Value::Array(batch)) => answer_batch(&shared, batch).await,
        Ok(request) => match answer_one(&shared, request).await {
            Some((status, body)) => json_response(status, &body),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Err(_) => render_error(RpcError::new(code::PARSE_ERROR, "Parse error")),
    }
}

async fn answer_batch(shared: &Arc<Shared>, batch: Vec<Value>) -> Response {
    if batch.len() > BATCH_MAX {
        let message = format!("a batch has at most {BATCH_MAX} requests");
        return render_error(RpcError::new(code::INVALID_REQUEST, message));
    }
    let mut replies = Vec::with_capacity(batch.len());
    let asked = batch.len();
    for request in batch {
        replies.extend(answer_one(shared, request).await.map(|(_, body)| body));
    }
    if replies.is_empty() && asked > 0 {
        return StatusCode::NO_CONTENT.into_response();
    }
    json_response(200, &Value::Array(replies))
}

/// The reply and its HTTP status; none for a notification.
async fn answer_one(shared: &Arc<Shared>, request: Value) -> Option<(u16, Value)> {
    let (method, params, reply) = match Request::read(request) {
        Ok(request) => request.into_parts(),
        Err((reply, error)) => return reply.render(Err(error)),
    };
    let result = match method.as_str() {
        WAIT_FOR_NEW_BLOCK => wait_for_new_block(shared, params).await,
        STOP => {
            shared.request_stop();
            Ok(json!("sendpay regtest chain stopping"))
        }
        _ => {
            let shared = Arc::clone(shared);
            tokio::task::spawn_blocking(move || shared.run(&method, params))
                .await
                .unwrap_or_else(|error| Err(RpcError::new(code::INTERNAL_ERROR, error.to_string())))
        }
    };
    reply.render(result)
}

/// Waits until the best block is another one than `current_tip` (or than now), the time is over or
/// the server ends. Returns the best block.
async fn wait_for_new_block(shared: &Shared, params: Value) -> Result<Value, RpcError> {
    let params = Params::read(WAIT_FOR_NEW_BLOCK, WAIT_PARAMETERS, params)?;
    let timeout_ms: u64 = params.number(0)?.unwrap_or(0);
    let mut tips = shared.tip.subscribe();
    let known = match params.get(1) {
        Some(_) => params.block_hash(1)?,
        None => tips.borrow().hash,
    };
    let timeout = async {
        match timeout_ms {
            0 => std::future::pending().await,
            _ => tokio::time::sleep(Duration::from_millis(timeout_ms)).await,
        }
    };
    tokio::select! {
        _ = tips.wait_for(|tip| tip.hash != known) => {}
        () = timeout => {}
        () = shared.stop_requested() => {}
    }
    let tip = *shared.tip.borrow();
    Ok(json!({ "hash": tip.hash, "height": tip.height }))
}

fn is_authorized(headers: &HeaderMap, expected: &str) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .map_or(&[][..], |value| value.as_bytes());
    // In constant time: how much of a guess was right must not show.
    let different = given.iter().zip(expected.as_bytes()).fold(
        u8::from(given.len() != expected.len()),
        |all, (one, other)| all | (one ^ other),
    );
    different == 0
}

fn render_error(error: RpcError) -> Response {
    match Reply::unknown().render(Err(error)) {
        Some((status, body)) => json_response(status, &body),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn json_response(status: u16, body: &Value) -> Response {
    let mut text = body.to_string();
    text.push('\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    // The client of lightning-block-sync uses a connection again only if it is told to.
    headers.insert(
        header::CONNECTION,
        header::HeaderValue::from_static("keep-alive"),
    );
    response
}

/// Accepts a connection only while there are fewer than [`CONNECTIONS_MAX`].
struct LimitedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Listener for LimitedListener {
    type Io = LimitedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (LimitedStream, SocketAddr) {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // This one retries what fails, as the trait asks.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY for a client of the regtest chain");
        }
        (
            LimitedStream {
                stream,
                _permit: permit,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts as long as it lives.
struct LimitedStream {
    stream: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, buffer)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
