//! Blocks that are taken back: the wallet, the channels and the HTLCs in them follow the chain.

use serde_json::{Value, json};

use crate::harness::{Backend, Chain, Node, Pair, hop, wait_for, with_every_backend};

/// The hash of a preimage of 32 times 1.
const PREIMAGE: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const HASH: &str = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";

with_every_backend! {
    payments_go_on_when_three_blocks_above_the_funding_are_reorganised,
    a_channel_whose_funding_block_is_taken_back_is_closed_and_its_coins_return,
    coins_of_a_reorganised_block_leave_the_wallet_and_come_again_with_another,
    a_held_htlc_outlives_three_reorganised_blocks_and_a_restart,
    six_blocks_that_were_taken_back_while_the_node_was_off_are_told_of,
    a_node_outlives_the_block_at_which_it_was_made,
    a_node_outlives_the_block_at_which_it_was_made_also_while_it_is_off,
}

impl Pair {
    /// Takes blocks back and waits until both nodes follow the new branch, which is one longer.
    fn reorganise(&self, depth: u32) {
        let before = self.chain.height();
        self.chain.reorganise(depth);
        assert_eq!(self.chain.height(), before + 1);
        for node in [&self.alice, &self.bob] {
            node.wait_for_height(before + 1);
        }
    }

    fn pay(&self, label: &str) {
        let invoice = self.bob.invoice(label, 10_000);
        self.sendpay(&invoice, 10_000);
        let hash = &invoice["payment_hash"];
        let waited = self
            .alice
            .call("waitsendpay", json!({"payment_hash": hash}));
        assert_eq!(waited["status"], "complete");
    }

    /// The channel as the sender sees it, once no HTLC is on its way out of it.
    fn channel_now(&self) -> Value {
        wait_for("a channel at rest", || {
            let channels = self.alice.call("listpeerchannels", json!({}));
            let channel = channels["channels"][0].clone();
            channel["htlcs"].as_array()?.is_empty().then_some(channel)
        })
    }
}

fn funds_msat(node: &Node) -> u64 {
    let funds = node.call("listfunds", json!({}));
    let outputs = funds["outputs"].as_array().unwrap();
    outputs
        .iter()
        .filter(|output| output["status"] == "confirmed")
        .map(|output| output["amount_msat"].as_u64().unwrap())
        .sum()
}

fn payments_go_on_when_three_blocks_above_the_funding_are_reorganised(backend: Backend) {
    let pair = Pair::on(backend, &[]);
    pair.pay("before");
    let (channel, funds) = (pair.channel_now(), funds_msat(&pair.alice));
    // Six blocks deep: three less keep the funding block, at another depth.
    pair.reorganise(3);
    let info = pair.alice.call("getinfo", json!({}));
    assert!(info.get("warning_reorganisation").is_none());
    let after = pair.channel_now();
    for member in [
        "channel_id",
        "short_channel_id",
        "funding_txid",
        "state",
        "to_us_msat",
    ] {
        assert_eq!(after[member], channel[member], "{member}");
    }
    assert_eq!(funds_msat(&pair.alice), funds);
    pair.pay("after");
    pair.chain.mine(3);
    for node in [&pair.alice, &pair.bob] {
        node.wait_for_height(pair.chain.height());
    }
    pair.pay("much later");
}

fn a_channel_whose_funding_block_is_taken_back_is_closed_and_its_coins_return(backend: Backend) {
    let pair = Pair::on(backend, &[]);
    pair.pay("before");
    let records = pair.alice.payments();
    pair.channel_now();
    let fork = pair.chain.height() - 6;
    // LDK does not trust a channel whose funding was locked in and is gone again.
    pair.reorganise(6);
    let warning = format!("6 blocks above height {fork} were taken back: payments");
    let info = pair.alice.call("getinfo", json!({}));
    let told = info["warning_reorganisation"].as_str().unwrap();
    assert!(told.starts_with(&warning), "{told}");
    wait_for("the end of the channel at both nodes", || {
        let open = |node: &Node| {
            let channels = node.call("listpeerchannels", json!({}));
            let mut channels = channels["channels"].as_array().unwrap().iter();
            channels.any(|channel| channel.get("closer").is_none())
        };
        (!open(&pair.alice) && !open(&pair.bob)).then_some(())
    });
    // The funding returned to the memory pool; after it is mined the commitment follows, and past
    // its delay the coins, less on-chain fees and the ten sat that were paid.
    wait_for("alice's coins", || {
        pair.chain.mine(6);
        pair.alice.wait_for_height(pair.chain.height());
        (funds_msat(&pair.alice) > 4_999_900_000_000).then_some(())
    });
    assert!(funds_msat(&pair.alice) < 5_000_000_000_000);
    assert_eq!(pair.alice.payments(), records);
}

fn coins_of_a_reorganised_block_leave_the_wallet_and_come_again_with_another(backend: Backend) {
    let pair = Pair::on(backend, &[]);
    let before = funds_msat(&pair.bob);
    let made = pair.bob.call("newaddr", json!(["all"]));
    let addresses = [&made["bech32"], &made["p2tr"]].map(|made| made.as_str().unwrap());
    for address in addresses {
        pair.chain.mine_to(1, address);
    }
    pair.chain.mine(1);
    pair.bob.wait_for_height(pair.chain.height());
    pair.reorganise(3);
    pair.chain.mine(100);
    pair.bob.wait_for_height(pair.chain.height());
    assert_eq!(
        funds_msat(&pair.bob),
        before,
        "a coinbase that is in no block is no coin"
    );
    for address in addresses {
        pair.chain.mine_to(1, address);
    }
    pair.chain.mine(100);
    pair.bob.wait_for_height(pair.chain.height());
    // The first halving is past: one coinbase each, not two.
    assert_eq!(funds_msat(&pair.bob), before + 50 * 100_000_000_000);
}

fn a_held_htlc_outlives_three_reorganised_blocks_and_a_restart(backend: Backend) {
    let mut pair = Pair::on(backend, &[]);
    let hold = json!({
        "amount_msat": 50_000, "label": "held", "description": "", "payment_hash": HASH,
    });
    let invoice = pair.bob.call("holdinvoice", hold);
    pair.alice.call(
        "sendpay",
        json!({
            "route": [hop(&pair.bob, &pair.channel, 50_000, 186)],
            "payment_hash": HASH, "payment_secret": invoice["payment_secret"],
        }),
    );
    let state = |pair: &Pair| {
        let listed = pair.bob.call("listinvoices", json!({}));
        listed["invoices"][0]["hold_state"].clone()
    };
    wait_for("an invoice held", || (state(&pair) == "held").then_some(()));
    let pending = pair.alice.payments();
    pair.reorganise(3);
    assert_eq!(
        (state(&pair), pair.alice.payments()),
        (json!("held"), pending.clone())
    );
    // Reorganised while both are away: they find the fork at their start.
    pair.alice.kill();
    pair.bob.kill();
    pair.chain.reorganise(3);
    pair.bob.resume();
    pair.alice.resume();
    for node in [&pair.alice, &pair.bob] {
        node.wait_for_height(pair.chain.height());
    }
    assert_eq!(
        (state(&pair), pair.alice.payments()),
        (json!("held"), pending)
    );
    let settled = pair.bob.call("holdinvoicesettle", json!([PREIMAGE]));
    assert_eq!(settled["state"], "settled");
    let waited = pair
        .alice
        .call("waitsendpay", json!({"payment_hash": HASH}));
    assert_eq!(waited["status"], "complete");
    assert_eq!(pair.channel_now()["state"], "CHANNELD_NORMAL");
}

fn six_blocks_that_were_taken_back_while_the_node_was_off_are_told_of(backend: Backend) {
    let mut pair = Pair::on(backend, &[]);
    pair.chain.mine(6);
    // LDK writes the monitor of a channel that nothing happens to at each fifth block only.
    for _ in 0..2 {
        pair.chain.mine(1);
        let height = pair.chain.height();
        pair.alice.wait_for_height(height);
        assert!(pair.alice.terminate().success());
        pair.chain.reorganise(6);
        pair.alice.resume();
        let info = pair.alice.call("getinfo", json!({}));
        let told = info["warning_reorganisation"].as_str().unwrap_or_default();
        let fork = height - 6;
        let expected = format!("6 blocks above height {fork} were taken back");
        assert!(told.starts_with(&expected), "{info}");
    }
}

/// One mature coinbase; the first halving is not reached.
const COINBASE_MSAT: u64 = 5_000_000_000_000;

fn a_node_outlives_the_block_at_which_it_was_made(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), backend);
    chain.mine(3);
    let mut alice = Node::start(dir.path(), "alice", &chain, &[]);
    chain.reorganise(1);
    alice.wait_for_height(chain.height());
    alice.fund(&chain);
    assert_eq!(funds_msat(&alice), COINBASE_MSAT);
    alice.kill();
    alice.resume();
    // Of so many blocks at once the last may not have been durable.
    alice.wait_for_height(chain.height());
    assert_eq!(funds_msat(&alice), COINBASE_MSAT);
}

fn a_node_outlives_the_block_at_which_it_was_made_also_while_it_is_off(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::with(dir.path(), backend);
    chain.mine(5);
    let mut alice = Node::start(dir.path(), "alice", &chain, &[]);
    alice.kill();
    chain.reorganise(3);
    alice.resume();
    alice.wait_for_height(chain.height());
    alice.fund(&chain);
    assert_eq!(funds_msat(&alice), COINBASE_MSAT);
}
