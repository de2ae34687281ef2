//! The seed: twelve BIP39 words in a file of their own (`seed_file.rs`), and the keys made from it.
//!
//! The file is made at the first start; only commands of the operator write it again. The words
//! (without a BIP39 passphrase) give a 64-byte BIP39 seed; its BIP32 master key is the on-chain
//! wallet's root (BIP84 and BIP86), and the private key of that master is the 32-byte seed of LDK's
//! `KeysManager`. A hardened child of its own makes what backups are encrypted with.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bip39::Mnemonic;
use bitcoin::Network;
use bitcoin::bip32::{ChildNumber, Xpriv};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1};
use lightning::sign::{NodeSigner, Recipient};
use thiserror::Error;

use crate::ldk::Keys;
use crate::seed_file::{self, Passphrase, SEED_FILE, SeedText};

/// The hardened child of the master key that backups are encrypted with; the wallet's are 84' and 86'
/// (BIP84, BIP86), and LDK has a master key of its own.
const BACKUP_CHILD: u32 = 0x5350;

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
    /// The file is no seed file.
    #[error("{} is no seed file; restore it from your backup", .0.display())]
    NoSeed(PathBuf),
    /// The text is not a BIP39 phrase.
    #[error("these words are no BIP39 phrase ({source}); restore them from your backup")]
    Words {
        /// What is wrong with the words.
        source: bip39::Error,
    },
    /// It is encrypted, and no passphrase was given.
    #[error("the seed is encrypted, and no passphrase was given")]
    Encrypted,
    /// The passphrase is another one.
    #[error("this passphrase does not open the seed")]
    Passphrase,
    /// To encrypt what is encrypted.
    #[error("the seed is encrypted already")]
    EncryptedAlready,
    /// To decrypt what is not encrypted.
    #[error("the seed is not encrypted")]
    NotEncrypted,
    /// No seed file.
    #[error("there is no seed file {}", .0.display())]
    Missing(PathBuf),
    /// The directory has the seed of another node.
    #[error("{} is the seed of another node than these words", .0.display())]
    OtherSeed(PathBuf),
    /// The passphrase cannot be used.
    #[error("the passphrase cannot be used: {0}")]
    Argon(String),
    /// The system gave no randomness.
    #[error("no randomness for a new seed: {0}")]
    Entropy(String),
    /// The seed makes no BIP32 master key.
    #[error("the seed makes no key: {0}")]
    Key(#[from] bitcoin::bip32::Error),
}

/// The roots that come from the seed. Has no `Debug`: it is secret.
pub struct Seed {
    words: String,
    master: Xpriv,
}

impl Seed {
    /// Reads the seed file in `dir`, or makes it with mode 0600 from the first byte: encrypted, if
    /// there is a passphrase.
    ///
    /// # Errors
    /// If it can be neither, or the passphrase is not its own.
    pub fn read_or_make(
        dir: &Path,
        network: Network,
        passphrase: Option<&Passphrase>,
    ) -> Result<Seed, SeedError> {
        match Seed::read(dir, network, passphrase)? {
            Some(seed) => Ok(seed),
            None => {
                let seed = Seed::of_words(&seed_file::new_words()?, network)?;
                seed.write(dir, passphrase)?;
                Ok(seed)
            }
        }
    }

    /// Reads the seed file in `dir`, if there is one. A passphrase that it does not need is passed over.
    ///
    /// # Errors
    /// If it is none, or the passphrase is not its own.
    pub fn read(
        dir: &Path,
        network: Network,
        passphrase: Option<&Passphrase>,
    ) -> Result<Option<Seed>, SeedError> {
        let words = match (seed_file::read(dir)?, passphrase) {
            (None, _) => return Ok(None),
            (Some(SeedText::Words(words)), _) => words,
            (Some(SeedText::Encrypted(_)), None) => return Err(SeedError::Encrypted),
            (Some(SeedText::Encrypted(sealed)), Some(passphrase)) => sealed.open(passphrase)?,
        };
        Seed::of_words(&words, network).map(Some)
    }

    /// The seed of a phrase, wherever that comes from.
    ///
    /// # Errors
    /// If it is no BIP39 phrase in English.
    pub fn of_words(words: &str, network: Network) -> Result<Seed, SeedError> {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let phrase =
            Mnemonic::parse_normalized(&words).map_err(|source| SeedError::Words { source })?;
        Ok(Seed {
            words,
            master: Xpriv::new_master(network, &phrase.to_seed_normalized(""))?,
        })
    }

    /// Writes the seed file, in the place of what is there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, dir: &Path, passphrase: Option<&Passphrase>) -> Result<(), SeedError> {
        seed_file::write(dir, &format!("{}\n", self.words), passphrase)
    }

    /// Puts the seed of given words into `dir`, if it is not there.
    ///
    /// # Errors
    /// If that of other words is there, or it cannot be written.
    pub fn restore(
        &self,
        dir: &Path,
        network: Network,
        passphrase: Option<&Passphrase>,
    ) -> Result<(), SeedError> {
        match Seed::read(dir, network, passphrase)? {
            None => self.write(dir, passphrase),
            Some(there) if there.master == self.master => Ok(()),
            Some(_) => Err(SeedError::OtherSeed(dir.join(SEED_FILE))),
        }
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

    /// The node that this seed makes; none if LDK's signer has none.
    #[must_use]
    pub fn node_id(&self) -> Option<PublicKey> {
        let keys = self.ldk_keys(Duration::ZERO);
        keys.get_node_id(Recipient::Node).ok()
    }

    /// What backups of this seed are encrypted with, and nothing else is.
    ///
    /// # Errors
    /// If BIP32 has no such child, which nobody has seen.
    pub fn backup_secret(&self) -> Result<[u8; 32], SeedError> {
        let child = ChildNumber::from_hardened_idx(BACKUP_CHILD)?;
        let child = self
            .master
            .derive_priv(&Secp256k1::signing_only(), &[child])?;
        let mut engine = sha256::HashEngine::default();
        engine.input(b"sendpay backup");
        engine.input(&child.private_key.secret_bytes());
        Ok(sha256::Hash::from_engine(engine).to_byte_array())
    }
}

/// Whether the seed in `dir` needs a passphrase; none if there is no seed.
///
/// # Errors
/// If it cannot be read.
pub fn seed_is_encrypted(dir: &Path) -> Result<Option<bool>, SeedError> {
    Ok(match seed_file::read(dir)? {
        None => None,
        Some(SeedText::Words(_)) => Some(false),
        Some(SeedText::Encrypted(_)) => Some(true),
    })
}

/// Encrypts the seed in `dir`. A crash leaves it as it was or encrypted.
///
/// # Errors
/// If it is encrypted already, or cannot be written.
pub fn encrypt_seed(
    dir: &Path,
    network: Network,
    passphrase: &Passphrase,
) -> Result<(), SeedError> {
    match seed_file::read(dir)? {
        None => Err(SeedError::Missing(dir.join(SEED_FILE))),
        Some(SeedText::Encrypted(_)) => Err(SeedError::EncryptedAlready),
        Some(SeedText::Words(words)) => {
            Seed::of_words(&words, network)?.write(dir, Some(passphrase))
        }
    }
}

/// Takes the encryption of the seed in `dir` away. A crash leaves it as it was or decrypted.
///
/// # Errors
/// If it is not encrypted, the passphrase is another one, or it cannot be written.
pub fn decrypt_seed(
    dir: &Path,
    network: Network,
    passphrase: &Passphrase,
) -> Result<(), SeedError> {
    match seed_file::read(dir)? {
        None => Err(SeedError::Missing(dir.join(SEED_FILE))),
        Some(SeedText::Words(_)) => Err(SeedError::NotEncrypted),
        Some(SeedText::Encrypted(sealed)) => {
            let words = sealed.open(passphrase)?;
            Seed::of_words(&words, network)?.write(dir, None)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned()).unwrap()
    }

    #[test]
    fn the_seed_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Seed::read_or_make(dir.path(), Network::Regtest, None).unwrap();
        let again = Seed::read_or_make(dir.path(), Network::Regtest, None).unwrap();
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
            Seed::read_or_make(dir.path(), Network::Regtest, None),
            Err(SeedError::Words { .. })
        ));
        let text = fs::read_to_string(dir.path().join(SEED_FILE)).unwrap();
        assert_eq!(text, "twelve words these are not");
    }

    #[test]
    fn an_encrypted_seed_opens_with_its_passphrase_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = (dir.path(), Network::Regtest);
        let plain = Seed::read_or_make(at.0, at.1, None).unwrap();
        encrypt_seed(at.0, at.1, &passphrase("right")).unwrap();
        let text = fs::read_to_string(dir.path().join(SEED_FILE)).unwrap();
        for word in plain.words.split(' ') {
            assert!(
                !text.split_whitespace().any(|found| found == word),
                "{text}"
            );
        }
        assert!(matches!(
            Seed::read(at.0, at.1, None),
            Err(SeedError::Encrypted)
        ));
        assert!(matches!(
            Seed::read(at.0, at.1, Some(&passphrase("wrong"))),
            Err(SeedError::Passphrase)
        ));
        let opened = Seed::read(at.0, at.1, Some(&passphrase("right")));
        assert_eq!(opened.unwrap().unwrap().master, plain.master);
        assert!(matches!(
            encrypt_seed(at.0, at.1, &passphrase("again")),
            Err(SeedError::EncryptedAlready)
        ));
        assert!(matches!(
            decrypt_seed(at.0, at.1, &passphrase("wrong")),
            Err(SeedError::Passphrase)
        ));
        decrypt_seed(at.0, at.1, &passphrase("right")).unwrap();
        let text = fs::read_to_string(dir.path().join(SEED_FILE)).unwrap();
        assert_eq!(text.trim(), plain.words);
    }

    #[test]
    fn a_damaged_encrypted_seed_is_refused_and_asks_for_no_more_memory_than_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SEED_FILE);
        Seed::read_or_make(dir.path(), Network::Regtest, Some(&passphrase("right"))).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let read = || Seed::read(dir.path(), Network::Regtest, Some(&passphrase("right")));
        assert!(read().unwrap().is_some());
        for damaged in [
            text.replace("65536", "4000000000"),
            text.replace("argon2id", "argon2d"),
            text.lines().take(3).collect(),
            text.chars().chain("a".repeat(9999).chars()).collect(),
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(read(), Err(SeedError::NoSeed(_))));
        }
        fs::write(
            &path,
            text.replace("\nxchacha20poly1305 ", "\nxchacha20poly1305 00"),
        )
        .unwrap();
        assert!(matches!(read(), Err(SeedError::NoSeed(_))));
    }
}
