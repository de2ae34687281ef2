//! Nodes under payment load, killed at random instants: what the records say afterwards.
//!
//! One pair of nodes pays each other from several clients at once; the sender, the receiver or both
//! are killed (`kill -9`) at an instant drawn from the seed, sometimes once more while they start.
//! After each restart the records are compared with everything that any client was ever told, and,
//! when both are back, with the other node's invoices and the channel's balance.
//!
//! The four lines of the crash table (before the record's commit, after it, after LDK's state,
//! after the outcome's commit) differ by an instant that no test from outside can choose. They are
//! covered by number: the random instants fall on all of them, and the last line of the output
//! counts what was found. `SENDPAY_CRASH_SEED` repeats a run's choices (not the machine's timing),
//! `SENDPAY_CRASH_ROUNDS` makes it run for hours.

mod load;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::hex::FromHex;
use serde_json::{Value, json};

use self::load::{Known, Load, Random, Sender, connect, msat, number};
use crate::harness::{Node, Pair, direct, wait_for};

/// Rounds when the environment does not say; each kills one node or both.
const ROUNDS: u64 = 50;
/// Clients that send at the same time, half of them in each direction.
const CLIENTS: u64 = 4;
/// Latest instant of a kill after the load began.
const KILL_MICROS_MAX: u64 = 200_000;
/// Latest instant of a second kill after the process was started again.
const START_MICROS_MAX: u64 = 400_000;
/// What the first node gives the second to begin with, so that both can send.
const SHARE_MSAT: u64 = 4_000_000_000;
/// Largest payment; the smallest ones are dust, which commitments treat otherwise.
const AMOUNT_MSAT_MAX: u64 = 1_000_000;

fn channel_of(node: &Node, channel_id: &str) -> Value {
    let listed = node.call("listpeerchannels", json!({}));
    let channels = listed["channels"].as_array().unwrap().clone();
    assert_eq!(channels.len(), 1, "{channels:?}");
    assert_eq!(channels[0]["channel_id"], channel_id);
    assert_eq!(channels[0]["state"], "CHANNELD_NORMAL");
    channels[0].clone()
}

fn balance(node: &Node, channel_id: &str) -> u64 {
    number(&channel_of(node, channel_id), "to_us_msat")
}

/// Two nodes, everything that was asked of them, and how often they were killed.
struct Trial {
    nodes: [Node; 2],
    senders: [Sender; 2],
    channel: String,
    channel_id: String,
    random: Random,
    kills: u64,
    pending_at_start: usize,
    in_doubt: usize,
    repeats: usize,
}

impl Trial {
    /// Load, and death at a random instant.
    fn load_and_kill(&mut self, round: u64) -> Vec<usize> {
        let victims = [vec![0], vec![1], vec![0, 1]][self.random.below(3) as usize].clone();
        let instant = Duration::from_micros(self.random.below(KILL_MICROS_MAX));
        let afterwards = Duration::from_micros(self.random.below(KILL_MICROS_MAX / 10));
        let seeds: Vec<u64> = (0..CLIENTS).map(|_| self.random.next()).collect();
        let load = Load {
            round,
            senders: &self.senders,
            channel: &self.channel,
            nodes: self.nodes.each_ref(),
            stop: AtomicBool::new(false),
        };
        let load = &load;
        std::thread::scope(|scope| {
            for (client, seed) in seeds.iter().enumerate() {
                scope.spawn(move || load.send(client % 2, *seed));
            }
            for sender in load.senders {
                scope.spawn(move || load.watch(sender));
            }
            // The instant of the death is the subject; nothing is waited for.
            std::thread::sleep(instant);
            for victim in &victims {
                load.nodes[*victim].kill_now();
            }
            // Whoever is left goes on for a while without its peer.
            std::thread::sleep(afterwards);
            load.stop.store(true, Ordering::SeqCst);
        });
        self.kills += victims.len() as u64;
        victims
    }

    /// Starts the dead again; one time in four they die once more while they start.
    fn restart(&mut self, victims: &[usize]) {
        let twice = self.random.below(4) == 0;
        let instant = Duration::from_micros(self.random.below(START_MICROS_MAX));
        for victim in victims {
            self.nodes[*victim].kill();
            self.nodes[*victim].spawn();
        }
        if twice {
            std::thread::sleep(instant);
            for victim in victims {
                self.nodes[*victim].kill();
                self.nodes[*victim].spawn();
            }
            self.kills += victims.len() as u64;
        }
        for victim in victims {
            self.nodes[*victim].wait_for_socket();
        }
    }

    /// Asks again for some of a round's payments, whatever became of them.
    fn ask_some_again(&mut self, round: u64) {
        for sender in &self.senders {
            let mut client = connect(&sender.socket).unwrap();
            let asked = sender.asked.lock().unwrap().clone();
            let of_round = asked.iter().filter(|(_, asked)| asked.round == round);
            for (hash, asked) in of_round {
                self.in_doubt += usize::from(asked.known == Known::InDoubt);
                if self.random.below(3) == 0 {
                    assert!(sender.ask(&mut client, hash));
                    self.repeats += 1;
                }
            }
        }
    }

    /// Asks again for all that was never recorded as far as its client knows, now that it can be.
    fn ask_the_doubtful_again(&mut self) {
        for sender in &self.senders {
            let mut client = connect(&sender.socket).unwrap();
            let asked = sender.asked.lock().unwrap().clone();
            for (hash, asked) in asked {
                if matches!(asked.known, Known::InDoubt | Known::Refused) {
                    assert!(sender.ask(&mut client, &hash));
                    self.repeats += 1;
                }
            }
        }
    }

    /// No record is lost, doubled, invented or changed, and the channel is as it was.
    fn check_records(&mut self) {
        for (from, node) in self.nodes.iter().enumerate() {
            let sender = &self.senders[from];
            let records = node.payments();
            let mut by_hash: HashMap<&str, &Value> = HashMap::new();
            let mut last = 0;
            for record in &records {
                let index = number(record, "created_index");
                assert!(index > last, "created_index {index} after {last}");
                last = index;
                let before = by_hash.insert(record["payment_hash"].as_str().unwrap(), record);
                assert_eq!(before, None, "doubled");
            }
            let asked = sender.asked.lock().unwrap();
            for (hash, asked) in asked.iter() {
                let record = by_hash.remove(hash.as_str());
                let Some(record) = record else {
                    let may = matches!(asked.known, Known::InDoubt | Known::Refused);
                    assert!(may, "lost: {hash} {:?}", asked.known);
                    continue;
                };
                assert_ne!(asked.known, Known::Refused, "recorded all the same: {hash}");
                if let Known::Recorded(index) = asked.known {
                    assert_eq!(record["created_index"], index);
                }
                assert_eq!(msat(&record["amount_msat"]), asked.amount_msat);
                assert_eq!(record["destination"], self.senders[1 - from].id);
                assert_eq!(record["groupid"], 1);
            }
            assert!(by_hash.is_empty(), "nobody asked for {by_hash:?}");
            let by_index: HashMap<u64, &Value> = records
                .iter()
                .map(|record| (number(record, "created_index"), record))
                .collect();
            for (index, settled) in sender.settled.lock().unwrap().iter() {
                assert_eq!(by_index.get(index), Some(&settled), "settled, and changed");
            }
            let pending = records.iter().filter(|r| r["status"] == "pending");
            self.pending_at_start += pending.count();
            channel_of(node, &self.channel_id);
        }
    }

    fn wait_until_connected(&self) {
        for node in &self.nodes {
            wait_for("the channel to be usable again", || {
                node.usable_channel(&json!(self.channel_id))
            });
        }
    }

    fn wait_until_nothing_is_pending(&self) {
        for node in &self.nodes {
            wait_for("the end of every pending payment", || {
                let pending = node.call("listsendpays", json!({"status": "pending"}));
                pending["payments"].as_array()?.is_empty().then_some(())
            });
        }
    }

    /// With nothing pending: both nodes tell the same story, to the millisatoshi.
    fn check_against_the_receiver(&self) {
        let mut sent_msat = [0; 2];
        for (from, node) in self.nodes.iter().enumerate() {
            let sender = &self.senders[from];
            let complete = node.call("listsendpays", json!({"status": "complete"}));
            let complete = complete["payments"].as_array().unwrap().len();
            // The sender may know of a payment a few milliseconds before its receiver.
            let listed = wait_for("the receiver to have what was sent", || {
                let listed = self.nodes[1 - from].call("listinvoices", json!({}));
                let invoices = listed["invoices"].as_array()?.iter();
                let paid = invoices.filter(|invoice| invoice["status"] == "paid");
                (paid.count() >= complete).then_some(listed)
            });
            let invoices: HashMap<&str, &Value> = listed["invoices"]
                .as_array()
                .unwrap()
                .iter()
                .map(|invoice| (invoice["payment_hash"].as_str().unwrap(), invoice))
                .collect();
            let mut paid: HashSet<&str> = invoices.keys().copied().collect();
            paid.retain(|hash| invoices[hash]["status"] == "paid");
            let records = node.payments();
            for record in &records {
                let hash = record["payment_hash"].as_str().unwrap();
                let invoice = invoices.get(hash);
                if record["status"] == "failed" {
                    assert!(!paid.contains(hash), "failed, and paid: {record}");
                    continue;
                }
                assert_eq!(record["status"], "complete");
                let invoice = invoice.unwrap();
                assert!(paid.remove(hash), "complete, and not paid: {record}");
                let preimage = record["payment_preimage"].as_str().unwrap();
                assert_eq!(invoice["payment_preimage"], preimage);
                let proof = sha256::Hash::hash(&Vec::from_hex(preimage).unwrap());
                assert_eq!(proof.to_string(), hash);
                let amount_msat = msat(&record["amount_msat"]);
                assert_eq!(invoice["amount_received_msat"], amount_msat);
                sent_msat[from] += amount_msat;
            }
            assert!(paid.is_empty(), "paid without a complete record: {paid:?}");
            // The follower, who looked through every crash, missed nothing.
            assert!(sender.follow(&mut connect(&sender.socket).unwrap()));
            let followed: Vec<Value> = sender.settled.lock().unwrap().values().cloned().collect();
            assert_eq!(followed, records);
        }
        for (from, node) in self.nodes.iter().enumerate() {
            let had_msat = self.senders[from].balance_msat;
            let expected = had_msat + sent_msat[1 - from] - sent_msat[from];
            wait_for("the channel's balance to be as the records say", || {
                (balance(node, &self.channel_id) == expected).then_some(())
            });
        }
    }
}

/// Reads a number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: no number")))
}

/// Lets the first node give the second a share, so that both can send.
fn share(pair: &Pair, sender: &Sender) {
    let invoice = pair.bob.invoice("share", SHARE_MSAT);
    let params = direct(&pair.bob, &pair.channel, &invoice, SHARE_MSAT);
    let hash = sender.intend(0, params, SHARE_MSAT);
    assert!(sender.ask(&mut pair.alice.client(), &hash));
    let wait = json!({"payment_hash": hash});
    assert_eq!(pair.alice.call("waitsendpay", wait)["status"], "complete");
}

#[test]
fn records_stay_true_when_either_node_is_killed_at_any_instant() {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = setting("SENDPAY_CRASH_SEED").unwrap_or(now.as_micros() as u64);
    let rounds = setting("SENDPAY_CRASH_ROUNDS").unwrap_or(ROUNDS);
    println!("SENDPAY_CRASH_SEED={seed} SENDPAY_CRASH_ROUNDS={rounds}");
    let pair = Pair::with(&["log.level=debug"]);
    let listed = pair.alice.call("listpeerchannels", json!({}));
    let channel_id = listed["channels"][0]["channel_id"].as_str().unwrap();
    let senders = [&pair.alice, &pair.bob].map(|node| Sender::new(node, channel_id));
    share(&pair, &senders[0]);
    let Pair {
        alice,
        bob,
        channel,
        chain,
        dir,
    } = pair;
    let mut trial = Trial {
        nodes: [alice, bob],
        senders,
        channel,
        channel_id: channel_id.to_owned(),
        random: Random(seed),
        kills: 0,
        pending_at_start: 0,
        in_doubt: 0,
        repeats: 0,
    };
    for round in 1..=rounds {
        let victims = trial.load_and_kill(round);
        trial.restart(&victims);
        trial.check_records();
        trial.ask_some_again(round);
        // One time in four the next death comes before this one is got over.
        if trial.random.below(4) == 0 && round < rounds {
            continue;
        }
        trial.wait_until_connected();
        trial.ask_the_doubtful_again();
        trial.wait_until_nothing_is_pending();
        trial.check_records();
        trial.check_against_the_receiver();
    }
    let records: Vec<Value> = trial.nodes.iter().flat_map(Node::payments).collect();
    let with = |status: &str| records.iter().filter(|r| r["status"] == status).count();
    let never_left = records.iter().filter(|record| {
        let message = record["message"].as_str().unwrap_or_default();
        message.contains("never sent")
    });
    let (complete, failed, never_left) = (with("complete"), with("failed"), never_left.count());
    println!(
        "{} kills, {} records: {complete} complete, {failed} failed ({never_left} never left); \
         {} pending at a start, {} asked without an answer, {} asked again",
        trial.kills,
        records.len(),
        trial.pending_at_start,
        trial.in_doubt,
        trial.repeats,
    );
    // A run that killed idle nodes would prove nothing.
    assert!(complete > 0 && failed > 0 && trial.pending_at_start > 0 && trial.in_doubt > 0);
    drop(trial);
    drop((chain, dir));
}
