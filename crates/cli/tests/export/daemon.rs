//! What stands in for a daemon with a large ledger: it answers one request with so many records,
//! made on the way.

use sendpay_rpc::Id;
use sendpay_rpc::frame::{Decoder, Frame};
use sendpay_rpc::method::Method;
use sendpay_rpc::method::notifications::{Notifications, NotificationsResult};
use sendpay_rpc::reply;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// A record as `listsendpays` writes it, all of the same length.
pub(crate) fn record(number: u64) -> String {
    format!(
        r#"{{"created_index":{index},"id":{index},"payment_hash":"{hash:064x}","groupid":1,"updated_index":{index},"destination":"02{hash:064x}","amount_msat":"{amount}msat","amount_sent_msat":"{amount}msat","created_at":1795361960,"completed_at":1795361961,"status":"complete","payment_preimage":"{hash:064x}","label":"order \"{index}\", paid","bolt11":"lnbcrt{hash:0300x}"}}"#,
        index = 10_000_000 + number,
        hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        amount = 1_000_000 + number % 1_000_000,
    )
}

/// Where the client connects to, in this directory.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.join("socket")
}

/// Takes one connection, and once its request is there, answers it with what `answer` writes.
pub(crate) fn serve_once(
    dir: &Path,
    answer: impl FnOnce(&Id, &mut UnixStream) -> io::Result<()> + Send + 'static,
) -> JoinHandle<io::Result<()>> {
    let listener = UnixListener::bind(socket(dir)).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let id = request(&mut stream)?;
        answer(&id, &mut stream)
    })
}

/// Reads a request and gives its id. The one for notifications, which comes first, is answered.
pub(crate) fn request(stream: &mut UnixStream) -> io::Result<Id> {
    let mut decoder = Decoder::new();
    let mut bytes = [0; 4096];
    loop {
        if let Some(Frame::Request(request)) = decoder.next_frame() {
            if request.method != Notifications::NAME {
                return Ok(request.id);
            }
            let enabled = reply::result(&request.id, &NotificationsResult {})?;
            stream.write_all(&enabled)?;
            continue;
        }
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        decoder.push(&bytes[..read]);
    }
}

/// Begins a listing.
pub(crate) fn begin(id: &Id, stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(&reply::begin_result(id))?;
    stream.write_all(b"{\"payments\":[")
}

/// Writes so many records of a listing, in pieces as the daemon does.
pub(crate) fn records(count: u64, stream: &mut UnixStream) -> io::Result<()> {
    const PIECE_BYTES: usize = 64 << 10;
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    for number in 0..count {
        if number > 0 {
            piece.push(b',');
        }
        piece.extend_from_slice(record(number).as_bytes());
        if piece.len() >= PIECE_BYTES {
            stream.write_all(&piece)?;
            piece.clear();
        }
    }
    stream.write_all(&piece)
}

/// Ends a listing.
pub(crate) fn end(stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(b"]}")?;
    stream.write_all(reply::END)
}
