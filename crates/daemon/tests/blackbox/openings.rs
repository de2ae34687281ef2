//! Openings that a crash cuts off.

use serde_json::json;

use crate::harness::{Backend, Chain, Node, wait_for, with_every_backend};

with_every_backend! {
    funding_that_was_not_sent_before_a_crash_is_sent_after_it,
}

fn funding_that_was_not_sent_before_a_crash_is_sent_after_it(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = Chain::with(dir.path(), backend);
    let mut alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    alice.fund(&chain);
    alice.connect(&bob);
    // The channel is agreed on, but the transaction reaches nobody.
    chain.stop();
    alice.refused("fundchannel", json!({"id": bob.id, "amount": 1_000_000}));
    let listed = alice.call("listpeerchannels", json!({}));
    assert_eq!(listed["channels"][0]["state"], "CHANNELD_AWAITING_LOCKIN");
    alice.kill();
    chain.resume(dir.path());
    alice.resume();
    wait_for("the funding in the mempool", || {
        (chain.ask("getrawmempool", &[]) != json!([])).then_some(())
    });
    chain.mine(1);
    let channel = &listed["channels"][0]["channel_id"];
    wait_for("a usable channel", || alice.usable_channel(channel));
}
