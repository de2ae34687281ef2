//! The process `sendpayd`: configuration, the socket, and one file for each method.
//!
//! A library beside the binary so that tests can run its parts by themselves.

pub mod config;
pub mod server;
