//! `close`: the end of a channel.

use super::{Category, Example, Method};
use crate::error::Code;
use crate::params;
use crate::value::{ChannelRef, FeerateRange, Hash32, HexBytes, Outpoint, PlainText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seconds until a close without the other end's consent: two days.
pub const UNILATERAL_TIMEOUT: u32 = 172_800;

params! {
    /// Closes a channel and answers when the transaction that closes it is broadcast. Both ends
    /// agree on one (a mutual close) if the other end is connected, or comes back before
    /// *unilateraltimeout* is over, and no HTLC is left in the channel. After *unilateraltimeout* the
    /// last commitment transaction is broadcast instead (a unilateral close), and what is ours comes
    /// to the wallet some hundred blocks later.
    ///
    /// A close that has begun goes on when the request has ended or the daemon was restarted, but only
    /// a request counts the seconds to a unilateral close, and only a request begins a close when
    /// an absent peer comes back. A second *close* of the same channel waits for the same end.
    pub struct Close {
        /// The channel: its short_channel_id or channel_id, or the id of a node with which there is
        /// only one.
        required id: ChannelRef,
        /// Close without the other end's consent after so many seconds. With 0, never: wait for the
        /// other end.
        default(UNILATERAL_TIMEOUT) unilateraltimeout: u32,
        /// Where a mutual close pays what is ours: a segwit address. The default is an address
        /// of the wallet. It does not matter for a unilateral close, which pays the wallet.
        optional destination: PlainText,
        /// How CLN moves towards the fee of a peer that knows no ranges of fees: an amount in
        /// satoshi, or a percentage such as `50%`. LDK always tells its range, and modern peers
        /// answer with a fee in it, so that there are no steps: this is checked, and changes nothing.
        optional fee_negotiation_step: PlainText,
        /// Another output that the channel's funding went to. Not supported: refused.
        optional wrong_funding: Outpoint,
        /// Close although the channel's funds are leased to the other end. There are no leases
        /// here: this changes nothing.
        default(false) force_lease_closed: bool,
        /// The least and the greatest fee rate to offer. If we opened the channel we pay the fee: at
        /// least the first, and up to 1000 sat above our own estimate for a commitment
        /// transaction, or the first if that is more. A second one below that cannot be kept, and
        /// is refused.
        optional feerange: FeerateRange,
    }
}

/// The result of `close`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloseResult {
    /// The transactions that close the channel, as they were broadcast. Not there if the channel
    /// was *unopened*; empty if the other end closed it with a commitment transaction of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txs: Option<Vec<HexBytes>>,
    /// Their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txids: Option<Vec<Hash32>>,
    /// The first of *txs*, as Core Lightning had it before v24.11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<HexBytes>,
    /// The first of *txids*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txid: Option<Hash32>,
    /// *mutual*: both ends agreed. *unilateral*: they did not. *unopened*: the channel was given
    /// up before it was funded.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Method for Close {
    const NAME: &'static str = "close";
    const CATEGORY: Category = Category::Channels;
    const SUMMARY: &'static str = "close a channel, with the other end's consent or without";
    type Result = CloseResult;
    const ERRORS: &'static [(Code, &'static str)] = &[
        (
            Code::Lightningd,
            "The peer has no channel or more than one, the address cannot be read or is of another \
             network, or the channel was lost before it could be closed.",
        ),
        (
            Code::Shutdown,
            "The daemon stopped first. A close that both ends had begun goes on at the next start.",
        ),
    ];
    const SEE_ALSO: &'static [&'static str] =
        &["disconnect", "fundchannel", "listfunds", "listpeerchannels"];
    const EXAMPLES: &'static [Example] = &[
        Example {
            params: "103x1x0",
            shows: "Closes a channel, within two days in any case.",
        },
        Example {
            params: "103x1x0 60",
            shows: "Closes it within a minute if the other end is there, else without it.",
        },
    ];
}
