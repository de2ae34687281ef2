//! The passphrase of the seed: from a file, from a file descriptor, or typed at a terminal.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::termios::{self, LocalFlags, SetArg};
use sendpay_node::{PASSPHRASE_BYTES_MAX, Passphrase, SeedError, StartError, seed_is_encrypted};

use crate::config::{Config, PassphraseFrom};

/// What a process ends with whose seed is encrypted while it has no passphrase; CLN's code too.
pub const EXIT_ENCRYPTED: u8 = 21;

/// What it ends with if the passphrase does not open the seed; CLN's code too.
pub const EXIT_WRONG: u8 = 22;

/// The exit code for an error that is about the passphrase.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> Option<u8> {
    error.chain().find_map(|cause| {
        let seed = match cause.downcast_ref::<StartError>() {
            Some(StartError::Seed(seed)) => seed,
            _ => cause.downcast_ref::<SeedError>()?,
        };
        match seed {
            SeedError::Encrypted => Some(EXIT_ENCRYPTED),
            SeedError::Passphrase => Some(EXIT_WRONG),
            _ => None,
        }
    })
}

/// The passphrase as the configuration says; asked for if the seed needs one and somebody is there.
/// None if there is none.
///
/// # Errors
/// If it cannot be read, or is none.
pub fn given(config: &Config) -> Result<Option<Passphrase>> {
    match configured(config)? {
        Some(passphrase) => Ok(Some(passphrase)),
        None if seed_is_encrypted(&config.network_dir())? == Some(true) => {
            match std::io::stdin().is_terminal() {
                true => asked("Passphrase of the seed: ").map(Some),
                false => Ok(None),
            }
        }
        None => Ok(None),
    }
}

/// A passphrase for a seed that has none yet: as the configuration says, or typed twice.
///
/// # Errors
/// If there is none.
pub fn chosen(config: &Config) -> Result<Passphrase> {
    if let Some(passphrase) = configured(config)? {
        return Ok(passphrase);
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "no passphrase: give it by seed.passphrase_file or seed.passphrase_fd, or at a terminal"
        );
    }
    let first = asked("New passphrase of the seed: ")?;
    if asked("The same again: ")? != first {
        bail!("the two are not the same");
    }
    Ok(first)
}

fn configured(config: &Config) -> Result<Option<Passphrase>> {
    let path = match &config.passphrase {
        PassphraseFrom::File(path) => path.clone(),
        PassphraseFrom::Descriptor(number) => PathBuf::from(format!("/dev/fd/{number}")),
        PassphraseFrom::Terminal => return Ok(None),
    };
    first_line(&path).map(Some)
}

fn first_line(path: &Path) -> Result<Passphrase> {
    let context = || format!("cannot read the passphrase from {}", path.display());
    let mut text = String::new();
    // A line break more than fits.
    let most = u64::try_from(PASSPHRASE_BYTES_MAX).unwrap_or(u64::MAX);
    let file = File::open(path).with_context(context)?;
    file.take(most.saturating_add(2))
        .read_to_string(&mut text)
        .with_context(context)?;
    usable(text.lines().next().unwrap_or_default()).with_context(context)
}

fn usable(line: &str) -> Result<Passphrase> {
    Passphrase::new(line.to_owned())
        .with_context(|| format!("a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes"))
}

/// Asks at the terminal, which shows nothing of what is typed.
fn asked(question: &str) -> Result<Passphrase> {
    let mut error = std::io::stderr();
    drop(error.write_all(question.as_bytes()));
    let stdin = std::io::stdin();
    let before = termios::tcgetattr(&stdin).context("cannot ask for the passphrase")?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent).context("cannot hide the passphrase")?;
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    let again = termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &before);
    drop(error.write_all(b"\n"));
    read.context("cannot read the passphrase")?;
    again.context("cannot show again what is typed")?;
    usable(line.trim_end_matches(['\r', '\n']))
}
