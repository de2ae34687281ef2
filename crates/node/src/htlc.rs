//! HTLCs that a channel has now, and how far each is, as LDK tells it. Who waits for which message
//! is BOLT 2's; the words for it that the RPC shows are the daemon's affair.

use lightning::ln::channel_state::{
    InboundHTLCDetails, InboundHTLCStateDetails, OutboundHTLCDetails, OutboundHTLCStateDetails,
};

/// How far an HTLC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HtlcStage {
    /// Still to be offered: the channel waits for the peer's answer to what was sent before.
    Queued,
    /// Offered; the peer has not yet given up the state without it.
    Adding,
    /// In both commitment transactions.
    Committed,
    /// Claimed or failed; the peer has not yet given up the state with it.
    Removing,
}

/// An HTLC in a channel.
#[derive(Clone, Debug)]
pub struct Htlc {
    /// True when we offered it.
    pub outgoing: bool,
    /// Its id in the channel, where it has one already.
    pub id: Option<u64>,
    /// How much, in millisatoshi.
    pub amount_msat: u64,
    /// Height at which the offerer may take it back.
    pub cltv_expiry: u32,
    /// Its payment hash.
    pub payment_hash: [u8; 32],
    /// How far it is.
    pub stage: HtlcStage,
}

impl From<&OutboundHTLCDetails> for Htlc {
    fn from(htlc: &OutboundHTLCDetails) -> Htlc {
        use OutboundHTLCStateDetails as State;
        let stage = match htlc.state {
            _ if htlc.htlc_id.is_none() => HtlcStage::Queued,
            Some(State::AwaitingRemoteRevokeToAdd) => HtlcStage::Adding,
            Some(State::Committed) | None => HtlcStage::Committed,
            Some(
                State::AwaitingRemoteRevokeToRemoveSuccess
                | State::AwaitingRemoteRevokeToRemoveFailure,
            ) => HtlcStage::Removing,
        };
        Htlc {
            outgoing: true,
            id: htlc.htlc_id,
            amount_msat: htlc.amount_msat,
            cltv_expiry: htlc.cltv_expiry,
            payment_hash: htlc.payment_hash.0,
            stage,
        }
    }
}

impl From<&InboundHTLCDetails> for Htlc {
    fn from(htlc: &InboundHTLCDetails) -> Htlc {
        use InboundHTLCStateDetails as State;
        let stage = match htlc.state {
            Some(State::AwaitingRemoteRevokeToAdd) => HtlcStage::Adding,
            Some(State::Committed) | None => HtlcStage::Committed,
            Some(
                State::AwaitingRemoteRevokeToRemoveFulfill
                | State::AwaitingRemoteRevokeToRemoveFail,
            ) => HtlcStage::Removing,
        };
        Htlc {
            outgoing: false,
            id: Some(htlc.htlc_id),
            amount_msat: htlc.amount_msat,
            cltv_expiry: htlc.cltv_expiry,
            payment_hash: htlc.payment_hash.0,
            stage,
        }
    }
}
