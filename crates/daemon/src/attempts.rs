//! What was tried for a payment and what of it is out, as errors of `pay` and listings show it.

use sendpay_ledger::{Hop, OutgoingPart, Payment, Standing, Status};
use sendpay_node::Tried;
use sendpay_rpc::method::pay::{PayErrorData, UnsentRoute};
use sendpay_rpc::payment::{Attempt, OutgoingHtlc, RouteStep};
use sendpay_rpc::value::{Amounts, Scid};

use crate::convert;

/// A part with its way.
pub(crate) fn attempt(part: &Payment, amounts: Amounts) -> Attempt {
    Attempt {
        payment: convert::payment(part, amounts),
        route: part
            .route()
            .map(|route| steps(&route, amounts))
            .unwrap_or_default(),
    }
}

/// A way, hop by hop.
fn steps(route: &[Hop], amounts: Amounts) -> Vec<RouteStep> {
    route
        .iter()
        .map(|hop| RouteStep {
            id: convert::node_id(hop.node_id),
            channel: Scid(hop.short_channel_id),
            direction: hop.direction,
            amount_msat: amounts.payment(hop.amount_msat.msat()),
            delay: hop.delay,
        })
        .collect()
}

/// The HTLCs of these parts that are out, seen from this height.
pub(crate) fn outgoing(parts: &[Payment], height: u32, amounts: Amounts) -> Vec<OutgoingHtlc> {
    parts
        .iter()
        .filter(|part| part.status == Status::Pending)
        .map(|part| OutgoingPart {
            partid: part.partid,
            first_channel: part.first_channel,
            amount_sent_msat: part.amount_sent_msat,
            cltv_expiry: part.cltv_expiry,
        })
        .map(|part| htlc(&part, height, amounts))
        .collect()
}

fn htlc(part: &OutgoingPart, height: u32, amounts: Amounts) -> OutgoingHtlc {
    OutgoingHtlc {
        partid: part.partid,
        short_channel_id: part.first_channel.map(Scid),
        amount_sent_msat: amounts.payment(part.amount_sent_msat.msat()),
        cltv_expiry: part.cltv_expiry,
        blocks_left: part.cltv_expiry.map(|expiry| expiry.saturating_sub(height)),
    }
}

/// What is out of a group, if it is pending.
pub(crate) fn htlcs(
    standing: &Standing,
    height: u32,
    amounts: Amounts,
) -> Option<Vec<OutgoingHtlc>> {
    let Standing::Pending(parts) = standing else {
        return None;
    };
    Some(
        parts
            .iter()
            .map(|part| htlc(part, height, amounts))
            .collect(),
    )
}

/// Whether a hash can be paid in another way, and why; `is_running` says that a payment of it is under way.
pub(crate) fn safe_to_retry(standing: &Standing, is_running: bool) -> (bool, &'static str) {
    match standing {
        Standing::Free if is_running => (false, "a payment of it is under way and may send again"),
        Standing::Free => (true, NOTHING_OUT),
        Standing::Complete => (false, "it is paid"),
        Standing::Pending(_) => (false, "an HTLC of it is out and may be claimed"),
        Standing::OtherPending => (false, "another try at this payment_hash is pending"),
        Standing::OtherComplete => (false, "another try at this payment_hash has paid it"),
        Standing::ClaimedLate => (false, "it was claimed after it had failed"),
    }
}

/// The reason for which paying again is safe.
const NOTHING_OUT: &str = "every part has failed, and none can be claimed any more";

/// The data of an error after tries.
pub(crate) fn tried(tried: &Tried, height: u32, amounts: Amounts) -> PayErrorData {
    let htlcs = outgoing(&tried.parts, height, amounts);
    PayErrorData {
        payment_hash: tried
            .parts
            .first()
            .map(|part| convert::hash(part.payment_hash)),
        attempts: tried
            .parts
            .iter()
            .map(|part| attempt(part, amounts))
            .collect(),
        unsent: tried
            .unsent
            .iter()
            .map(|unsent| UnsentRoute {
                route: steps(&unsent.route, amounts),
                reason: unsent.reason.clone(),
            })
            .collect(),
        safe_to_retry: htlcs.is_empty(),
        safe_to_retry_reason: match htlcs.len() {
            0 => NOTHING_OUT.into(),
            1 => "an HTLC is out and may be claimed".into(),
            some => format!("{some} HTLCs are out and may be claimed"),
        },
        htlcs,
    }
}
