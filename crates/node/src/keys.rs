//! The seed: twelve BIP39 words in a file of their own, and the keys made from it.
//!
//! The file is made at the first start and never written again. The words (without a passphrase)
//! give a 64-byte BIP39 seed; its BIP32 master key is the on-chain wallet's root (BIP84), and the
//! private key of that master is the 32-byte seed of LDK's `KeysManager`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bip39::Mnemonic;
use bitcoin::Network;
use bitcoin::bip32::Xpriv;
use thiserror::Error;

use crate::ldk::Keys;

/// Name of the seed file in the node's directory.
pub const SEED_FILE: &str = "seed";

/// Entropy of a new seed: 16 bytes make twelve words.
const ENTROPY_BYTES: usize = 16;

/// Why the seed could not be read or made.
#[derive(Debug, Error)]
pub enum SeedError {
    /// The file is there and cannot be read, or cannot be made.
    #[error("cannot use the seed file {path}: {source}")]
    File {
        /// The seed file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file's text is not a BIP39 phrase.
    #[error("{path} is no BIP39 phrase ({source}); restore it from your backup")]
    Words {
        /// The seed file.
        path: PathBuf,
        /// What is wrong with the words.
        source: bip39::Error,
    },
    /// The system gave no randomness.
    #[error("no randomness for a new seed: {0}")]
    Entropy(String),
    /// The seed makes no BIP32 master key.
    #[error("the seed makes no key: {0}")]
    Key(#[from] bitcoin::bip32::Error),
}

/// Both roots that come from the seed. Has no `Debug`: it is secret.
pub(crate) struct Seed {
    master: Xpriv,
}

impl Seed {
    /// Reads the seed file in `dir`, or makes it with mode 0600 from the first byte.
    pub(crate) fn read_or_make(dir: &Path, network: Network) -> Result<Seed, SeedError> {
        let path = dir.join(SEED_FILE);
        let file = |source| SeedError::File {
            path: path.clone(),
            source,
        };
        let words = match fs::read_to_string(&path) {
            Ok(words) => words,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => make(dir, &path)?,
            Err(cause) => return Err(file(cause)),
        };
        let phrase =
            Mnemonic::parse_normalized(words.trim()).map_err(|source| SeedError::Words {
                path: path.clone(),
                source,
            })?;
        Ok(Seed {
            master: Xpriv::new_master(network, &phrase.to_seed_normalized(""))?,
        })
    }

    pub(crate) fn master(&self) -> Xpriv {
        self.master
    }

    /// LDK's keys. `now` must differ at every start: it seeds ephemeral keys.
    pub(crate) fn ldk_keys(&self, now: Duration) -> Keys {
        let seed = self.master.private_key.secret_bytes();
        // Static remote keys, so that what a peer's close pays us is found from the seed alone.
        Keys::new(&seed, now.as_secs(), now.subsec_nanos(), true)
    }
}

/// Writes a new phrase to a file of another name, syncs it and renames it, so that a crash leaves
/// either no seed file or a whole one.
fn make(dir: &Path, path: &Path) -> Result<String, SeedError> {
    let mut entropy = [0u8; ENTROPY_BYTES];
    getrandom::fill(&mut entropy).map_err(|cause| SeedError::Entropy(cause.to_string()))?;
    let phrase = Mnemonic::from_entropy(&entropy).map_err(|source| SeedError::Words {
        path: path.to_owned(),
        source,
    })?;
    let text = format!("{phrase}\n");
    let unfinished = dir.join(format!("{SEED_FILE}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(|source| SeedError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_seed_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Seed::read_or_make(dir.path(), Network::Regtest).unwrap();
        let again = Seed::read_or_make(dir.path(), Network::Regtest).unwrap();
        assert_eq!(first.master, again.master);
        let path = dir.path().join(SEED_FILE);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_to_string(path).unwrap().split_whitespace().count(),
            12
        );
    }

    #[test]
    fn a_damaged_seed_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SEED_FILE), "twelve words these are not").unwrap();
        assert!(matches!(
            Seed::read_or_make(dir.path(), Network::Regtest),
            Err(SeedError::Words { .. })
        ));
        let text = fs::read_to_string(dir.path().join(SEED_FILE)).unwrap();
        assert_eq!(text, "twelve words these are not");
    }
}
