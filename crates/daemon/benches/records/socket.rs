//! Requests over the socket, by a client that parses nothing: it looks for the blank line at the end
//! of a reply and counts bytes.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use sendpay_rpc::reply::TERMINATOR;

/// Read at once: more than the daemon writes at once.
const READ_BYTES: usize = 256 << 10;

/// A reply that stays away so long fails the run.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Connection {
    stream: UnixStream,
    chunk: Vec<u8>,
}

/// One reply, measured.
pub struct Reply {
    pub bytes: u64,
    pub first_byte: Duration,
    pub whole: Duration,
    /// How it begins: enough to see whether it is an error.
    pub head: String,
}

impl Reply {
    /// The error, if it is one.
    pub fn error(&self) -> Option<&str> {
        let at = self.head.find("\"error\":")?;
        self.head.get(at..)
    }
}

/// A request as bytes.
pub fn request(method: &str, params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#).into_bytes()
}

impl Connection {
    pub fn open(socket: &Path) -> Connection {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection {
            stream,
            chunk: vec![0; READ_BYTES],
        }
    }

    pub fn ask(&mut self, request: &[u8]) -> Reply {
        self.ask_and_see(request, |_| ())
    }

    /// As [`Connection::ask`]; `see` gets all bytes as they come.
    pub fn ask_and_see(&mut self, request: &[u8], mut see: impl FnMut(&[u8])) -> Reply {
        let begun = Instant::now();
        self.stream.write_all(request).unwrap();
        let (mut bytes, mut first_byte) = (0, None);
        let mut head = String::new();
        // The reply has no line end but the two at its end.
        let mut line_ends = 0;
        while line_ends < TERMINATOR.len() {
            let read = self.stream.read(&mut self.chunk).unwrap();
            assert!(read > 0, "the daemon closed the connection");
            first_byte.get_or_insert_with(|| begun.elapsed());
            let chunk = &self.chunk[..read];
            if bytes == 0 {
                head = String::from_utf8_lossy(&chunk[..read.min(200)]).into_owned();
            }
            bytes += read as u64;
            let ends = chunk.iter().rev().take_while(|byte| **byte == b'\n');
            let ends = ends.count();
            line_ends = if ends == read { line_ends + ends } else { ends };
            see(chunk);
        }
        Reply {
            bytes,
            first_byte: first_byte.unwrap_or_default(),
            whole: begun.elapsed(),
            head,
        }
    }

    /// Sends all requests without waiting, and waits for as many replies; the time of all. An error
    /// among them fails the run.
    pub fn pipeline(&mut self, requests: &[Vec<u8>]) -> Duration {
        let mut writing = self.stream.try_clone().unwrap();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for many in requests.chunks(64) {
                    writing.write_all(&many.concat()).unwrap();
                }
            });
            let mut line_ends = 0;
            while line_ends < requests.len() * TERMINATOR.len() {
                let read = self.stream.read(&mut self.chunk).unwrap();
                assert!(read > 0, "the daemon closed the connection");
                let chunk = &self.chunk[..read];
                line_ends += chunk.iter().filter(|byte| **byte == b'\n').count();
            }
        });
        begun.elapsed()
    }

    /// How long each of these requests took, one after the other.
    pub fn times(&mut self, requests: &[Vec<u8>]) -> Vec<Duration> {
        requests
            .iter()
            .map(|request| self.ask(request).whole)
            .collect()
    }
}

/// The value below which so much of the times is, 0.5 for the median.
pub fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * part) as usize;
    times[at.min(times.len() - 1)]
}
