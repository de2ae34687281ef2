//! The file of the seed: twelve words as they are, or encrypted with a passphrase.
//!
//! An encrypted one is four lines: [`FIRST_LINE`]; how Argon2id makes the key of the passphrase; the
//! nonce; and the words, sealed with XChaCha20-Poly1305. Whatever is written goes to a file of
//! another name, is synced and renamed: a crash leaves what was there or what was to be there.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use bip39::Mnemonic;
use bitcoin::hex::{DisplayHex, FromHex};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};

use crate::SeedError;

/// Name of the seed file in the node's directory.
pub const SEED_FILE: &str = "seed";

/// Entropy of a new seed: 16 bytes make twelve words.
const ENTROPY_BYTES: usize = 16;

/// How an encrypted seed file begins.
const FIRST_LINE: &str = "sendpay encrypted seed 1";

/// Longest seed file that is read, in bytes: 24 words are below 300.
const FILE_BYTES_MAX: u64 = 4096;

/// What Argon2id takes for a new file: 64 MiB, three passes, one lane (the second choice of RFC 9106).
const COST: Cost = Cost {
    memory_kib: 64 << 10,
    passes: 3,
    lanes: 1,
};

/// Most that a file may ask for: 1 GiB and 64 passes.
const COST_MAX: Cost = Cost {
    memory_kib: 1 << 20,
    passes: 64,
    lanes: 16,
};

/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// What a seed file is encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

/// Secret.
impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

impl Passphrase {
    /// From what was typed or read. None if it is empty, or longer than [`PASSPHRASE_BYTES_MAX`].
    #[must_use]
    pub fn new(text: String) -> Option<Passphrase> {
        let length = text.len();
        (1..=PASSPHRASE_BYTES_MAX)
            .contains(&length)
            .then_some(Passphrase(text))
    }
}

struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A seed file as it was read.
pub(crate) enum SeedText {
    /// The words.
    Words(String),
    /// Not without the passphrase.
    Encrypted(Encrypted),
}

/// An encrypted one.
pub(crate) struct Encrypted {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 24],
    sealed: Vec<u8>,
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> SeedError + use<> {
    let path = path.to_owned();
    move |source| SeedError::File {
        path: path.clone(),
        source,
    }
}

/// Reads the seed file in `dir`, if there is one.
pub(crate) fn read(dir: &Path) -> Result<Option<SeedText>, SeedError> {
    let path = dir.join(SEED_FILE);
    let failed = file_error(&path);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => Err(SeedError::NoSeed(path)),
        Ok(_) => {
            let text = fs::read_to_string(&path).map_err(failed)?;
            if !text.starts_with(FIRST_LINE) {
                return Ok(Some(SeedText::Words(text)));
            }
            let encrypted = parse(&text).ok_or(SeedError::NoSeed(path))?;
            Ok(Some(SeedText::Encrypted(encrypted)))
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failed(cause)),
    }
}

fn parse(text: &str) -> Option<Encrypted> {
    let mut lines = text.lines().skip(1);
    let mut cost = lines.next()?.strip_prefix("argon2id ")?.split(' ');
    let mut number = || cost.next()?.parse::<u32>().ok();
    let found = Cost {
        memory_kib: number()?,
        passes: number()?,
        lanes: number()?,
    };
    let dear = found.memory_kib > COST_MAX.memory_kib
        || found.passes > COST_MAX.passes
        || found.lanes > COST_MAX.lanes;
    let salt = <[u8; 16]>::from_hex(cost.next()?).ok()?;
    let nonce = lines.next()?.strip_prefix("xchacha20poly1305 ")?;
    let nonce = <[u8; 24]>::from_hex(nonce).ok()?;
    let sealed = Vec::from_hex(lines.next()?).ok()?;
    (!dear).then_some(Encrypted {
        cost: found,
        salt,
        nonce,
        sealed,
    })
}

impl Encrypted {
    /// The words; none if the passphrase is another one (or the file is damaged: nobody can tell).
    pub(crate) fn open(&self, passphrase: &Passphrase) -> Result<String, SeedError> {
        let cipher = cipher(passphrase, &self.cost, &self.salt)?;
        let payload = Payload {
            msg: &self.sealed,
            aad: FIRST_LINE.as_bytes(),
        };
        let words = cipher
            .decrypt(&self.nonce.into(), payload)
            .map_err(|_| SeedError::Passphrase)?;
        String::from_utf8(words).map_err(|_| SeedError::Passphrase)
    }
}

fn cipher(
    passphrase: &Passphrase,
    cost: &Cost,
    salt: &[u8],
) -> Result<XChaCha20Poly1305, SeedError> {
    let mut key = [0; 32];
    let hash = |error: argon2::Error| SeedError::Argon(error.to_string());
    let params =
        Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key.len())).map_err(hash)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.0.as_bytes(), salt, &mut key)
        .map_err(hash)?;
    Ok(XChaCha20Poly1305::new(&key.into()))
}

fn random<const N: usize>() -> Result<[u8; N], SeedError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| SeedError::Entropy(cause.to_string()))?;
    Ok(bytes)
}

/// The text of a file with these words.
fn encrypted(words: &str, passphrase: &Passphrase) -> Result<String, SeedError> {
    let (salt, nonce) = (random::<16>()?, random::<24>()?);
    let payload = Payload {
        msg: words.as_bytes(),
        aad: FIRST_LINE.as_bytes(),
    };
    let sealed = cipher(passphrase, &COST, &salt)?
        .encrypt(&nonce.into(), payload)
        .map_err(|_| SeedError::Argon("the words cannot be sealed".to_owned()))?;
    let Cost {
        memory_kib,
        passes,
        lanes,
    } = COST;
    Ok(format!(
        "{FIRST_LINE}\nargon2id {memory_kib} {passes} {lanes} {}\nxchacha20poly1305 {}\n{}\n",
        salt.to_lower_hex_string(),
        nonce.to_lower_hex_string(),
        sealed.to_lower_hex_string(),
    ))
}

/// Twelve new words.
pub(crate) fn new_words() -> Result<String, SeedError> {
    let entropy = random::<ENTROPY_BYTES>()?;
    let phrase = Mnemonic::from_entropy(&entropy).map_err(|source| SeedError::Words { source })?;
    Ok(format!("{phrase}\n"))
}

/// Writes the seed file in `dir`, encrypted if there is a passphrase, in the place of what is there.
pub(crate) fn write(
    dir: &Path,
    words: &str,
    passphrase: Option<&Passphrase>,
) -> Result<(), SeedError> {
    let path = dir.join(SEED_FILE);
    let text = match passphrase {
        Some(passphrase) => encrypted(words, passphrase)?,
        None => words.to_owned(),
    };
    let unfinished: PathBuf = dir.join(format!("{SEED_FILE}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(file_error(&path))
}
