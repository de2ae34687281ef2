//! Processes from outside: their memory, how long they take to start, and `sendpay-cli`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sendpay_rpc::client::Client;

use crate::harness::Node;

/// A line of `/proc/PID/status`, in kB. `None` where there is no such file or the process has ended.
fn memory_kb(pid: u32, line: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let found = status.lines().find_map(|text| text.strip_prefix(line))?;
    found.split_whitespace().next()?.parse().ok()
}

/// What a process holds now, in MB; its peak is counted from now on.
pub fn resident_mb(pid: u32) -> f64 {
    // Where this is not allowed the peak counts from the start of the process, which is no less.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
    memory_kb(pid, "VmRSS:").unwrap() as f64 / 1e3
}

/// The most a process has held, in MB.
pub fn peak_mb(pid: u32) -> f64 {
    memory_kb(pid, "VmHWM:").unwrap() as f64 / 1e3
}

/// From the start of the process to its first answer.
pub fn start(node: &mut Node) -> Duration {
    assert!(node.terminate().success());
    let begun = Instant::now();
    node.spawn();
    let socket = node.socket();
    while begun.elapsed() < Duration::from_secs(60) {
        let answer = Client::connect(&socket)
            .and_then(|mut client| client.call("getinfo", &serde_json::json!({})));
        if answer.is_ok() {
            return begun.elapsed();
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    panic!("the daemon did not start: {}", node.log());
}

/// The `sendpay-cli` of this tree, built as this bench was.
pub fn cli() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "-p", "sendpay-cli"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success(), "sendpay-cli could not be built");
    Path::new(env!("CARGO_BIN_EXE_sendpayd")).with_file_name("sendpay-cli")
}

/// How long the command line takes for a whole listing, and its peak in MB.
pub fn run_cli(cli: &Path, socket: &Path, out: &Path) -> (Duration, f64) {
    let begun = Instant::now();
    let mut child = Command::new(cli)
        .arg("--rpc-file")
        .arg(socket)
        .arg("listsendpays")
        .stdin(Stdio::null())
        .stdout(File::create(out).unwrap())
        .spawn()
        .unwrap();
    let mut peak_kb = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // Its last milliseconds are not seen; it holds no more then than before.
        peak_kb = memory_kb(child.id(), "VmHWM:").unwrap_or(0).max(peak_kb);
        std::thread::sleep(Duration::from_millis(2));
    };
    let time = begun.elapsed();
    assert!(status.success());
    (time, peak_kb as f64 / 1e3)
}
