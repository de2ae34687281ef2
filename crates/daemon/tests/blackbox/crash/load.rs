//! The load of the crash test: clients that send, a follower that reads, and what each was told.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bitcoin::hex::DisplayHex;
use sendpay_rpc::client::{CallError, Client};
use serde_json::{Value, json};

use super::{AMOUNT_MSAT_MAX, balance};
use crate::harness::{Node, PATIENCE, direct};

/// splitmix64: small, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn hex(&mut self) -> String {
        let words: Vec<u8> = (0..4).flat_map(|_| self.next().to_be_bytes()).collect();
        words.to_lower_hex_string()
    }
}

/// What the clients know of a payment's record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Known {
    /// Asked for, and no answer came: there may be one or none.
    InDoubt,
    /// Acknowledged: there is exactly one, with this number.
    Recorded(u64),
    /// Refused as one that has failed: there is exactly one.
    Exists,
    /// Refused before it was recorded: there is none.
    Refused,
}

/// A payment that a client asked for.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) round: u64,
    pub(super) params: Value,
    pub(super) amount_msat: u64,
    pub(super) known: Known,
}

/// One node as a sender: what was asked of it, and what it was seen to have settled.
pub(super) struct Sender {
    pub(super) id: String,
    pub(super) socket: PathBuf,
    /// By payment hash; every one has a hash of its own.
    pub(super) asked: Mutex<HashMap<String, Asked>>,
    /// Settled records by number, as a follower of `updated_index` saw them.
    pub(super) settled: Mutex<BTreeMap<u64, Value>>,
    /// The last change that the follower saw.
    pub(super) followed: AtomicU64,
    pub(super) balance_msat: u64,
}

pub(super) fn connect(socket: &Path) -> Option<Client> {
    let mut client = Client::connect(socket).ok()?;
    client.set_timeout(Some(PATIENCE)).unwrap();
    Some(client)
}

pub(super) fn msat(amount: &Value) -> u64 {
    let text = amount.as_str().unwrap();
    text.strip_suffix("msat").unwrap().parse().unwrap()
}

pub(super) fn number(record: &Value, field: &str) -> u64 {
    record[field].as_u64().unwrap()
}

impl Sender {
    pub(super) fn new(node: &Node, channel_id: &str) -> Sender {
        Sender {
            id: node.id.clone(),
            socket: node.socket(),
            asked: Mutex::default(),
            settled: Mutex::default(),
            followed: AtomicU64::new(0),
            balance_msat: balance(node, channel_id),
        }
    }

    /// Asks for a payment and writes down what the answer says of its record. False if no answer
    /// came.
    pub(super) fn ask(&self, client: &mut Client, hash: &str) -> bool {
        let asked = self.asked.lock().unwrap().get(hash).unwrap().clone();
        let answer = client.call("sendpay", &asked.params);
        let known = match answer {
            Ok(record) => {
                assert_ne!(record["status"], "failed", "{record}");
                assert_eq!(record["payment_hash"], hash);
                Known::Recorded(number(&record, "created_index"))
            }
            Err(CallError::Rpc(error)) => match error.code {
                204 => Known::Refused,
                201 if error.message.starts_with("There already is a payment") => Known::Exists,
                209 => Known::Recorded(number(&error.data.unwrap(), "created_index")),
                _ => panic!("no answer that sendpay may give here: {error:?}"),
            },
            Err(_) => return false,
        };
        match (asked.known, known) {
            // Once acknowledged it can never be unknown again, nor be another one.
            (Known::Recorded(had), Known::Recorded(has)) => assert_eq!(had, has, "sent twice"),
            (Known::Recorded(_) | Known::Exists, Known::Refused) => panic!("lost: {hash}"),
            (Known::Recorded(_), Known::Exists) => return true,
            _ => {}
        }
        self.asked.lock().unwrap().get_mut(hash).unwrap().known = known;
        true
    }

    /// Writes down a payment that is about to be asked for.
    pub(super) fn intend(&self, round: u64, mut params: Value, amount_msat: u64) -> String {
        let hash = params["payment_hash"].as_str().unwrap().to_owned();
        params["groupid"] = json!(1);
        let asked = Asked {
            round,
            params,
            amount_msat,
            known: Known::InDoubt,
        };
        let before = self.asked.lock().unwrap().insert(hash.clone(), asked);
        assert!(before.is_none(), "a hash of its own for each payment");
        hash
    }

    /// Reads all changes since the last look, as any follower may. False if no answer came.
    pub(super) fn follow(&self, client: &mut Client) -> bool {
        loop {
            let last = self.followed.load(Ordering::SeqCst);
            let params = json!({"index": "updated", "start": last + 1, "limit": 500});
            let page = match client.call("listsendpays", &params) {
                Ok(page) => page,
                Err(CallError::Rpc(error)) => panic!("{error:?}"),
                Err(_) => return false,
            };
            let records = page["payments"].as_array().unwrap();
            if records.is_empty() {
                return true;
            }
            for record in records {
                let updated = number(record, "updated_index");
                let last = self.followed.swap(updated, Ordering::SeqCst);
                assert!(updated > last, "changes are followed in their order");
                assert_ne!(record["status"], "pending", "{record}");
                let index = number(record, "created_index");
                let before = self.settled.lock().unwrap().insert(index, record.clone());
                assert_eq!(before, None, "settled twice");
            }
        }
    }
}

/// A round of load, seen from its threads.
pub(super) struct Load<'a> {
    pub(super) round: u64,
    pub(super) senders: &'a [Sender; 2],
    pub(super) channel: &'a str,
    pub(super) nodes: [&'a Node; 2],
    pub(super) stop: AtomicBool,
}

impl Load<'_> {
    /// Sends from one node to the other until told to stop or the node is gone.
    pub(super) fn send(&self, from: usize, seed: u64) {
        let mut random = Random(seed);
        let (sender, to) = (&self.senders[from], 1 - from);
        let Some(mut client) = connect(&sender.socket) else {
            return;
        };
        let mut receiver = connect(&self.senders[to].socket);
        while !self.stop.load(Ordering::SeqCst) {
            let amount_msat = 1 + random.below(AMOUNT_MSAT_MAX);
            // One in four is for a hash that the receiver does not know: a failure.
            let mut invoice = json!({"payment_hash": random.hex(), "payment_secret": random.hex()});
            if random.below(4) > 0 && receiver.is_some() {
                let params =
                    json!({"amount_msat": amount_msat, "label": random.hex(), "description": ""});
                let made = receiver.as_mut().map(|node| node.call("invoice", &params));
                match made {
                    Some(Ok(made)) => invoice = made,
                    Some(Err(CallError::Rpc(error))) => panic!("{error:?}"),
                    _ => receiver = None,
                }
            }
            let mut params = direct(self.nodes[to], self.channel, &invoice, amount_msat);
            if invoice.get("bolt11").is_none() {
                params.as_object_mut().unwrap().remove("bolt11");
            }
            let hash = sender.intend(self.round, params, amount_msat);
            if !sender.ask(&mut client, &hash) {
                return;
            }
        }
    }

    /// Reads every change of a node's records until told to stop or the node is gone.
    pub(super) fn watch(&self, sender: &Sender) {
        let Some(mut client) = connect(&sender.socket) else {
            return;
        };
        while !self.stop.load(Ordering::SeqCst) && sender.follow(&mut client) {
            // The pace of the reader; it waits for nothing.
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}
