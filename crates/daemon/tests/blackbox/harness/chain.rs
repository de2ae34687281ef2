//! The chain of a test, embedded or Bitcoin Core's, with or without an Electrum server above it, and what
//! a test makes it do.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::Network;
use lightning_block_sync::rpc::{RpcClient, RpcClientError};
use sendpay_chain::client::{Auth, ChainClient, ChainConfig};
use sendpay_chain::regtest::Regtest;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::between::{Between, Lie};
use super::electrs_process::{BITCOIND_OPTION, Electrs};
use super::port::OwnPort;
use super::process::Bitcoind;

/// A key of nobody: blocks that no node should be paid by.
const NOBODY: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

/// Which program makes the blocks of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The embedded chain, in the test's own process.
    Embedded,
    /// Bitcoin Core.
    Bitcoind,
    /// Bitcoin Core, which the nodes see through an Electrum server only.
    Electrs,
}

/// Runs each test with all three.
#[allow(unused_macros)]
macro_rules! with_every_backend {
    ($($test:ident,)*) => {
        crate::harness::with_both_backends! { $($test,)* }

        mod electrs {
            $(#[test]
            fn $test() {
                super::$test(crate::harness::Backend::Electrs);
            })*
        }
    };
}
pub(crate) use with_every_backend;

/// Runs each test with both backends. The benches, which have this file too, do not.
#[allow(unused_macros)]
macro_rules! with_both_backends {
    ($($test:ident,)*) => {
        mod embedded {
            $(#[test]
            fn $test() {
                super::$test(crate::harness::Backend::Embedded);
            })*
        }

        mod bitcoind {
            $(#[test]
            fn $test() {
                super::$test(crate::harness::Backend::Bitcoind);
            })*
        }
    };
}
pub(crate) use with_both_backends;

enum Server {
    Embedded(Regtest),
    Bitcoind(Bitcoind),
    Electrs(Electrs, Bitcoind),
}

/// The chain of one test.
pub struct Chain {
    runtime: Runtime,
    server: Option<Server>,
    client: ChainClient,
    /// What nodes see the Electrum server through, if it has estimates.
    estimating: Option<Between>,
    /// Where the embedded one is served, also after it was away.
    embedded_port: OwnPort,
    /// Where bitcoind tells of blocks.
    _zmq_port: Option<OwnPort>,
}

impl Chain {
    /// The embedded one.
    pub fn start(dir: &Path) -> Chain {
        Chain::with(dir, Backend::Embedded)
    }

    pub fn with(dir: &Path, backend: Backend) -> Chain {
        let runtime = Runtime::new().unwrap();
        let port = OwnPort::new();
        let server = runtime.block_on(serve(&dir.join("chain"), backend, &port));
        Chain::over(runtime, server, Network::Regtest, port)
    }

    fn over(runtime: Runtime, server: Server, network: Network, embedded_port: OwnPort) -> Chain {
        let client = runtime.block_on(connect(&server, network));
        Chain {
            runtime,
            server: Some(server),
            client,
            estimating: None,
            embedded_port,
            _zmq_port: None,
        }
    }

    /// Bitcoin Core's regtest with more options, and an Electrum server above it which has estimates, as
    /// they have on every network but this: [`Chain::estimate`] says what.
    pub fn electrs_with(dir: &Path, more: &[&str]) -> Chain {
        let runtime = Runtime::new().unwrap();
        let server = electrs_above(&dir.join("chain"), more);
        let mut chain = Chain::over(runtime, server, Network::Regtest, OwnPort::new());
        let between = Between::start(chain.electrs().address());
        chain.estimating = Some(between);
        chain
    }

    /// An Electrum server that has estimates says this from now on, in satoshi for 1000 virtual bytes.
    pub fn estimate(&self, sat_per_kvb: u64) {
        if let Some(between) = &self.estimating {
            let rate = bitcoin::Amount::from_sat(sat_per_kvb).to_btc();
            between.tell(Lie::Dear(rate));
        }
    }

    /// Bitcoin Core's regtest, with more options.
    pub fn bitcoind_with(dir: &Path, more: &[&str]) -> Chain {
        Chain::of(Bitcoind::start(&dir.join("chain"), more), "regtest")
    }

    /// Bitcoin Core's regtest, which tells of blocks by ZMQ, and where.
    pub fn bitcoind_with_zmq(dir: &Path) -> (Chain, String) {
        let port = OwnPort::new();
        let address = format!("tcp://{}", port.address());
        let option = format!("-zmqpubhashblock={address}");
        let mut chain = Chain::bitcoind_with(dir, &[&option]);
        // It starts without ZMQ if it cannot listen there.
        assert_ne!(chain.ask("getzmqnotifications", &[]), json!([]));
        chain._zmq_port = Some(port);
        (chain, address)
    }

    /// Bitcoin Core on a chain of that name, where nobody makes blocks.
    pub fn bitcoind_of(dir: &Path, core: &str) -> Chain {
        Chain::of(Bitcoind::start_on(core, &dir.join("chain"), &[]), core)
    }

    fn of(bitcoind: Bitcoind, core: &str) -> Chain {
        let network = Network::from_core_arg(core).unwrap();
        let runtime = Runtime::new().unwrap();
        Chain::over(runtime, Server::Bitcoind(bitcoind), network, OwnPort::new())
    }

    /// The bitcoind that makes the blocks.
    pub fn bitcoind(&mut self) -> &mut Bitcoind {
        match self.server.as_mut().unwrap() {
            Server::Bitcoind(bitcoind) | Server::Electrs(_, bitcoind) => bitcoind,
            Server::Embedded(_) => panic!("this is the embedded chain"),
        }
    }

    /// The Electrum server above it.
    pub fn electrs(&mut self) -> &mut Electrs {
        match self.server.as_mut().unwrap() {
            Server::Electrs(electrs, _) => electrs,
            _ => panic!("there is no Electrum server"),
        }
    }

    /// One more Electrum server above the same bitcoind.
    pub fn another_electrs(&self, dir: &Path) -> Electrs {
        let (address, cookie_file) = door(self.server.as_ref().unwrap());
        Electrs::start(dir, &address, &cookie_file)
    }

    /// The Electrum server has new blocks to see.
    fn hurry(&self) {
        if let Some(Server::Electrs(electrs, _)) = &self.server {
            electrs.hurry();
        }
    }

    /// Ends the chain's server, as if bitcoind were down. It comes back at the same port.
    pub fn stop(&mut self) {
        match self.server.as_mut().unwrap() {
            Server::Bitcoind(bitcoind) => bitcoind.stop(),
            Server::Electrs(electrs, bitcoind) => {
                electrs.kill();
                bitcoind.stop();
            }
            Server::Embedded(_) => {
                if let Some(Server::Embedded(regtest)) = self.server.take() {
                    self.runtime.block_on(regtest.stop());
                }
            }
        }
    }

    /// `kill -9`. `resume` brings it back.
    pub fn kill(&mut self) {
        self.bitcoind().kill();
    }

    /// What waits for a block waits no more. For bitcoind only, which is away for a moment, and what is
    /// above it too.
    pub fn forget_mempool(&mut self) {
        if let Some(Server::Electrs(electrs, _)) = &mut self.server {
            electrs.kill();
        }
        let bitcoind = self.bitcoind();
        bitcoind.stop_and_forget_mempool();
        bitcoind.resume();
        if let Some(Server::Electrs(electrs, _)) = &mut self.server {
            electrs.resume();
        }
        let server = self.server.as_ref().unwrap();
        self.client = self.runtime.block_on(connect(server, Network::Regtest));
    }

    /// Starts it again. `dir` is the one it was started in.
    pub fn resume(&mut self, dir: &Path) {
        match &mut self.server {
            Some(Server::Bitcoind(bitcoind)) => bitcoind.resume(),
            Some(Server::Electrs(electrs, bitcoind)) => {
                bitcoind.resume();
                electrs.resume();
            }
            _ => {
                let dir = dir.join("chain");
                let serving = serve(&dir, Backend::Embedded, &self.embedded_port);
                self.server = Some(self.runtime.block_on(serving));
            }
        }
        let server = self.server.as_ref().unwrap();
        self.client = self.runtime.block_on(connect(server, Network::Regtest));
    }

    pub fn settings(&self) -> Vec<String> {
        if let Some(between) = &self.estimating {
            return vec![format!("chain.electrum={}", between.url())];
        }
        if let Some(Server::Electrs(electrs, _)) = &self.server {
            return vec![format!("chain.electrum=tcp://{}", electrs.address())];
        }
        let (address, cookie_file) = door(self.server.as_ref().unwrap());
        vec![
            format!("chain.rpc_address={address}"),
            format!("chain.cookie_file={}", cookie_file.display()),
        ]
    }

    /// Anything that the server can be asked for.
    pub fn ask(&self, method: &str, params: &[Value]) -> Value {
        self.ask_anyway(method, params).unwrap()
    }

    /// The same, whatever it says.
    pub fn ask_anyway(&self, method: &str, params: &[Value]) -> Result<Value, RpcClientError> {
        let (address, cookie_file) = door(self.server.as_ref().unwrap());
        let cookie = std::fs::read_to_string(cookie_file).unwrap();
        let client = RpcClient::new(&BASE64.encode(cookie), format!("http://{address}"));
        let asked = client.call_method::<Value>(method, params);
        self.runtime.block_on(asked)
    }

    /// Whether the blocks are Bitcoin Core's.
    pub fn is_bitcoind(&self) -> bool {
        let server = self.server.as_ref();
        server.is_some_and(|server| !matches!(server, Server::Embedded(_)))
    }

    /// Mines a block with these transactions only, whatever else waits.
    pub fn mine_only(&self, transactions: &[&str]) {
        self.ask("generateblock", &[json!(NOBODY), json!(transactions)]);
        self.hurry();
    }

    pub fn height(&self) -> u32 {
        self.runtime
            .block_on(self.client.best_block())
            .unwrap()
            .height
    }

    /// Mines to an address.
    pub fn mine_to(&self, count: u32, address: &str) {
        let address = address
            .parse::<bitcoin::Address<_>>()
            .unwrap()
            .assume_checked();
        self.runtime
            .block_on(self.client.generate_to_address(count, &address))
            .unwrap();
        self.hurry();
    }

    /// Mines blocks that pay nobody in the test.
    pub fn mine(&self, count: u32) {
        self.mine_to(count, NOBODY);
    }

    /// Takes the newest blocks away and mines others, one more, in their place.
    pub fn reorganise(&self, depth: u32) {
        let best = self.runtime.block_on(self.client.best_block()).unwrap();
        let mut hash = best.hash;
        for _ in 1..depth {
            let block = self.runtime.block_on(async {
                use lightning_block_sync::BlockSource;
                self.client
                    .block_source()
                    .get_header(&hash, None)
                    .await
                    .unwrap()
            });
            hash = block.header.prev_blockhash;
        }
        self.runtime
            .block_on(self.client.invalidate_block(hash))
            .unwrap();
        // Mined to the same address in the same second, the very block that was invalidated would be
        // made again, and refused.
        let elsewhere = bitcoin::Address::p2wsh(&bitcoin::ScriptBuf::new(), Network::Regtest);
        self.mine_to(1, &elsewhere.to_string());
        self.mine(depth);
    }
}

/// Host and port of a server, and its cookie.
fn door(server: &Server) -> (String, PathBuf) {
    match server {
        Server::Embedded(regtest) => (regtest.rpc_address().to_string(), regtest.cookie_file()),
        Server::Bitcoind(bitcoind) | Server::Electrs(_, bitcoind) => {
            (bitcoind.rpc_address(), bitcoind.cookie_file())
        }
    }
}

async fn serve(dir: &Path, backend: Backend, embedded_port: &OwnPort) -> Server {
    match backend {
        Backend::Bitcoind => Server::Bitcoind(Bitcoind::start(dir, &[])),
        Backend::Electrs => electrs_above(dir, &[]),
        Backend::Embedded => {
            let listen = embedded_port.address();
            Server::Embedded(Regtest::start(dir, listen).await.unwrap())
        }
    }
}

fn electrs_above(dir: &Path, more: &[&str]) -> Server {
    let bitcoind = Bitcoind::start(dir, &[&[BITCOIND_OPTION], more].concat());
    let (address, cookie_file) = (bitcoind.rpc_address(), bitcoind.cookie_file());
    let electrs = Electrs::start(&dir.join("electrs"), &address, &cookie_file);
    Server::Electrs(electrs, bitcoind)
}

async fn connect(server: &Server, network: Network) -> ChainClient {
    let (rpc_address, cookie_file) = door(server);
    let config = ChainConfig {
        rpc_address,
        auth: Auth::CookieFile(cookie_file),
        zmq: None,
        network,
    };
    ChainClient::connect(config).await.unwrap()
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Some(Server::Embedded(regtest)) = self.server.take() {
            self.runtime.block_on(regtest.stop());
        }
    }
}
