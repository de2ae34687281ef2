//! What fuzzing found worth keeping: invoices and routes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::path::Path;

#[path = "../../../fuzz/targets/bolt11.rs"]
mod bolt11;
#[path = "../../../fuzz/targets/route.rs"]
mod route;

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
fn bolt11_of_the_corpus() {
    replay("bolt11", bolt11::run);
}

#[test]
fn route_of_the_corpus() {
    replay("route", route::run);
}
