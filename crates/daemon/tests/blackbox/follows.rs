//! `wait` and `followsendpays`: who follows misses nothing and sees nothing twice, also through
//! `kill -9`, and holds up nobody but itself.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sendpay_rpc::client::{CallError, Changes, Client};
use sendpay_rpc::method::followsendpays::SendpayChanged;
use sendpay_rpc::value::{ChangeKind, PaymentStatus};
use serde_json::{Value, json};

use crate::harness::{Chain, Node, PATIENCE, Pair, direct, wait_for};

/// A hash that nobody has an invoice of.
fn unknown_hash(number: u64) -> String {
    format!("{number:064x}")
}

/// A payment to ourselves that is recorded and refused at once: two changes, and no channel needed.
fn refused_payment(number: u64) -> Value {
    json!({"route": [], "payment_hash": unknown_hash(number), "amount_msat": 1000})
}

fn refuse_one(node: &Node, number: u64) {
    assert_eq!(node.refused("sendpay", refused_payment(number)).code, 203);
}

fn follow(socket: &Path, from: Option<u64>) -> (u64, Changes) {
    let mut client = Client::connect(socket).unwrap();
    client.set_timeout(Some(PATIENCE)).unwrap();
    let (began, changes) = client.follow(from).unwrap();
    (began.last, changes)
}

/// What somebody knows who has nothing but the changes.
#[derive(Default)]
struct Book {
    seen: u64,
    live: BTreeMap<u64, Value>,
    created: HashSet<u64>,
}

impl Book {
    fn take(&mut self, change: SendpayChanged) {
        let (number, index) = (change.change, change.payment.created_index);
        assert_eq!(number, self.seen + 1, "a change was missed");
        self.seen = number;
        let status = change.payment.status;
        let payment = serde_json::to_value(&change.payment).unwrap();
        match change.kind {
            ChangeKind::Created => {
                assert_eq!(status, PaymentStatus::Pending);
                assert!(self.created.insert(index), "{index} was created twice");
                assert_eq!(self.live.insert(index, payment), None);
            }
            ChangeKind::Updated => {
                assert_ne!(status, PaymentStatus::Pending);
                let before = self.live.insert(index, payment).unwrap();
                assert_eq!(before["status"], "pending", "{index} was settled twice");
            }
            ChangeKind::Deleted => {
                // Also of one that came and went while the follower was away, all was told before.
                let before = self.live.remove(&index).unwrap();
                assert_ne!(before["status"], "pending", "{index} was not settled");
            }
        }
    }

    /// Follows until the last change that there is now.
    fn catch_up(&mut self, node: &Node) {
        let (last, mut changes) = follow(&node.socket(), Some(self.seen));
        while self.seen < last {
            self.take(changes.next_change().unwrap());
        }
    }

    fn assert_as_listed(&self, node: &Node) {
        let known: Vec<Value> = self.live.values().cloned().collect();
        assert_eq!(known, node.payments());
    }
}

#[test]
fn wait_answers_at_once_or_when_the_index_is_reached_as_cln_does() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let node = Node::start(dir.path(), "alice", &chain, &[]);
    let wait = |subsystem: &str, index: &str, next: u64| json!([subsystem, index, next]);
    for (subsystem, index) in [
        ("sendpays", "created"),
        ("sendpays", "updated"),
        ("sendpays", "deleted"),
        ("invoices", "created"),
        ("invoices", "updated"),
        ("invoices", "deleted"),
    ] {
        let expected = json!({"subsystem": subsystem, index: 0});
        assert_eq!(node.call("wait", wait(subsystem, index, 0)), expected);
    }
    for (params, text) in [
        (
            json!(["forwards", "created", 0]),
            "subsystem: unknown subsystem: invalid token (see logs for details)",
        ),
        (
            json!(["sendpays", "changed", 0]),
            "indexname: unknown index: invalid token (see logs for details)",
        ),
        (
            json!(["sendpays", "created", "x"]),
            "nextvalue: should be an unsigned 64 bit integer: invalid token (see logs for details)",
        ),
        (
            json!(["sendpays", "created"]),
            "missing required parameter: nextvalue",
        ),
    ] {
        let error = node.refused("wait", params);
        assert_eq!((error.code, error.message.as_str()), (-32602, text));
    }
    let waiting = |subsystem, index, next| {
        let asked = node.call_later("wait", wait(subsystem, index, next));
        // Whether it waits already or asks a moment later, the answer tells of the same record.
        move || asked.join().unwrap().unwrap()
    };
    let created = waiting("sendpays", "created", 1);
    let updated = waiting("sendpays", "updated", 1);
    let later = waiting("sendpays", "updated", 2);
    refuse_one(&node, 1);
    let (created, updated) = (created(), updated());
    assert_eq!(created["created"], 1);
    assert_eq!(updated["updated"], 1);
    let deleted = waiting("sendpays", "deleted", 1);
    let failed = json!({"payment_hash": unknown_hash(1), "status": "failed"});
    node.call("delpay", failed);
    assert_eq!(deleted()["deleted"], 1);
    refuse_one(&node, 2);
    assert_eq!(later()["updated"], 2);
    let invoiced = waiting("invoices", "created", 1);
    node.invoice("label", 1000);
    assert_eq!(invoiced()["created"], 1);
    assert_eq!(
        node.call("wait", wait("sendpays", "created", 1)),
        json!({"subsystem": "sendpays", "created": 2}),
    );
}

fn read_message(stream: &mut UnixStream) -> Value {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\n\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "end of file");
        bytes.push(byte[0]);
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn wait_tells_what_it_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let node = Node::start(dir.path(), "alice", &chain, &[]);
    let mut number = 0;
    // Asked and changed at the same time: until the request comes first, and has to wait.
    let told = wait_for("an answer that had to be waited for", || {
        number += 1;
        let asked = node.call_later("wait", json!(["sendpays", "updated", number]));
        refuse_one(&node, number);
        let answer = asked.join().unwrap().unwrap();
        answer.get("details").is_some().then_some(answer)
    });
    let details = json!({
        "status": "failed", "partid": 0, "groupid": 1, "payment_hash": unknown_hash(number),
    });
    let expected = json!({
        "subsystem": "sendpays", "updated": number, "details": details, "sendpays": details,
    });
    assert_eq!(told, expected);
    let (mut number, mut made) = (0, Value::Null);
    let told = wait_for("an answer that had to be waited for", || {
        number += 1;
        let asked = node.call_later("wait", json!(["invoices", "created", number]));
        made = node.invoice(&format!("{number}"), 1000);
        let answer = asked.join().unwrap().unwrap();
        answer.get("details").is_some().then_some(answer)
    });
    let details = json!({
        "status": "unpaid", "label": number.to_string(), "description": "test",
        "bolt11": made["bolt11"],
    });
    let expected = json!({
        "subsystem": "invoices", "created": number, "details": details, "invoices": details,
    });
    assert_eq!(told, expected);
}

#[test]
fn a_follower_is_told_of_old_changes_and_new_ones_between_the_replies_of_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let node = Node::start(dir.path(), "alice", &chain, &[]);
    refuse_one(&node, 1);
    refuse_one(&node, 2);
    let mut book = Book::default();
    book.catch_up(&node);
    assert_eq!(book.seen, 4);
    book.assert_as_listed(&node);
    let error = node.refused("followsendpays", json!([5]));
    let text = "from: there was no change 5 yet: the last one is 4";
    assert_eq!((error.code, error.message.as_str()), (-32602, text));

    // Raw, to see each message: replies are whole, and their order with notifications is free.
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = |id: u64, method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    };
    stream
        .write_all(request(1, "followsendpays", json!([3])).as_bytes())
        .unwrap();
    let answer = read_message(&mut stream);
    assert_eq!(answer["result"], json!({"from": 3, "last": 4}));
    let told = read_message(&mut stream);
    assert_eq!(told["method"], "sendpay_changed");
    assert_eq!(told.get("id"), None);
    assert_eq!(told["params"]["change"], 4);
    assert_eq!(told["params"]["kind"], "updated");
    assert_eq!(told["params"]["payment"], node.payments()[1]);

    let delete = json!({"payment_hash": unknown_hash(1), "status": "failed"});
    for text in [
        request(2, "followsendpays", json!([])),
        request(3, "delpay", delete),
        request(4, "sendpay", refused_payment(3)),
    ] {
        stream.write_all(text.as_bytes()).unwrap();
    }
    let (mut replies, mut kinds) = (BTreeMap::new(), Vec::new());
    while replies.len() < 3 || kinds.len() < 3 {
        let message = read_message(&mut stream);
        match message.get("id").and_then(Value::as_u64) {
            Some(id) => drop(replies.insert(id, message)),
            None => kinds.push(message["params"]["kind"].as_str().unwrap().to_owned()),
        }
    }
    let again = &replies[&2]["error"];
    assert_eq!(again["message"], "This connection follows already");
    assert_eq!(replies[&3]["result"]["payments"][0]["status"], "failed");
    assert_eq!(replies[&4]["error"]["code"], 203);
    kinds.sort();
    assert_eq!(kinds, ["created", "deleted", "updated"]);
    book.catch_up(&node);
    assert_eq!(book.seen, 7);
    book.assert_as_listed(&node);
}

#[test]
fn followers_are_limited_and_one_who_goes_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let node = Node::start(dir.path(), "alice", &chain, &[]);
    let mut followers: Vec<_> = (0..32).map(|_| follow(&node.socket(), None)).collect();
    let error = node.refused("followsendpays", json!([]));
    assert_eq!(error.message, "Too many followers: the limit is 32");
    followers.pop();
    wait_for("room for a follower", || {
        node.client().follow(None).ok().map(drop)
    });
    refuse_one(&node, 1);
    for (_, changes) in &mut followers {
        assert_eq!(changes.next_change().unwrap().change, 1);
        assert_eq!(changes.next_change().unwrap().change, 2);
    }
}

#[test]
fn a_follower_that_stops_reading_stalls_only_itself() {
    const PAYMENTS: u64 = 1500;
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let node = Node::start(dir.path(), "alice", &chain, &[]);
    // Reads its answer and not one byte more; its socket takes a fraction of what comes.
    let (_, mut stalled) = follow(&node.socket(), Some(0));
    let (_, mut quick) = follow(&node.socket(), Some(0));
    let memory_before = resident_kb(&node);
    std::thread::scope(|scope| {
        for sender in 0..10 {
            let mut client = node.client();
            scope.spawn(move || {
                for number in 0..PAYMENTS / 10 {
                    let payment = refused_payment(1 + sender * PAYMENTS + number);
                    let error = client.call("sendpay", &payment).unwrap_err();
                    assert!(matches!(error, CallError::Rpc(error) if error.code == 203));
                }
            });
        }
        let mut book = Book::default();
        while book.seen < 2 * PAYMENTS {
            book.take(quick.next_change().unwrap());
        }
        book.assert_as_listed(&node);
    });
    let grown = resident_kb(&node).saturating_sub(memory_before);
    assert!(grown < 64 << 10, "{grown} kB for one who does not read");
    // When it reads, everything is there.
    let mut book = Book::default();
    while book.seen < 2 * PAYMENTS {
        book.take(stalled.next_change().unwrap());
    }
    book.assert_as_listed(&node);
}

fn resident_kb(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.unwrap().split_whitespace().nth(1);
    kb.unwrap().parse().unwrap()
}

/// Sends until the node is gone: payments that complete, payments that fail, and removals.
fn load(node: &Node, bob: &Node, channel: &str, numbers: &AtomicU64) {
    let (mut client, mut receiver) = (node.client(), bob.client());
    loop {
        let number = numbers.fetch_add(1, Ordering::SeqCst);
        let outcome = if number.is_multiple_of(3) {
            client.call("sendpay", &refused_payment(number))
        } else {
            let params = json!({
                "amount_msat": 1000, "label": format!("n{number}"), "description": "",
            });
            let invoice = receiver.call("invoice", &params).unwrap();
            client.call("sendpay", &direct(bob, channel, &invoice, 1000))
        };
        let outcome = match outcome {
            Err(CallError::Rpc(error)) if number.is_multiple_of(6) => {
                assert!(matches!(error.code, 203 | 204), "{error:?}");
                let failed = json!({"payment_hash": unknown_hash(number), "status": "failed"});
                client.call("delpay", &failed)
            }
            outcome => outcome,
        };
        match outcome {
            Ok(_) | Err(CallError::Rpc(_)) => {}
            Err(_) => return,
        }
    }
}

#[test]
fn a_follower_of_a_node_that_is_killed_misses_nothing_and_sees_nothing_twice() {
    const ROUNDS: u64 = 5;
    let pair = Pair::start();
    let Pair {
        mut alice,
        bob,
        channel,
        chain,
        dir,
    } = pair;
    let (numbers, book) = (AtomicU64::new(1), Mutex::new(Book::default()));
    let mut told = 0;
    for round in 0..ROUNDS {
        wait_for("the channel", || {
            let channels = alice.call("listpeerchannels", json!({}));
            alice.usable_channel(&channels["channels"][0]["channel_id"])
        });
        let gone = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| load(&alice, &bob, &channel, &numbers));
            }
            scope.spawn(|| {
                let mut book = book.lock().unwrap();
                let (_, mut changes) = follow(&alice.socket(), Some(book.seen));
                loop {
                    match changes.next_change() {
                        Ok(change) => book.take(change),
                        Err(CallError::Closed | CallError::Receive(_)) => break,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                assert!(gone.load(Ordering::SeqCst), "cut off by a node that lives");
            });
            // The instant of the death is the subject; nothing is waited for.
            std::thread::sleep(Duration::from_millis(150 + 100 * round));
            gone.store(true, Ordering::SeqCst);
            alice.kill_now();
        });
        alice.kill();
        let seen = book.lock().unwrap().seen;
        told += seen;
        alice.resume();
        let mut book = book.lock().unwrap();
        book.catch_up(&alice);
        assert!(book.seen >= seen, "what was told was not on disk");
        // What is pending may settle between the two looks.
        wait_for("the end of every pending payment", || {
            let pending = alice.call("listsendpays", json!({"status": "pending"}));
            pending["payments"].as_array()?.is_empty().then_some(())
        });
        book.catch_up(&alice);
        book.assert_as_listed(&alice);
    }
    let book = book.into_inner().unwrap();
    let with = |status: &str| book.live.values().filter(|p| p["status"] == status).count();
    // A run without changes of every kind would prove nothing.
    let gone = book.created.len() - book.live.len();
    assert!(told > 0 && with("complete") > 0 && with("failed") > 0 && gone > 0);
    drop((chain, dir));
}
