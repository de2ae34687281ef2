//! Black-box tests: real `sendpayd` processes, driven over their sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub)]

mod bad_input;
mod failures;
mod harness;
mod holds;
mod payments;
mod pays;
mod reorganisation;
