//! The figures of one running node with that many records.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::figures::{BESIDE, FILTERS, Figures, LISTINGS, LOOKUPS, MEMORY, Panel, RATES, STARTS};
use crate::fill::{self, Made};
use crate::generator::Generator;
use crate::harness::{Chain, Node};
use crate::socket::{Connection, quantile, request};
use crate::{limits, process, requests};

/// Whole listings for a median.
const ROUNDS: usize = 3;
/// Above so many records there is one of each: it takes half a minute and more, and varies little.
const RECORDS_OF_ROUNDS_MAX: u64 = 2_000_000;
/// Requests for a median, and as many before them that do not count.
const LOOKED_UP: usize = 1_000;
/// Requests for a 99th percentile.
const BESIDE_LISTING: usize = 2_000;
const PIPELINED: usize = 100_000;

/// What is measured, and where it goes.
pub struct Bench<'a> {
    pub figures: &'a mut Figures,
    pub made: &'a Made,
    pub generator: &'a Generator,
    pub cli: &'a Path,
}

pub fn median_of(mut times: Vec<Duration>) -> Duration {
    quantile(&mut times, 0.5)
}

/// Measures a node that has just been started.
pub fn measure(mut bench: Bench<'_>) {
    let dir = &bench.made.dir;
    let chain = Chain::start(dir);
    let mut node = Node::start(dir, "node", &chain, &["log.level=warn"]);
    bench.listsendpays(&node);
    bench.listpays(&node);
    bench.command_line(&node);
    bench.others(&node);
    bench.filters(&node);
    bench.lookups(&node);
    bench.pipelined(&node);
    bench.beside(&node);
    assert!(node.terminate().success());
}

impl Bench<'_> {
    fn add(&mut self, panel: Panel, name: &str, value: f64) {
        self.figures.add(panel, name, self.made.records, value);
    }

    fn rounds(&self) -> usize {
        match self.made.records {
            0..=RECORDS_OF_ROUNDS_MAX => ROUNDS,
            _ => 1,
        }
    }

    /// First, as its memory counts from a start.
    fn listsendpays(&mut self, node: &Node) {
        let mut connection = Connection::open(&node.socket());
        let whole = request("listsendpays", "{}");
        connection.ask(&request("getinfo", "{}"));
        let held_mb = process::resident_mb(node.pid());
        let replies: Vec<_> = (0..self.rounds()).map(|_| connection.ask(&whole)).collect();
        let grown_mb = (process::peak_mb(node.pid()) - held_mb).max(0.0);
        let time = median_of(replies.iter().map(|reply| reply.whole).collect());
        let first_byte = median_of(replies.iter().map(|reply| reply.first_byte).collect());
        let bytes = replies[0].bytes;
        assert_eq!(records_in(&mut connection, &whole), self.made.records);
        let seconds = time.as_secs_f64();
        self.add(LISTINGS, "listsendpays", seconds);
        let rate = self.made.records as f64 / seconds;
        self.add(RATES, "records listed by listsendpays", rate);
        self.add(RATES, "MB of listsendpays", bytes as f64 / 1e6 / seconds);
        let first_byte = first_byte.as_secs_f64() * 1e3;
        self.add(STARTS, "first byte of listsendpays", first_byte);
        self.add(MEMORY, "growth of sendpayd by listsendpays", grown_mb);
        let times = (0..self.rounds()).map(|_| limits::socket(bytes)).collect();
        let memory = median_of(times).as_secs_f64();
        self.add(LISTINGS, "the same bytes from memory", memory);
    }

    fn listpays(&mut self, node: &Node) {
        let mut connection = Connection::open(&node.socket());
        let whole = request("listpays", "{}");
        let held_mb = process::resident_mb(node.pid());
        let replies: Vec<_> = (0..self.rounds()).map(|_| connection.ask(&whole)).collect();
        let grown_mb = (process::peak_mb(node.pid()) - held_mb).max(0.0);
        let time = median_of(replies.iter().map(|reply| reply.whole).collect());
        self.add(LISTINGS, "listpays", time.as_secs_f64());
        self.add(MEMORY, "growth of sendpayd by listpays", grown_mb);
    }

    fn command_line(&mut self, node: &Node) {
        let file = self.made.dir.join("listing");
        for (name, out) in [
            (
                "sendpay-cli listsendpays > /dev/null",
                Path::new("/dev/null"),
            ),
            ("sendpay-cli listsendpays > file", &file),
        ] {
            let runs: Vec<_> = (0..self.rounds())
                .map(|_| process::run_cli(self.cli, &node.socket(), out))
                .collect();
            let time = median_of(runs.iter().map(|(time, _)| *time).collect());
            let peak = runs.iter().map(|(_, peak_mb)| *peak_mb).fold(0.0, f64::max);
            self.add(LISTINGS, name, time.as_secs_f64());
            self.add(MEMORY, &format!("peak of {name}"), peak);
        }
        std::fs::remove_file(file).unwrap();
    }

    /// Others on the same file, while the node runs.
    fn others(&mut self, _node: &Node) {
        let file = fill::file(&self.made.dir);
        let times = (0..self.rounds()).map(|_| limits::sqlite_loop(&file, self.made.records));
        let time = median_of(times.collect()).as_secs_f64();
        self.add(LISTINGS, "bare SQLite loop", time);
        if let Some(time) = limits::sqlite3_json(&file) {
            self.add(LISTINGS, "sqlite3 -json", time.as_secs_f64());
        }
    }

    /// Filters that find little or nothing: what no index serves looks at every record.
    fn filters(&mut self, node: &Node) {
        let at = self.generator.payment(self.made.payments / 2).waves[0][0].created_at_ms / 1_000;
        let hour = format!(r#"{{"completed_from":{at},"completed_to":{}}}"#, at + 3_600);
        let created = format!(r#"{{"created_from":{at},"created_to":{}}}"#, at + 3_600);
        for method in ["listsendpays", "listpays"] {
            for (name, params) in [
                ("an amount of none", r#"{"amount_to_msat":1}"#),
                ("a groupid of none", r#"{"groupid":77}"#),
                ("created in an hour", &created),
                ("completed in an hour", &hour),
            ] {
                let mut connection = Connection::open(&node.socket());
                let asked = request(method, params);
                assert_eq!(connection.ask(&asked).error(), None, "{method}, {name}");
                let times = (0..self.rounds()).map(|_| connection.ask(&asked).whole);
                let time = median_of(times.collect()).as_secs_f64();
                self.add(FILTERS, &format!("{method}, {name}"), time);
            }
        }
    }

    fn lookups(&mut self, node: &Node) {
        let count = 2 * LOOKED_UP;
        let newest = format!(
            r#"{{"index":"created","order":"desc","limit":{}}}"#,
            requests::PAGE
        );
        for (name, asked) in [
            ("getinfo", requests::same("getinfo", "{}", count)),
            (
                "by hash",
                requests::by_hash(self.made, self.generator, count),
            ),
            (
                "by bolt11",
                requests::by_bolt11(self.made, self.generator, count),
            ),
            (
                "status=pending",
                requests::same("listsendpays", r#"{"status":"pending"}"#, count),
            ),
            ("a page of 100", requests::pages(self.made, count)),
            (
                "the newest 100",
                requests::same("listsendpays", &newest, count),
            ),
            (
                "count by status",
                requests::same("countsendpays", "{}", count),
            ),
        ] {
            let mut connection = Connection::open(&node.socket());
            let first = connection.ask(&asked[0]);
            assert_eq!(first.error(), None, "{name}");
            let mut times = connection.times(&asked);
            let median = quantile(&mut times[LOOKED_UP..], 0.5);
            self.add(LOOKUPS, name, median.as_secs_f64() * 1e6);
        }
    }

    fn pipelined(&mut self, node: &Node) {
        for (name, asked) in [
            (
                "look-ups by hash, pipelined on one connection",
                requests::by_hash(self.made, self.generator, PIPELINED),
            ),
            (
                "the same, by the hashes of records",
                requests::by_hash_of_records(self.made, PIPELINED),
            ),
        ] {
            let mut connection = Connection::open(&node.socket());
            let time = connection.pipeline(&asked).as_secs_f64();
            self.add(RATES, name, PIPELINED as f64 / time);
        }
    }

    /// Requests while another client takes one whole listing after the other, beside the same
    /// requests at rest.
    fn beside(&mut self, node: &Node) {
        let asked = [
            ("getinfo", requests::same("getinfo", "{}", BESIDE_LISTING)),
            (
                "by hash",
                requests::by_hash(self.made, self.generator, BESIDE_LISTING),
            ),
            (
                "refused sendpay",
                requests::refused_sendpay(self.generator, BESIDE_LISTING),
            ),
        ];
        let run = |bench: &mut Self, state: &str| {
            for (name, asked) in &asked {
                let mut connection = Connection::open(&node.socket());
                let mut times = connection.times(asked);
                for (part, label) in [(0.5, "median"), (0.99, "p99")] {
                    let name = format!("{name}, {state}, {label}");
                    let time = quantile(&mut times, part).as_secs_f64() * 1e3;
                    bench.add(BESIDE, &name, time);
                }
            }
        };
        run(self, "idle");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut connection = Connection::open(&node.socket());
                while !stop.load(Ordering::Relaxed) {
                    connection.ask(&request("listsendpays", "{}"));
                }
            });
            // Also when a request fails, or the listings would never end.
            let _stops = Stops(&stop);
            run(self, "listing");
        });
        let mut connection = Connection::open(&node.socket());
        let refused = connection.ask(&asked[2].1[0]);
        let error = refused.error().unwrap_or_default();
        assert!(error.contains("\"code\":204"), "{error}");
        let made = records_in(&mut connection, &request("listsendpays", "{}"));
        assert_eq!(made, self.made.records, "a refused sendpay left a record");
    }
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many records a listing has.
fn records_in(connection: &mut Connection, whole: &[u8]) -> u64 {
    const MARK: &[u8] = b"\"created_index\":";
    let mut matched = 0;
    let mut records = 0;
    connection.ask_and_see(whole, |bytes| {
        for byte in bytes {
            // No end of what matched so far begins the mark, unless it is this byte alone.
            matched = if MARK[matched] == *byte {
                matched + 1
            } else {
                usize::from(MARK[0] == *byte)
            };
            if matched == MARK.len() {
                matched = 0;
                records += 1;
            }
        }
    });
    records
}
