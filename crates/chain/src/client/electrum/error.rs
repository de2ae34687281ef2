//! Why an Electrum server gave no answer, or none that can be believed.

use super::address::ElectrumAddress;

/// Why an Electrum server gave no answer, or none that can be believed.
#[derive(Debug, thiserror::Error)]
pub enum ElectrumError {
    /// There is no connection.
    #[error("the Electrum server {server} cannot be reached: {source}")]
    Unreachable {
        /// The server.
        server: ElectrumAddress,
        /// Why not; a certificate that is not believed comes here too.
        #[source]
        source: std::io::Error,
    },
    /// The connection ended.
    #[error("the Electrum server {server} has ended the connection: {cause}")]
    Closed {
        /// The server.
        server: ElectrumAddress,
        /// How.
        cause: String,
    },
    /// It took too long.
    #[error("the Electrum server {server} has not answered {method} in time")]
    Slow {
        /// The server.
        server: ElectrumAddress,
        /// What was asked.
        method: &'static str,
    },
    /// It answered with an error of its own: too many requests, or it has not got what it should.
    #[error("the Electrum server {server} refuses {method}: {message} (code {code})")]
    Refused {
        /// The server.
        server: ElectrumAddress,
        /// What was asked.
        method: &'static str,
        /// The server's number.
        code: i64,
        /// The server's words.
        message: String,
    },
    /// The answer is no answer to this.
    #[error("the Electrum server {server} answers {method} with what makes no sense: {detail}")]
    Malformed {
        /// The server.
        server: ElectrumAddress,
        /// What was asked.
        method: &'static str,
        /// What is wrong with the answer.
        detail: String,
    },
    /// What it says cannot be true.
    #[error("the Electrum server {server} does not tell the truth: {detail}")]
    Untrue {
        /// The server.
        server: ElectrumAddress,
        /// What was seen.
        detail: String,
    },
    /// A server failed when it may have had what was sent, and the next one does not take it.
    #[error("{unanswered}; it may have what was sent all the same, though {answer}")]
    Unsure {
        /// How the server failed.
        unanswered: String,
        /// What the next one said.
        answer: String,
    },
    /// Another server has shown more work.
    #[error(
        "the Electrum server {server} keeps blocks to itself, or is slow: its best is block {height}, \
         and {other} shows block {other_height}, with more work"
    )]
    Behind {
        /// The server.
        server: ElectrumAddress,
        /// Height of its best block.
        height: u32,
        /// The server that shows more.
        other: ElectrumAddress,
        /// Height up to which that is proven.
        other_height: u32,
    },
    /// It says that there is much, and does not come to the end of proving it.
    #[error(
        "the Electrum server {server} does not come to an end: it has proven {proven} transactions in \
         {seconds} s"
    )]
    Endless {
        /// The server.
        server: ElectrumAddress,
        /// Transactions of scripts that were looked up.
        proven: usize,
        /// How long that took.
        seconds: u64,
    },
    /// Its chain is another one than a moment ago.
    #[error("the chain of the Electrum server {server} has just changed")]
    Changed {
        /// The server.
        server: ElectrumAddress,
    },
    /// None of the servers can be used now.
    #[error("no Electrum server can be used now: {0}")]
    NoServer(String),
}

impl ElectrumError {
    /// Whether nobody has looked at what was asked: the same may be asked again.
    pub(in crate::client) fn is_unasked(&self) -> bool {
        !matches!(
            self,
            ElectrumError::Refused { .. } | ElectrumError::Unsure { .. }
        )
    }
}
