//! The configuration: `DIR/sendpayd.toml` and `--set key=value`, one typed source.
//!
//! [`Raw`] is what the user wrote, [`Config`] what the program needs. Reading does nothing but
//! read: no file is made, no address looked up.

mod autoclean;
mod shown;

pub use autoclean::AutocleanConfig;
pub use shown::{Shown, shown};

use autoclean::RawAutoclean;
use sendpay_rpc::value::Amounts;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of the file in the directory.
pub const FILE_NAME: &str = "sendpayd.toml";

/// The name of the RPC socket in the network's directory.
const RPC_FILE: &str = "lightning-rpc";

/// The longest alias that fits into a node announcement (BOLT 7), in bytes.
pub const ALIAS_BYTES_MAX: usize = 32;

/// The longest configuration that is read, in bytes. It has some twenty keys.
const FILE_BYTES_MAX: u64 = 1 << 20;

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

/// What the user wrote. Every key is optional; a key that is not here is refused.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The Bitcoin network: bitcoin, testnet, testnet4, signet or regtest. Default: regtest.
    network: Option<Network>,
    /// A name for people, in the node announcement. Default: the start of the node id.
    alias: Option<String>,
    /// A colour for people, as six hex digits. Default: from the node id.
    color: Option<String>,
    /// Where other nodes connect to, as `host:port` with a numeric host; port 0 lets the system
    /// choose. Default: `127.0.0.1:9735`.
    listen: Option<String>,
    /// The addresses that the network is told of, as `host:port`. Default: none.
    #[serde(default)]
    announce: Vec<String>,
    /// How amounts of payments are written: `msat-strings` ("1000msat") or `integer`. Default:
    /// msat-strings.
    #[serde(default)]
    amounts: Amounts,
    /// Where blocks come from and transactions go.
    #[serde(default)]
    chain: RawChain,
    /// Which old records are removed.
    #[serde(default)]
    autoclean: RawAutoclean,
    /// The log.
    #[serde(default)]
    log: RawLog,
}

/// `[chain]`: bitcoind's RPC, or that of the embedded chain.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    /// The directory of an embedded chain, whose address and cookie are found there. Not together
    /// with any other key of `[chain]`. Default: `DIR/chain`, if it is there.
    embedded_dir: Option<PathBuf>,
    /// Where the RPC is, as `host:port`. Default: bitcoind's port on this machine.
    rpc_address: Option<String>,
    /// The cookie file to log in with. Not together with user and password.
    cookie_file: Option<PathBuf>,
    /// The user to log in as.
    user: Option<String>,
    /// The password to log in with.
    password: Option<String>,
}

/// `[log]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    /// How much is logged: error, warn, info, debug or trace. Default: info.
    #[serde(default)]
    level: LogLevel,
    /// Where to. Default: standard error.
    file: Option<PathBuf>,
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
            ChainAuth::Unset => f.write_str("Unset"),
        }
    }
}

/// Where blocks come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// The host and port of the RPC, if the user wrote one.
    pub rpc_address: Option<String>,
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
    pub announce: Vec<SocketAddr>,
    /// How amounts of payments are written.
    pub amounts: Amounts,
    /// Where blocks come from.
    pub chain: ChainConfig,
    /// Which old records are removed, if any.
    pub autoclean: Option<AutocleanConfig>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Where to, if not to standard error.
    pub log_file: Option<PathBuf>,
    /// Who set each key that was set, by its name with dots: `cmdline`, or the file.
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
    /// A key is unknown, or a value is of the wrong kind.
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
        let file = dir.join(FILE_NAME);
        let mut table = read_table(&file)?;
        let mut sources = BTreeMap::new();
        let mut from_file = |key| sources.insert(key, file.display().to_string());
        keys("", &table, &mut |key| drop(from_file(key)));
        for assignment in set {
            set_key(&mut table, assignment)?;
            let (key, _) = assignment.split_once('=').unwrap_or_default();
            sources.insert(key.trim().to_owned(), shown::COMMAND_LINE.to_owned());
        }
        let raw = Raw::deserialize(table).map_err(|error| {
            // TOML's own texts end with a line break when there is no place to point to.
            ConfigError::Type(error.to_string().trim_end().to_owned())
        })?;
        let config = raw.check(dir)?;
        Ok(Config { sources, ..config })
    }

    /// Where everything of this network is: `DIR/<network>`.
    #[must_use]
    pub fn network_dir(&self) -> PathBuf {
        self.dir.join(self.network.as_str())
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

fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(ConfigError::TooLong(path.to_owned()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(toml::Table::new());
        }
        Err(error) => return Err(failed(error)),
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    text.parse()
        .map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })
}

/// Every key of the table that is no table itself, with dots.
fn keys(prefix: &str, table: &toml::Table, each: &mut dyn FnMut(String)) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => keys(&format!("{prefix}{name}."), inner, each),
            _ => each(format!("{prefix}{name}")),
        }
    }
}

/// Puts `a.b=value` into the table. The value is TOML where it reads as such, else a string.
fn set_key(table: &mut toml::Table, assignment: &str) -> Result<(), ConfigError> {
    let (key, value) = assignment
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .ok_or_else(|| ConfigError::SetForm(assignment.to_owned()))?;
    let (key, value) = (key.trim(), value.trim());
    let value = toml::Value::from_str(value).unwrap_or_else(|_| value.into());
    let (tables, last) = key
        .rsplit_once('.')
        .map_or((None, key), |(path, last)| (Some(path), last));
    let mut place = table;
    for name in tables.into_iter().flat_map(|path| path.split('.')) {
        let entry = place
            .entry(name)
            .or_insert_with(|| toml::Table::new().into());
        place = entry.as_table_mut().ok_or_else(|| ConfigError::SetPath {
            key: key.to_owned(),
            table: name.to_owned(),
        })?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

fn socket_address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::Value {
        key,
        problem: format!("{text:?} is not an address and port such as 127.0.0.1:9735"),
    })
}

impl Raw {
    fn check(self, dir: &Path) -> Result<Config, ConfigError> {
        let default_listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9735);
        let announce = self
            .announce
            .iter()
            .map(|text| socket_address("announce", text));
        Ok(Config {
            dir: dir.to_owned(),
            network: self.network.unwrap_or(Network::Regtest),
            alias: self.alias.map(check_alias).transpose()?,
            color: self.color.as_deref().map(check_color).transpose()?,
            listen: match &self.listen {
                Some(text) => socket_address("listen", text)?,
                None => default_listen,
            },
            announce: announce.collect::<Result<_, _>>()?,
            amounts: self.amounts,
            chain: self.chain.check()?,
            autoclean: self.autoclean.check(dir)?,
            log_level: self.log.level,
            log_file: self.log.file,
            sources: BTreeMap::new(),
        })
    }
}

impl RawChain {
    fn check(self) -> Result<ChainConfig, ConfigError> {
        let wrong = |key, problem: &str| ConfigError::Value {
            key,
            problem: problem.to_owned(),
        };
        if let Some(dir) = self.embedded_dir {
            let others = [
                self.rpc_address.is_some(),
                self.cookie_file.is_some(),
                self.user.is_some(),
                self.password.is_some(),
            ];
            if others.contains(&true) {
                let problem = "cannot be given together with other keys of chain";
                return Err(wrong("chain.embedded_dir", problem));
            }
            return Ok(ChainConfig {
                rpc_address: None,
                auth: ChainAuth::Embedded(dir),
            });
        }
        let auth = match (self.cookie_file, self.user, self.password) {
            (None, None, None) => ChainAuth::Unset,
            (Some(path), None, None) => ChainAuth::CookieFile(path),
            (None, Some(user), Some(password)) => ChainAuth::UserPassword { user, password },
            (None, Some(_), None) => return Err(wrong("chain.password", "is missing")),
            (None, None, Some(_)) => return Err(wrong("chain.user", "is missing")),
            (Some(_), ..) => {
                let problem = "cannot be given together with chain.user and chain.password";
                return Err(wrong("chain.cookie_file", problem));
            }
        };
        if let Some(address) = &self.rpc_address {
            let port = address
                .rsplit_once(':')
                .filter(|(host, _)| !host.is_empty());
            if port
                .and_then(|(_, port)| port.parse::<u16>().ok())
                .is_none()
            {
                return Err(wrong("chain.rpc_address", "is not of the form host:port"));
            }
        }
        Ok(ChainConfig {
            rpc_address: self.rpc_address,
            auth,
        })
    }
}

fn check_alias(alias: String) -> Result<String, ConfigError> {
    if alias.len() <= ALIAS_BYTES_MAX {
        return Ok(alias);
    }
    let problem = format!(
        "is {} bytes long, and at most {ALIAS_BYTES_MAX} fit",
        alias.len()
    );
    Err(ConfigError::Value {
        key: "alias",
        problem,
    })
}

fn check_color(color: &str) -> Result<[u8; 3], ConfigError> {
    let digits = color.len() == 6 && color.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u32::from_str_radix(color, 16).ok().filter(|_| digits);
    let problem = || "is not six hex digits".to_owned();
    let number = number.ok_or_else(|| ConfigError::Value {
        key: "color",
        problem: problem(),
    })?;
    let [_, red, green, blue] = number.to_be_bytes();
    Ok([red, green, blue])
}
