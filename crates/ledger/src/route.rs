//! The route of one part, and the compact bytes it is kept as.
//!
//! Layout, version 1: the byte 1, then for each hop: node id (33 bytes), short channel id
//! (8 bytes, big endian), direction (1 byte), amount in msat and delay in blocks (LEB128).
//! Decoding never panics and takes no bytes that encoding would not have made.

use crate::{Msat, NodeId};

/// Most hops of a route: the 1300 bytes of a BOLT 4 onion hold 27 hops at the least size.
pub const ROUTE_HOPS_MAX: usize = 27;

const VERSION: u8 = 1;

/// One hop of a route, as CLN's `sendpay` has it: amount and delay are totals from this hop to
/// the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The node at the end of this hop.
    pub node_id: NodeId,
    /// The channel to that node, in BOLT 7's numbering.
    pub short_channel_id: u64,
    /// 0 when the lesser node id sends over the channel, else 1 (BOLT 7).
    pub direction: u8,
    /// What the node at the end of this hop is given, in msat.
    pub amount_msat: Msat,
    /// Blocks of time that node is given.
    pub delay: u32,
}

/// Stored bytes that are no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Written by a version that this one does not know.
    #[error("route of unknown version {0}")]
    Version(u8),
    /// The bytes end within a hop, or a number in them is out of range.
    #[error("route is damaged")]
    Damaged,
    /// More hops than [`ROUTE_HOPS_MAX`].
    #[error("route has more than {ROUTE_HOPS_MAX} hops")]
    TooLong,
}

/// The bytes of a route.
pub(crate) fn encode(route: &[Hop]) -> Result<Vec<u8>, RouteError> {
    if route.len() > ROUTE_HOPS_MAX {
        return Err(RouteError::TooLong);
    }
    let mut bytes = Vec::with_capacity(1 + route.len() * 56);
    bytes.push(VERSION);
    for hop in route {
        bytes.extend_from_slice(hop.node_id.as_bytes());
        bytes.extend_from_slice(&hop.short_channel_id.to_be_bytes());
        bytes.push(hop.direction);
        encode_number(&mut bytes, hop.amount_msat.msat());
        encode_number(&mut bytes, u64::from(hop.delay));
    }
    Ok(bytes)
}

/// The route in these bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Hop>, RouteError> {
    let (version, mut rest) = bytes.split_first().ok_or(RouteError::Damaged)?;
    if *version != VERSION {
        return Err(RouteError::Version(*version));
    }
    let mut route = Vec::new();
    while !rest.is_empty() {
        if route.len() == ROUTE_HOPS_MAX {
            return Err(RouteError::TooLong);
        }
        route.push(decode_hop(&mut rest).ok_or(RouteError::Damaged)?);
    }
    Ok(route)
}

fn decode_hop(rest: &mut &[u8]) -> Option<Hop> {
    let node_id = NodeId(take(rest)?);
    let short_channel_id = u64::from_be_bytes(take(rest)?);
    let [direction] = take(rest)?;
    let amount_msat = Msat::new(decode_number(rest)?)?;
    let delay = u32::try_from(decode_number(rest)?).ok()?;
    Some(Hop {
        node_id,
        short_channel_id,
        direction,
        amount_msat,
        delay,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn encode_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn decode_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest)?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte holds the 64th bit only.
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            // One number, one encoding: no zero byte at the end of a longer one.
            return (byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn hop() -> impl Strategy<Value = Hop> {
        (
            any::<[u8; 32]>(),
            any::<u64>(),
            any::<u8>(),
            0..=Msat::MAX.msat(),
            any::<u32>(),
        )
            .prop_map(|(tail, short_channel_id, direction, amount, delay)| {
                let mut node_id = [2; 33];
                node_id
                    .iter_mut()
                    .skip(1)
                    .zip(tail)
                    .for_each(|(to, from)| *to = from);
                Hop {
                    node_id: NodeId(node_id),
                    short_channel_id,
                    direction,
                    amount_msat: Msat::new(amount).unwrap(),
                    delay,
                }
            })
    }

    proptest! {
        #[test]
        fn a_route_comes_back_as_it_was(route in prop::collection::vec(hop(), 0..=ROUTE_HOPS_MAX)) {
            prop_assert_eq!(decode(&encode(&route).unwrap()).unwrap(), route);
        }

        #[test]
        fn any_bytes_decode_to_a_route_that_encodes_to_them_or_to_an_error(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            known_version in any::<bool>(),
        ) {
            if let (true, Some(first)) = (known_version, bytes.first_mut()) {
                *first = VERSION;
            }
            if let Ok(route) = decode(&bytes) {
                prop_assert_eq!(encode(&route).unwrap(), bytes);
            }
        }

        #[test]
        fn a_route_cut_short_is_no_route(
            route in prop::collection::vec(hop(), 1..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = encode(&route).unwrap();
            let kept = cut.index(bytes.len());
            if let Ok(shorter) = decode(bytes.get(..kept).unwrap()) {
                // Cut exactly between two hops.
                prop_assert!(shorter.len() < route.len());
            }
        }
    }

    #[test]
    fn a_route_of_too_many_hops_is_refused_both_ways() {
        let hop = Hop {
            node_id: NodeId([2; 33]),
            short_channel_id: 1,
            direction: 0,
            amount_msat: Msat::ZERO,
            delay: 0,
        };
        let route = vec![hop; ROUTE_HOPS_MAX + 1];
        assert_eq!(encode(&route), Err(RouteError::TooLong));
        let mut bytes = encode(route.get(..ROUTE_HOPS_MAX).unwrap()).unwrap();
        bytes.extend_from_slice(&bytes.clone()[1..45]);
        assert_eq!(decode(&bytes), Err(RouteError::TooLong));
        assert_eq!(decode(&[9]), Err(RouteError::Version(9)));
        assert_eq!(decode(&[]), Err(RouteError::Damaged));
    }
}
