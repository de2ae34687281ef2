//! The process `sendpayd`: configuration, the socket, and one file for each method.
//!
//! A library beside the binary so that tests can run its parts by themselves.

mod archive;
mod attempts;
mod autoclean;
pub mod backup;
mod changes;
pub mod config;
mod convert;
pub mod daemon;
pub mod demo;
mod descriptors;
mod error;
pub mod import;
mod listing;
pub mod log;
mod method;
pub mod old_state;
mod pages;
pub mod passphrase;
pub mod recover;
mod request_key;
pub mod run;
pub mod server;
mod steps;
mod tries;
