//! CLN's route hops and LDK's path: pure conversions and the checks of the route itself.
//!
//! CLN's `amount_msat` and `delay` of a hop are totals from that hop to the end; LDK's `fee_msat`
//! and `cltv_expiry_delta` are the differences to the next hop, the last hop holding the final
//! value (BOLT 4 calls those `amt_to_forward` and `outgoing_cltv_value`). Whether the first channel
//! can take the HTLC now is `payment.rs`'s affair.

use std::collections::HashSet;

use bitcoin::secp256k1::PublicKey;
use lightning::ln::outbound_payment::RecipientOnionFields;
use lightning::routing::router::{Path, PaymentParameters, Route, RouteHop, RouteParameters};
use lightning::types::features::{ChannelFeatures, NodeFeatures};
use sendpay_ledger::{Hop, Msat, NodeId};
use thiserror::Error;

/// Least delay of the last hop, in blocks: no implementation accepts an HTLC with less.
pub const FINAL_DELAY_MIN: u32 = 9;

/// Most delay of a whole route, in blocks (two weeks): nodes refuse HTLCs that lock for longer.
pub const TOTAL_DELAY_MAX: u32 = 14 * 24 * 6;

/// Most hops of a route: what fits into BOLT 4's 1300-byte onion with the smallest payloads.
pub const HOPS_MAX: usize = 27;

/// Why a route is refused before anything is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// More hops than fit into an onion.
    #[error("route: {0} hops are more than the {HOPS_MAX} that fit into an onion")]
    TooLong(usize),
    /// The hops, or the metadata for the last of them, are too much for an onion.
    #[error("route: the hops and their data do not fit into an onion")]
    Onion,
    /// An amount of nothing.
    #[error("route: hop {0} has an amount of 0")]
    ZeroAmount(usize),
    /// A hop that would forward more than it gets.
    #[error("route: hop {0} forwards more than it receives")]
    AmountGrows(usize),
    /// A hop that would have less time than the one behind it.
    #[error("route: hop {0} has a smaller delay than the hop after it")]
    DelayGrows(usize),
    /// A final delay that every recipient refuses.
    #[error("route: the final delay of {0} blocks is below {FINAL_DELAY_MIN}")]
    FinalDelay(u32),
    /// A lock that every forwarding node refuses.
    #[error("route: the total delay of {0} blocks is above {TOTAL_DELAY_MAX}")]
    TotalDelay(u32),
    /// One channel twice.
    #[error("route: channel {0} is used twice")]
    ChannelTwice(String),
    /// A route that comes back to us.
    #[error("route: hop {0} is this node itself")]
    ThroughUs(usize),
    /// 33 bytes that are no point of the curve.
    #[error("route: hop {0} has an invalid node id")]
    NodeId(usize),
    /// More data for the last hop, with numbers that are not for that.
    #[error("extratlvs: numbers from 65536 that are free for data of one's own, each once")]
    Tlvs,
    /// Nothing to convert.
    #[error("route: no hops")]
    Empty,
}

/// `BxTxO`, as BOLT 7 writes it.
pub fn scid_text(scid: u64) -> String {
    format!(
        "{}x{}x{}",
        scid >> 40,
        (scid >> 16) & 0xff_ffff,
        scid & 0xffff
    )
}

/// Direction of a channel from `from` to `to`: 0 when `from` is the lesser id (BOLT 7).
pub fn direction(from: &NodeId, to: &NodeId) -> u8 {
    u8::from(from.0 > to.0)
}

/// Whether a route can be sent along at all, whatever its channels hold now.
///
/// # Errors
/// What is wrong with it, as `sendpay` refuses it.
pub fn check_route(hops: &[Hop], us: &NodeId) -> Result<(), RouteError> {
    to_path(hops, us).map(|_| ())
}

/// Checks a route of at least one hop and makes it an LDK path.
pub(crate) fn to_path(hops: &[Hop], us: &NodeId) -> Result<Path, RouteError> {
    let (first, last) = match (hops.first(), hops.last()) {
        (Some(first), Some(last)) => (first, last),
        _ => return Err(RouteError::Empty),
    };
    if hops.len() > HOPS_MAX {
        return Err(RouteError::TooLong(hops.len()));
    }
    if last.delay < FINAL_DELAY_MIN {
        return Err(RouteError::FinalDelay(last.delay));
    }
    if first.delay > TOTAL_DELAY_MAX {
        return Err(RouteError::TotalDelay(first.delay));
    }
    let mut seen = HashSet::new();
    let mut path = Vec::with_capacity(hops.len());
    let next = hops.iter().skip(1).map(Some).chain(std::iter::once(None));
    for (index, (hop, next)) in hops.iter().zip(next).enumerate() {
        if hop.amount_msat.msat() == 0 {
            return Err(RouteError::ZeroAmount(index));
        }
        if hop.node_id == *us {
            return Err(RouteError::ThroughUs(index));
        }
        if !seen.insert(hop.short_channel_id) {
            return Err(RouteError::ChannelTwice(scid_text(hop.short_channel_id)));
        }
        let (fee_msat, cltv_expiry_delta) = match next {
            None => (hop.amount_msat.msat(), hop.delay),
            Some(next) => (
                hop.amount_msat
                    .msat()
                    .checked_sub(next.amount_msat.msat())
                    .ok_or(RouteError::AmountGrows(index))?,
                hop.delay
                    .checked_sub(next.delay)
                    .ok_or(RouteError::DelayGrows(index))?,
            ),
        };
        path.push(RouteHop {
            pubkey: PublicKey::from_slice(&hop.node_id.0).map_err(|_| RouteError::NodeId(index))?,
            node_features: NodeFeatures::empty(),
            short_channel_id: hop.short_channel_id,
            channel_features: ChannelFeatures::empty(),
            fee_msat,
            cltv_expiry_delta,
            maybe_announced_channel: true,
        });
    }
    Ok(Path {
        hops: path,
        blinded_tail: None,
    })
}

/// One path as the route of one payment, with parameters that forbid nothing that `to_path`
/// allowed: the fee is the caller's choice. LDK wants the parameters as it would make them itself,
/// down to the number of hops that fit into the onion beside `onion` and, of a keysend, the preimage.
pub(crate) fn to_route(
    path: Path,
    onion: &RecipientOnionFields,
    keysend: bool,
    height: u32,
) -> Result<Route, RouteError> {
    let last = path.hops.last().ok_or(RouteError::Empty)?;
    let payment = PaymentParameters::from_node_id(last.pubkey, last.cltv_expiry_delta)
        .with_max_total_cltv_expiry_delta(TOTAL_DELAY_MAX);
    let mut parameters = RouteParameters::from_payment_params_and_value(payment, last.fee_msat);
    parameters.max_total_routing_fee_msat = None;
    parameters
        .set_max_path_length(onion, keysend, height)
        .map_err(|()| RouteError::Onion)?;
    if path.hops.len() > usize::from(parameters.payment_params.max_path_length) {
        return Err(RouteError::Onion);
    }
    Ok(Route {
        paths: vec![path],
        route_params: Some(parameters),
    })
}

/// An LDK path as CLN's hops, from `us`.
pub(crate) fn to_hops(path: &Path, us: NodeId) -> Option<Vec<Hop>> {
    let mut amount_msat = 0u64;
    let mut delay = 0u32;
    let mut hops = Vec::with_capacity(path.hops.len());
    for hop in path.hops.iter().rev() {
        amount_msat = amount_msat.checked_add(hop.fee_msat)?;
        delay = delay.checked_add(hop.cltv_expiry_delta)?;
        hops.push(Hop {
            node_id: NodeId(hop.pubkey.serialize()),
            short_channel_id: hop.short_channel_id,
            direction: 0,
            amount_msat: Msat::new(amount_msat)?,
            delay,
        });
    }
    hops.reverse();
    let mut from = us;
    for hop in &mut hops {
        hop.direction = direction(&from, &hop.node_id);
        from = hop.node_id;
    }
    Some(hops)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use bitcoin::secp256k1::{Secp256k1, SecretKey};

    fn node(seed: u8) -> NodeId {
        let key = SecretKey::from_slice(&[seed; 32]).unwrap();
        NodeId(PublicKey::from_secret_key(&Secp256k1::new(), &key).serialize())
    }

    fn hop(seed: u8, scid: u64, amount: u64, delay: u32) -> Hop {
        Hop {
            node_id: node(seed),
            short_channel_id: scid,
            direction: 0,
            amount_msat: Msat::new(amount).unwrap(),
            delay,
        }
    }

    #[test]
    fn a_route_becomes_a_path_and_a_route_again() {
        let us = node(1);
        let mut hops = vec![
            hop(2, 7, 1_002, 100),
            hop(3, 8, 1_001, 60),
            hop(4, 9, 1_000, 42),
        ];
        let mut from = us;
        for hop in &mut hops {
            hop.direction = direction(&from, &hop.node_id);
            from = hop.node_id;
        }
        let path = to_path(&hops, &us).unwrap();
        let fees: Vec<u64> = path.hops.iter().map(|hop| hop.fee_msat).collect();
        let delays: Vec<u32> = path.hops.iter().map(|hop| hop.cltv_expiry_delta).collect();
        assert_eq!((fees, delays), (vec![1, 1, 1_000], vec![40, 18, 42]));
        assert_eq!(to_hops(&path, us).unwrap(), hops);
        let onion = RecipientOnionFields::spontaneous_empty(1_000);
        let route = to_route(path.clone(), &onion, false, 100).unwrap();
        assert_eq!(route.get_total_amount(), 1_000);
        let mut stuffed = onion;
        stuffed.payment_metadata = Some(vec![0; 1_300]);
        assert_eq!(
            to_route(path, &stuffed, false, 100).unwrap_err(),
            RouteError::Onion
        );
    }

    #[test]
    fn routes_that_do_not_add_up_are_refused() {
        let bad_id = {
            let mut hop = hop(2, 7, 5, 42);
            hop.node_id = NodeId([9; 33]);
            hop
        };
        let long: Vec<Hop> = (0..28).map(|index| hop(2, index, 5, 42)).collect();
        let cases: Vec<(Vec<Hop>, RouteError)> = vec![
            (vec![], RouteError::Empty),
            (
                vec![hop(2, 7, 5, 42), hop(3, 8, 6, 42)],
                RouteError::AmountGrows(0),
            ),
            (
                vec![hop(2, 7, 5, 42), hop(3, 8, 5, 43)],
                RouteError::DelayGrows(0),
            ),
            (
                vec![hop(2, 7, 5, 60), hop(3, 7, 5, 42)],
                RouteError::ChannelTwice(scid_text(7)),
            ),
            (
                vec![hop(2, 7, 5, 60), hop(1, 8, 5, 42)],
                RouteError::ThroughUs(1),
            ),
            (vec![hop(2, 7, 0, 42)], RouteError::ZeroAmount(0)),
            (vec![hop(2, 7, 5, 8)], RouteError::FinalDelay(8)),
            (vec![hop(2, 7, 5, 2017)], RouteError::TotalDelay(2017)),
            (vec![bad_id], RouteError::NodeId(0)),
            (long, RouteError::TooLong(28)),
        ];
        for (hops, error) in cases {
            assert_eq!(to_path(&hops, &node(1)).unwrap_err(), error);
        }
    }

    #[test]
    fn channel_ids_read_as_block_transaction_output() {
        assert_eq!(scid_text(117 << 40 | 1 << 16), "117x1x0");
    }
}
