//! Black-box tests: real `sendpayd` processes, driven over their sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
// The harness is shared with the benches; neither uses all of it.
#![allow(missing_docs, unreachable_pub, dead_code)]

mod anchors;
mod answers;
mod autoclean;
mod bad_input;
mod bitcoind;
mod claims;
mod clients;
#[path = "../../../import/tests/import/fixture.rs"]
mod cln;
mod cln_rpc;
mod closes;
mod crash;
mod electrum;
mod errors;
mod failures;
mod filters;
mod follows;
mod forwards;
mod harness;
mod holds;
mod imports;
mod invoices;
mod keys;
mod keysends;
mod liars;
mod lightning_cli;
mod notices;
mod old_state;
mod onchain;
mod openings;
mod payments;
mod pays;
mod peers;
mod proxy;
mod queries;
mod rare_errors;
mod recover;
mod reorganisation;
mod reserve;
mod seed;
mod settled_on_chain;
mod splits;
mod stuck;
mod taproot;
mod unusable_stores;
mod xpays;
mod zmq;
