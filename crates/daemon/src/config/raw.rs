//! What the user may write: the keys of `DIR/sendpayd.toml`, and what makes a [`Config`] of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use sendpay_chain::client::{ElectrumAddress, ElectrumAddressError, ZmqAddress, ZmqAddressError};
use sendpay_node::AnnouncedAddressError;
use sendpay_rpc::value::Amounts;

use bitcoin::Amount;

use super::autoclean::RawAutoclean;
use super::keys::settings;
use super::{
    ALIAS_BYTES_MAX, CHANNELS_FILE, ChainAuth, ChainConfig, Config, ConfigError, LogLevel, Network,
    PassphraseFrom, socket_address,
};

/// What CLN keeps for all channels with anchors together; here it is for each.
const MIN_EMERGENCY: Amount = Amount::from_sat(25_000);

const MSAT_A_SATOSHI: u64 = 1_000;

/// Electrum servers that may be configured: with more, nobody would read why each of them failed.
const ELECTRUM_SERVERS_MAX: usize = 32;

settings! {
    /// What the user wrote.
    pub(super) struct Raw {
        /// The Bitcoin network: bitcoin (the real one), testnet4, signet or regtest.
        network: Network = default(r#""regtest""#),
        /// A name for people, in the node announcement, of 32 bytes at most. Without one it is the
        /// start of the node id.
        alias: String = unset(r#""my node""#),
        /// A colour for people, as six hex digits. Without one it is made from the node id.
        color: String = unset(r#""ff9900""#),
        /// Where other nodes connect to, as host:port with a numeric host; port 0 lets the system
        /// choose.
        listen: String = default(r#""127.0.0.1:9735""#),
        /// The addresses that the network is told of, as host:port: IP addresses, and onion services
        /// that Tor is configured to bring to listen.
        announce: Vec<String> = default("[]"),
        /// A SOCKS5 proxy, such as Tor's, through which all other nodes are dialled, onion services
        /// among them; it resolves names too. Without it, nodes are dialled directly.
        proxy: String = unset(r#""127.0.0.1:9050""#),
        /// How amounts of payments are written: msat-strings ("1000msat") or integer.
        amounts: Amounts = default(r#""msat-strings""#),
        /// How much the wallet keeps for each channel with anchors, in millisatoshi, to raise the fees of
        /// its transactions with: what is withdrawn and put into channels leaves it there, and others
        /// open no channel with anchors to this node without it. 0 keeps nothing, and lets them.
        min_emergency_msat: u64 = default("25000000"),
        /// Where blocks come from and transactions go: bitcoind's RPC, that of the embedded chain, or
        /// Electrum servers. Without any of these keys it is the embedded chain in DIR/chain, if there is one, else
        /// bitcoind on this machine with its cookie in ~/.bitcoin.
        chain: RawChain = table(RawChain),
        /// What can be brought back after a loss.
        backup: RawBackup = table(RawBackup),
        /// The seed of the node.
        seed: RawSeed = table(RawSeed),
        /// Which old records are removed.
        autoclean: RawAutoclean = table(RawAutoclean),
        /// The log.
        log: RawLog = table(RawLog),
    }
}

settings! {
    /// `[chain]`.
    pub(super) struct RawChain {
        /// The directory of an embedded chain, whose address and cookie are found there. Not
        /// together with any other key of this table.
        embedded_dir: PathBuf = unset(r#""/home/me/regtest/chain""#),
        /// Where bitcoind's RPC is, as host:port. Without it, bitcoind's own port of the network on
        /// this machine.
        rpc_address: String = unset(r#""127.0.0.1:8332""#),
        /// The cookie file to log in with, which is read again when bitcoind has restarted. Not
        /// together with user and password.
        cookie_file: PathBuf = unset(r#""/home/me/.bitcoin/.cookie""#),
        /// The user to log in as.
        user: String = unset(r#""sendpay""#),
        /// The password to log in with.
        password: String = secret("..."),
        /// Where bitcoind publishes new blocks by ZMQ (its zmqpubhashblock), as tcp://host:port: they are
        /// seen at once then, also where its RPC cannot be waited at. Nothing that comes from there is
        /// believed, and without it blocks are seen by RPC.
        zmq: String = unset(r#""tcp://127.0.0.1:28332""#),
        /// Electrum servers to ask instead of bitcoind, the first first, as ssl://host:port or
        /// tcp://host:port: when one fails, the next is asked. With a proxy, they are reached through
        /// it. They see which scripts this node watches. Not together with the keys above.
        electrum: Vec<String> = unset(r#"["ssl://electrum.example.com:50002"]"#),
        /// A PEM file with certificates of Electrum servers that sign theirs themselves. All others must
        /// have one that this system's root certificates vouch for.
        electrum_certificates: PathBuf = unset(r#""/home/me/electrum.pem""#),
    }
}

settings! {
    /// `[backup]`.
    pub(super) struct RawBackup {
        /// The file that the list of channels is written to whenever it changes, encrypted to the seed;
        /// a relative path is one in the directory of the network. Put it on another disk. It holds
        /// no records: those are in the file of `sendpayd backup`.
        channels_file: PathBuf = default(r#""channels.backup""#),
    }
}

settings! {
    /// `[seed]`.
    pub(super) struct RawSeed {
        /// The file whose first line is the passphrase of the seed, if that is encrypted (`sendpayd
        /// seed encrypt`). With neither this nor passphrase_fd it is asked for at the terminal.
        passphrase_file: PathBuf = unset(r#""/run/secrets/sendpay""#),
        /// A file descriptor, open for reading when sendpayd starts, whose first line is the
        /// passphrase.
        passphrase_fd: u32 = unset("3"),
    }
}

settings! {
    /// `[log]`.
    pub(super) struct RawLog {
        /// How much is logged: error, warn, info, debug or trace.
        level: LogLevel = default(r#""info""#),
        /// Where to. Without it, standard error.
        file: PathBuf = unset(r#""/var/log/sendpayd.log""#),
    }
}

impl Raw {
    pub(super) fn check(self, dir: &Path) -> Result<Config, ConfigError> {
        let default_listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9735);
        let announce = self.announce.unwrap_or_default();
        let announce = announce.iter().map(|text| {
            let wrong = |error: AnnouncedAddressError| ConfigError::Value {
                key: "announce",
                problem: error.to_string(),
            };
            text.parse().map_err(wrong)
        });
        let log = self.log.unwrap_or_default();
        let network = self.network.unwrap_or(Network::Regtest);
        let channels_file = self.backup.unwrap_or_default().channels_file;
        let channels_file = channels_file.unwrap_or_else(|| CHANNELS_FILE.into());
        Ok(Config {
            dir: dir.to_owned(),
            network,
            channels_file,
            passphrase: self.seed.unwrap_or_default().check()?,
            alias: self.alias.map(check_alias).transpose()?,
            color: self.color.as_deref().map(check_color).transpose()?,
            listen: match &self.listen {
                Some(text) => socket_address("listen", text)?,
                None => default_listen,
            },
            announce: announce.collect::<Result<_, _>>()?,
            proxy: match &self.proxy {
                Some(text) => Some(socket_address("proxy", text)?),
                None => None,
            },
            amounts: self.amounts.unwrap_or_default(),
            min_emergency: check_emergency(self.min_emergency_msat)?,
            chain: self.chain.unwrap_or_default().check()?,
            autoclean: self.autoclean.unwrap_or_default().check(dir)?,
            log_level: log.level.unwrap_or_default(),
            log_file: log.file,
            sources: BTreeMap::new(),
        })
    }
}

impl RawSeed {
    fn check(self) -> Result<PassphraseFrom, ConfigError> {
        match (self.passphrase_file, self.passphrase_fd) {
            (None, None) => Ok(PassphraseFrom::Terminal),
            (Some(path), None) => Ok(PassphraseFrom::File(path)),
            (None, Some(descriptor)) => Ok(PassphraseFrom::Descriptor(descriptor)),
            (Some(_), Some(_)) => Err(ConfigError::Value {
                key: "seed.passphrase_fd",
                problem: "cannot be given together with seed.passphrase_file".to_owned(),
            }),
        }
    }
}

/// Whole satoshi, and no more than there are.
fn check_emergency(msat: Option<u64>) -> Result<Amount, ConfigError> {
    let Some(msat) = msat else {
        return Ok(MIN_EMERGENCY);
    };
    let amount = Amount::from_sat(msat / MSAT_A_SATOSHI);
    if !msat.is_multiple_of(MSAT_A_SATOSHI) || amount > Amount::MAX_MONEY {
        return Err(ConfigError::Value {
            key: "min_emergency_msat",
            problem: format!("{msat} is no amount of whole satoshi, such as 25000000"),
        });
    }
    Ok(amount)
}

impl RawChain {
    fn check(self) -> Result<ChainConfig, ConfigError> {
        let wrong = |key, problem: &str| ConfigError::Value {
            key,
            problem: problem.to_owned(),
        };
        let of_bitcoind = self.rpc_address.is_some()
            || self.cookie_file.is_some()
            || self.user.is_some()
            || self.password.is_some()
            || self.zmq.is_some();
        if let Some(servers) = &self.electrum {
            if of_bitcoind || self.embedded_dir.is_some() {
                let problem = "cannot be given together with keys of bitcoind or of the embedded \
                               chain: a node has one chain backend";
                return Err(wrong("chain.electrum", problem));
            }
            return Ok(ChainConfig {
                rpc_address: None,
                zmq: None,
                auth: ChainAuth::Electrum {
                    servers: electrum_servers(servers)?,
                    certificates: self.electrum_certificates,
                },
            });
        }
        if self.electrum_certificates.is_some() {
            let problem = "does nothing without chain.electrum";
            return Err(wrong("chain.electrum_certificates", problem));
        }
        if let Some(dir) = self.embedded_dir {
            if of_bitcoind {
                let problem = "cannot be given together with other keys of chain";
                return Err(wrong("chain.embedded_dir", problem));
            }
            return Ok(ChainConfig {
                rpc_address: None,
                zmq: None,
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
            zmq: self.zmq.as_deref().map(zmq_address).transpose()?,
            auth,
        })
    }
}

fn zmq_address(text: &str) -> Result<ZmqAddress, ConfigError> {
    let wrong = |error: ZmqAddressError| ConfigError::Value {
        key: "chain.zmq",
        problem: format!("{text:?} {error}: give it as tcp://host:port"),
    };
    text.parse().map_err(wrong)
}

fn electrum_servers(texts: &[String]) -> Result<Vec<ElectrumAddress>, ConfigError> {
    let wrong = |problem: String| ConfigError::Value {
        key: "chain.electrum",
        problem,
    };
    if texts.is_empty() {
        return Err(wrong("has no server in it".to_owned()));
    }
    if texts.len() > ELECTRUM_SERVERS_MAX {
        let problem = format!("has more than {ELECTRUM_SERVERS_MAX} servers in it");
        return Err(wrong(problem));
    }
    let servers = texts.iter().map(|text| {
        text.parse()
            .map_err(|error: ElectrumAddressError| wrong(format!("{text:?} {error}")))
    });
    servers.collect()
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
