//! Payments as a node makes them over the years, each from its number and a fixed seed: the same
//! at every run. Nothing here touches a file; `fill.rs` does.

use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey, SignOnly};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use sendpay_ledger::{Failure, Hop, Msat, NewPayment, NodeId, PaymentHash, Preimage};

/// Changing anything that changes the records must change this: ledgers made before are made anew.
pub const SEED: u64 = 0x5350_4159_0000_0001;

/// The first payment: 2020-09-13, in ms since 1970.
const FIRST_AT_MS: u64 = 1_600_000_000_000;
/// From one payment to the next.
const BETWEEN_MS: u64 = 9_000;

/// Nodes that are paid or pass payments on; a few of them most of the time.
const NODES: u64 = 5_000;

/// Of so many payments one has an invoice with a true signature, which a look-up by invoice needs.
/// The others' only look like invoices: to sign ten million would take longer than to store them.
pub const SIGNED_EVERY: u64 = 64;

const INVOICE_BYTES: usize = 300;
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// BOLT 4's failures as they come, and how often among 16.
const FAILCODES: [u16; 4] = [0x1007, 0x400a, 0x100c, 0x400f];

/// One part and its end.
pub struct Part {
    pub new: NewPayment,
    pub created_at_ms: u64,
    pub settled_at_ms: u64,
    pub end: End,
}

pub enum End {
    Complete(Preimage),
    Failed(Failure),
}

/// All parts of one payment, as waves: those of a wave are out together, and the next wave begins
/// when all of them are settled.
pub struct Payment {
    pub payment_hash: PaymentHash,
    pub waves: Vec<Vec<Part>>,
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for eight in bytes.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }

    /// A node: the square makes the first ones frequent.
    fn node(&mut self) -> u64 {
        self.below(NODES) * self.below(NODES) / NODES
    }
}

/// Makes payments from their numbers.
pub struct Generator {
    secp: Secp256k1<SignOnly>,
    key: SecretKey,
    nodes: Vec<NodeId>,
}

impl Generator {
    pub fn new() -> Generator {
        let secp = Secp256k1::signing_only();
        let key = |number: u64| {
            let bytes = sha256::Hash::hash(&number.to_le_bytes()).to_byte_array();
            SecretKey::from_slice(&bytes).unwrap()
        };
        let nodes = (0..NODES)
            .map(|number| NodeId(PublicKey::from_secret_key(&secp, &key(number)).serialize()))
            .collect();
        Generator {
            key: key(0),
            nodes,
            secp,
        }
    }

    pub fn payment(&self, number: u64) -> Payment {
        let mut random = Random(SEED ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let preimage = Preimage(random.bytes());
        let draft = Draft {
            preimage,
            payment_hash: preimage.payment_hash(),
            destination: random.node(),
            amount_msat: 1_000 * (1 + (random.next() & 0x1f_ffff) % (16 << random.below(18))),
            label: (random.below(10) < 6).then(|| format!("order-{number:09}")),
            bolt11: self.invoice(number, preimage, &mut random),
            description: (random.below(10) == 0)
                .then(|| format!("Invoice of {} articles, by hash", 1 + number % 40)),
            at_ms: FIRST_AT_MS + number * BETWEEN_MS,
        };
        let waves = self.waves(&draft, &mut random);
        Payment {
            payment_hash: draft.payment_hash,
            waves,
        }
    }

    /// One record in ten fails: most in payments that fail as a whole, some before a second try, in
    /// a group of its own or in the same one.
    fn waves(&self, draft: &Draft, random: &mut Random) -> Vec<Vec<Part>> {
        let kind = random.below(1000);
        let parts = match kind {
            940 => 50 + random.below(150),
            900..940 => 2 + random.below(7),
            _ => 1,
        };
        let mut wave = |wave: u64, groupid, partids: std::ops::Range<u64>, fails| {
            let total = draft.amount_msat * parts;
            partids
                .map(|partid| self.part(draft, random, wave, (groupid, partid), total, fails))
                .collect::<Vec<Part>>()
        };
        match kind {
            0..80 => vec![wave(0, 1, 0..1, true)],
            80..110 => vec![wave(0, 1, 0..1, true), wave(1, 2, 0..1, false)],
            930..941 => vec![wave(0, 1, 1..3, true), wave(1, 1, 3..3 + parts, false)],
            900..930 => vec![wave(0, 1, 1..1 + parts, false)],
            _ => vec![wave(0, 1, 0..1, false)],
        }
    }

    fn part(
        &self,
        draft: &Draft,
        random: &mut Random,
        wave: u64,
        (groupid, partid): (u64, u64),
        total_msat: u64,
        fails: bool,
    ) -> Part {
        let msat = |amount| Msat::new(amount).unwrap();
        let route = self.route(draft, random);
        let created_at_ms = draft.at_ms + wave * 2_500 + partid;
        let end = if fails {
            End::Failed(self.failure(&route, random))
        } else {
            End::Complete(draft.preimage)
        };
        Part {
            new: NewPayment {
                payment_hash: draft.payment_hash,
                groupid: Some(groupid),
                partid,
                destination: Some(self.nodes[draft.destination as usize]),
                amount_msat: msat(draft.amount_msat),
                amount_sent_msat: route[0].amount_msat,
                total_msat: Some(msat(total_msat)),
                label: draft.label.clone(),
                bolt11: Some(draft.bolt11.clone()),
                description: draft.description.clone(),
                cltv_expiry: Some(600_000 + (draft.at_ms - FIRST_AT_MS) as u32 / 600_000),
                route,
                cap_msat: None,
                request: None,
            },
            created_at_ms,
            settled_at_ms: created_at_ms + 200 + random.below(2_000),
            end,
        }
    }

    fn route(&self, draft: &Draft, random: &mut Random) -> Vec<Hop> {
        let hops = 2 + random.below(4);
        let mut amount = draft.amount_msat;
        let mut route: Vec<Hop> = (0..hops)
            .map(|back| {
                let node = if back == 0 {
                    draft.destination
                } else {
                    random.node()
                };
                let hop = Hop {
                    node_id: self.nodes[node as usize],
                    short_channel_id: (500_000 + node) << 40 | (1 + random.below(2_000)) << 16,
                    direction: (random.next() & 1) as u8,
                    amount_msat: Msat::new(amount).unwrap(),
                    delay: 42 + 80 * back as u32,
                };
                amount += 1_000 + amount / 2_000;
                hop
            })
            .collect();
        route.reverse();
        route
    }

    fn failure(&self, route: &[Hop], random: &mut Random) -> Failure {
        let index = random.below(route.len() as u64) as usize;
        let failcode = FAILCODES[(random.below(16) / 5) as usize];
        Failure {
            code: if failcode == 0x400f { 203 } else { 204 },
            failcode: Some(failcode),
            erring_index: Some(index as u32 + 1),
            erring_node: Some(route[index].node_id),
            erring_channel: Some(route[index].short_channel_id),
            erring_direction: Some(route[index].direction),
            message: "reply from remote".to_owned(),
        }
    }

    fn invoice(&self, number: u64, preimage: Preimage, random: &mut Random) -> String {
        if number.is_multiple_of(SIGNED_EVERY) {
            return self.signed_invoice(number, preimage);
        }
        let mut invoice = String::with_capacity(INVOICE_BYTES);
        invoice.push_str("lnbcrt");
        invoice.push_str(&format!("{}0n1p", 1 + random.below(90_000)));
        while invoice.len() < INVOICE_BYTES {
            let mut bits = random.next();
            for _ in 0..12.min(INVOICE_BYTES - invoice.len()) {
                invoice.push(char::from(BECH32[(bits & 31) as usize]));
                bits >>= 5;
            }
        }
        invoice
    }

    fn signed_invoice(&self, number: u64, preimage: Preimage) -> String {
        let hash = lightning_invoice::PaymentHash(preimage.payment_hash().0);
        InvoiceBuilder::new(Currency::Regtest)
            .description(format!("{number:09}, {:.<49}", "one of many"))
            .payment_hash(hash)
            .payment_secret(PaymentSecret(preimage.payment_hash().0))
            .duration_since_epoch(Duration::from_secs(1_600_000_000 + number))
            .min_final_cltv_expiry_delta(42)
            .build_signed(|message| self.secp.sign_ecdsa_recoverable(message, &self.key))
            .unwrap()
            .to_string()
    }
}

/// What all parts of a payment have in common.
struct Draft {
    preimage: Preimage,
    payment_hash: PaymentHash,
    destination: u64,
    amount_msat: u64,
    label: Option<String>,
    bolt11: String,
    description: Option<String>,
    at_ms: u64,
}
