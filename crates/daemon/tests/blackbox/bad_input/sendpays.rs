//! Everything that is wrong with a `sendpay` before it is sent.

use serde_json::{Value, json};

use super::{INVALID, Row, should};
use crate::harness::{Pair, direct, direction, hop};

/// `sendpay` of that invoice of bob's, with something changed.
pub(super) fn rows(pair: &Pair, invoice: &Value) -> Vec<Row> {
    let good = || direct(&pair.bob, &pair.channel, invoice, 50_000);
    let with = |member: &str, value: Value| {
        let mut params = good();
        params[member] = value;
        params
    };
    let in_hop = |member: &str, value: Value| {
        let mut params = good();
        params["route"][0][member] = value;
        params
    };
    let bob = |channel: &str, amount: u64, delay: u32| hop(&pair.bob, channel, amount, delay);
    let route = |hops: Vec<Value>| with("route", json!(hops));
    let us = json!({"id": pair.alice.id, "channel": "5x5x5", "amount_msat": 50_000, "delay": 42});
    let against = format!("{}/{}", pair.channel, 1 - direction(&pair.alice, &pair.bob));
    let secret = "a 32 byte hex value";
    let mut part = good();
    part["partid"] = json!(1);
    let mut other_amount = part.clone();
    other_amount["amount_msat"] = json!(40_000);
    let mut no_secret = good();
    no_secret["partid"] = json!(1);
    no_secret["amount_msat"] = json!(50_000);
    no_secret.as_object_mut().unwrap().remove("payment_secret");
    let limit = 2_100_000_000_000_000_000_u64;
    let cases = [
        (
            with("payment_hash", json!("11")),
            should("payment_hash", secret),
        ),
        (
            with("payment_hash", json!("11".repeat(31))),
            should("payment_hash", secret),
        ),
        (
            with("payment_secret", json!("11".repeat(33))),
            should("payment_secret", secret),
        ),
        (with("route", json!("x")), "route: must be an array*".into()),
        (
            with("route", json!([1])),
            "route: must have either short_channel_id_dir or channel*".into(),
        ),
        (
            with("route", json!([{"channel": "1x1x1"}])),
            "route: must have either node_id_out or id*".into(),
        ),
        (
            in_hop("channel", json!("1x1")),
            "route: bad short_channel_id*".into(),
        ),
        (
            in_hop("id", json!("02".repeat(32))),
            "route: bad node_id*".into(),
        ),
        (in_hop("amount_msat", json!(0)), "route: bad amount*".into()),
        (
            in_hop("amount_msat", json!(-1)),
            "route: bad amount*".into(),
        ),
        (in_hop("amount_msat", json!(limit + 1)), "route: *".into()),
        (
            in_hop("amount_msat", json!("1e9")),
            "route: bad amount*".into(),
        ),
        (
            in_hop("delay", json!(8)),
            "route: the final delay of 8 blocks*".into(),
        ),
        (
            in_hop("delay", json!(2_017)),
            "route: the total delay of 2017 blocks*".into(),
        ),
        (
            in_hop("delay", json!(4_294_967_296_u64)),
            "route: bad cltv_out/delay*".into(),
        ),
        (
            in_hop("channel", json!(against)),
            "route: hop 0 goes against its channel's direction".into(),
        ),
        (
            route(vec![
                bob(&pair.channel, 50_000, 42),
                bob("9x9x9", 50_001, 42),
            ]),
            "route: hop 0 forwards more*".into(),
        ),
        (
            route(vec![
                bob(&pair.channel, 50_000, 42),
                bob("9x9x9", 50_000, 43),
            ]),
            "route: hop 0 has a smaller delay*".into(),
        ),
        (
            route(vec![
                bob(&pair.channel, 50_000, 90),
                bob(&pair.channel, 50_000, 42),
            ]),
            "route: channel * is used twice".into(),
        ),
        (
            route(vec![bob(&pair.channel, 50_000, 42), us]),
            "route: hop 1 is this node itself".into(),
        ),
        (
            route(
                (0..28)
                    .map(|n| bob(&format!("{n}x1x1"), 50_000, 42))
                    .collect(),
            ),
            "route: 28 hops are more*".into(),
        ),
        (
            with("route", json!([])),
            "Self-payment requires amount_msat".into(),
        ),
        (
            with("amount_msat", json!(0)),
            "amount_msat: should be a *".into(),
        ),
        (
            with("amount_msat", json!(limit + 1)),
            "amount_msat: should be *".into(),
        ),
        (
            with("amount_msat", json!(40_000)),
            "Do not specify msatoshi (40000msat) without partid*".into(),
        ),
        (
            with("partid", json!(-1)),
            "partid: should be an integer from 0 to 9223372036854775807*".into(),
        ),
        (
            with("partid", json!(u64::MAX)),
            "partid: should be an integer from 0 to 9223372036854775807*".into(),
        ),
        (
            with("groupid", json!(u64::MAX)),
            "groupid: should be an integer from 0 to 9223372036854775807*".into(),
        ),
        (
            with("payment_metadata", json!("0")),
            should("payment_metadata", "a hex value"),
        ),
        (
            with("label", json!(7)),
            should("label", "a string (without \\u)"),
        ),
        (part, "Must specify msatoshi with partid".into()),
        (
            other_amount,
            "Final amount 50000msat is greater than 40000msat, despite MPP".into(),
        ),
        (no_secret, "partid requires payment_secret".into()),
    ];
    cases
        .map(|(params, text)| ("sendpay", params, INVALID, text))
        .into()
}
