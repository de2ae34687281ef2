//! Bitcoin: where blocks and fees come from, where transactions go, and an embedded regtest chain.
//!
//! Two parts that know each other only over HTTP:
//!
//! - [`client`] is the one way the node talks to a chain, bitcoind's or ours alike: a block source
//!   for `lightning-block-sync`, LDK's fee estimator and broadcaster.
//! - [`regtest`] is a chain for tests and demonstrations: real blocks, real scripts, real proof of
//!   work at regtest's difficulty, served over the part of bitcoind's JSON-RPC that the client uses.
//!
//! Channels, wallets and payments are left to the crates above.

pub mod client;
pub mod regtest;
