//! `stop`: the end of the daemon.

use super::{Category, Method};
use crate::params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Shuts the daemon down in an orderly way. Payments that are under way go on when it is
    /// started again.
    pub struct Stop {}
}

/// The result of `stop`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StopResult {
    /// Always `Shutdown complete`.
    pub result: String,
}

impl Default for StopResult {
    fn default() -> Self {
        StopResult {
            result: "Shutdown complete".to_owned(),
        }
    }
}

impl Method for Stop {
    const NAME: &'static str = "stop";
    const CATEGORY: Category = Category::Utility;
    const SUMMARY: &'static str = "shut the daemon down";
    type Result = StopResult;
}
