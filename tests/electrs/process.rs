//! One electrs of a test: a real Electrum server, in a directory and at a port of its own, above a
//! bitcoind that was started with `-rest=1`.
//!
//! Not a crate: the tests of `chain` and of `daemon` name this file and `../port.rs` by their paths.
//! The program comes from `build` beside it.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::port::OwnPort;

/// Longer than electrs takes to start or to stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What bitcoind must be started with.
pub const BITCOIND_OPTION: &str = "-rest=1";

/// The program, which is built the first time. Never skips: without electrs the test fails.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/electrs/build");
        let built = Command::new(script).output().unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "no electrs to test with: {said}");
        PathBuf::from(String::from_utf8(built.stdout).unwrap().trim_end()).join("electrs")
    })
}

/// One electrs process.
pub struct Electrs {
    process: Option<Child>,
    dir: PathBuf,
    port: OwnPort,
    bitcoind: (String, PathBuf),
}

impl Electrs {
    /// Starts one over a directory of its own, above the regtest bitcoind with that RPC address and
    /// cookie file, and waits until it listens. It may be indexing still.
    pub fn start(dir: &Path, rpc_address: &str, cookie_file: &Path) -> Electrs {
        std::fs::create_dir_all(dir).unwrap();
        let mut electrs = Electrs {
            process: None,
            dir: dir.to_owned(),
            port: OwnPort::new(),
            bitcoind: (rpc_address.to_owned(), cookie_file.to_owned()),
        };
        electrs.resume();
        electrs
    }

    /// Starts it again, at the same port.
    pub fn resume(&mut self) {
        let log = std::fs::File::create(self.dir.join("stderr")).unwrap();
        let (rpc_address, cookie_file) = &self.bitcoind;
        let mut command = Command::new(program());
        command
            .arg("--skip-default-conf-files")
            .args(["--network", "regtest", "--log-filters", "INFO"])
            .arg("--db-dir")
            .arg(self.dir.join("db"))
            .arg("--cookie-file")
            .arg(cookie_file)
            .args(["--daemon-rpc-addr", rpc_address])
            .args(["--electrum-rpc-addr", &self.address().to_string()])
            // A chain without blocks is one that bitcoind takes for an old one.
            .arg("--skip-block-download-wait")
            // It sees new blocks by asking again, or when it gets SIGUSR1.
            .args(["--wait-duration-secs", "1", "--jsonrpc-timeout-secs", "30"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(command.spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "electrs ended, {ended:?}: {}", self.log());
            if TcpStream::connect(self.address()).is_ok() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "electrs does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where it listens, without TLS.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it logged since its last start.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.dir.join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// `kill -9`. `resume` brings it back.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// There are new blocks: it looks for them at once.
    pub fn hurry(&self) {
        if self.process.as_ref().is_some_and(hears_sigusr1) {
            self.signal(Signal::SIGUSR1);
        }
    }

    /// Sends it a signal, such as SIGSTOP: then it answers no more, with its connections open.
    pub fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Electrs {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process has a handler for SIGUSR1, which would end it before that.
fn hears_sigusr1(process: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = Signal::SIGUSR1 as u32 - 1;
    caught.is_some_and(|mask| mask >> bit & 1 == 1)
}
