//! One bitcoind of a test: Bitcoin Core itself, in a directory and at a port of its own, and without
//! peers.
//!
//! Not a crate: the tests of `chain` and of `daemon` name this file and `../port.rs` by their paths.
//! The program comes from `build` beside it. What a test asks bitcoind for goes over its RPC, which is left to them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::port::OwnPort;

/// Longer than bitcoind takes to start or to stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What bitcoind logs when its RPC answers.
const READY: &str = "init message: Done loading";

/// The directory of the programs, which are built the first time. Never skips: without bitcoind the
/// test fails.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/bitcoind/build");
        let built = Command::new(script).output().unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "no bitcoind to test with: {said}");
        PathBuf::from(String::from_utf8(built.stdout).unwrap().trim_end())
    })
}

/// One bitcoind process.
pub struct Bitcoind {
    process: Option<Child>,
    dir: PathBuf,
    chain: String,
    port: OwnPort,
    more: Vec<String>,
}

impl Bitcoind {
    /// Starts one on regtest over a directory, at the port it had there before if it had one, and
    /// waits until it answers.
    pub fn start(dir: &Path, more: &[&str]) -> Bitcoind {
        Bitcoind::start_on("regtest", dir, more)
    }

    /// The same on a chain by Bitcoin Core's name: main, signet, testnet4 or regtest.
    pub fn start_on(chain: &str, dir: &Path, more: &[&str]) -> Bitcoind {
        std::fs::create_dir_all(dir).unwrap();
        let known = std::fs::read_to_string(dir.join("port")).ok();
        let port = match known {
            Some(port) => OwnPort::bind(port.parse().unwrap()).unwrap(),
            None => OwnPort::new(),
        };
        let number = port.address().port().to_string();
        std::fs::write(dir.join("port"), number).unwrap();
        let mut bitcoind = Bitcoind {
            process: None,
            dir: dir.to_owned(),
            chain: chain.to_owned(),
            port,
            more: more.iter().map(ToString::to_string).collect(),
        };
        bitcoind.resume();
        bitcoind
    }

    /// Starts it again, at the same port.
    pub fn resume(&mut self) {
        let logged = self.log().len();
        let mut command = Command::new(programs().join("bitcoind"));
        command
            .arg(format!("-chain={}", self.chain))
            .arg(format!("-datadir={}", self.dir.display()))
            .arg(format!("-rpcport={}", self.port.address().port()))
            .args(["-server", "-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1"])
            // No peers: blocks are made here.
            .args(["-listen=0", "-connect=0", "-dnsseed=0", "-fixedseeds=0"])
            // Regtest's own checks of itself take longer than the tests.
            .args(["-checkblockindex=0", "-checkmempool=0", "-par=1"])
            .args(["-printtoconsole=0", "-dbcache=16"])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let new = log.get(logged..).unwrap_or_default();
            if new.contains(READY) {
                return;
            }
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "bitcoind ended, {ended:?}: {new}");
            assert!(Instant::now() < deadline, "bitcoind does not start: {new}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Host and port of its RPC.
    pub fn rpc_address(&self) -> String {
        self.port.address().to_string()
    }

    /// Its cookie, another one after each start.
    pub fn cookie_file(&self) -> PathBuf {
        self.file(".cookie")
    }

    fn file(&self, name: &str) -> PathBuf {
        match self.chain.as_str() {
            "main" => self.dir.join(name),
            chain => self.dir.join(chain).join(name),
        }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        let path = self.file("debug.log");
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Stops it, and forgets what waits for a block; it does not run afterwards.
    pub fn stop_and_forget_mempool(&mut self) {
        self.stop();
        std::fs::remove_file(self.file("mempool.dat")).unwrap();
    }

    /// SIGTERM, and the end: everything is on disk.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let mut process = self.process.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "bitcoind does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`: newest blocks may be lost with it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends it a signal, such as SIGSTOP: then it answers no more, with its connections open.
    pub fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        self.kill();
    }
}
