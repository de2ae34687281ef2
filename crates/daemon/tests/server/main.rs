//! The RPC socket by itself: who may open it, the order of replies, what is left of a result by a
//! filter, who is told of progress, and that a client that does not read holds up nobody but itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub)]

mod ends;
mod filters;
mod harness;
mod notifications;
mod requests;
mod socket;
mod streams;
