//! `notifications`: whether a connection wants to be told of progress.

use super::{Category, Method};
use crate::params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Turns notifications about the progress of commands on or off for this connection. They are
    /// off until asked for. No command of this daemon sends any yet, so this changes nothing;
    /// clients of Core Lightning ask for it first of all.
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
