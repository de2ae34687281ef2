//! `disconnect`: the end of a connection.

use super::{Category, Method};
use crate::error::Code;
use crate::params;
use crate::value::PeerId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Ends the connection to a node. A node that has a channel with us is connected again by
    /// itself, from either end.
    pub struct Disconnect {
        /// The node.
        required id: PeerId,
        /// Whether to end the connection although there is a channel.
        default(false) force: bool,
    }
}

/// The result of `disconnect`: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisconnectResult {}

impl Method for Disconnect {
    const NAME: &'static str = "disconnect";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "end the connection to a node";
    type Result = DisconnectResult;
    const ERRORS: &'static [(Code, &'static str)] = &[(
        Code::Lightningd,
        "The node is not connected, or has a channel with us and *force* is not `true`.",
    )];
    const SEE_ALSO: &'static [&'static str] = &["connect", "listpeers"];
}
