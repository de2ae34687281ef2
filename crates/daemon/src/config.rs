//! The configuration: `DIR/sendpayd.toml`, the environment and flags, one typed source.
//!
//! The keys, with their types and what they are for, are in `raw.rs` and `autoclean.rs`, made into
//! lists by `keys.rs`; [`Settings`] is what the user wrote, wherever it stood; [`Config`] is what the
//! program needs. Reading does nothing but read: no file is made, no address looked up.

mod autoclean;
pub mod keys;
mod raw;
mod settings;
mod shown;

pub use autoclean::AutocleanConfig;
pub use settings::Settings;
pub use shown::{Shown, shown};

use bitcoin::Amount;
use sendpay_chain::client::{ElectrumAddress, ZmqAddress};
use sendpay_node::AnnouncedAddress;
use sendpay_rpc::value::Amounts;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The name of the file in the directory.
pub const FILE_NAME: &str = "sendpayd.toml";

/// The name of the RPC socket in the network's directory.
const RPC_FILE: &str = "lightning-rpc";

/// The name of the automatic backup in the network's directory, if the user chose no other.
const CHANNELS_FILE: &str = "channels.backup";

/// The longest alias that fits into a node announcement (BOLT 7), in bytes.
pub const ALIAS_BYTES_MAX: usize = 32;

/// The longest configuration that is read, in bytes. It has some twenty keys.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// The Bitcoin network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The real one.
    Bitcoin,
    /// Testnet 3.
    Testnet,
    /// Testnet 4.
    Testnet4,
    /// Signet.
    Signet,
    /// A private chain for tests.
    Regtest,
}

impl Network {
    /// The name of the network, which is also that of its directory.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Network::Bitcoin => "bitcoin",
            Network::Testnet => "testnet",
            Network::Testnet4 => "testnet4",
            Network::Signet => "signet",
            Network::Regtest => "regtest",
        }
    }

    /// The port of bitcoind's RPC on this network.
    #[must_use]
    pub const fn bitcoind_port(self) -> u16 {
        match self {
            Network::Bitcoin => 8332,
            Network::Testnet => 18332,
            Network::Testnet4 => 48332,
            Network::Signet => 38332,
            Network::Regtest => 18443,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody's attention.
    Error,
    /// What may need it.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// How it happens.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The level's name, as the log's filter takes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// How to log in to the chain's RPC.
#[derive(Clone, PartialEq, Eq)]
pub enum ChainAuth {
    /// With the cookie in this file, read at each start.
    CookieFile(PathBuf),
    /// As the embedded chain in this directory says, of which the address comes too.
    Embedded(PathBuf),
    /// With a name and a password.
    UserPassword {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// Not at all: Electrum servers are asked, and no RPC of bitcoind.
    Electrum {
        /// The servers, the first to ask first.
        servers: Vec<ElectrumAddress>,
        /// A PEM file with certificates that are believed beside those of the system's roots.
        certificates: Option<PathBuf>,
    },
    /// The user wrote nothing: the daemon looks where the cookie usually is.
    Unset,
}

/// Leaves out the password.
impl fmt::Debug for ChainAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainAuth::CookieFile(path) => f.debug_tuple("CookieFile").field(path).finish(),
            ChainAuth::Embedded(dir) => f.debug_tuple("Embedded").field(dir).finish(),
            ChainAuth::UserPassword { user, .. } => f
                .debug_struct("UserPassword")
                .field("user", user)
                .finish_non_exhaustive(),
            ChainAuth::Electrum {
                servers,
                certificates,
            } => f
                .debug_struct("Electrum")
                .field("servers", servers)
                .field("certificates", certificates)
                .finish(),
            ChainAuth::Unset => f.write_str("Unset"),
        }
    }
}

/// Where the passphrase of the seed comes from, if it needs one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseFrom {
    /// The first line of this file.
    File(PathBuf),
    /// The first line of what this file descriptor gives.
    Descriptor(u32),
    /// Somebody who types it.
    Terminal,
}

/// Where blocks come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// The host and port of the RPC, if the user wrote one.
    pub rpc_address: Option<String>,
    /// Where bitcoind tells of new blocks by ZMQ, if the user wrote that it does.
    pub zmq: Option<ZmqAddress>,
    /// How to log in.
    pub auth: ChainAuth,
}

/// The configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The directory that everything is in.
    pub dir: PathBuf,
    /// The Bitcoin network.
    pub network: Network,
    /// The name for people, if the user chose one. At most [`ALIAS_BYTES_MAX`] bytes.
    pub alias: Option<String>,
    /// The colour for people, if the user chose one.
    pub color: Option<[u8; 3]>,
    /// Where other nodes connect to.
    pub listen: SocketAddr,
    /// The addresses that the network is told of.
    pub announce: Vec<AnnouncedAddress>,
    /// The SOCKS5 proxy through which other nodes are dialled, if any.
    pub proxy: Option<SocketAddr>,
    /// How amounts of payments are written.
    pub amounts: Amounts,
    /// What the wallet keeps for each channel with anchors.
    pub min_emergency: Amount,
    /// Where blocks come from.
    pub chain: ChainConfig,
    /// Where the list of channels is written when it changes, as the user wrote it; see
    /// [`Config::channels_backup`].
    pub channels_file: PathBuf,
    /// Where the passphrase of the seed comes from.
    pub passphrase: PassphraseFrom,
    /// Which old records are removed, if any.
    pub autoclean: Option<AutocleanConfig>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Where to, if not to standard error.
    pub log_file: Option<PathBuf>,
    /// Who set each key that was set, by its name with dots: `cmdline`, the file, or the variable of
    /// the environment.
    pub sources: BTreeMap<String, String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is no configuration.
    #[error("{} is longer than {FILE_BYTES_MAX} bytes: this is no configuration", .0.display())]
    TooLong(PathBuf),
    /// The file is no TOML.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
    /// `--set` is not of the form `key=value`.
    #[error("--set {0}: give it as key=value")]
    SetForm(String),
    /// `--set` goes through a key that is no table.
    #[error("--set {key}: {table} is no table")]
    SetPath {
        /// The key.
        key: String,
        /// The part of it that is no table.
        table: String,
    },
    /// There is no such key.
    #[error("configuration: {key}: there is no such key{}", like.as_ref().map(|like| format!("; is it {like}?")).unwrap_or_default())]
    Unknown {
        /// The key.
        key: String,
        /// The key that is most like it, if one is.
        like: Option<String>,
    },
    /// There is no key for such a variable of the environment.
    #[error("environment: {variable} is of no key{}", like.as_ref().map(|like| format!("; is it {like}?")).unwrap_or_default())]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The variable that is most like it, if one is.
        like: Option<String>,
    },
    /// A variable of the environment is no text.
    #[error("environment: {0} is not UTF-8")]
    NoText(String),
    /// A value is of the wrong kind.
    #[error("configuration: {0}")]
    Type(String),
    /// A value cannot be used.
    #[error("configuration: {key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// Reads `DIR/sendpayd.toml`, if it is there, and puts the `key=value`s over it.
    ///
    /// # Errors
    /// If anything is unknown, of the wrong kind, or of no use.
    pub fn load(dir: &Path, set: &[String]) -> Result<Self, ConfigError> {
        let mut settings = Settings::read(dir)?;
        for assignment in set {
            settings.set(assignment)?;
        }
        settings.config(dir)
    }

    /// The network as libraries name it.
    #[must_use]
    pub fn bitcoin_network(&self) -> bitcoin::Network {
        match self.network {
            Network::Bitcoin => bitcoin::Network::Bitcoin,
            Network::Testnet => bitcoin::Network::Testnet,
            Network::Testnet4 => bitcoin::Network::Testnet4,
            Network::Signet => bitcoin::Network::Signet,
            Network::Regtest => bitcoin::Network::Regtest,
        }
    }

    /// Where everything of this network is: `DIR/<network>`.
    #[must_use]
    pub fn network_dir(&self) -> PathBuf {
        self.dir.join(self.network.as_str())
    }

    /// Where the list of channels is written when it changes.
    #[must_use]
    pub fn channels_backup(&self) -> PathBuf {
        self.network_dir().join(&self.channels_file)
    }

    /// The RPC socket: `DIR/<network>/lightning-rpc`.
    #[must_use]
    pub fn rpc_socket(&self) -> PathBuf {
        self.network_dir().join(RPC_FILE)
    }
}

/// The directory if the user names none: `$XDG_STATE_HOME/sendpay`, else
/// `$HOME/.local/state/sendpay`; none if neither is set.
#[must_use]
pub fn default_dir() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("sendpay"))
}

fn socket_address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::Value {
        key,
        problem: format!("{text:?} is not an address and port such as 127.0.0.1:9735"),
    })
}
