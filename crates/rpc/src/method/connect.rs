//! `connect`: a connection to another node.

use super::getinfo::Address;
use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{HexBytes, NodeId, PlainText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Connects to another node, and answers when the connection can be used. A connection that
    /// exists already is a success too.
    pub struct Connect {
        /// The id of the node, or `id@host` or `id@host:port`.
        required id: PlainText,
        /// The host, if *id* does not name it. Without one, the address by which we reached the
        /// node last is used.
        optional host: PlainText,
        /// The port, if *id* does not name it. The default is 9735.
        optional port: u16,
    }
}

/// The result of `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectResult {
    /// The node.
    pub id: NodeId,
    /// The feature bits that it offers.
    pub features: HexBytes,
    /// `out` if we made the connection, `in` if they did.
    pub direction: String,
    /// Where it is.
    pub address: Address,
}

impl Method for Connect {
    const NAME: &'static str = "connect";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "connect to another node";
    type Result = ConnectResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::ConnectNoKnownAddress,
            "No address of the node is known.",
        ),
        (
            Code::ConnectAllAddressesFailed,
            "No address of the node answered.",
        ),
        (
            Code::ConnectDisconnectedDuring,
            "The node went away before the connection was made.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["fundchannel", "listpeerchannels"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "02…@127.0.0.1:9735",
        shows: "Connects to a node on this machine.",
    }];
}
