//! What others notice while `autoclean` removes old records: requests at rest, and the same while
//! very many records go, in turns, until enough were asked or all of them are gone.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection as File, OpenFlags};

use crate::figures::{CLEANING, Figures, RATES};
use crate::fill::{self, Made};
use crate::generator::Generator;
use crate::harness::{Chain, Node};
use crate::requests;
use crate::socket::{Connection, quantile};

/// Records that are old, or all but a tenth if there are not so many more.
const REMOVED: u64 = 100_000;
/// Requests of each kind for a 99th percentile.
const ASKED: usize = 2_000;
/// Turns after which it is looked how many records are left.
const TURNS: usize = 50;

/// Measures on a copy of the ledger.
pub fn measure(figures: &mut Figures, cache: &Path, made: &Made, generator: &Generator) {
    let dir = tempfile::tempdir_in(cache).unwrap();
    copy_tree(&made.dir, dir.path());
    let removed = REMOVED.min(made.records / 10 * 9);
    let chain = Chain::start(dir.path());
    // Brings its time to the clock's: nothing is old before both say so.
    chain.mine(6);
    let mut asked = Asked::new(generator);
    let mut node = Node::start(dir.path(), "node", &chain, &["log.level=warn"]);
    asked.ask(&node, ASKED);
    asked.tell(figures, made, "before autoclean");
    assert!(node.terminate().success());

    let after = format!("{}s", age_s(&fill::file(dir.path()), removed));
    let settings = [
        "log.level=warn".to_owned(),
        format!("autoclean.complete_after={after}"),
        format!("autoclean.failed_after={after}"),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut node = Node::start(dir.path(), "node", &chain, &settings);
    let (begun, before) = (Instant::now(), records(&node));
    let least = made.records - removed;
    while asked.turns() < ASKED && records(&node) > least + removed / 100 {
        asked.ask(&node, TURNS);
    }
    let gone = before - records(&node);
    let rate = gone as f64 / begun.elapsed().as_secs_f64();
    assert!(gone > 0, "autoclean removed nothing: {}", node.log());
    asked.tell(figures, made, "beside autoclean");
    let name = "records removed by autoclean, beside requests";
    figures.add(RATES, name, made.records, rate);
    assert!(node.terminate().success());
}

/// Requests of three kinds.
struct Asked {
    kinds: [Kind; 3],
    next: usize,
}

/// Requests of a kind, and how long each took since the last figures.
struct Kind {
    name: &'static str,
    requests: Vec<Vec<u8>>,
    times: Vec<Duration>,
}

impl Asked {
    fn new(generator: &Generator) -> Asked {
        // Those at rest, and those beside the removal.
        let count = 2 * ASKED + TURNS;
        let kind = |name, requests| Kind {
            name,
            requests,
            times: Vec::new(),
        };
        Asked {
            kinds: [
                kind("getinfo", requests::same("getinfo", "{}", count)),
                kind(
                    "refused sendpay",
                    requests::refused_sendpay(generator, count),
                ),
                kind("invoice (one commit)", requests::invoices(count)),
            ],
            next: 0,
        }
    }

    fn turns(&self) -> usize {
        self.kinds[0].times.len()
    }

    fn ask(&mut self, node: &Node, turns: usize) {
        let mut connection = Connection::open(&node.socket());
        for turn in self.next..self.next + turns {
            for kind in &mut self.kinds {
                let reply = connection.ask(&kind.requests[turn]);
                let is_refused = reply.error().is_some();
                assert_eq!(is_refused, kind.name == "refused sendpay", "{}", reply.head);
                kind.times.push(reply.whole);
            }
        }
        self.next += turns;
    }

    /// The figures of what was asked since the last ones.
    fn tell(&mut self, figures: &mut Figures, made: &Made, state: &str) {
        for kind in &mut self.kinds {
            for (part, label) in [(0.5, "median"), (0.99, "p99")] {
                let name = format!("{}, {state}, {label}", kind.name);
                let time = quantile(&mut kind.times, part).as_secs_f64() * 1e3;
                figures.add(CLEANING, &name, made.records, time);
            }
            kind.times.clear();
        }
    }
}

/// How many records there are now.
fn records(node: &Node) -> u64 {
    let totals = node.call("countsendpays", serde_json::json!({}));
    totals["count"].as_u64().unwrap()
}

/// By which age so many records are old, in seconds.
fn age_s(file: &Path, removed: u64) -> u64 {
    let file = File::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let settled_at_ms: i64 = file
        .query_row(
            "SELECT completed_at FROM payment ORDER BY updated_index LIMIT 1 OFFSET ?1",
            [removed.cast_signed()],
            |row| row.get(0),
        )
        .unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs() - settled_at_ms.cast_unsigned() / 1_000
}

/// The node and its chain; sockets are left out.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &to);
        } else if kind.is_file() {
            fill::copy(&entry.path(), &to);
        }
    }
}
