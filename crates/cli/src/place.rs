//! Where the daemon's socket is: by the command line, else by the configuration files that
//! `lightning-cli` reads, else where sendpayd puts it by itself.
//!
//! Those files are Core Lightning's: `config` in the directory and `config` in the folder of the
//! network, or the one that `--conf` names instead of both. Of their lines only those count that say
//! where the socket is; all others are lightningd's affair. sendpayd's own configuration, which is
//! TOML, is not read here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Longest file that is read. lightningd's have some hundred lines.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Deepest `include`, which ends files that include each other. Core Lightning's.
const INCLUDE_DEPTH_MAX: usize = 100;

/// The network that is looked for when nobody names one.
const NETWORK: &str = "regtest";

/// The name of the socket when nobody names it.
const RPC_FILE: &str = "lightning-rpc";

/// The options that are the same as `network=`, and what they stand for.
pub(crate) const NETWORK_FLAGS: [(&str, &str); 5] = [
    ("mainnet", "bitcoin"),
    ("testnet", "testnet"),
    ("testnet4", "testnet4"),
    ("signet", "signet"),
    ("regtest", "regtest"),
];

/// What the command line says of it. None is not said.
#[derive(Debug, Default, Clone)]
pub(crate) struct Said {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) network: Option<String>,
    pub(crate) rpc_file: Option<PathBuf>,
    /// The file to read instead of those in the directory.
    pub(crate) conf: Option<PathBuf>,
}

/// Why a configuration file cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} has more than {FILE_BYTES_MAX} bytes")]
    TooLong(PathBuf),
    #[error("{0} includes itself")]
    Loop(PathBuf),
    /// Core Lightning's words.
    #[error("Config file {path} line {number}: {line}: {problem}")]
    Line {
        path: PathBuf,
        number: usize,
        line: String,
        problem: &'static str,
    },
}

/// Which file a line stands in: not every line may stand in every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Named by `--conf`.
    Named,
    /// In the directory.
    OfDir,
    /// In the folder of the network.
    OfNetwork,
}

/// The path of the socket. `default_dir` is the directory when nobody names one.
pub(crate) fn socket(said: Said, default_dir: PathBuf) -> Result<PathBuf, PlaceError> {
    let mut found = Said::default();
    let dir_before = || said.dir.clone().unwrap_or_else(|| default_dir.clone());
    match &said.conf {
        Some(conf) => found.read(Kind::Named, conf, 0)?,
        None => {
            let dir = dir_before();
            found.read(Kind::OfDir, &dir.join("config"), 0)?;
            let network = said.network.as_deref().or(found.network.as_deref());
            let folder = dir.join(network.unwrap_or(NETWORK));
            found.read(Kind::OfNetwork, &folder.join("config"), 0)?;
        }
    }
    let dir = said.dir.or(found.dir).unwrap_or(default_dir);
    let network = said.network.or(found.network);
    let rpc_file = said.rpc_file.or(found.rpc_file);
    // An absolute path replaces what it is joined to.
    Ok(dir
        .join(network.as_deref().unwrap_or(NETWORK))
        .join(rpc_file.as_deref().unwrap_or(Path::new(RPC_FILE))))
}

impl Said {
    /// Takes over what a file says; a later line counts for more.
    fn read(&mut self, kind: Kind, path: &Path, depth: usize) -> Result<(), PlaceError> {
        let Some(text) = text(path, kind == Kind::Named || depth > 0)? else {
            return Ok(());
        };
        for (line, number) in text.split(['\r', '\n']).zip(1..) {
            if let Some(included) = line.strip_prefix("include ") {
                if depth >= INCLUDE_DEPTH_MAX {
                    return Err(PlaceError::Loop(path.to_owned()));
                }
                let beside = path.parent().unwrap_or(Path::new(""));
                self.read(kind, &beside.join(included), depth + 1)?;
                continue;
            }
            self.take(kind, line).map_err(|problem| PlaceError::Line {
                path: path.to_owned(),
                number,
                line: line.to_owned(),
                problem,
            })?;
        }
        Ok(())
    }

    /// One line. Comments are lines that say nothing of where the socket is.
    fn take(&mut self, kind: Kind, line: &str) -> Result<(), &'static str> {
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        let flag = NETWORK_FLAGS.iter().find(|(flag, _)| *flag == name);
        let network = match (name, value, flag) {
            ("network", value, _) => Some(value.ok_or("requires an argument")?),
            (_, None, Some((_, network))) => Some(*network),
            (_, Some(_), Some(_)) => return Err("doesn't allow an argument"),
            _ => None,
        };
        match (name, network) {
            (_, Some(_)) if kind == Kind::OfNetwork => {
                return Err("not permitted in network-specific configuration files");
            }
            (_, Some(network)) if NETWORK_FLAGS.iter().any(|(_, known)| *known == network) => {
                self.network = Some(network.to_owned());
            }
            (_, Some(_)) => return Err("Unknown network name"),
            ("lightning-dir", _) if kind != Kind::Named => {
                return Err("not permitted in implicit configuration files");
            }
            ("lightning-dir", _) => self.dir = Some(value.ok_or("requires an argument")?.into()),
            ("rpc-file", _) => self.rpc_file = Some(value.ok_or("requires an argument")?.into()),
            ("conf", _) => return Err("not permitted in configuration files"),
            _ => {}
        }
        Ok(())
    }
}

/// What is in a file; None if it is not there and need not be.
fn text(path: &Path, must_exist: bool) -> Result<Option<String>, PlaceError> {
    let unread = |source| PlaceError::Read {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(file) if file.len() > FILE_BYTES_MAX => Err(PlaceError::TooLong(path.to_owned())),
        Ok(file) if !file.is_file() && !must_exist => Ok(None),
        Ok(_) => fs::read_to_string(path).map(Some).map_err(unread),
        Err(_) if !must_exist => Ok(None),
        Err(cause) => Err(unread(cause)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A directory with these files in it.
    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    /// The socket below the directory, or what is wrong.
    fn found(files: &[(&str, &str)], said: Said) -> Result<String, String> {
        let dir = with(files);
        let said = Said {
            conf: said.conf.map(|conf| dir.path().join(conf)),
            ..said
        };
        let socket = socket(said, dir.path().to_owned());
        let named = dir.path().to_str().unwrap();
        socket
            .map(|path| path.to_str().unwrap().replace(&format!("{named}/"), ""))
            .map_err(|cause| cause.to_string().replace(&format!("{named}/"), ""))
    }

    fn said(network: Option<&str>, rpc_file: Option<&str>) -> Said {
        Said {
            network: network.map(ToOwned::to_owned),
            rpc_file: rpc_file.map(PathBuf::from),
            ..Said::default()
        }
    }

    #[test]
    fn the_files_count_for_more_than_the_defaults_and_the_command_line_for_more_than_they() {
        let base = "# mine\nnetwork=signet\nlog-level=debug\r\nrpc-file=base\n";
        let files = [
            ("config", base),
            ("signet/config", "rpc-file=inner"),
            ("testnet/config", "alias=x"),
        ];
        let none = said(None, None);
        assert_eq!(found(&[], none.clone()).unwrap(), "regtest/lightning-rpc");
        assert_eq!(found(&files[..1], none.clone()).unwrap(), "signet/base");
        assert_eq!(found(&files, none).unwrap(), "signet/inner");
        let named = said(Some("testnet"), None);
        assert_eq!(found(&files, named).unwrap(), "testnet/base");
        let named = said(Some("signet"), Some("mine"));
        assert_eq!(found(&files, named).unwrap(), "signet/mine");
        let last = [("config", "network=signet\ntestnet4\n")];
        assert_eq!(
            found(&last, said(None, None)).unwrap(),
            "testnet4/lightning-rpc"
        );
    }

    #[test]
    fn a_file_that_is_named_is_read_instead_and_may_name_the_directory() {
        let files = [
            ("config", "network=signet"),
            ("signet/config", "rpc-file=inner"),
            (
                "own/it",
                "lightning-dir=/somewhere\nmainnet\ninclude more\n",
            ),
            ("own/more", "rpc-file=included"),
        ];
        let said = |dir: Option<&str>| Said {
            dir: dir.map(PathBuf::from),
            conf: Some("own/it".into()),
            ..Said::default()
        };
        let socket = "/somewhere/bitcoin/included";
        assert_eq!(found(&files, said(None)).unwrap(), socket);
        let socket = "/else/bitcoin/included";
        assert_eq!(found(&files, said(Some("/else"))).unwrap(), socket);
    }

    #[test]
    fn what_may_not_stand_in_a_file_is_refused_by_its_place() {
        let line = |file: &str, line: &str| found(&[(file, line)], said(None, None)).unwrap_err();
        let rows = [
            (
                "regtest/config",
                "network=regtest",
                "not permitted in network-specific configuration files",
            ),
            (
                "regtest/config",
                "signet",
                "not permitted in network-specific configuration files",
            ),
            ("config", "network=moon", "Unknown network name"),
            ("config", "network", "requires an argument"),
            ("config", "signet=1", "doesn't allow an argument"),
            (
                "config",
                "lightning-dir=/x",
                "not permitted in implicit configuration files",
            ),
            ("config", "conf=/x", "not permitted in configuration files"),
        ];
        for (file, text, problem) in rows {
            let wanted = format!("Config file {file} line 1: {text}: {problem}");
            assert_eq!(line(file, text), wanted);
        }
        assert_eq!(line("config", "include config"), "config includes itself");
        let absent = line("config", "\ninclude absent");
        assert!(absent.starts_with("cannot read absent: "), "{absent}");
        let conf = Said {
            conf: Some("absent".into()),
            ..Said::default()
        };
        let absent = found(&[], conf).unwrap_err();
        assert!(absent.starts_with("cannot read absent: "), "{absent}");
        let long = "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        assert_eq!(line("config", &long), "config has more than 1048576 bytes");
    }
}
