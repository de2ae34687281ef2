//! Real `sendpayd` processes on an embedded chain, each test in a directory of its own.
//!
//! What a test waits for is a condition that it asks for again and again, never a length of time;
//! the deadline only ends a test that hangs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sendpay_chain::client::{Auth, ChainClient, ChainConfig};
use sendpay_chain::regtest::Regtest;
use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::error::RpcError;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Longest that anything may take before the test is given up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a node's log that a failed test shows.
const LOG_LINES: usize = 80;

/// A key of nobody: blocks that no node should be paid by.
const NOBODY: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The chain of one test, in the test's own process.
pub struct Chain {
    runtime: Runtime,
    regtest: Option<Regtest>,
    client: ChainClient,
}

impl Chain {
    pub fn start(dir: &Path) -> Chain {
        let runtime = Runtime::new().unwrap();
        let (regtest, client) = runtime.block_on(serve(&dir.join("chain")));
        Chain {
            runtime,
            regtest: Some(regtest),
            client,
        }
    }

    /// Ends the chain's server, as if bitcoind were down. It comes back at the same port.
    pub fn stop(&mut self) {
        let regtest = self.regtest.take().unwrap();
        self.runtime.block_on(regtest.stop());
    }

    /// Starts it again. `dir` is the one it was started in.
    pub fn resume(&mut self, dir: &Path) {
        let (regtest, client) = self.runtime.block_on(serve(&dir.join("chain")));
        self.regtest = Some(regtest);
        self.client = client;
    }

    pub fn settings(&self) -> Vec<String> {
        let regtest = self.regtest.as_ref().unwrap();
        vec![
            format!("chain.rpc_address={}", regtest.rpc_address()),
            format!("chain.cookie_file={}", regtest.cookie_file().display()),
        ]
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
        self.mine(depth + 1);
    }
}

async fn serve(dir: &Path) -> (Regtest, ChainClient) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let regtest = Regtest::start(dir, listen).await.unwrap();
    let config = ChainConfig {
        rpc_address: regtest.rpc_address().to_string(),
        auth: Auth::CookieFile(regtest.cookie_file()),
        network: bitcoin::Network::Regtest,
    };
    let client = ChainClient::connect(config).await.unwrap();
    (regtest, client)
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Some(regtest) = self.regtest.take() {
            self.runtime.block_on(regtest.stop());
        }
    }
}

/// One `sendpayd` process.
pub struct Node {
    pub name: String,
    pub dir: PathBuf,
    settings: Vec<String>,
    process: Option<Child>,
    pub id: String,
    pub address: SocketAddr,
}

impl Node {
    pub fn start(dir: &Path, name: &str, chain: &Chain, more: &[&str]) -> Node {
        let mut settings = chain.settings();
        settings.extend(more.iter().map(ToString::to_string));
        let mut node = Node {
            name: name.to_owned(),
            dir: dir.join(name),
            settings,
            process: None,
            id: String::new(),
            address: "127.0.0.1:0".parse().unwrap(),
        };
        node.resume();
        let info = node.call("getinfo", json!({}));
        node.id = info["id"].as_str().unwrap().to_owned();
        let binding = &info["binding"][0];
        node.address = format!("127.0.0.1:{}", binding["port"]).parse().unwrap();
        node
    }

    /// Starts the process again, at the same port, and waits until it answers.
    pub fn resume(&mut self) {
        self.spawn();
        self.wait_for_socket();
    }

    /// Starts the process, and waits for nothing.
    pub fn spawn(&mut self) {
        std::fs::create_dir_all(&self.dir).unwrap();
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.join("stderr"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendpayd"));
        command
            .arg("--dir")
            .arg(&self.dir)
            .args(["--network", "regtest"]);
        command.arg("--set").arg(format!("listen={}", self.address));
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
    }

    /// Waits until the process answers.
    pub fn wait_for_socket(&mut self) {
        let name = self.name.clone();
        wait_for(&format!("the socket of {name}"), || {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                let log = std::fs::read_to_string(self.dir.join("stderr")).unwrap();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                panic!("{name} ended at its start ({status}): {tail:#?}");
            }
            Client::connect(&self.socket()).ok()
        });
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("regtest").join("lightning-rpc")
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("stderr")).unwrap()
    }

    /// What a failed test shows of a node.
    fn tell(&self) {
        let log = std::fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
        let skipped = log.lines().count().saturating_sub(LOG_LINES);
        eprintln!("the last of {}'s log:", self.name);
        for line in log.lines().skip(skipped) {
            eprintln!("  {line}");
        }
        eprintln!("{:?}", self.try_call("listpeerchannels", json!({})));
    }

    /// A task of the daemon that panicked is a bug, whatever else the test saw.
    fn assert_no_panic(&self) {
        // A test that ends may have taken the directory away before its nodes.
        let log = std::fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
        let panicked: Vec<&str> = log
            .lines()
            .skip_while(|line| !line.contains("panicked"))
            .take(3)
            .collect();
        assert!(panicked.is_empty(), "{}: {panicked:#?}", self.name);
    }

    /// `kill -9` while others look at the node; `kill` cleans up after it.
    pub fn kill_now(&self) {
        let process = self.process.as_ref().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM, and the end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = wait_for("the end of a process", || process.try_wait().unwrap());
        self.assert_no_panic();
        status
    }

    pub fn client(&self) -> Client {
        let mut client = Client::connect(&self.socket()).unwrap();
        client.set_timeout(Some(PATIENCE)).unwrap();
        client
    }

    pub fn try_call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let mut client = Client::connect(&self.socket())?;
        client.set_timeout(Some(PATIENCE)).unwrap();
        client.call(method, &params)
    }

    pub fn call(&self, method: &str, params: Value) -> Value {
        match self.try_call(method, params.clone()) {
            Ok(result) => result,
            Err(cause) => panic!("{} {method} {params}: {cause:?}", self.name),
        }
    }

    /// A call that answers later, on a thread and a connection of its own.
    pub fn call_later(
        &self,
        method: &'static str,
        params: Value,
    ) -> JoinHandle<Result<Value, CallError>> {
        let mut client = self.client();
        std::thread::spawn(move || client.call(method, &params))
    }

    /// The error that a call must give.
    pub fn refused(&self, method: &str, params: Value) -> RpcError {
        match self.try_call(method, params.clone()) {
            Err(CallError::Rpc(error)) => error,
            other => panic!(
                "{} {method} {params}: expected an error, got {other:?}",
                self.name
            ),
        }
    }

    pub fn wait_for_height(&self, height: u32) {
        wait_for("a height", || {
            let info = self.call("getinfo", json!({}));
            (info["blockheight"].as_u64()? >= u64::from(height)).then_some(())
        });
    }

    /// Gives the wallet one mature coinbase.
    pub fn fund(&self, chain: &Chain) {
        let address = self.call("newaddr", json!({"addresstype": "bech32"}));
        chain.mine_to(1, address["bech32"].as_str().unwrap());
        chain.mine(100);
        self.wait_for_height(chain.height());
    }

    pub fn connect(&self, to: &Node) {
        self.call(
            "connect",
            json!({"id": format!("{}@{}", to.id, to.address)}),
        );
    }

    /// Opens a channel and waits until both can use it; its short_channel_id.
    pub fn open_channel(&self, chain: &Chain, to: &Node, amount_sat: u64) -> String {
        self.connect(to);
        let opened = self.call("fundchannel", json!({"id": to.id, "amount": amount_sat}));
        chain.mine(6);
        for node in [self, to] {
            node.wait_for_height(chain.height());
        }
        wait_for("a usable channel", || {
            to.usable_channel(&opened["channel_id"])?;
            self.usable_channel(&opened["channel_id"])
        })
    }

    /// The short_channel_id of a channel, if it can be used now.
    pub fn usable_channel(&self, channel_id: &Value) -> Option<String> {
        let channels = self.call("listpeerchannels", json!({"channel_id": channel_id}));
        let channel = channels["channels"].as_array()?.first()?.clone();
        let usable = channel["state"] == "CHANNELD_NORMAL" && channel["reestablished"] == true;
        usable.then(|| channel["short_channel_id"].as_str().map(ToOwned::to_owned))?
    }

    pub fn invoice(&self, label: &str, amount_msat: u64) -> Value {
        let params = json!({"amount_msat": amount_msat, "label": label, "description": "test"});
        self.call("invoice", params)
    }

    /// Every record there is.
    pub fn payments(&self) -> Vec<Value> {
        self.call("listsendpays", json!({}))["payments"]
            .as_array()
            .unwrap()
            .clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        self.kill();
        if !std::thread::panicking() {
            self.assert_no_panic();
        }
    }
}

/// Direction of a channel seen from a node to its peer (BOLT 7).
pub fn direction(from: &Node, to: &Node) -> u8 {
    u8::from(from.id > to.id)
}

/// A hop of a route, in CLN's words.
pub fn hop(to: &Node, channel: &str, amount_msat: u64, delay: u32) -> Value {
    json!({"id": to.id, "channel": channel, "amount_msat": amount_msat, "delay": delay})
}

/// Parameters of a `sendpay` over one channel for that invoice.
pub fn direct(to: &Node, channel: &str, invoice: &Value, amount_msat: u64) -> Value {
    json!({
        "route": [hop(to, channel, amount_msat, 42)],
        "payment_hash": invoice["payment_hash"],
        "payment_secret": invoice["payment_secret"],
        "bolt11": invoice["bolt11"],
    })
}

/// A chain and two nodes with a channel from the first to the second.
pub struct Pair {
    pub alice: Node,
    pub bob: Node,
    pub channel: String,
    pub chain: Chain,
    pub dir: tempfile::TempDir,
}

impl Pair {
    pub fn start() -> Pair {
        Pair::with(&[])
    }

    pub fn with(settings: &[&str]) -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::start(dir.path());
        let alice = Node::start(dir.path(), "alice", &chain, settings);
        let bob = Node::start(dir.path(), "bob", &chain, settings);
        alice.fund(&chain);
        let channel = alice.open_channel(&chain, &bob, 10_000_000);
        Pair {
            alice,
            bob,
            channel,
            chain,
            dir,
        }
    }

    pub fn sendpay(&self, invoice: &Value, amount_msat: u64) -> Value {
        let params = direct(&self.bob, &self.channel, invoice, amount_msat);
        self.alice.call("sendpay", params)
    }
}

/// What bob of a `Line` asks for forwarding (base fee, in msat), and how many blocks he wants.
pub const FORWARD_FEE_MSAT: u64 = 10_000;
pub const FORWARD_DELAY: u32 = 80;

/// A chain and three nodes in a line, alice to bob to carol. Each funds the channel to the next.
pub struct Line {
    pub alice: Node,
    pub bob: Node,
    pub carol: Node,
    pub near: String,
    pub far: String,
    pub chain: Chain,
    pub dir: tempfile::TempDir,
}

impl Line {
    /// With that much between bob and carol, in sat.
    pub fn with_far(far_sat: u64) -> Line {
        let Pair {
            alice,
            bob,
            channel: near,
            chain,
            dir,
        } = Pair::start();
        let carol = Node::start(dir.path(), "carol", &chain, &[]);
        bob.fund(&chain);
        let far = bob.open_channel(&chain, &carol, far_sat);
        // From seven blocks on invoices name no way to a node that everybody can find.
        chain.mine(1);
        for node in [&bob, &carol] {
            node.wait_for_height(chain.height());
        }
        wait_for("alice at the tip", || {
            let info = alice.call("getinfo", json!({}));
            (info["blockheight"] == chain.height()).then_some(())
        });
        Line {
            alice,
            bob,
            carol,
            near,
            far,
            chain,
            dir,
        }
    }

    /// Waits until alice knows of a way to carol.
    pub fn known(self) -> Line {
        let wanted =
            json!({"id": self.carol.id, "amount_msat": 1_000, "riskfactor": 1, "cltv": 42});
        wait_for("gossip of the far channel", || {
            self.alice.try_call("getroute", wanted.clone()).ok()
        });
        self
    }

    /// A route over both channels that gives bob what he wants.
    pub fn route(&self, amount_msat: u64, delay: u32) -> Value {
        let (to_bob, delay_to_bob) = (amount_msat + FORWARD_FEE_MSAT, delay + FORWARD_DELAY);
        json!([
            hop(&self.bob, &self.near, to_bob, delay_to_bob),
            hop(&self.carol, &self.far, amount_msat, delay),
        ])
    }

    /// Parameters of a `sendpay` over both channels for that invoice of carol's.
    pub fn sendpay(&self, invoice: &Value, amount_msat: u64) -> Value {
        json!({
            "route": self.route(amount_msat, 42),
            "payment_hash": invoice["payment_hash"],
            "payment_secret": invoice["payment_secret"],
            "bolt11": invoice["bolt11"],
        })
    }
}
