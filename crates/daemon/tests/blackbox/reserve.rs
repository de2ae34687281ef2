//! What the wallet keeps for each channel with anchors, and what that leaves for everything else.

use serde_json::json;

use crate::anchors::dear::{funds_sat, outputs};
use crate::harness::{Node, Pair};

/// Of nobody here.
const ELSEWHERE: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

/// Alice and bob with coins, and a channel between them.
fn with_reserve() -> Pair {
    let pair = Pair::start();
    pair.chain.mine(1);
    pair.alice.wait_for_height(pair.chain.height());
    pair
}

#[test]
fn what_is_kept_for_channels_with_anchors_is_left_by_everything_that_spends() {
    let pair = with_reserve();
    let emergency = |node: &Node| node.call("listfunds", json!({}))["emergency_msat"].clone();
    assert_eq!(emergency(&pair.alice), 25_000_000);
    let coins = funds_sat(&pair.alice);
    let over = json!({"destination": ELSEWHERE, "satoshi": coins - 20_000});
    let error = pair.alice.refused("withdraw", over);
    let text = "We would not have enough left for min-emergency-msat 25000sat";
    assert_eq!((error.code, error.message.as_str()), (313, text));

    let sent = pair.alice.call("withdraw", json!([ELSEWHERE, "all"]));
    pair.chain.mine(1);
    pair.alice.wait_for_height(pair.chain.height());
    let left = outputs(&pair.alice);
    assert_eq!(left.len(), 1);
    assert_eq!(
        (&left[0]["txid"], &left[0]["amount_msat"]),
        (&sent["txid"], &json!(25_000_000))
    );
    let error = pair.alice.refused("withdraw", json!([ELSEWHERE, "all"]));
    assert_eq!((error.code, error.message.as_str()), (313, text));
    let error = pair
        .alice
        .refused("fundchannel", json!({"id": pair.bob.id, "amount": "all"}));
    let text =
        "cannot fund the channel: We would not have enough left for min-emergency-msat 50000sat";
    assert!(
        text.ends_with(&error.message) && error.code == 313,
        "{}",
        error.message
    );
    // To itself it may send all, as that stays.
    let own = pair.alice.call("newaddr", json!(["bech32"]))["bech32"].clone();
    let error = pair.alice.refused("withdraw", json!([own, "all"]));
    assert_eq!(error.code, 313, "the fee comes out of it");
}

#[test]
fn who_has_nothing_for_fees_gets_channels_without_anchors_only() {
    let pair = with_reserve();
    let carol = Node::start(pair.dir.path(), "carol", &pair.chain, &[]);
    let trusting = Node::start(
        pair.dir.path(),
        "dave",
        &pair.chain,
        &["min_emergency_msat=0"],
    );
    let kind = |node: &Node| {
        let listed = node.call("listpeerchannels", json!({}));
        listed["channels"][0]["channel_type"]["bits"].clone()
    };
    pair.alice.open_channel(&pair.chain, &carol, 1_000_000);
    assert_eq!(kind(&carol), json!([12]));
    assert!(
        carol.log().contains("channel with anchors refused"),
        "{}",
        carol.log()
    );
    pair.alice.open_channel(&pair.chain, &trusting, 1_000_000);
    assert_eq!(kind(&trusting), json!([12, 22]));
}

#[test]
fn a_channel_of_all_there_is_leaves_what_is_kept_for_it() {
    let pair = with_reserve();
    let carol = Node::start(pair.dir.path(), "carol", &pair.chain, &[]);
    let address = carol.call("newaddr", json!(["bech32"]))["bech32"].clone();
    pair.alice.call("withdraw", json!([address, 1_000_000]));
    pair.chain.mine(1);
    for node in [&pair.alice, &carol] {
        node.wait_for_height(pair.chain.height());
    }
    carol.connect(&pair.alice);
    let opened = carol.call("fundchannel", json!({"id": pair.alice.id, "amount": "all"}));
    let left = outputs(&carol);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["txid"], opened["txid"]);
    let amount = left[0]["amount_msat"].as_u64().unwrap();
    assert!((25_000_000..=25_010_000).contains(&amount), "{amount}");
    assert_eq!(opened["channel_type"]["bits"], json!([12, 22]));
}
