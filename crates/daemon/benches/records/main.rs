//! What a node does with very many records: whole listings, look-ups, both at once, starts, memory,
//! size on disk, and the ledger by itself; each beside what the machine allows. Whole-process runs
//! over the socket, no timed tests.
//!
//! `cargo bench -p sendpayd --bench records [-- --sizes 10000,1000000,10000000]`
//!
//! Prints a table, and writes the same figures as JSON and as a chart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../../tests/blackbox/harness.rs"]
mod harness;

mod autoclean;
mod chart;
mod cln;
mod figures;
mod fill;
mod generator;
mod ledger;
mod limits;
mod measure;
mod process;
mod requests;
mod socket;

use std::path::{Path, PathBuf};

use clap::Parser;
use figures::{DISK, Figures, STARTS};
use generator::Generator;
use harness::{Chain, Node};
use measure::{Bench, median_of};

/// How often a node is started for the median.
const STARTED: usize = 7;

#[derive(Parser)]
struct Options {
    /// How many records, each a ledger of its own; ten million need 25 GB of disk
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000])]
    sizes: Vec<u64>,
    /// Where made ledgers are kept for the next run
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/records"))]
    cache: PathBuf,
    /// Where records.json and records.svg are written
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks"))]
    out: PathBuf,
    /// Make the ledgers and measure nothing
    #[arg(long)]
    make_only: bool,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let generator = Generator::new();
    fill::compare_both_ways(&options.cache, &generator);
    let empty = fill::ledger(&options.cache, 0, &generator);
    let cli = process::cli();
    let mut figures = Figures::default();
    for size in &options.sizes {
        let made = fill::ledger(&options.cache, *size, &generator);
        if options.make_only {
            continue;
        }
        let more = made.file_bytes - empty.file_bytes;
        let each = more as f64 / made.records as f64;
        figures.add(DISK, "bytes on disk for each record", *size, each);
        cln::size(&mut figures, &options.cache, &made, &generator);
        ledger::measure(&mut figures, &options.cache, &made, &generator);
        cln::import_rate(&mut figures, &options.cache, &made, &generator);
        autoclean::measure(&mut figures, &options.cache, &made, &generator);
        starts(&mut figures, &made, &empty.dir);
        measure::measure(Bench {
            figures: &mut figures,
            made: &made,
            generator: &generator,
            cli: &cli,
        });
    }
    if options.make_only {
        return;
    }
    println!("{}", figures.table());
    std::fs::create_dir_all(&options.out).unwrap();
    let json = serde_json::to_string_pretty(&figures.json()).unwrap();
    std::fs::write(options.out.join("records.json"), json + "\n").unwrap();
    if let Some(chart) = chart::draw(&figures) {
        std::fs::write(options.out.join("records.svg"), chart).unwrap();
    }
}

/// From the start of the process to its first answer, with all records and with none, in turns.
fn starts(figures: &mut Figures, made: &fill::Made, empty: &Path) {
    let running = |dir: &Path| {
        let chain = Chain::start(dir);
        let node = Node::start(dir, "node", &chain, &["log.level=warn"]);
        (chain, node)
    };
    let (_chain, mut full) = running(&made.dir);
    let (_other_chain, mut none) = running(empty);
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..STARTED {
        times.0.push(process::start(&mut full));
        times.1.push(process::start(&mut none));
    }
    let millis = |times: Vec<_>| median_of(times).as_secs_f64() * 1e3;
    let (with, without) = (millis(times.0), millis(times.1));
    figures.add(STARTS, "start", made.records, with);
    figures.add(STARTS, "start with no records", made.records, without);
    assert!(full.terminate().success() && none.terminate().success());
}
