//! The contract between `sendpayd` and its clients: what goes over the socket, and nothing else.
//!
//! One source for each fact: the parameters and results of a method are Rust types in
//! [`method`], and help text, JSON schema, man pages and shell completion are computed from them.
//! [`frame`] turns bytes into requests, [`reply`] turns answers into bytes, [`filter`] leaves out what
//! a client does not want of them, [`client`] does the same from the other end, [`elements`] takes a
//! long list apart as it comes. The dialect is that of Core Lightning (CLN) v26.06.
//!
//! What a method does is not here: that is the daemon's. This crate knows no database and no
//! Lightning library, so any Rust program can use it to talk to a node.

pub mod client;
pub mod completion;
pub mod elements;
pub mod error;
pub mod failcode;
pub mod filter;
pub mod frame;
pub mod id;
pub mod json;
pub mod manpage;
pub mod method;
pub mod notification;
pub mod param;
pub mod payment;
pub mod reply;
pub mod value;
pub mod write;

pub use error::{Code, RpcError};
pub use id::Id;
