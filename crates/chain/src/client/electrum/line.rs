//! One connection to an Electrum server: a request and an answer are a line of JSON each (JSON-RPC 2.0
//! over TCP or TLS). Which server is asked, and what becomes of one that fails, is `servers.rs`'s.
//!
//! Nothing that a server sends is believed here beyond its form; its lines, and the time that it may
//! take, have limits.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bitcoin::hex::DisplayHex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf,
    WriteHalf,
};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_socks::tcp::Socks5Stream;

use super::address::ElectrumAddress;
use super::error::ElectrumError;

/// How long a connection with its TLS handshake may take. Through a proxy, Tor may have to find its
/// way first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const PROXIED_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one round of answers may take: a server that reads a long history from a disk is slow,
/// and beyond this the next one is faster.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest line of a server. The longest true one is a transaction as large as a block, in hex.
const LINE_BYTES_MAX: usize = 9_000_000;

/// Requests that are under way at once on one connection: servers count and cut off those who send
/// more.
pub(super) const BATCH_MAX: usize = 50;

/// Bytes of the answers to what is asked at once: more than as many transactions have, each as large as
/// nodes relay them.
const BATCH_BYTES_MAX: usize = 64_000_000;

/// Anything that bytes go over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A method with its parameters.
pub(super) type Request = (&'static str, Value);

/// What is looked at of a line before it is known who waits for it.
#[derive(Deserialize)]
struct Envelope {
    id: Option<u64>,
    method: Option<String>,
}

/// A line that answers, as who waits for it reads it.
#[derive(Deserialize)]
struct Reply<T> {
    error: Option<Value>,
    result: Option<T>,
}

/// Where an answer goes.
struct Asked {
    /// The whole line: it takes several times the memory of its text once it is read.
    answer: oneshot::Sender<Vec<u8>>,
    /// Bytes that may still come for what was asked at once.
    room: Arc<AtomicUsize>,
}

struct Shared {
    /// Who waits for which answer; none once the connection has ended.
    waiting: Mutex<Option<HashMap<u64, Asked>>>,
    ended: Mutex<Option<String>>,
}

/// A connection that answers.
pub(super) struct Line {
    server: ElectrumAddress,
    writer: AsyncMutex<WriteHalf<Box<dyn Stream>>>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    /// Bumped by each new tip that the server tells of by itself.
    tips: watch::Receiver<u64>,
    reader: AbortHandle,
}

impl Line {
    /// Connects. Nothing is asked yet.
    pub(super) async fn open(
        server: &ElectrumAddress,
        tls: &TlsConnector,
        proxy: Option<SocketAddr>,
    ) -> Result<Line, ElectrumError> {
        let patience = match proxy {
            Some(_) => PROXIED_TIMEOUT,
            None => CONNECT_TIMEOUT,
        };
        let connected = tokio::time::timeout(patience, connect(server, tls, proxy)).await;
        let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|source| ElectrumError::Unreachable {
            server: server.clone(),
            source,
        })?;
        let (reading, writing) = tokio::io::split(stream);
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Some(HashMap::new())),
            ended: Mutex::default(),
        });
        let (told, tips) = watch::channel(0);
        let reader = tokio::spawn(read_all(reading, shared.clone(), told)).abort_handle();
        Ok(Line {
            server: server.clone(),
            writer: AsyncMutex::new(writing),
            shared,
            next_id: AtomicU64::new(0),
            tips,
            reader,
        })
    }

    pub(super) fn server(&self) -> &ElectrumAddress {
        &self.server
    }

    /// Whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        lock(&self.shared.waiting).is_none()
    }

    /// Changes when the server tells of a new tip, and is closed when the connection ends.
    pub(super) fn tips(&self) -> watch::Receiver<u64> {
        self.tips.clone()
    }

    /// Asks for one thing.
    pub(super) async fn call(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Value, ElectrumError> {
        let answered = self.exchange(&[(method, params)]).await?;
        let answer = answered.into_iter().next();
        answer.unwrap_or_else(|| Err(self.closed()))
    }

    /// Asks for many things, a few at a time; every one must be answered.
    pub(super) async fn call_all<T: DeserializeOwned>(
        &self,
        requests: &[Request],
    ) -> Result<Vec<T>, ElectrumError> {
        let mut answers = Vec::with_capacity(requests.len());
        for few in requests.chunks(BATCH_MAX) {
            for answer in self.exchange(few).await? {
                answers.push(answer?);
            }
        }
        Ok(answers)
    }

    /// Asks for few things at once, of which the server may refuse some.
    pub(super) async fn exchange<T: DeserializeOwned>(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<T, ElectrumError>>, ElectrumError> {
        let method = requests.first().map_or("", |(method, _)| *method);
        let slow = |_| ElectrumError::Slow {
            server: self.server.clone(),
            method,
        };
        let exchanged = tokio::time::timeout(ANSWER_TIMEOUT, self.send_and_wait(requests));
        exchanged.await.map_err(slow)?
    }

    async fn send_and_wait<T: DeserializeOwned>(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<T, ElectrumError>>, ElectrumError> {
        let room = Arc::new(AtomicUsize::new(BATCH_BYTES_MAX));
        let mut lines = Vec::new();
        let mut waiting = Vec::with_capacity(requests.len());
        for (method, params) in requests {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let (answer, receiver) = oneshot::channel();
            let room = room.clone();
            match lock(&self.shared.waiting).as_mut() {
                Some(map) => map.insert(id, Asked { answer, room }),
                None => return Err(self.closed()),
            };
            waiting.push((*method, Waiting(&self.shared, id), receiver));
            let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            lines.extend_from_slice(request.to_string().as_bytes());
            lines.push(b'\n');
        }
        let written = async {
            let mut writer = self.writer.lock().await;
            writer.write_all(&lines).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            // Half a line may be out: nothing that follows would be understood.
            self.shared.end(error.to_string());
            return Err(self.closed());
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (method, _waiting, receiver) in waiting {
            let line = receiver.await.map_err(|_| self.closed())?;
            answers.push(self.read(method, &line)?);
        }
        Ok(answers)
    }

    /// What a line answers: what was asked for, or a refusal.
    fn read<T: DeserializeOwned>(
        &self,
        method: &'static str,
        line: &[u8],
    ) -> Result<Result<T, ElectrumError>, ElectrumError> {
        let strange = |error: serde_json::Error| self.malformed(method, shown(&error.to_string()));
        let reply: Reply<T> = serde_json::from_slice(line).map_err(strange)?;
        if let Some(error) = reply.error {
            let (code, message) = refusal(&error);
            return Ok(Err(ElectrumError::Refused {
                server: self.server.clone(),
                method,
                code,
                message,
            }));
        }
        let null = || serde_json::from_value(Value::Null).map_err(strange);
        Ok(Ok(reply.result.map_or_else(null, Ok)?))
    }

    fn closed(&self) -> ElectrumError {
        let cause = lock(&self.shared.ended).clone();
        ElectrumError::Closed {
            server: self.server.clone(),
            cause: cause.unwrap_or_else(|| "it was given up".to_owned()),
        }
    }

    pub(super) fn malformed(
        &self,
        method: &'static str,
        detail: impl Into<String>,
    ) -> ElectrumError {
        ElectrumError::Malformed {
            server: self.server.clone(),
            method,
            detail: detail.into(),
        }
    }

    pub(super) fn untrue(&self, detail: impl Into<String>) -> ElectrumError {
        ElectrumError::Untrue {
            server: self.server.clone(),
            detail: detail.into(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// One who waits for an answer, and forgets it when it is given up.
struct Waiting<'s>(&'s Shared, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(map) = lock(&self.0.waiting).as_mut() {
            map.remove(&self.1);
        }
    }
}

impl Shared {
    /// The connection has ended: all who wait hear of it.
    fn end(&self, cause: String) {
        lock(&self.ended).get_or_insert(cause);
        *lock(&self.waiting) = None;
    }

    /// Passes a line on to who waits for it. An error says why the connection ends with it.
    fn take(&self, line: &[u8], tips: &watch::Sender<u64>) -> Result<(), String> {
        let not_json = || "it sent what is no JSON-RPC".to_owned();
        let envelope: Envelope = serde_json::from_slice(line).map_err(|_| not_json())?;
        let Some(id) = envelope.id else {
            let method = envelope.method.ok_or_else(not_json)?;
            if method == "blockchain.headers.subscribe" {
                // What it is, is asked for: this one may be one of many that came at once.
                tips.send_modify(|count| *count = count.wrapping_add(1));
            }
            return Ok(());
        };
        let asked = lock(&self.waiting).as_mut().and_then(|map| map.remove(&id));
        if let Some(Asked { answer, room }) = asked {
            let left = room.load(Ordering::Relaxed).checked_sub(line.len());
            let left =
                left.ok_or_else(|| format!("it sent more than {BATCH_BYTES_MAX} bytes at once"))?;
            // Nobody else counts here.
            room.store(left, Ordering::Relaxed);
            // Who waited may have given up just now.
            drop(answer.send(line.to_vec()));
        }
        Ok(())
    }
}

/// The longest text of a server that is shown.
const SHOWN_CHARS_MAX: usize = 300;

/// Number and words of an error, which some servers send as a text.
fn refusal(error: &Value) -> (i64, String) {
    let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
    let message = error.get("message").unwrap_or(error);
    let message = message
        .as_str()
        .map_or_else(|| message.to_string(), str::to_owned);
    (code, shown(&message))
}

/// The beginning of a text of a server, in plain letters.
fn shown(text: &str) -> String {
    let shown = text.chars().take(SHOWN_CHARS_MAX);
    let plain = shown.map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.collect()
}

async fn read_all(
    reading: ReadHalf<Box<dyn Stream>>,
    shared: Arc<Shared>,
    tips: watch::Sender<u64>,
) {
    let mut reader = BufReader::new(reading);
    let mut line = Vec::new();
    loop {
        line.clear();
        let cause = match read_line(&mut reader, &mut line).await {
            Ok(true) => match shared.take(&line, &tips) {
                Ok(()) => continue,
                Err(cause) => cause,
            },
            Ok(false) => "it said nothing more".to_owned(),
            Err(error) => error.to_string(),
        };
        return shared.end(cause);
    }
}

/// Reads a line of at most `LINE_BYTES_MAX`. False: there is none any more.
async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<bool> {
    loop {
        let bytes = reader.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end.saturating_add(1));
        line.extend(bytes.iter().take(taken));
        reader.consume(taken);
        if line.len() > LINE_BYTES_MAX {
            let text = format!("it sent a line of more than {LINE_BYTES_MAX} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
        }
        if end.is_some() {
            return Ok(true);
        }
    }
}

async fn connect(
    server: &ElectrumAddress,
    tls: &TlsConnector,
    proxy: Option<SocketAddr>,
) -> std::io::Result<Box<dyn Stream>> {
    let target = (server.host.as_str(), server.port);
    let stream = match proxy {
        Some(proxy) => {
            // Under another name each time, for which Tor takes another way through its network.
            let mut name = [0; 16];
            getrandom::fill(&mut name).map_err(std::io::Error::other)?;
            let name = name.to_lower_hex_string();
            let through = Socks5Stream::connect_with_password(proxy, target, &name, &name).await;
            through.map_err(std::io::Error::other)?.into_inner()
        }
        None => TcpStream::connect(target).await?,
    };
    stream.set_nodelay(true)?;
    if !server.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(server.host.clone()).map_err(std::io::Error::other)?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
