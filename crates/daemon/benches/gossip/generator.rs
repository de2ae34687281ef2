//! A network as large and as uneven as mainnet's: who comes later opens channels to those who have many.
//! Always the same, but for times and the peer of the node that is measured.

use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bitcoin::Network;
use bitcoin::constants::ChainHash;
use bitcoin::hashes::{Hash, sha256, sha256d};
use bitcoin::secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey, ecdsa::Signature};
use lightning::ln::msgs::{
    ChannelAnnouncement, ChannelUpdate, NodeAnnouncement, SocketAddress,
    UnsignedChannelAnnouncement, UnsignedChannelUpdate, UnsignedNodeAnnouncement,
};
use lightning::routing::gossip::{NetworkGraph, NodeAlias, NodeId};
use lightning::types::features::{ChannelFeatures, NodeFeatures};
use lightning::types::payment::{PaymentHash, PaymentSecret};
use lightning::util::logger::{Logger, Record};
use lightning::util::ser::Writeable;
use lightning_invoice::{Currency, InvoiceBuilder};

/// Channels of the peer of the node that is measured, to nodes all over the network.
const JOINED: usize = 10;

pub struct Silent;

impl Logger for Silent {
    fn log(&self, _: Record<'_>) {}
}

/// What was signed and checked.
pub struct Signed {
    pub signatures: usize,
    pub checking: Duration,
}

pub struct World {
    secp: Secp256k1<All>,
    secrets: Vec<SecretKey>,
    ids: Vec<PublicKey>,
    degree: Vec<usize>,
    graph: NetworkGraph<&'static Silent>,
    random: Random,
    now: u32,
    channels: u64,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn secret(kind: &str, number: usize) -> SecretKey {
    let hash = sha256::Hash::hash(format!("{kind} {number}").as_bytes());
    SecretKey::from_slice(hash.as_byte_array()).unwrap()
}

impl World {
    pub fn new(nodes: usize) -> World {
        let secp = Secp256k1::new();
        let secrets: Vec<SecretKey> = (0..nodes).map(|number| secret("node", number)).collect();
        let ids = secrets
            .iter()
            .map(|secret| secret.public_key(&secp))
            .collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        World {
            ids,
            secrets,
            degree: vec![0; nodes],
            graph: NetworkGraph::new(Network::Regtest, &Silent),
            random: Random(1),
            now: u32::try_from(now.as_secs()).unwrap(),
            secp,
            channels: 0,
        }
    }

    fn sign(&self, message: &impl Writeable, secret: &SecretKey) -> Signature {
        let digest = sha256d::Hash::hash(&message.encode());
        let message = Message::from_digest(digest.to_byte_array());
        self.secp.sign_ecdsa(&message, secret)
    }

    /// Every node first opens as many channels as each has on average, to those who have many; one in
    /// three goes anywhere.
    pub fn fill(&mut self, channels: usize) -> Signed {
        let nodes = self.ids.len();
        let each = channels / nodes;
        let mut ends: Vec<usize> = vec![0];
        let (mut signatures, mut checking) = (0, Duration::ZERO);
        let mut left = channels;
        for node in (1..nodes).cycle() {
            for _ in 0..each.max(1) {
                if left == 0 {
                    break;
                }
                let among = node.max(1);
                let other = match self.random.below(3) {
                    0 => self.random.below(among),
                    _ => ends[self.random.below(ends.len())],
                };
                if other == node {
                    continue;
                }
                ends.extend([node, other]);
                self.degree[node] += 1;
                self.degree[other] += 1;
                let (announcement, updates) = self.channel(node, other);
                let begun = Instant::now();
                self.graph
                    .update_channel_from_announcement_no_lookup(&announcement)
                    .unwrap();
                for update in &updates {
                    self.graph.update_channel(update).unwrap();
                }
                checking += begun.elapsed();
                signatures += 6;
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        for node in 0..nodes {
            let announcement = self.node(node);
            let begun = Instant::now();
            // Refused of a node without channels, as there are none.
            if self
                .graph
                .update_node_from_announcement(&announcement)
                .is_ok()
            {
                signatures += 1;
            }
            checking += begun.elapsed();
        }
        Signed {
            signatures,
            checking,
        }
    }

    fn next_scid(&mut self) -> u64 {
        self.channels += 1;
        // A thousand to a block, as numbers go.
        ((700_000 + self.channels / 1_000) << 40) | ((self.channels % 1_000) << 16)
    }

    fn channel(&mut self, one: usize, other: usize) -> (ChannelAnnouncement, [ChannelUpdate; 2]) {
        let scid = self.next_scid();
        let id = |node: usize| NodeId::from_pubkey(&self.ids[node]);
        let (first, second) = match id(one) < id(other) {
            true => (one, other),
            false => (other, one),
        };
        let number = usize::try_from(self.channels).unwrap();
        let funding = [secret("left", number), secret("right", number)];
        let [left, right] = funding.map(|key| NodeId::from_pubkey(&key.public_key(&self.secp)));
        let contents = UnsignedChannelAnnouncement {
            features: ChannelFeatures::empty(),
            chain_hash: ChainHash::using_genesis_block(Network::Regtest),
            short_channel_id: scid,
            node_id_1: id(first),
            node_id_2: id(second),
            bitcoin_key_1: left,
            bitcoin_key_2: right,
            excess_data: Vec::new(),
        };
        let announcement = ChannelAnnouncement {
            node_signature_1: self.sign(&contents, &self.secrets[first]),
            node_signature_2: self.sign(&contents, &self.secrets[second]),
            bitcoin_signature_1: self.sign(&contents, &funding[0]),
            bitcoin_signature_2: self.sign(&contents, &funding[1]),
            contents,
        };
        // Between 20 thousand and 40 million satoshi, small ones more often than large ones.
        let capacity_msat = 20_000_000 << self.random.below(12);
        let terms = [
            self.terms(scid, 0, capacity_msat),
            self.terms(scid, 1, capacity_msat),
        ];
        let updates = [first, second]
            .into_iter()
            .zip(terms)
            .map(|(node, contents)| ChannelUpdate {
                signature: self.sign(&contents, &self.secrets[node]),
                contents,
            });
        let updates: Vec<_> = updates.collect();
        (announcement, updates.try_into().unwrap())
    }

    fn terms(&mut self, scid: u64, direction: u8, capacity_msat: u64) -> UnsignedChannelUpdate {
        UnsignedChannelUpdate {
            chain_hash: ChainHash::using_genesis_block(Network::Regtest),
            short_channel_id: scid,
            timestamp: self.now - u32::try_from(self.random.below(86_400)).unwrap(),
            message_flags: 1,
            channel_flags: direction,
            cltv_expiry_delta: [34, 40, 80, 144][self.random.below(4)],
            htlc_minimum_msat: 1_000,
            htlc_maximum_msat: capacity_msat / 100 * 99,
            fee_base_msat: [0, 1_000, 1_000, 2_000][self.random.below(4)],
            fee_proportional_millionths: u32::try_from(self.random.below(1_000)).unwrap(),
            excess_data: Vec::new(),
        }
    }

    fn node(&self, node: usize) -> NodeAnnouncement {
        let mut alias = [0; 32];
        for (to, from) in alias.iter_mut().zip(format!("node {node}").bytes()) {
            *to = from;
        }
        let port = u16::try_from(node % 60_000).unwrap();
        let contents = UnsignedNodeAnnouncement {
            features: NodeFeatures::empty(),
            timestamp: self.now,
            node_id: NodeId::from_pubkey(&self.ids[node]),
            rgb: [1, 2, 3],
            alias: NodeAlias(alias),
            addresses: vec![SocketAddress::from_str(&format!("203.0.113.7:{port}")).unwrap()],
            excess_address_data: Vec::new(),
            excess_data: Vec::new(),
        };
        NodeAnnouncement {
            signature: self.sign(&contents, &self.secrets[node]),
            contents,
        }
    }

    /// Channels of a node whose key is not ours to sign with.
    pub fn join(&mut self, node_id: &str) {
        let us = NodeId::from_pubkey(&PublicKey::from_str(node_id).unwrap());
        for number in 0..JOINED {
            let other = NodeId::from_pubkey(&self.ids[number * self.ids.len() / JOINED]);
            let scid = self.next_scid();
            let (first, second) = if us < other { (us, other) } else { (other, us) };
            self.graph
                .add_channel_from_partial_announcement(
                    scid,
                    None,
                    u64::from(self.now),
                    ChannelFeatures::empty(),
                    first,
                    second,
                )
                .unwrap();
            for direction in 0..2 {
                let terms = self.terms(scid, direction, 20_000_000_000);
                self.graph.update_channel_unsigned(&terms).unwrap();
            }
        }
    }

    pub fn encoded(&self) -> Vec<u8> {
        self.graph.encode()
    }

    pub fn largest(&self) -> usize {
        self.degree.iter().copied().max().unwrap()
    }

    /// Ids of nodes all over the network.
    pub fn destinations(&self, count: usize) -> Vec<String> {
        let mut random = Random(2);
        let ids = (0..count).map(|_| self.ids[random.below(self.ids.len())].to_string());
        ids.collect()
    }

    /// Invoices of nodes all over the network.
    pub fn invoices(&self, count: usize, amount_msat: u64) -> Vec<String> {
        let mut random = Random(3);
        let invoice = |number: usize| {
            let node = random.below(self.ids.len());
            let hash = sha256::Hash::hash(format!("invoice {number}").as_bytes());
            let invoice = InvoiceBuilder::new(Currency::Regtest)
                .description("bench".to_owned())
                .payment_hash(PaymentHash(hash.to_byte_array()))
                .payment_secret(PaymentSecret([7; 32]))
                .amount_milli_satoshis(amount_msat)
                .current_timestamp()
                .min_final_cltv_expiry_delta(42)
                .basic_mpp()
                .build_signed(|message| {
                    self.secp
                        .sign_ecdsa_recoverable(message, &self.secrets[node])
                });
            invoice.unwrap().to_string()
        };
        (0..count).map(invoice).collect()
    }
}
