//! The chain and the three nodes: directories, configuration, start and stop.
//!
//! What a node needs to run is in its own `sendpayd.toml`, so that `sendpayd --dir DIR/alice` runs
//! it by itself as well, with `sendpayd regtest --dir DIR` beside it.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::{Deref, Range};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sendpay_chain::client::{Auth, ChainClient, ChainConfig};
use sendpay_chain::regtest::Regtest;
use sendpay_rpc::method::getinfo::GetInfo;
use sendpay_rpc::value::NodeId;
use serde_json::json;

use super::ask::Asked;
use super::progress::Progress;
use crate::config::{Config, FILE_NAME};
use crate::run::{self, CHAIN_DIR, Running, make_private_dir};

/// The running network.
pub(super) struct Network {
    chain: Regtest,
    /// A client of the chain, for blocks.
    pub(super) blocks: ChainClient,
    /// Who pays.
    pub(super) alice: Member,
    /// Who is in between.
    pub(super) bob: Member,
    /// Who is paid.
    pub(super) carol: Member,
}

/// One node; it can be asked.
pub(super) struct Member {
    running: Running,
    asked: Asked,
    /// Its directory.
    pub(super) dir: PathBuf,
    /// Its id.
    pub(super) id: NodeId,
    /// Where it listens for peers.
    pub(super) address: SocketAddr,
}

impl Deref for Member {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

impl Network {
    /// Starts what is in `dir`, or makes it.
    ///
    /// # Errors
    /// If the directory is in use, or a node does not start.
    pub(super) async fn start(dir: &Path, progress: &Progress) -> Result<Network> {
        progress.say("Starting the chain and the nodes alice, bob and carol");
        let chain_dir = dir.join(CHAIN_DIR);
        // Port 0 means the port of the last run, if there was one.
        let chain = Regtest::start(&chain_dir, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .context("cannot start the embedded chain; does another demo run in this directory?")?;
        let blocks = ChainClient::connect(ChainConfig {
            rpc_address: chain.rpc_address().to_string(),
            auth: Auth::CookieFile(chain.cookie_file()),
            zmq: None,
            network: bitcoin::Network::Regtest,
        })
        .await
        .context("the embedded chain does not answer")?;
        let (alice, bob, carol) = tokio::try_join!(
            Member::start(dir, "alice", "ff9900"),
            Member::start(dir, "bob", "3366ff"),
            Member::start(dir, "carol", "33aa66"),
        )?;
        Ok(Network {
            chain,
            blocks,
            alice,
            bob,
            carol,
        })
    }

    /// The nodes.
    pub(super) fn members(&self) -> [&Member; 3] {
        [&self.alice, &self.bob, &self.carol]
    }

    /// Resolves when a user has stopped a node with the method `stop`.
    pub(super) async fn stopped(&self) {
        tokio::select! {
            () = self.alice.running.daemon().stopped() => {}
            () = self.bob.running.daemon().stopped() => {}
            () = self.carol.running.daemon().stopped() => {}
        }
    }

    /// Ends the nodes, then the chain.
    pub(super) async fn stop(self) {
        tokio::join!(
            self.alice.running.stop(),
            self.bob.running.stop(),
            self.carol.running.stop(),
        );
        self.chain.stop().await;
    }
}

impl Member {
    async fn start(demo: &Path, name: &'static str, color: &str) -> Result<Member> {
        let dir = demo.join(name);
        make_private_dir(&dir)?;
        let file = dir.join(FILE_NAME);
        if !file.exists() {
            configure(&file, name, color, &demo.join(CHAIN_DIR))?;
        }
        let config = Config::load(&dir, &[])?;
        let address = config.listen;
        let running = run::start(config).await.with_context(|| {
            format!(
                "cannot start {name}; its configuration is {}",
                file.display()
            )
        })?;
        let asked = Asked {
            name,
            socket: running.socket().to_owned(),
        };
        let id = asked.request::<GetInfo>(json!({})).await?.id;
        Ok(Member {
            running,
            asked,
            dir,
            id,
            address,
        })
    }
}

/// Where the nodes' ports are: below those that systems give to outgoing connections (Linux from
/// 32768, others from 49152), one of which may have the port while its node is away.
const PORTS: Range<u16> = 15_000..32_000;

/// Tries to find a free one.
const PORT_TRIES: usize = 100;

fn free_port() -> Result<SocketAddr> {
    for _ in 0..PORT_TRIES {
        let mut random = [0; 2];
        getrandom::fill(&mut random).context("no randomness for a port")?;
        let port = PORTS.start + u16::from_be_bytes(random) % (PORTS.end - PORTS.start);
        if let Ok(free) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return free.local_addr().context("cannot find a free port");
        }
    }
    bail!("no free port from {} to {}", PORTS.start, PORTS.end)
}

/// Writes a node's configuration, with a port that is free now and that it keeps.
fn configure(file: &Path, name: &str, color: &str, chain: &Path) -> Result<()> {
    let listen = free_port()?;
    let chain = chain
        .to_str()
        .context("the directory's name is not UTF-8, which the configuration file needs")?;
    let mut table = toml::Table::new();
    table.insert("alias".into(), name.into());
    table.insert("color".into(), color.into());
    table.insert("listen".into(), listen.to_string().into());
    let mut embedded = toml::Table::new();
    embedded.insert("embedded_dir".into(), chain.into());
    table.insert("chain".into(), embedded.into());
    write_private(file, table.to_string().as_bytes())
}

/// Writes a file of the user's alone, whole or not at all.
pub(super) fn write_private(file: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = file.with_extension("unfinished");
    let written = || {
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o600);
        let mut new = open.open(&unfinished)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        std::fs::rename(&unfinished, file)
    };
    written().with_context(|| format!("cannot write {}", file.display()))
}
