//! What is to be said of a bitcoind, or of the embedded chain, before it can be asked. Of Electrum servers
//! `electrum/` has that.

use std::path::PathBuf;

use bitcoin::Network;

use super::zmq::ZmqAddress;

/// Where the chain is, and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Host and port of the RPC server, `127.0.0.1:8332`; IPv6 in brackets.
    pub rpc_address: String,
    /// How to be let in.
    pub auth: Auth,
    /// Where it tells of new blocks by ZMQ (`zmqpubhashblock`), if it does.
    pub zmq: Option<ZmqAddress>,
    /// The network that the server must be on.
    pub network: Network,
}

/// Credentials for the RPC server. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// A file with `user:password` that the server writes anew at each start. It is read again when
    /// the server no longer accepts what it said.
    CookieFile(PathBuf),
    /// A fixed user and password (`rpcauth` of bitcoind).
    UserPass(String, String),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Auth::CookieFile(path) => formatter.debug_tuple("CookieFile").field(path).finish(),
            Auth::UserPass(user, _) => formatter.debug_tuple("UserPass").field(user).finish(),
        }
    }
}
