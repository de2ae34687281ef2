//! The demo of the README, run as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub)]

mod btcpay;
mod crash;
mod process;
mod repeat;
mod secrets;
