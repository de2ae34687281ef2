//! How fast a listing goes through `sendpay-cli`: bytes of the daemon's reply a second, from a Unix
//! socket to nowhere, in each format; beside it the same bytes, read from the socket and counted.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../tests/export/daemon.rs"]
#[allow(dead_code)]
mod daemon;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// As many as take a while, and few enough for memory.
const RECORDS: u64 = 100_000;

/// Answers whoever comes with the same reply.
fn serve(dir: &Path) -> usize {
    let listener = UnixListener::bind(daemon::socket(dir)).unwrap();
    let records: Vec<String> = (0..RECORDS).map(daemon::record).collect();
    let result = format!("{{\"payments\":[{}]}}}}\n\n", records.join(","));
    let length = result.len();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let id = daemon::request(&mut stream).unwrap();
            let begin = sendpay_rpc::reply::begin_result(&id);
            stream.write_all(&begin).unwrap();
            stream.write_all(result.as_bytes()).unwrap();
        }
    });
    length
}

fn read_raw(dir: &Path, length: usize) {
    let mut stream = UnixStream::connect(daemon::socket(dir)).unwrap();
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"listsendpays","params":{}}"#;
    stream.write_all(request).unwrap();
    let mut bytes = vec![0; 64 << 10];
    let mut count = 0;
    while count < length {
        count += stream.read(&mut bytes).unwrap();
    }
}

fn run(dir: &Path, options: &[&str]) {
    let socket = daemon::socket(dir);
    let words = ["sendpay-cli", "--rpc-file", socket.to_str().unwrap()];
    let words = words.iter().chain(options).chain(&["listsendpays"]);
    let mut err = Vec::new();
    let code = sendpay_cli::run(words.map(OsString::from), &mut io::sink(), &mut err, None);
    assert_eq!(
        code,
        sendpay_cli::EXIT_OK,
        "{}",
        String::from_utf8_lossy(&err)
    );
}

fn formats(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let length = serve(dir.path());
    let mut group = criterion.benchmark_group("listing");
    group.throughput(Throughput::Bytes(length as u64));
    group.sample_size(10);
    group.bench_function("bytes counted", |bencher| {
        bencher.iter(|| read_raw(dir.path(), length));
    });
    for (name, options) in [
        ("raw", ["--raw"].as_slice()),
        ("json", &["--format", "json"]),
        ("jsonl", &["--format", "jsonl"]),
        ("csv", &["--format", "csv"]),
        ("table", &["--format", "table"]),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| run(dir.path(), options)));
    }
    group.finish();
}

criterion_group!(benches, formats);
criterion_main!(benches);
