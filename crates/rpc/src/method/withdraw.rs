//! `withdraw`: a payment on the chain, from the wallet.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{Feerate, FeerateName, Hash32, HexBytes, Outpoints, PlainText, SatOrAll};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Confirmations that a spent output needs.
pub const MINCONF: u32 = 1;

params! {
    /// Sends bitcoin from the on-chain wallet to an address, and answers when the transaction is in
    /// the memory pool. The transaction is kept first: after a crash it is sent at the next start.
    pub struct Withdraw {
        /// The address.
        required destination: PlainText,
        /// How much, in satoshi. `all` sends everything, less the fee; of *utxos*, if they are given.
        /// While there are channels with anchors it leaves what is kept for them (*emergency_msat* of
        /// *listfunds*), as change.
        required satoshi: SatOrAll,
        /// The fee rate: a number of satoshi for 1000 virtual bytes (or with `perkb`), for 1000
        /// weight units (with `perkw`), a number with `blocks` for the estimate to confirm within
        /// so many, or a word: `opening`, `mutual_close`, `unilateral_close`,
        /// `unilateral_anchor_close`, `penalty`, `slow`, `normal`, `urgent`, `minimum`.
        default(Feerate::Named(FeerateName::Normal)) feerate: Feerate,
        /// How many confirmations the spent outputs need.
        default(MINCONF) minconf: u32,
        /// The outputs to spend, as `txid:output`: all of these and no others.
        optional utxos: Outpoints,
    }
}

/// The result of `withdraw`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WithdrawResult {
    /// The signed transaction.
    pub tx: HexBytes,
    /// Its id.
    pub txid: Hash32,
    /// The same without signatures, as a PSBT (BIP 174) in base64.
    pub psbt: String,
}

impl Method for Withdraw {
    const NAME: &'static str = "withdraw";
    const CATEGORY: Category = Category::Bitcoin;
    const SUMMARY: &'static str = "send bitcoin from the wallet to an address";
    type Result = WithdrawResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::Lightningd,
            "The address cannot be read or is of another network; the chain refused the \
             transaction, and nothing was sent; or the chain did not answer: then the transaction \
             may have been sent and is sent again, and *data* has its txid.",
        ),
        (
            Code::FundCannotAfford,
            "The wallet does not hold enough with so many confirmations.",
        ),
        (Code::FundOutputIsDust, "The amount is too small."),
        (
            Code::FundCannotAffordWithEmergency,
            "The wallet would not have left what it keeps for channels with anchors.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] = &["newaddr", "listfunds", "feerates"];
    const EXAMPLES: &'static [Example] = &[
        Example {
            params: "bcrt1… 100000",
            shows: "Sends 100000 sat.",
        },
        Example {
            params: "bcrt1… all slow",
            shows: "Sends everything, at a low fee.",
        },
    ];
}
