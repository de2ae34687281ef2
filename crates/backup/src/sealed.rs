//! The file of a backup: a header, and chunks encrypted to a key that is made from the seed.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | [`MAGIC`] |
//! | 2 | version, big endian: [`VERSION`] |
//! | 1 | [`Kind`] |
//! | 8 | which key: the start of its tagged SHA256 |
//! | 19 | nonce |
//! | 8 | the start of the SHA256 of all of the above |
//! | ... | chunks: 4 bytes big endian, the length with the highest bit set in the last one; ciphertext |
//!
//! The chunks are a STREAM of XChaCha20-Poly1305 (its nonce counts them and marks the last one), with
//! the header as associated data: none can be changed, left out, added or moved.

use std::fmt;
use std::io::{self, Read, Write};

use bitcoin_hashes::{Hash as _, HashEngine as _, sha256};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::aead::{KeyInit as _, Payload};

/// How a backup begins.
const MAGIC: [u8; 16] = *b"sendpay backup\r\n";

/// The format that is written, and the only one that is read.
pub(crate) const VERSION: u16 = 1;

/// Plain bytes of a chunk: all that is held of a file of any length.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes that encryption adds to a chunk.
const TAG_BYTES: usize = 16;

const NONCE_BYTES: usize = 19;
const CHECKED_BYTES: usize = 16 + 2 + 1 + 8 + NONCE_BYTES;
const HEADER_BYTES: usize = CHECKED_BYTES + 8;

/// Set in the length of the last chunk.
const LAST: u32 = 1 << 31;

/// What is in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The list of channels alone: written at each change of it.
    Channels,
    /// That list and every record.
    Whole,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Channels => 1,
            Kind::Whole => 2,
        }
    }

    fn from_code(code: u8) -> Option<Kind> {
        match code {
            1 => Some(Kind::Channels),
            2 => Some(Kind::Whole),
            _ => None,
        }
    }
}

/// What backups of one seed are encrypted with.
#[derive(Clone)]
pub struct BackupKey([u8; 32]);

/// Secret.
impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupKey")
    }
}

impl BackupKey {
    /// Of 32 bytes that only who has the seed knows, and that are used for nothing else.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> BackupKey {
        BackupKey(secret)
    }

    /// Tells keys apart, and nothing of the key.
    fn id(&self) -> [u8; 8] {
        let mut engine = sha256::HashEngine::default();
        engine.input(b"sendpay backup key id");
        engine.input(&self.0);
        first_eight(sha256::Hash::from_engine(engine))
    }
}

fn first_eight(hash: sha256::Hash) -> [u8; 8] {
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().zip(hash.to_byte_array()) {
        *to = from;
    }
    eight
}

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It begins otherwise.
    #[error("it is no backup of sendpayd")]
    NotOurs,
    /// Its format is a later one.
    #[error("it has format {0}, and this version reads format {VERSION} only")]
    Version(u16),
    /// It is encrypted to another seed.
    #[error("it was made with another seed")]
    OtherSeed,
    /// Bytes of it were changed.
    #[error("it is damaged at byte {0}")]
    Damaged(u64),
    /// Its end is missing.
    #[error("it is cut short after {0} bytes")]
    Truncated(u64),
    /// The system cannot read it.
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
}

impl OpenError {
    /// What an [`Opener`] said as an error of reading.
    pub(crate) fn of(error: io::Error) -> OpenError {
        match error.downcast::<OpenError>() {
            Ok(error) => error,
            Err(error) => OpenError::Read(error),
        }
    }

    fn into_io(self) -> io::Error {
        match self {
            OpenError::Read(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Writes a backup: what is written to it goes on encrypted. Ends with [`Sealer::finish`].
pub struct Sealer<W> {
    to: W,
    header: [u8; HEADER_BYTES],
    stream: EncryptorBE32<XChaCha20Poly1305>,
    waiting: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// If the system gives no randomness, or the header cannot be written.
    pub fn new(mut to: W, key: &BackupKey, kind: Kind) -> io::Result<Sealer<W>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend(MAGIC);
        header.extend(VERSION.to_be_bytes());
        header.push(kind.code());
        header.extend(key.id());
        header.extend(nonce);
        header.extend(first_eight(sha256::Hash::hash(&header)));
        let header: [u8; HEADER_BYTES] = header
            .try_into()
            .map_err(|_| io::Error::other("a header of another length"))?;
        to.write_all(&header)?;
        let cipher = XChaCha20Poly1305::new(&key.0.into());
        Ok(Sealer {
            to,
            header,
            stream: EncryptorBE32::from_aead(cipher, &nonce.into()),
            waiting: Vec::with_capacity(CHUNK_BYTES),
        })
    }

    /// Writes the last chunk; the file is whole when what is returned is flushed and synced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let payload = Payload {
            msg: &self.waiting,
            aad: &self.header,
        };
        let sealed = self.stream.encrypt_last(payload).map_err(too_long)?;
        put(&mut self.to, &sealed, LAST)?;
        Ok(self.to)
    }
}

/// After 2^32 chunks, which are 256 TiB.
fn too_long(_: chacha20poly1305::aead::Error) -> io::Error {
    io::Error::other("the backup is too long")
}

fn put(to: &mut impl Write, sealed: &[u8], last: u32) -> io::Result<()> {
    let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
    to.write_all(&(length | last).to_be_bytes())?;
    to.write_all(sealed)
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only when there is more: the last chunk is `finish`'s.
        if self.waiting.len() == CHUNK_BYTES && !bytes.is_empty() {
            let payload = Payload {
                msg: &self.waiting,
                aad: &self.header,
            };
            let sealed = self.stream.encrypt_next(payload).map_err(too_long)?;
            put(&mut self.to, &sealed, 0)?;
            self.waiting.clear();
        }
        let room = CHUNK_BYTES.saturating_sub(self.waiting.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.waiting.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads a backup: gives what was written to its [`Sealer`], chunk by chunk as it proves to be whole.
/// After the last byte it has proven that nothing is missing.
pub struct Opener<R> {
    from: R,
    kind: Kind,
    header: [u8; HEADER_BYTES],
    /// None after the last chunk.
    stream: Option<DecryptorBE32<XChaCha20Poly1305>>,
    plain: Vec<u8>,
    /// How much of `plain` was read.
    given: usize,
    /// How much of the file was read.
    at: u64,
}

impl<R: Read> Opener<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If it is none of this format and this key.
    pub fn new(mut from: R, key: &BackupKey) -> Result<Opener<R>, OpenError> {
        let mut header = [0; HEADER_BYTES];
        let mut at = 0;
        let read = fill(&mut from, &mut header, &mut at);
        let (magic, rest) = header.split_at(MAGIC.len());
        match read {
            Err(OpenError::Truncated(at)) if at < 16 => return Err(OpenError::NotOurs),
            _ if magic != MAGIC => return Err(OpenError::NotOurs),
            read => read?,
        }
        let (version, rest) = rest.split_at(2);
        let version = version
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u16::from(*byte));
        // What else a later one has in its header is not known.
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        let (checked, checksum) = header.split_at(CHECKED_BYTES);
        if first_eight(sha256::Hash::hash(checked)) != checksum {
            return Err(OpenError::Damaged(0));
        }
        let kind = rest.first().copied().and_then(Kind::from_code);
        let kind = kind.ok_or(OpenError::Version(version))?;
        if rest.get(1..9) != Some(&key.id()[..]) {
            return Err(OpenError::OtherSeed);
        }
        let mut nonce = [0; NONCE_BYTES];
        for (to, from) in nonce.iter_mut().zip(rest.iter().skip(9)) {
            *to = *from;
        }
        let cipher = XChaCha20Poly1305::new(&key.0.into());
        Ok(Opener {
            from,
            kind,
            header,
            stream: Some(DecryptorBE32::from_aead(cipher, &nonce.into())),
            plain: Vec::new(),
            given: 0,
            at,
        })
    }

    /// What is in it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Reads what follows to its end, which proves that all of it is whole.
    ///
    /// # Errors
    /// If something follows, or the file is damaged.
    pub fn finish(mut self) -> Result<(), OpenError> {
        let mut more = [0; 1];
        match self.read(&mut more).map_err(OpenError::of)? {
            0 => Ok(()),
            _ => Err(OpenError::Damaged(self.at)),
        }
    }

    fn next_chunk(&mut self) -> Result<(), OpenError> {
        let Some(mut stream) = self.stream.take() else {
            return Ok(());
        };
        let began = self.at;
        let mut length = [0; 4];
        fill(&mut self.from, &mut length, &mut self.at)?;
        let length = u32::from_be_bytes(length);
        let is_last = length & LAST != 0;
        let length = usize::try_from(length & !LAST).unwrap_or(usize::MAX);
        if length > CHUNK_BYTES + TAG_BYTES {
            return Err(OpenError::Damaged(began));
        }
        let mut sealed = vec![0; length];
        fill(&mut self.from, &mut sealed, &mut self.at)?;
        let payload = Payload {
            msg: &sealed,
            aad: &self.header,
        };
        let damaged = |_| OpenError::Damaged(began);
        if is_last {
            self.plain = stream.decrypt_last(payload).map_err(damaged)?;
            let mut more = [0; 1];
            if self.from.read(&mut more).map_err(OpenError::Read)? != 0 {
                return Err(OpenError::Damaged(self.at));
            }
        } else {
            self.plain = stream.decrypt_next(payload).map_err(damaged)?;
            self.stream = Some(stream);
        }
        self.given = 0;
        Ok(())
    }
}

/// Fills `bytes`, and counts.
fn fill(from: &mut impl Read, bytes: &mut [u8], at: &mut u64) -> Result<(), OpenError> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => return Err(OpenError::Truncated(*at)),
            Ok(read) => {
                filled += read;
                *at += u64::try_from(read).unwrap_or(0);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(OpenError::Read(error)),
        }
    }
    Ok(())
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.given >= self.plain.len() && self.stream.is_some() {
            self.next_chunk().map_err(OpenError::into_io)?;
        }
        let rest = self.plain.get(self.given..).unwrap_or_default();
        let mut read = 0;
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
            read += 1;
        }
        self.given += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn key(byte: u8) -> BackupKey {
        BackupKey::new([byte; 32])
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), &key(1), Kind::Whole).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(sealed: &[u8], key: &BackupKey) -> Result<Vec<u8>, OpenError> {
        let mut opener = Opener::new(sealed, key)?;
        let mut plain = Vec::new();
        opener.read_to_end(&mut plain).map_err(OpenError::of)?;
        opener.finish()?;
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_is_opened_at_every_length_around_a_chunk() {
        let chunk = CHUNK_BYTES;
        for length in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 7] {
            let plain: Vec<u8> = (0..length)
                .map(|at| u8::try_from(at % 251).unwrap())
                .collect();
            let sealed = sealed(&plain);
            assert_eq!(opened(&sealed, &key(1)).unwrap(), plain);
            // In short strips nothing of it is to be read.
            assert!(plain.len() < 100 || !sealed.windows(50).any(|window| window == &plain[..50]));
        }
    }

    #[test]
    fn every_byte_that_is_changed_and_every_length_that_is_missing_is_seen() {
        let sealed = sealed(b"what must not change");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(opened(&changed, &key(1)).is_err(), "byte {at}");
            assert!(opened(&sealed[..at], &key(1)).is_err(), "{at} bytes");
        }
        let mut longer = sealed.clone();
        longer.push(0);
        assert!(matches!(
            opened(&longer, &key(1)),
            Err(OpenError::Damaged(_))
        ));
    }

    #[test]
    fn chunks_cannot_be_left_out_or_moved() {
        let sealed = sealed(&vec![7; 3 * CHUNK_BYTES]);
        let whole = 4 + CHUNK_BYTES + TAG_BYTES;
        let mut shorter = sealed.clone();
        shorter.drain(HEADER_BYTES..HEADER_BYTES + whole);
        assert!(matches!(
            opened(&shorter, &key(1)),
            Err(OpenError::Damaged(_))
        ));
        let cut = &sealed[..HEADER_BYTES + 2 * whole];
        assert!(matches!(opened(cut, &key(1)), Err(OpenError::Truncated(_))));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_by_what_it_is() {
        let sealed = sealed(b"records");
        assert!(matches!(
            opened(&sealed, &key(2)),
            Err(OpenError::OtherSeed)
        ));
        assert!(matches!(opened(b"", &key(1)), Err(OpenError::NotOurs)));
        assert!(matches!(
            opened(
                b"SQLite format 3\0 and more of it, longer than a header is",
                &key(1)
            ),
            Err(OpenError::NotOurs)
        ));
        let mut newer = sealed.clone();
        newer[17] = 2;
        assert!(matches!(
            opened(&newer, &key(1)),
            Err(OpenError::Version(2))
        ));
        assert!(matches!(
            opened(&sealed[..30], &key(1)),
            Err(OpenError::Truncated(30))
        ));
    }

    #[test]
    fn two_backups_of_the_same_share_no_key_stream() {
        assert_ne!(sealed(b"the same"), sealed(b"the same"));
    }
}
