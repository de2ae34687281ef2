//! `bumpfee`: a higher fee for a transaction of the wallet that waits for a block.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{Feerate, FeerateName, Hash32, HexBytes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Raises the fee of a transaction of the on-chain wallet that waits for a block, and answers when
    /// that is in the memory pool. A withdrawal is replaced by one that pays the same to the same
    /// addresses (RBF), and the fee comes out of its change or of more outputs of the wallet. Of any
    /// other transaction that pays the wallet something, a child pays for it (CPFP): what funds a channel
    /// is never replaced, nor is what another transaction of the wallet stands on.
    ///
    /// The transactions of a channel that is closed by one end, and what brings its money to the
    /// wallet, raise their fees by themselves.
    pub struct BumpFee {
        /// The id of the transaction, as *withdraw*, *fundchannel* and *listfunds* tell it.
        required txid: Hash32,
        /// The fee rate that it should have, with its child if it gets one: as in *withdraw*.
        default(Feerate::Named(FeerateName::Urgent)) feerate: Feerate,
    }
}

/// The result of `bumpfee`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BumpFeeResult {
    /// The transaction that was sent.
    pub tx: HexBytes,
    /// Its id.
    pub txid: Hash32,
    /// What it takes the place of, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Hash32>,
    /// What it is a child of, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pays_for: Option<Hash32>,
}

impl Method for BumpFee {
    const NAME: &'static str = "bumpfee";
    const CATEGORY: Category = Category::Bitcoin;
    const SUMMARY: &'static str = "raise the fee of a transaction that waits for a block";
    type Result = BumpFeeResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::InvalidParams,
            "The wallet has no such transaction, it is in a block, it has that rate already, or it \
             can neither be replaced nor pays the wallet anything.",
        ),
        (
            Code::FundCannotAfford,
            "The wallet does not hold enough for such a fee.",
        ),
        (
            Code::Lightningd,
            "The chain refused the transaction, and all is as it was; or the chain did not answer: \
             then it may have been sent and is sent again, and *data* has its txid.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["withdraw", "fundchannel", "listfunds", "feerates"];
    const EXAMPLES: &'static [Example] = &[Example {
        params: "5b6c… 20000perkb",
        shows: "Sees to it that the transaction pays 20 sat for each virtual byte.",
    }];
}
