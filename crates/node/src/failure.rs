//! Why a payment failed: LDK's events and its log line as CLN's failure fields.
//!
//! Nothing is guessed: what neither the event nor the line tells stays unset. When a failure is
//! recorded is `payment.rs`'s affair.

use lightning::events::{PathFailure, PaymentFailureReason};
use lightning::routing::router::Path;
use sendpay_ledger::{Failure, NodeId};

use crate::channel::api_error;
use crate::logger::OnionFailure;
use crate::route::direction;

/// RPC codes of a failed payment (CLN, common/jsonrpc_errors.h).
pub mod code {
    /// The reply cannot be decoded, or says our onion cannot.
    pub const UNPARSEABLE_ONION: i32 = 202;
    /// The destination will never take it.
    pub const DESTINATION_PERM_FAIL: i32 = 203;
    /// Another route may work.
    pub const TRY_OTHER_ROUTE: i32 = 204;
    /// Nothing is known of why.
    pub const UNSPECIFIED: i32 = 209;
}

/// BOLT 4's flag for failures that blame the onion itself, told by the node before the culprit.
const BADONION: u16 = 0x8000;

/// What the end alone tells, when nothing was told on the way.
pub(crate) fn only_reason(reason: Option<PaymentFailureReason>) -> Failure {
    let (code, message) = match reason {
        Some(PaymentFailureReason::RecipientRejected) => {
            (code::DESTINATION_PERM_FAIL, "the destination refused it")
        }
        Some(PaymentFailureReason::RetriesExhausted | PaymentFailureReason::RouteNotFound) => {
            (code::TRY_OTHER_ROUTE, "it failed on the way")
        }
        _ => (code::UNSPECIFIED, "Payment failure reason unknown"),
    };
    Failure {
        code,
        failcode: None,
        erring_index: None,
        erring_node: None,
        erring_channel: None,
        erring_direction: None,
        message: message.into(),
    }
}

/// What `PaymentPathFailed` says.
pub(crate) struct PathFailed<'a> {
    pub(crate) permanently: bool,
    pub(crate) failure: &'a PathFailure,
    pub(crate) path: &'a Path,
    pub(crate) scid: Option<u64>,
}

impl PathFailed<'_> {
    /// The event and the code from LDK's log, as CLN's failure fields. Nothing is guessed: what
    /// neither tells stays unset.
    pub(crate) fn explain(&self, us: NodeId, onion: Option<OnionFailure>) -> Failure {
        match (self.failure, onion) {
            (PathFailure::InitialSend { err }, _) => self.told_by_us(us, api_error(err)),
            (PathFailure::OnPath { .. }, Some(onion)) => self.told_by_remote(us, onion),
            (PathFailure::OnPath { network_update }, None) => {
                let decoded = self.permanently || self.scid.is_some() || network_update.is_some();
                self.told_without_code(us, decoded)
            }
        }
    }

    fn node_at(&self, index: usize) -> Option<NodeId> {
        self.path
            .hops
            .get(index)
            .map(|hop| NodeId(hop.pubkey.serialize()))
    }

    /// Channel and direction of the hop at `index` (0 is our own channel).
    fn channel_at(&self, us: NodeId, index: usize) -> Option<(u64, u8)> {
        let to = self.node_at(index)?;
        let from = match index.checked_sub(1) {
            None => us,
            Some(before) => self.node_at(before)?,
        };
        Some((
            self.path.hops.get(index)?.short_channel_id,
            direction(&from, &to),
        ))
    }

    /// Our own channel refused it after all.
    fn told_by_us(&self, us: NodeId, reason: String) -> Failure {
        let channel = self.channel_at(us, 0);
        Failure {
            code: code::TRY_OTHER_ROUTE,
            failcode: None,
            erring_index: Some(0),
            erring_node: Some(us),
            erring_channel: channel.map(|(scid, _)| scid),
            erring_direction: channel.map(|(_, direction)| direction),
            message: format!("local failure: {reason}"),
        }
    }

    fn told_by_remote(&self, us: NodeId, onion: OnionFailure) -> Failure {
        let hops = self.path.hops.len();
        let reporter = self
            .path
            .hops
            .iter()
            .position(|hop| hop.pubkey == onion.node_id);
        // BADONION is told by the node before the one that could not read our onion.
        let shift = usize::from(onion.failcode & BADONION != 0);
        let erring = reporter.map(|reporter| (reporter + shift).min(hops.saturating_sub(1)));
        // CLN blames the last channel for the final node, else the channel behind the node.
        let channel = erring.and_then(|at| self.channel_at(us, (at + 1).min(hops - 1)));
        let code = if onion.failcode & BADONION != 0 {
            code::UNPARSEABLE_ONION
        } else if self.permanently {
            code::DESTINATION_PERM_FAIL
        } else {
            code::TRY_OTHER_ROUTE
        };
        Failure {
            code,
            failcode: Some(onion.failcode),
            erring_index: erring.and_then(|at| u32::try_from(at + 1).ok()),
            erring_node: erring.and_then(|at| self.node_at(at)),
            erring_channel: channel.map(|(scid, _)| scid),
            erring_direction: channel.map(|(_, direction)| direction),
            message: "reply from remote".into(),
        }
    }

    fn told_without_code(&self, us: NodeId, decoded: bool) -> Failure {
        let index = self.scid.and_then(|scid| {
            self.path
                .hops
                .iter()
                .position(|hop| hop.short_channel_id == scid)
        });
        let channel = index.and_then(|index| self.channel_at(us, index));
        let (code, message) = if self.permanently {
            (code::DESTINATION_PERM_FAIL, "the destination refused it")
        } else if decoded {
            (
                code::TRY_OTHER_ROUTE,
                "it failed on the way, without a code",
            )
        } else {
            (code::UNPARSEABLE_ONION, "Malformed error reply")
        };
        Failure {
            code,
            failcode: None,
            erring_index: None,
            erring_node: None,
            erring_channel: self.scid,
            erring_direction: channel.map(|(_, direction)| direction),
            message: message.into(),
        }
    }
}
