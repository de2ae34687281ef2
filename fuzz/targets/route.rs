//! Routes: whatever a `sendpay` is given, it is refused, or it is a route that fits into an onion and
//! can be kept and read again.

use sendpay_ledger::{Hop, Msat, NodeId};
use sendpay_node::{FINAL_DELAY_MIN, HOPS_MAX, TOTAL_DELAY_MAX, check_route, direction};
use sendpay_rpc::method::sendpay::SendPay;
use sendpay_rpc::param::{Mode, ParamSet};
use serde_json::value::RawValue;

/// The parameters of a `sendpay`, as JSON.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes) else {
        return;
    };
    let Ok(params) = SendPay::from_raw(raw, Mode::Normal) else {
        return;
    };
    let us = NodeId([2; 33]);
    let mut from = us;
    let mut hops = Vec::new();
    for hop in &params.route.0 {
        let node_id = NodeId(hop.node_id.to_bytes());
        let Some(amount_msat) = Msat::new(hop.amount_msat.0) else {
            return;
        };
        hops.push(Hop {
            node_id,
            short_channel_id: hop.scid.0,
            direction: direction(&from, &node_id),
            amount_msat,
            delay: hop.delay,
        });
        from = node_id;
    }
    if check_route(&hops, &us).is_err() {
        return;
    }
    assert!((1..=HOPS_MAX).contains(&hops.len()));
    assert!(hops[0].delay <= TOTAL_DELAY_MAX && hops[hops.len() - 1].delay >= FINAL_DELAY_MIN);
    for pair in hops.windows(2) {
        assert!(pair[0].amount_msat >= pair[1].amount_msat && pair[0].delay >= pair[1].delay);
    }
}
