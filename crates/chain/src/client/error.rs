//! Why there is no chain, and why a transaction was not sent. Why a single call failed is
//! `connection.rs`'s.

use bitcoin::Network;

use super::connection::CallError;

/// Why there is no chain to talk to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server cannot be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server answers, but is still loading its blocks: try again.
    #[error("the chain at {address} is still starting: {message}")]
    Starting {
        /// Address of the server.
        address: String,
        /// What it says it is doing.
        message: String,
    },
    /// The server is Bitcoin Core as it was before what this client needs.
    #[error(
        "the chain at {address} is version {} of Bitcoin Core; {} or later is needed",
        VersionText(*.found),
        VersionText(VERSION_MIN)
    )]
    TooOld {
        /// Address of the server.
        address: String,
        /// Its version as bitcoind counts, such as 250100.
        found: u64,
    },
    /// The server is on another network.
    #[error("the chain at {address} is {found}, not {expected}")]
    WrongNetwork {
        /// Address of the server.
        address: String,
        /// The network of the configuration.
        expected: Network,
        /// What the server calls its network.
        found: String,
    },
}

/// Why a transaction did not get into the mempool.
#[derive(Debug, thiserror::Error)]
pub enum BroadcastError {
    /// The chain refused it, for now or for good.
    #[error("{txid} was refused: {message} (code {code})")]
    Refused {
        /// The transaction.
        txid: bitcoin::Txid,
        /// bitcoind's number, such as -26.
        code: i64,
        /// bitcoind's reason, such as `min relay fee not met, 0 < 110`.
        message: String,
    },
    /// The chain could not be asked, or may have it and could not say so.
    #[error(transparent)]
    Unavailable(#[from] CallError),
}

/// The oldest Bitcoin Core that this client works with, 26.0: the first whose `submitpackage` is
/// there on every network, so that a child can pay for its parents.
pub const VERSION_MIN: u64 = 260_000;

/// A version as people write it: 250100 is 25.1.0.
struct VersionText(u64);

impl std::fmt::Display for VersionText {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor, patch) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        write!(formatter, "{major}.{minor}.{patch}")
    }
}
