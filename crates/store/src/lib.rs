//! One ordered SQLite file: a writer thread that commits in the order of the calls and groups what
//! waits together, and a pool of readers. Knows no payment.
//!
//! # One store, one order
//!
//! Everything that must survive goes through [`Store::enqueue`]: a call gets its place in the one
//! queue at once, without blocking, and runs there on the writer thread. What waits together is
//! committed together, with one fsync; each call has a savepoint of its own, so that a refused one
//! undoes itself only, and sees what the calls before it did. A [`Ticket`] resolves after the
//! commit, never before.
//!
//! A failed commit, or an error after which the file cannot be trusted, ends the process before
//! any ticket of that group resolves: nobody was told of what may be lost.
//!
//! # Reading
//!
//! [`Store::read`] runs on a connection of its own and never waits for the writer (WAL). It sees
//! every commit that was acknowledged before it began.

mod checkpoint;
mod failure;
pub mod kv;
mod open;
mod queue;
mod readers;
mod store;
mod ticket;
mod writer;

pub use open::{OpenError, Options};
pub use queue::Queued;
pub use store::Store;
pub use ticket::{Closed, Ticket};
