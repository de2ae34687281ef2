//! What fuzzing found worth keeping: framing, the parameters of every method, filters.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../../../fuzz/targets/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/targets/filter.rs"]
mod filter;
#[path = "../../../fuzz/targets/framing.rs"]
mod framing;
#[path = "../../../fuzz/targets/parameters.rs"]
mod parameters;

use corpus::replay;

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
