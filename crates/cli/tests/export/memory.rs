//! A listing of any size takes the memory of a small one.

use super::daemon;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// What the daemon sends: records of some 750 bytes, 200 MB of them.
const RECORDS: u64 = 270_000;
const LISTING_BYTES_MIN: u64 = 200_000_000;

/// What the program may ever have taken, in kB: the promise is 32 MB.
const PEAK_KB_MAX: u64 = 32_000;

/// The peak of a process's resident memory so far, in kB.
fn peak_kb(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn assert_small(format: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (sent, all_sent) = mpsc::channel();
    let (measured, go_on) = mpsc::channel();
    let served = daemon::serve_once(dir.path(), move |id, stream| {
        daemon::begin(id, stream)?;
        daemon::records(RECORDS, stream)?;
        // The program is still there while its memory is looked at.
        sent.send(()).unwrap();
        go_on.recv().unwrap();
        daemon::end(stream)
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_sendpay-cli"))
        .arg("--rpc-file")
        .arg(daemon::socket(dir.path()))
        .args(["listsendpays", "--format", format])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let counted = std::thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        let mut count = 0;
        while let Ok(read @ 1..) = stdout.read(&mut bytes) {
            count += read as u64;
        }
        count
    });
    all_sent.recv().unwrap();
    let peak_kb = peak_kb(&child);
    measured.send(()).unwrap();
    assert!(child.wait().unwrap().success());
    served.join().unwrap().unwrap();
    let count = counted.join().unwrap();
    let sent_bytes = RECORDS * daemon::record(0).len() as u64;
    assert!(
        sent_bytes >= LISTING_BYTES_MIN,
        "only {sent_bytes} bytes were sent"
    );
    // A table cuts texts and drops nothing.
    assert!(count >= RECORDS * 100, "only {count} bytes came out");
    assert!(peak_kb < PEAK_KB_MAX, "{format}: {peak_kb} kB");
}

#[test]
fn two_hundred_megabytes_of_json_pass_through_in_32() {
    assert_small("json");
}

#[test]
fn two_hundred_megabytes_become_lines_in_32() {
    assert_small("jsonl");
}

#[test]
fn two_hundred_megabytes_become_csv_in_32() {
    assert_small("csv");
}

#[test]
fn two_hundred_megabytes_become_a_table_in_32() {
    assert_small("table");
}
