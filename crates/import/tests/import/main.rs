//! Files of lightningd, made by the tests from its schemas, read into a ledger.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
// The fixture is shared with the daemon's tests; neither uses all of it.
#![allow(missing_docs, unreachable_pub, dead_code)]

mod files;
mod fixture;
mod history;
mod scene;
