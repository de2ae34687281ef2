//! What fuzzing found worth keeping: how what a person types becomes JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../../../fuzz/targets/arguments.rs"]
mod arguments;
#[path = "../../../fuzz/targets/corpus.rs"]
mod corpus;

use corpus::replay;

#[test]
fn arguments_of_the_corpus() {
    replay("arguments", arguments::run);
}
