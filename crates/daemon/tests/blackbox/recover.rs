//! A node that lost everything but its words and a backup, or has old state: peers close, the coins come
//! back, every record is there, and what was pending is not guessed at.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use sendpay_backup::{BackupKey, Opener};
use sendpay_node::Seed;
use serde_json::{Value, json};

use crate::harness::{Backend, Node, Pair, direct, hop, wait_for, with_every_backend};

with_every_backend! {
    a_node_comes_back_from_its_words_and_a_backup,
}

/// SHA256 of what bob does not know yet.
const HELD_HASH: &str = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";
const HELD_MSAT: u64 = 50_000_000;

/// Numbers that a restored ledger leaves out.
const LEFT_OUT: u64 = 1_000_000;

pub(crate) fn confirmed_msat(node: &Node) -> u64 {
    let funds = node.call("listfunds", json!({}));
    let outputs = funds["outputs"].as_array().unwrap().iter();
    outputs
        .filter(|output| output["status"] == "confirmed")
        .map(|output| output["amount_msat"].as_u64().unwrap())
        .sum()
}

impl Pair {
    /// Bob closes what alice has lost, and alice has that much of it in her wallet in the end.
    pub(crate) fn recover_alice(&self, before_msat: u64, least_msat: u64) {
        wait_for("bob's commitment", || {
            (self.chain.ask("getrawmempool", &[]) != json!([])).then_some(())
        });
        wait_for("the coins", || {
            self.chain.mine(1);
            self.alice.wait_for_height(self.chain.height());
            let info = self.alice.call("getinfo", json!({}));
            let done = info.get("warning_recovery").is_none();
            let gained = confirmed_msat(&self.alice).saturating_sub(before_msat);
            (done && gained >= least_msat).then_some(())
        });
    }

    fn pay_labelled(&self, label: &str, amount_msat: u64) {
        let invoice = self.bob.invoice(label, amount_msat);
        self.sendpay(&invoice, amount_msat);
        let hash = json!({"payment_hash": invoice["payment_hash"]});
        assert_eq!(self.alice.call("waitsendpay", hash)["status"], "complete");
    }

    /// A payment that stays pending.
    fn hold(&self) {
        let invoice = self.bob.call(
            "holdinvoice",
            json!({"amount_msat": HELD_MSAT, "label": "held", "description": "test",
                "payment_hash": HELD_HASH}),
        );
        self.alice.call("sendpay", self.held_payment(&invoice, 186));
        wait_for("a held payment", || {
            let listed = self.bob.call("listinvoices", json!({"label": "held"}));
            (listed["invoices"][0]["hold_state"] == "held").then_some(())
        });
    }

    fn held_payment(&self, invoice: &Value, delay: u32) -> Value {
        json!({
            "route": [hop(&self.bob, &self.channel, HELD_MSAT, delay)],
            "payment_hash": HELD_HASH,
            "payment_secret": invoice["payment_secret"],
        })
    }

    /// A file with alice's words, outside of her directory.
    fn words(&self) -> PathBuf {
        let words = self.dir.path().join("words");
        fs::copy(self.alice.dir.join("regtest/seed"), &words).unwrap();
        words
    }

    fn backup_file(&self) -> PathBuf {
        self.dir.path().join("alice.backup")
    }

    /// Alice is killed, and nothing of her is left.
    fn lose_alice(&mut self) {
        self.alice.kill();
        fs::remove_dir_all(&self.alice.dir).unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(node: &Node, subcommand: &[&str]) -> Output {
    node.program(subcommand).output().unwrap()
}

fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn list(node: &Node, method: &str, what: &str) -> Vec<Value> {
    node.call(method, json!({}))[what]
        .as_array()
        .unwrap()
        .clone()
}

fn a_node_comes_back_from_its_words_and_a_backup(backend: Backend) {
    let mut pair = Pair::on(backend, &[]);
    // More than bob's reserve, so that he can pay too.
    pair.pay_labelled("one", 400_000_000);
    pair.pay_labelled("two", 2_000_000);
    let back = pair.alice.invoice("back", 300_000);
    let paid = direct(&pair.alice, &pair.channel, &back, 300_000);
    pair.bob.call("sendpay", paid);
    pair.alice.paid_invoice(&json!({"label": "back"}));
    pair.alice.invoice("still open", 7_000);
    pair.hold();
    let words = pair.words();
    let file = pair.backup_file();
    // Of the node as it runs.
    let said = done(&run(&pair.alice, &["backup", text(&file)]));
    assert!(
        said.starts_with("3 payments, 2 invoices and the list of 1 channels are in "),
        "{said}"
    );
    let records = list(&pair.alice, "listsendpays", "payments");
    let invoices = list(&pair.alice, "listinvoices", "invoices");
    let before = confirmed_msat(&pair.alice);
    pair.lose_alice();

    let recover = ["recover", "--words", text(&words), "--backup", text(&file)];
    pair.alice.spawn_as(&recover);
    pair.alice.wait_for_socket();
    assert_eq!(list(&pair.alice, "listsendpays", "payments"), records);
    assert_eq!(list(&pair.alice, "listinvoices", "invoices"), invoices);
    let info = pair.alice.call("getinfo", json!({}));
    assert_eq!(info["id"], pair.alice.id.as_str());
    let unknown = info["warning_unknown_payments"].as_str().unwrap();
    assert!(unknown.starts_with("1 payments were pending"), "{unknown}");
    // Not the same part, and no other of it.
    let invoice = pair.bob.call("listinvoices", json!({"label": "held"}))["invoices"][0].clone();
    for groupid in [1, 2] {
        let mut again = pair.held_payment(&invoice, 186);
        again["groupid"] = json!(groupid);
        again["payment_secret"] = json!("00".repeat(32));
        let refused = pair.alice.refused("sendpay", again);
        assert_eq!(refused.code, 200, "{refused:?}");
        assert!(refused.message.contains("settleimported"), "{refused:?}");
    }
    // However often it is cut short, and told to begin.
    pair.alice.kill();
    pair.alice.spawn_as(&recover);
    pair.alice.wait_for_socket();
    // 10,000,000 sat less what was paid, what is held, and fees.
    pair.recover_alice(before, 9_540_000_000);
    assert_eq!(list(&pair.alice, "listsendpays", "payments"), records);

    let settled = json!({"payment_hash": HELD_HASH, "status": "failed"});
    let settled = pair.alice.call("settleimported", settled);
    assert_eq!(settled["payments"][0]["status"], "failed");
    let info = pair.alice.call("getinfo", json!({}));
    assert!(info.get("warning_unknown_payments").is_none(), "{info}");
    // A node as any other from here on.
    pair.channel = pair.alice.open_channel(&pair.chain, &pair.bob, 1_000_000);
    pair.pay_labelled("three", 3_000);
    let last = list(&pair.alice, "listsendpays", "payments").pop().unwrap();
    assert_eq!(last["created_index"], 3 + LEFT_OUT + 1);
    // What that channel pays is LDK's affair, and not swept twice.
    pair.alice.call("close", json!([pair.channel]));
    pair.chain.mine(10);
    pair.alice.wait_for_height(pair.chain.height());
    let log = pair.alice.log();
    assert!(!log.contains("Error spending outputs"), "{log}");
}

#[test]
fn the_words_alone_bring_back_what_peers_close() {
    let mut pair = Pair::with(&["log.level=debug"]);
    pair.pay_labelled("one", 1_000_000);
    let words = pair.words();
    let file = pair.backup_file();
    done(&run(&pair.alice, &["backup", text(&file)]));
    let before = confirmed_msat(&pair.alice);
    pair.lose_alice();
    let themselves = fs::read_to_string(&words).unwrap();
    let refused = run(&pair.alice, &["recover", "--words", themselves.trim()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("name of a file"), "{said}");
    assert!(!said.contains(themselves.trim()), "{said}");
    let refused = run(&pair.alice, &["recover", "--words", text(&words)]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("give a --birthday"), "{said}");
    pair.alice
        .spawn_as(&["recover", "--words", text(&words), "--birthday", "0"]);
    pair.alice.wait_for_socket();
    wait_for("the blocks", || {
        let info = pair.alice.call("getinfo", json!({}));
        info.get("warning_lightningd_sync").is_none().then_some(())
    });
    // What turns up now is not passed over in silence.
    pair.alice.kill();
    let late = ["recover", "--words", text(&words), "--backup", text(&file)];
    let said = String::from_utf8(run(&pair.alice, &late).stderr).unwrap();
    assert!(said.contains(text(&file)), "{said}");
    assert!(said.contains("cannot be added"), "{said}");
    pair.alice.resume();
    // Nobody told alice who her peers were; bob closes when she meets him.
    wait_for("bob", || {
        let to = json!({"id": format!("{}@{}", pair.bob.id, pair.bob.address)});
        pair.alice.try_call("connect", to).ok()
    });
    pair.recover_alice(before, 9_990_000_000);
    assert_eq!(pair.alice.payments(), Vec::<Value>::new());
    // Bob has closed for LDK's answer; other nodes need an error with nothing before it.
    wait_for("an error that stands alone", || {
        let said = "this node has lost the state of the channel, please close it";
        pair.bob.log().contains(said).then_some(())
    });
}

/// More than are looked for without a count.
const MANY_ADDRESSES: usize = 260;

#[test]
fn coins_on_p2tr_addresses_are_found_again_as_many_as_were_given_out() {
    let mut pair = Pair::start();
    let own = || pair.alice.call("newaddr", json!(["p2tr"]))["p2tr"].clone();
    let first = own();
    pair.alice.call("withdraw", json!([first, 1_000_000]));
    for _ in 0..MANY_ADDRESSES {
        own();
    }
    let last = own();
    pair.chain.mine(1);
    pair.alice.wait_for_height(pair.chain.height());
    let outputs = list(&pair.alice, "listfunds", "outputs").into_iter();
    let change: Vec<String> = outputs
        .filter(|output| output["address"] != first)
        .map(|output| format!("{}:{}", output["txid"].as_str().unwrap(), output["output"]))
        .collect();
    let of_change = json!({"destination": last, "satoshi": 2_000_000, "utxos": change});
    pair.alice.call("withdraw", of_change);
    pair.chain.mine(1);
    pair.alice.wait_for_height(pair.chain.height());
    let words = pair.words();
    let file = pair.backup_file();
    // The list is made anew at a start, else once in a minute.
    pair.alice.kill();
    pair.alice.resume();
    wait_for("the addresses in the backup", || {
        done(&run(&pair.alice, &["backup", text(&file)]));
        let list = opened(&words, &file);
        let count = format!("\"p2tr_addresses\":{}", MANY_ADDRESSES + 2);
        String::from_utf8_lossy(&list)
            .contains(&count)
            .then_some(())
    });
    let found = |pair: &Pair| {
        let outputs = list(&pair.alice, "listfunds", "outputs").into_iter();
        let mut found: Vec<Value> = outputs
            .filter(|output| output["status"] == "confirmed")
            .filter(|output| [&first, &last].contains(&&output["address"]))
            .map(|output| output["amount_msat"].clone())
            .collect();
        found.sort_by_key(Value::to_string);
        found
    };
    assert_eq!(found(&pair), [1_000_000_000, 2_000_000_000]);
    let read_all = |pair: &Pair| {
        wait_for("the blocks", || {
            let info = pair.alice.call("getinfo", json!({}));
            info.get("warning_lightningd_sync").is_none().then_some(())
        });
    };

    pair.lose_alice();
    pair.alice
        .spawn_as(&["recover", "--words", text(&words), "--birthday", "0"]);
    pair.alice.wait_for_socket();
    read_all(&pair);
    assert_eq!(
        found(&pair),
        [1_000_000_000],
        "the words alone know no count"
    );

    pair.lose_alice();
    pair.alice
        .spawn_as(&["recover", "--words", text(&words), "--backup", text(&file)]);
    pair.alice.wait_for_socket();
    read_all(&pair);
    assert_eq!(found(&pair), [1_000_000_000, 2_000_000_000]);
    // Found is spendable.
    let all = json!(["bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw", 2_500_000]);
    pair.alice.call("withdraw", all);
    pair.chain.mine(1);
}

/// The whole of a backup, decrypted.
fn opened(words: &Path, file: &Path) -> Vec<u8> {
    let words = fs::read_to_string(words).unwrap();
    let seed = Seed::of_words(&words, bitcoin::Network::Regtest).unwrap();
    let key = BackupKey::new(seed.backup_secret().unwrap());
    let mut opener = Opener::new(fs::File::open(file).unwrap(), &key).unwrap();
    let mut plain = Vec::new();
    opener.read_to_end(&mut plain).unwrap();
    opener.finish().unwrap();
    plain
}

#[test]
fn the_list_of_channels_is_backed_up_at_each_change_and_alone_brings_the_coins_back() {
    let mut pair = Pair::start();
    let words = pair.words();
    let automatic = pair.alice.dir.join("regtest/channels.backup");
    let funding = pair.alice.call("listpeerchannels", json!({}))["channels"][0]["funding_txid"]
        .as_str()
        .unwrap()
        .to_owned();
    wait_for("the channel in the list", || {
        let list = opened(&words, &automatic);
        let list = String::from_utf8_lossy(&list);
        (list.contains(&funding) && list.contains(&pair.bob.address.to_string())).then_some(())
    });
    // Where nobody can write it, that is said.
    assert!(pair.alice.terminate().success());
    let kept = pair.dir.path().join("kept");
    fs::copy(&automatic, &kept).unwrap();
    pair.alice.set("backup.channels_file=/proc/none/channels");
    pair.alice.resume();
    wait_for("a warning", || {
        let info = pair.alice.call("getinfo", json!({}));
        info["warning_backup"]
            .as_str()?
            .contains("/proc/none")
            .then_some(())
    });
    let before = confirmed_msat(&pair.alice);
    pair.lose_alice();
    pair.alice.set("backup.channels_file=channels.backup");
    pair.alice
        .spawn_as(&["recover", "--words", text(&words), "--backup", text(&kept)]);
    pair.alice.wait_for_socket();
    pair.recover_alice(before, 9_990_000_000);
}

#[test]
fn what_cannot_be_restored_is_refused_by_what_it_is_and_leaves_nothing() {
    let mut pair = Pair::start();
    pair.pay_labelled("one", 1_000_000);
    let words = pair.words();
    let file = pair.backup_file();
    done(&run(&pair.alice, &["backup", text(&file)]));
    let good = fs::read(&file).unwrap();
    let there = run(
        &pair.alice,
        &["recover", "--words", text(&words), "--backup", text(&file)],
    );
    assert!(!there.status.success(), "over a node that is there");
    let bobs_words = pair.bob.dir.join("regtest/seed");
    pair.lose_alice();

    let bad = pair.dir.path().join("bad.backup");
    let refused = |words: &Path, expected: &str| {
        let ended = run(
            &pair.alice,
            &["recover", "--words", text(words), "--backup", text(&bad)],
        );
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("bad.backup"), "{said}");
        let left = fs::read_dir(pair.alice.dir.join("regtest"));
        let left: Vec<_> = left.into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{expected}: {left:?}");
    };
    refused(&words, "No such file");
    let put = |bytes: &[u8]| fs::write(&bad, bytes).unwrap();
    put(b"");
    refused(&words, "it is no backup of sendpayd");
    put(&good);
    refused(&bobs_words, "it was made with another seed");
    let mut newer = good.clone();
    newer[17] = 2;
    put(&newer);
    refused(&words, "it has format 2");
    for at in [60, good.len() / 2, good.len() - 1] {
        let mut damaged = good.clone();
        damaged[at] ^= 0x40;
        put(&damaged);
        refused(&words, "it is damaged at byte");
    }
    put(&good[..good.len() - 1]);
    refused(&words, "it is cut short after");
    put(&good[..40]);
    refused(&words, "it is cut short after");
    let noise = pair.dir.path().join("noise");
    fs::write(&noise, "twelve words these are not").unwrap();
    put(&good);
    let ended = run(
        &pair.alice,
        &["recover", "--words", text(&noise), "--backup", text(&bad)],
    );
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("no BIP39 phrase"), "{said}");
    // And the good one is taken.
    pair.alice
        .spawn_as(&["recover", "--words", text(&words), "--backup", text(&file)]);
    pair.alice.wait_for_socket();
    assert_eq!(pair.alice.payments().len(), 1);
}

#[test]
fn a_backup_that_is_killed_leaves_the_old_one_or_the_new_one() {
    let pair = Pair::start();
    let words = pair.words();
    let file = pair.backup_file();
    done(&run(&pair.alice, &["backup", text(&file)]));
    let began = Instant::now();
    done(&run(&pair.alice, &["backup", text(&file)]));
    let whole = began.elapsed();
    let (mut killed, mut finished) = (0, 0);
    for number in 0..40 {
        let before = fs::read(&file).unwrap();
        let mut backup = pair
            .alice
            .program(&["backup", text(&file)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let instant = Instant::now() + whole * number / 40;
        while Instant::now() < instant {
            std::hint::spin_loop();
        }
        backup.kill().unwrap();
        match backup.wait().unwrap().success() {
            true => finished += 1,
            false => killed += 1,
        }
        opened(&words, &file);
        if fs::read(&file).unwrap() == before {
            continue;
        }
    }
    assert!(killed > 5, "{killed} killed, {finished} finished");
}

#[test]
fn a_recover_that_is_killed_is_run_again() {
    let mut pair = Pair::start();
    for number in 0..5 {
        pair.pay_labelled(&format!("number {number}"), 1_000);
    }
    let words = pair.words();
    let file = pair.backup_file();
    done(&run(&pair.alice, &["backup", text(&file)]));
    let records = list(&pair.alice, "listsendpays", "payments");
    pair.lose_alice();
    let recover = ["recover", "--words", text(&words), "--backup", text(&file)];
    let unfinished = pair.alice.dir.join("regtest/recover-is-unfinished");
    let mut cut_short = 0;
    for number in 0..12 {
        pair.alice.spawn_as(&recover);
        let instant = Instant::now() + Duration::from_millis(10 * number);
        while Instant::now() < instant {
            std::hint::spin_loop();
        }
        pair.alice.kill();
        if unfinished.exists() {
            cut_short += 1;
            let refused = run(&pair.alice, &[]);
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(said.contains("recover was cut short"), "{said}");
        }
    }
    pair.alice.spawn_as(&recover);
    pair.alice.wait_for_socket();
    assert!(!unfinished.exists());
    assert_eq!(list(&pair.alice, "listsendpays", "payments"), records);
    assert!(cut_short > 0, "none was killed at work");
}
