//! The subscriber's side of ZMTP 3.0, ZeroMQ's protocol over TCP, without its mechanisms of security: a
//! greeting, one command each way, one subscription, and then messages.
//!
//! What they mean is `mod.rs`'s. Nothing that is read here is larger than [`FRAME_BYTES_MAX`], whatever
//! length the other end claims.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is subscribed to: the hash of each new best block.
const TOPIC: &[u8] = b"hashblock";

/// Bytes of a frame at most. The longest of bitcoind's is its READY, of less than a hundred.
const FRAME_BYTES_MAX: usize = 1_024;

/// Bytes of a greeting.
const GREETING_BYTES: usize = 64;

/// The oldest version of the protocol that is understood, which is also the one that is spoken.
const MAJOR: u8 = 3;

/// The mechanism that bitcoind has, filled up with zeros.
const MECHANISM: &[u8; 20] = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Flags of a frame: more frames of this message follow; the length has eight bytes; a command.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// READY, of a socket that subscribes, as a command; and the first frame of each that is one.
const READY: &[u8] = b"\x05READY\x0bSocket-Type\0\0\0\x03SUB";
const READY_NAME: &[u8] = b"\x05READY";

/// What it must have in it, by the socket that the other end has: one that publishes.
const PUBLISHERS: [&[u8]; 2] = [
    b"\x0bSocket-Type\0\0\0\x03PUB",
    b"\x0bSocket-Type\0\0\0\x04XPUB",
];

/// Bytes of a hash, and of the number that bitcoind gives each message.
const HASH_BYTES: usize = 32;
const NUMBER_BYTES: usize = 4;

/// Why nothing more is heard on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProtocolError {
    /// The connection is gone.
    #[error("the connection has ended: {0}")]
    Ended(#[from] std::io::Error),
    /// What came is not what bitcoind sends.
    #[error("what is there is no zmqpubhashblock of bitcoind: {0}")]
    Strange(&'static str),
}

use ProtocolError::Strange;

struct Frame {
    flags: u8,
    body: Vec<u8>,
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// There is a new best block, it is said. Its hash is not looked at: RPC is asked for the best.
    Block,
    /// Something of the protocol's own.
    Nothing,
}

/// Greets, and subscribes to new best blocks.
pub(super) async fn subscribe(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<(), ProtocolError> {
    let mut greeting = [0; GREETING_BYTES];
    let signature = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, MAJOR, 0];
    for (byte, known) in greeting
        .iter_mut()
        .zip(signature.iter().chain(MECHANISM).copied())
    {
        *byte = known;
    }
    stream.write_all(&greeting).await?;
    let mut theirs = [0; GREETING_BYTES];
    stream.read_exact(&mut theirs).await?;
    if theirs.first() != Some(&0xff) || theirs.get(9).is_none_or(|byte| byte & 1 == 0) {
        return Err(Strange("it does not greet as ZeroMQ does"));
    }
    if theirs.get(10).is_none_or(|major| *major < MAJOR) {
        return Err(Strange("its ZeroMQ is older than version 4"));
    }
    if theirs.get(12..32) != Some(MECHANISM) {
        return Err(Strange("it wants to be logged in to"));
    }
    write_frame(stream, COMMAND, READY).await?;
    let ready = read_frame(stream).await?;
    if ready.flags & COMMAND == 0 || !ready.body.starts_with(READY_NAME) {
        return Err(Strange("it is not ready after its greeting"));
    }
    let mut has = PUBLISHERS.iter();
    if !has.any(|socket| contains(&ready.body, socket)) {
        return Err(Strange("it does not publish"));
    }
    let mut subscription = vec![1];
    subscription.extend_from_slice(TOPIC);
    write_frame(stream, 0, &subscription).await
}

/// The next message or command.
pub(super) async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Result<Heard, ProtocolError> {
    let topic = read_frame(stream).await?;
    if topic.flags & COMMAND != 0 {
        return Ok(Heard::Nothing);
    }
    if topic.body != TOPIC || topic.flags & MORE == 0 {
        return Err(Strange("it sends what nobody has subscribed to"));
    }
    let hash = read_frame(stream).await?;
    let number = read_frame(stream).await?;
    let whole = hash.body.len() == HASH_BYTES && number.body.len() == NUMBER_BYTES;
    let in_order = hash.flags & !LONG == MORE && number.flags & !LONG == 0;
    match whole && in_order {
        true => Ok(Heard::Block),
        false => Err(Strange("its message is no hash of a block")),
    }
}

async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    flags: u8,
    body: &[u8],
) -> Result<(), ProtocolError> {
    // What is sent here is short.
    let length = u8::try_from(body.len()).map_err(|_| Strange("too much is to be sent"))?;
    let mut frame = vec![flags, length];
    frame.extend_from_slice(body);
    stream.write_all(&frame).await?;
    Ok(stream.flush().await?)
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Frame, ProtocolError> {
    let flags = stream.read_u8().await?;
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(Strange("it sends what is no frame"));
    }
    let length = match flags & LONG {
        0 => u64::from(stream.read_u8().await?),
        _ => stream.read_u64().await?,
    };
    let length = usize::try_from(length).ok();
    let length = length.filter(|length| *length <= FRAME_BYTES_MAX);
    let mut body = vec![0; length.ok_or(Strange("it sends more than any message of blocks has"))?];
    stream.read_exact(&mut body).await?;
    Ok(Frame { flags, body })
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn greeting() -> Vec<u8> {
        let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1];
        bytes.extend_from_slice(MECHANISM);
        bytes.resize(GREETING_BYTES, 0);
        bytes
    }

    fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![flags, u8::try_from(body.len()).unwrap()];
        bytes.extend_from_slice(body);
        bytes
    }

    fn ready(socket: &str) -> Vec<u8> {
        let mut body = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
        body.push(u8::try_from(socket.len()).unwrap());
        body.extend_from_slice(socket.as_bytes());
        frame(COMMAND, &body)
    }

    fn message() -> Vec<u8> {
        let parts = [
            frame(MORE, TOPIC),
            frame(MORE, &[7; HASH_BYTES]),
            frame(0, &[0; NUMBER_BYTES]),
        ];
        parts.concat()
    }

    /// What becomes of bytes that the other end sends, until they end.
    async fn heard(bytes: Vec<u8>) -> (usize, ProtocolError) {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(&bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        if let Err(error) = subscribe(&mut ours).await {
            return (0, error);
        }
        let mut blocks = 0;
        loop {
            match hear(&mut ours).await {
                Ok(Heard::Block) => blocks += 1,
                Ok(Heard::Nothing) => {}
                Err(error) => return (blocks, error),
            }
        }
    }

    #[tokio::test]
    async fn blocks_are_heard_of_between_what_the_protocol_says_itself() {
        let ping = frame(COMMAND, b"\x04PING\0\0");
        for socket in ["PUB", "XPUB"] {
            let bytes = [
                greeting(),
                ready(socket),
                message(),
                ping.clone(),
                message(),
            ];
            let (blocks, error) = heard(bytes.concat()).await;
            assert_eq!(blocks, 2);
            assert!(matches!(error, ProtocolError::Ended(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn what_bitcoind_does_not_send_ends_it_with_the_reason() {
        let begun = || [greeting(), ready("PUB")].concat();
        let huge = [vec![LONG], u64::MAX.to_be_bytes().to_vec()].concat();
        let mut plain = greeting();
        plain[12..17].copy_from_slice(b"PLAIN");
        let mut old = greeting();
        old[10] = 1;
        let longer = [
            frame(MORE, TOPIC),
            frame(MORE, &[7; HASH_BYTES]),
            frame(MORE, &[0; NUMBER_BYTES]),
        ];
        for (bytes, why) in [
            (b"HTTP/1.1 400 Bad Request\r\n".repeat(3), "greet"),
            (old, "older"),
            (plain, "logged in"),
            ([greeting(), frame(0, b"hello")].concat(), "not ready"),
            ([greeting(), ready("REP")].concat(), "does not publish"),
            ([greeting(), huge.clone()].concat(), "more than any"),
            ([begun(), huge].concat(), "more than any"),
            ([begun(), vec![0x80, 1, 1]].concat(), "no frame"),
            ([begun(), frame(MORE, b"rawblock")].concat(), "subscribed"),
            ([begun(), frame(0, TOPIC)].concat(), "subscribed"),
            ([begun(), longer.concat()].concat(), "no hash"),
        ] {
            let (blocks, error) = heard(bytes).await;
            let text = error.to_string();
            assert!(matches!(error, Strange(_)) && text.contains(why), "{text}");
            assert_eq!(blocks, 0);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(bytes: Vec<u8>, cut: prop::sample::Index) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut begun = [greeting(), ready("PUB"), message()].concat();
            begun.truncate(cut.index(begun.len() + 1));
            begun.extend_from_slice(&bytes);
            runtime.block_on(heard(begun));
        }
    }
}
