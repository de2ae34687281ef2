//! The networks that most tests stand on, two nodes or three in a line, and the routes over them.

use serde_json::{Value, json};

use super::{Backend, Chain, Node, wait_for};

/// Direction of a channel seen from a node to its peer (BOLT 7).
pub fn direction(from: &Node, to: &Node) -> u8 {
    u8::from(from.id > to.id)
}

/// A hop of a route, in CLN's words.
pub fn hop(to: &Node, channel: &str, amount_msat: u64, delay: u32) -> Value {
    json!({"id": to.id, "channel": channel, "amount_msat": amount_msat, "delay": delay})
}

/// Parameters of a `sendpay` over one channel for that invoice.
pub fn direct(to: &Node, channel: &str, invoice: &Value, amount_msat: u64) -> Value {
    json!({
        "route": [hop(to, channel, amount_msat, 42)],
        "payment_hash": invoice["payment_hash"],
        "payment_secret": invoice["payment_secret"],
        "bolt11": invoice["bolt11"],
    })
}

/// A chain and two nodes with a channel from the first to the second.
pub struct Pair {
    pub alice: Node,
    pub bob: Node,
    pub channel: String,
    pub chain: Chain,
    pub dir: tempfile::TempDir,
}

impl Pair {
    pub fn start() -> Pair {
        Pair::with(&[])
    }

    pub fn with(settings: &[&str]) -> Pair {
        Pair::on(Backend::Embedded, settings)
    }

    pub fn on(backend: Backend, settings: &[&str]) -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::with(dir.path(), backend);
        let alice = Node::start(dir.path(), "alice", &chain, settings);
        let bob = Node::start(dir.path(), "bob", &chain, settings);
        alice.fund(&chain);
        let channel = alice.open_channel(&chain, &bob, 10_000_000);
        Pair {
            alice,
            bob,
            channel,
            chain,
            dir,
        }
    }

    pub fn sendpay(&self, invoice: &Value, amount_msat: u64) -> Value {
        let params = direct(&self.bob, &self.channel, invoice, amount_msat);
        self.alice.call("sendpay", params)
    }
}

/// What bob of a `Line` asks for forwarding (base fee, in msat), and how many blocks he wants.
pub const FORWARD_FEE_MSAT: u64 = 10_000;
pub const FORWARD_DELAY: u32 = 80;

/// A chain and three nodes in a line, alice to bob to carol. Each funds the channel to the next.
pub struct Line {
    pub alice: Node,
    pub bob: Node,
    pub carol: Node,
    pub near: String,
    pub far: String,
    pub chain: Chain,
    pub dir: tempfile::TempDir,
}

impl Line {
    /// With that much between bob and carol, in sat.
    pub fn with_far(far_sat: u64) -> Line {
        Line::on(Backend::Embedded, far_sat)
    }

    pub fn on(backend: Backend, far_sat: u64) -> Line {
        let Pair {
            alice,
            bob,
            channel: near,
            chain,
            dir,
        } = Pair::on(backend, &[]);
        let carol = Node::start(dir.path(), "carol", &chain, &[]);
        bob.fund(&chain);
        let far = bob.open_channel(&chain, &carol, far_sat);
        // From seven blocks on invoices name no way to a node that everybody can find.
        chain.mine(1);
        for node in [&bob, &carol] {
            node.wait_for_height(chain.height());
        }
        wait_for("alice at the tip", || {
            let info = alice.call("getinfo", json!({}));
            (info["blockheight"] == chain.height()).then_some(())
        });
        Line {
            alice,
            bob,
            carol,
            near,
            far,
            chain,
            dir,
        }
    }

    /// Waits until alice knows of a way to carol.
    pub fn known(self) -> Line {
        let wanted =
            json!({"id": self.carol.id, "amount_msat": 1_000, "riskfactor": 1, "cltv": 42});
        wait_for("gossip of the far channel", || {
            self.alice.try_call("getroute", wanted.clone()).ok()
        });
        self
    }

    /// A route over both channels that gives bob what he wants.
    pub fn route(&self, amount_msat: u64, delay: u32) -> Value {
        let (to_bob, delay_to_bob) = (amount_msat + FORWARD_FEE_MSAT, delay + FORWARD_DELAY);
        json!([
            hop(&self.bob, &self.near, to_bob, delay_to_bob),
            hop(&self.carol, &self.far, amount_msat, delay),
        ])
    }

    /// Parameters of a `sendpay` over both channels for that invoice of carol's.
    pub fn sendpay(&self, invoice: &Value, amount_msat: u64) -> Value {
        json!({
            "route": self.route(amount_msat, 42),
            "payment_hash": invoice["payment_hash"],
            "payment_secret": invoice["payment_secret"],
            "bolt11": invoice["bolt11"],
        })
    }
}
