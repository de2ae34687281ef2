//! Processes of the demo, what they print, and what must be true of alice's listing.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sendpay_rpc::client::Client;
use serde_json::{Value, json};

/// Longest that anything may take before the test is given up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Every payment that a whole run has made: label, amount, status, failure code.
pub const PAYMENTS: &[(&str, &str, &str, Option<u64>)] = &[
    ("coffee", "25000000msat", "complete", None),
    ("book", "12345678msat", "complete", None),
    ("bicycle", "60000000msat", "complete", None),
    ("bicycle", "40000000msat", "complete", None),
    ("unknown to carol", "10000000msat", "failed", Some(0x400f)),
    ("more than bob has", "600000000msat", "failed", Some(0x1007)),
    ("no such channel", "11000000msat", "failed", Some(0x400a)),
    ("carol holds it", "21000000msat", "pending", None),
];

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

/// Calls a method of a node whose directory this is.
pub fn call(dir: &Path, method: &str, params: Value) -> Value {
    let mut client = Client::connect(&dir.join("regtest/lightning-rpc")).unwrap();
    client.set_timeout(Some(PATIENCE)).unwrap();
    client
        .call(method, &params)
        .unwrap_or_else(|cause| panic!("{method} {params}: {cause:?}"))
}

/// A process of `sendpayd` whose standard error is kept in a file. Killed when dropped.
pub struct Process {
    child: Option<Child>,
    stderr: PathBuf,
}

impl Process {
    pub fn start(arguments: &[&str], stderr: &Path) -> Process {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(stderr)
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_sendpayd"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        Process {
            child: Some(child),
            stderr: stderr.to_owned(),
        }
    }

    /// Starts a demo that goes on, and waits until it has printed everything: the text.
    pub fn demo(dir: &Path, more: &[&str]) -> (Process, String) {
        let mut arguments = vec!["demo", "--dir", dir.to_str().unwrap()];
        arguments.extend(more);
        let mut process = Process::start(&arguments, &dir.with_extension("stderr"));
        let stdout = process.child.as_mut().unwrap().stdout.take().unwrap();
        let mut text = String::new();
        let mut lines = BufReader::new(stdout).lines();
        while !text.contains("Ctrl-C") {
            let line = lines.next().expect("the demo ended too early").unwrap();
            text.push_str(&line);
            text.push('\n');
        }
        (process, text)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.check();
    }

    /// SIGTERM, and the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let status = wait_for("the end of a process", || child.try_wait().unwrap());
        self.check();
        status
    }

    fn check(&self) {
        let told = std::fs::read_to_string(&self.stderr).unwrap();
        assert!(!told.contains("panicked"), "{told}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// A whole run with `--exit`: alice's records.
pub fn run_once(dir: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_sendpayd"))
        .args(["demo", "--exit", "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {told}", output.status);
    assert!(!told.contains("panicked"), "{told}");
    let listing: Value = serde_json::from_slice(&output.stdout).unwrap();
    listing["payments"].as_array().unwrap().clone()
}

/// Asserts that the listing has every payment of the demo, once, ended as it should be. Besides,
/// there may be failed records of payments that a crash kept from leaving (no failure code), or
/// that found a channel not yet agreed on after it (0x1007).
pub fn assert_whole(payments: &[Value]) {
    let mut others: Vec<&Value> = payments.iter().collect();
    let failcode = |payment: &Value| payment.get("failcode").and_then(Value::as_u64);
    for (label, amount, status, expected) in PAYMENTS {
        let before = others.len();
        others.retain(|payment| {
            payment["label"] != *label
                || payment["amount_msat"] != *amount
                || payment["status"] != *status
                || failcode(payment) != *expected
        });
        assert_eq!(before - others.len(), 1, "{label} {amount}: {payments:#?}");
    }
    for payment in others {
        assert_eq!(payment["status"], "failed", "{payments:#?}");
        let by_crash = matches!(failcode(payment), None | Some(0x1007));
        assert!(by_crash, "{payments:#?}");
    }
}

/// The chain's height while no process runs it.
pub fn height(dir: &Path) -> u32 {
    use sendpay_chain::client::{Auth, ChainClient, ChainConfig};
    use sendpay_chain::regtest::Regtest;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listen = "127.0.0.1:0".parse().unwrap();
        let regtest = Regtest::start(&dir.join("chain"), listen).await.unwrap();
        let config = ChainConfig {
            rpc_address: regtest.rpc_address().to_string(),
            auth: Auth::CookieFile(regtest.cookie_file()),
            zmq: None,
            network: bitcoin::Network::Regtest,
        };
        let client = ChainClient::connect(config).await.unwrap();
        let height = client.best_block().await.unwrap().height;
        regtest.stop().await;
        height
    })
}

/// The arguments of the commands that the demo has printed for our client, as a shell reads them.
pub fn printed_commands(text: &str) -> Vec<Vec<String>> {
    let commands = text.lines().filter_map(|line| {
        let (_, arguments) = line.split_once(" --dir ")?;
        line.starts_with("  ").then_some(arguments)
    });
    let read = commands.map(|arguments| {
        let script = format!(r#"for a in --dir {arguments}; do printf '%s\n' "$a"; done"#);
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        words.lines().map(ToOwned::to_owned).collect()
    });
    read.collect()
}

/// Runs our client with these arguments; its result.
pub fn client(arguments: &[String]) -> Value {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = std::iter::once("sendpay-cli".to_owned()).chain(arguments.iter().cloned());
    let code = sendpay_cli::run(words.map(Into::into), &mut out, &mut err, None);
    let told = String::from_utf8_lossy(&err);
    assert_eq!(code, sendpay_cli::EXIT_OK, "{arguments:?}: {told}");
    serde_json::from_slice(&out).unwrap_or_else(|_| json!(String::from_utf8(out).unwrap()))
}
