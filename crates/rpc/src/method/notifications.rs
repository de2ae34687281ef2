//! `notifications`: whether a connection wants to be told of progress.

use super::{Category, Method};
use crate::params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Turns notifications about the progress of commands on or off for the later requests of this
    /// connection. They are off until asked for; clients of Core Lightning ask for them first of all.
    ///
    /// What is told of a request comes before its answer, and between the answers to others:
    ///
    /// `{"jsonrpc":"2.0","method":"message","params":{"id":7,"level":"info","message":"…"}}`
    ///
    /// *id* is that of the request, *level* is one of `debug`, `info`, `unusual` and `broken`, and
    /// *message* is for people. *pay* tells of each part that it sends, and what became of it.
    pub struct Notifications {
        /// Whether to send them.
        required enable: bool,
    }
}

/// The result of `notifications`: an empty object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationsResult {}

impl Method for Notifications {
    const NAME: &'static str = "notifications";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "turn notifications of progress on or off";
    type Result = NotificationsResult;
}
