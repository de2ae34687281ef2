//! What fuzzing found worth keeping: framing, the parameters of every method, filters.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::path::Path;

#[path = "../../../fuzz/targets/filter.rs"]
mod filter;
#[path = "../../../fuzz/targets/framing.rs"]
mod framing;
#[path = "../../../fuzz/targets/parameters.rs"]
mod parameters;

/// Runs a target of `fuzz/` on everything in its corpus.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = std::fs::read_dir(corpus.join(target)).unwrap();
    let mut count = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        // Said first, so that a failure says of what.
        println!("{}", path.display());
        run(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "no corpus of {target}");
}

#[test]
fn framing_of_the_corpus() {
    replay("framing", framing::run);
}

#[test]
fn parameters_of_the_corpus() {
    replay("parameters", parameters::run);
}

#[test]
fn filter_of_the_corpus() {
    replay("filter", filter::run);
}
