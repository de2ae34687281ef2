//! Real `sendpayd` processes on an embedded chain, each test in a directory of its own.
//!
//! What a test waits for is a condition that it asks for again and again, never a length of time;
//! the deadline only ends a test that hangs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::error::RpcError;
use serde_json::{Value, json};

// The benches name this file by a path of theirs, so its parts are named from its directory.
#[path = "../../../../tests/electrs/between.rs"]
mod between;
#[path = "harness/chain.rs"]
mod chain;
#[path = "../../../../tests/electrs/process.rs"]
mod electrs_process;
#[path = "harness/network.rs"]
mod network;
#[path = "../../../../tests/port.rs"]
mod port;
#[path = "harness/pressure.rs"]
mod pressure;
#[path = "../../../../tests/bitcoind/process.rs"]
mod process;

#[allow(unused_imports)]
pub use between::{Between, Lie};
#[allow(unused_imports)]
pub use chain::Backend;
pub use chain::Chain;
#[allow(unused_imports)]
pub(crate) use chain::{with_both_backends, with_every_backend};
// A bench uses fewer of them than the tests.
#[allow(unused_imports)]
pub use network::{Chained, Diamond, FORWARD_FEE_MSAT, Line, Pair, direct, direction, hop};
use port::OwnPort;
#[allow(unused_imports)]
pub use pressure::{Pressure, SMALL_MEMPOOL};

/// Longest that anything may take before the test is given up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a node's log that a failed test shows.
const LOG_LINES: usize = 80;

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

/// One `sendpayd` process.
pub struct Node {
    pub name: String,
    pub dir: PathBuf,
    network: String,
    settings: Vec<String>,
    process: Option<Child>,
    pub id: String,
    pub address: SocketAddr,
    /// Where peers find it, also while it is down.
    _port: OwnPort,
}

impl Node {
    pub fn start(dir: &Path, name: &str, chain: &Chain, more: &[&str]) -> Node {
        Node::with(dir, (name, "regtest"), chain, more)
    }

    /// One on another network, of which it has the name.
    pub fn start_on(dir: &Path, network: &str, chain: &Chain) -> Node {
        Node::with(dir, (network, network), chain, &[])
    }

    fn with(dir: &Path, (name, network): (&str, &str), chain: &Chain, more: &[&str]) -> Node {
        let mut settings = chain.settings();
        settings.extend(more.iter().map(ToString::to_string));
        let port = OwnPort::new();
        let mut node = Node {
            name: name.to_owned(),
            dir: dir.join(name),
            network: network.to_owned(),
            settings,
            process: None,
            id: String::new(),
            address: port.address(),
            _port: port,
        };
        node.resume();
        let info = node.call("getinfo", json!({}));
        node.id = info["id"].as_str().unwrap().to_owned();
        node
    }

    /// Starts the process again, at the same port, and waits until it answers.
    pub fn resume(&mut self) {
        self.spawn();
        self.wait_for_socket();
    }

    /// Starts the process, and waits for nothing.
    pub fn spawn(&mut self) {
        self.spawn_as(&[]);
    }

    /// The program with the settings of this node, after a subcommand if there is one.
    pub fn program(&self, subcommand: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendpayd"));
        command.args(subcommand);
        command
            .arg("--dir")
            .arg(&self.dir)
            .args(["--network", &self.network]);
        command.arg("--set").arg(format!("listen={}", self.address));
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command.stdin(Stdio::null());
        command
    }

    /// More settings from the next start on.
    pub fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Starts the process with a subcommand, and waits for nothing.
    pub fn spawn_as(&mut self, subcommand: &[&str]) {
        std::fs::create_dir_all(&self.dir).unwrap();
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.join("stderr"))
            .unwrap();
        let process = self
            .program(subcommand)
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

    /// Its exit code and its log, if the process has ended by itself.
    pub fn ended(&mut self) -> Option<(i32, String)> {
        let ended = self.process.as_mut().unwrap().try_wait().unwrap();
        ended.map(|status| (status.code().unwrap(), self.log()))
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join(&self.network).join("lightning-rpc")
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
        self.signal(nix::sys::signal::Signal::SIGKILL);
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
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

    /// The end of a process that was told to stop.
    pub fn wait_for_end(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().unwrap();
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

    /// Where it is in the chain.
    pub fn height(&self) -> u32 {
        let info = self.call("getinfo", json!({}));
        u32::try_from(info["blockheight"].as_u64().unwrap()).unwrap()
    }

    pub fn wait_for_height(&self, height: u32) {
        wait_for("a height", || {
            let info = self.call("getinfo", json!({}));
            (info["blockheight"].as_u64()? >= u64::from(height)).then_some(())
        });
    }

    /// Gives the wallet one mature coinbase.
    pub fn fund(&self, chain: &Chain) {
        Node::fund_each(&[self], chain);
    }

    /// Gives each wallet one.
    pub fn fund_each(nodes: &[&Node], chain: &Chain) {
        for node in nodes {
            let address = node.call("newaddr", json!({"addresstype": "bech32"}));
            chain.mine_to(1, address["bech32"].as_str().unwrap());
        }
        chain.mine(100);
        for node in nodes {
            node.wait_for_height(chain.height());
        }
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

    /// An invoice, once it is paid: the sender may know of that a few milliseconds before.
    pub fn paid_invoice(&self, by: &Value) -> Value {
        wait_for("an invoice to be paid", || {
            let listed = self.call("listinvoices", by.clone());
            let invoice = listed["invoices"].as_array()?.first()?.clone();
            (invoice["status"] == "paid").then_some(invoice)
        })
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
