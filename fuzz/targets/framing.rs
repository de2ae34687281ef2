//! Bytes of a connection: however they are split, the same requests come out, each error can be sent
//! back, and after a fatal one there is nothing more.

use sendpay_rpc::frame::{After, Decoder, Frame, QUOTED_BYTES_MAX};
use sendpay_rpc::{json, reply};

/// What came out, as text.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut found = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame() {
            assert!(
                !found
                    .last()
                    .is_some_and(|last: &String| last.starts_with("fatal"))
            );
            found.push(match frame {
                Frame::Request(request) => {
                    let answer = reply::result(&request.id, &request.params).unwrap();
                    let answer = String::from_utf8(answer).unwrap();
                    let members = json::members(answer.trim_end()).unwrap();
                    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                    assert_eq!(names, ["jsonrpc", "id", "result"]);
                    assert_eq!(members[1].1.get(), request.id.as_str());
                    let filter = request.filter.as_deref().map(|filter| filter.get());
                    format!(
                        "{} {:?} {} {filter:?}",
                        request.id.as_str(),
                        request.method,
                        request.params
                    )
                }
                Frame::Refused(refusal) => {
                    let answer = reply::error(&refusal.id, &refusal.error);
                    assert!(answer.len() < 6 * QUOTED_BYTES_MAX + 1000);
                    assert_eq!(
                        answer.windows(2).position(|pair| pair == b"\n\n"),
                        Some(answer.len() - 2)
                    );
                    json::members(std::str::from_utf8(&answer).unwrap().trim_end()).unwrap();
                    let is_fatal = refusal.after != After::Usable;
                    assert_eq!(is_fatal, decoder.is_dead());
                    format!(
                        "{} {}",
                        if is_fatal { "fatal" } else { "refused" },
                        refusal.error
                    )
                }
            });
        }
    }
    found
}

/// The first byte says where the rest is cut.
pub(crate) fn run(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let (start, end) = bytes.split_at(bytes.len() * usize::from(*cut) / 256);
    let whole = frames([bytes]);
    assert_eq!(frames([start, end]), whole);
    assert_eq!(frames(bytes.chunks(1)), whole);
}
