//! Black-box tests: real `sendpayd` processes, driven over their sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub)]

mod clients;
mod crash;
mod harness;
mod payments;
