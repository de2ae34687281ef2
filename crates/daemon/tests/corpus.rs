//! What fuzzing found worth keeping: invoices and routes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../../../fuzz/targets/bolt11.rs"]
mod bolt11;
#[path = "../../../fuzz/targets/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/targets/route.rs"]
mod route;

use corpus::replay;

#[test]
fn bolt11_of_the_corpus() {
    replay("bolt11", bolt11::run);
}

#[test]
fn route_of_the_corpus() {
    replay("route", route::run);
}
