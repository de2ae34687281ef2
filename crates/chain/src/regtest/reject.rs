//! Why a block or a transaction is refused, in bitcoind's words.
//!
//! The reasons are the strings that bitcoind's RPC shows (`validation.cpp` and `tx_verify.cpp` of
//! Bitcoin Core), because clients compare them. Deciding on a refusal is left to the modules with
//! the rules.

use std::borrow::Cow;

use super::store::StoreError;

/// A broken rule: bitcoind's reason, and the figures that show it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub(crate) struct Reject {
    reason: Cow<'static, str>,
    detail: String,
}

impl Reject {
    /// A refusal whose reason says all.
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Reject {
            reason: reason.into(),
            detail: String::new(),
        }
    }

    /// A refusal with the figures behind it.
    pub(crate) fn with(reason: &'static str, detail: impl Into<String>) -> Self {
        Reject {
            reason: Cow::Borrowed(reason),
            detail: detail.into(),
        }
    }

    /// The reason without the figures, as `testmempoolaccept` and `submitblock` show it.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// Reason and figures, as `sendrawtransaction` shows them.
    pub(crate) fn text(&self) -> String {
        if self.detail.is_empty() {
            self.reason.to_string()
        } else {
            format!("{}, {}", self.reason, self.detail)
        }
    }
}

/// An input that names no unspent output: bitcoind's RPC gives it a code of its own.
pub(crate) const MISSING_INPUTS: &str = "bad-txns-inputs-missingorspent";

/// The outputs of the transaction are in the chain already: an error code of its own, too.
pub(crate) const ALREADY_KNOWN: &str = "txn-already-known";

/// The very transaction is in the mempool already.
pub(crate) const ALREADY_IN_MEMPOOL: &str = "txn-already-in-mempool";

/// The fee is above what the caller said it may be at most.
pub(crate) const FEE_ABOVE_MAX: &str = "max-fee-exceeded";

/// Why a block or a transaction was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// It breaks a rule.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The rule could not be checked, or the outcome not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}
