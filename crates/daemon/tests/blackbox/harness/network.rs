//! The networks that most tests stand on, two nodes or three in a line, and the routes over them.

use std::path::Path;

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
        Pair::over(|dir| Chain::with(dir, backend), settings)
    }

    /// On a chain of that make.
    pub fn over(chain: impl FnOnce(&Path) -> Chain, settings: &[&str]) -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let chain = chain(dir.path());
        let alice = Node::start(dir.path(), "alice", &chain, settings);
        let bob = Node::start(dir.path(), "bob", &chain, settings);
        // Without coins bob would take no channel with anchors.
        Node::fund_each(&[&alice, &bob], &chain);
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
        Node::fund_each(&[&bob, &carol], &chain);
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

/// A chain and five nodes in a line, each of which funds the channel to the next.
pub struct Chained {
    pub nodes: Vec<Node>,
    pub channels: Vec<String>,
    pub chain: Chain,
    pub dir: tempfile::TempDir,
}

impl Chained {
    /// With that much in each channel, in sat. The first node knows the way to the last.
    pub fn of_five(amount_sat: u64) -> Chained {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::start(dir.path());
        let nodes: Vec<Node> = ["alice", "bob", "carol", "dave", "erin"]
            .iter()
            .map(|name| Node::start(dir.path(), name, &chain, &[]))
            .collect();
        let mut channels = Vec::new();
        let funded: Vec<&Node> = nodes.iter().collect();
        Node::fund_each(&funded, &chain);
        for pair in nodes.windows(2) {
            channels.push(pair[0].open_channel(&chain, &pair[1], amount_sat));
        }
        let line = Chained {
            nodes,
            channels,
            chain,
            dir,
        };
        line.chain.mine(1);
        for node in &line.nodes {
            node.wait_for_height(line.chain.height());
        }
        line.first().wait_for_route(line.last(), &[]);
        line
    }

    pub fn first(&self) -> &Node {
        &self.nodes[0]
    }

    pub fn last(&self) -> &Node {
        &self.nodes[4]
    }
}

/// A chain, alice and dave, and three nodes between them. Dave funded the far channels, so what the
/// nodes between have in them is what he paid them, and nobody else can see it.
pub struct Diamond {
    pub alice: Node,
    pub between: Vec<Node>,
    pub dave: Node,
    pub near: Vec<String>,
    pub far: Vec<String>,
    pub chain: Chain,
    pub dir: tempfile::TempDir,
}

impl Diamond {
    /// With what dave pays each node between, in sat, of which a hundredth of the channel stays
    /// there. Alice knows all three ways.
    pub fn with(far_sat: u64, paid_sat: [u64; 3]) -> Diamond {
        let dir = tempfile::tempdir().unwrap();
        let chain = Chain::start(dir.path());
        let start = |name: &str| Node::start(dir.path(), name, &chain, &[]);
        let (alice, dave) = (start("alice"), start("dave"));
        let between: Vec<Node> = ["bob", "carol", "erin"].map(start).into();
        let mut funded: Vec<&Node> = between.iter().collect();
        funded.extend([&alice, &dave]);
        Node::fund_each(&funded, &chain);
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for (node, paid_sat) in between.iter().zip(paid_sat) {
            near.push(alice.open_channel(&chain, node, far_sat));
            far.push(dave.open_channel(&chain, node, far_sat));
            let invoice = node.invoice("liquidity", paid_sat * 1_000);
            dave.call("pay", json!([invoice["bolt11"]]));
        }
        chain.mine(1);
        for node in between.iter().chain([&alice, &dave]) {
            node.wait_for_height(chain.height());
        }
        for node in &between {
            let others: Vec<&Node> = between.iter().filter(|other| other.id != node.id).collect();
            alice.wait_for_route(&dave, &others);
        }
        Diamond {
            alice,
            between,
            dave,
            near,
            far,
            chain,
            dir,
        }
    }
}

impl Node {
    /// Waits until this node knows a way there that does not touch those.
    pub fn wait_for_route(&self, to: &Node, without: &[&Node]) {
        let without: Vec<&str> = without.iter().map(|node| node.id.as_str()).collect();
        let wanted = json!({
            "id": to.id, "amount_msat": 1_000, "riskfactor": 1, "cltv": 42, "exclude": without,
        });
        wait_for("gossip of a way", || {
            self.try_call("getroute", wanted.clone()).ok()
        });
    }
}
