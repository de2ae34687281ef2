//! BTCPay Server's Core Lightning connection, against nodes of the demo: its calls byte for byte (a
//! connection for each, id 0, parameters always an array with nulls, no terminator), and all that
//! it reads from the answers.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{PATIENCE, Process, wait_for};

/// A wallet of BTCPay's, connected to the node in this directory.
struct Wallet {
    socket: PathBuf,
}

impl Wallet {
    fn of(node: &Path) -> Wallet {
        Wallet {
            socket: node.join("regtest/lightning-rpc"),
        }
    }

    /// Writes the request as it does, and reads one JSON object, wherever that ends.
    fn send(&self, method: &str, params: &str) -> Value {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!(r#"{{"id":0,"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        stream.write_all(request.as_bytes()).unwrap();
        let mut objects = serde_json::Deserializer::from_reader(stream).into_iter::<Value>();
        let reply = objects.next().unwrap().unwrap();
        assert_eq!(reply["id"], 0, "{method} {params}: {reply}");
        reply
    }

    /// A property `error`, whatever is in it, is a failure to it.
    fn call(&self, method: &str, params: &str) -> Value {
        let mut reply = self.send(method, params);
        assert_eq!(reply.get("error"), None, "{method} {params}: {reply}");
        reply["result"].take()
    }

    /// The elements of a list: the first property of the result, whatever its name.
    fn list(&self, method: &str, params: &str) -> Vec<Value> {
        let result = self.call(method, params);
        let (_, first) = result.as_object().unwrap().iter().next().unwrap();
        first.as_array().unwrap().clone()
    }

    /// Code and message, the two things that it reads of an error.
    fn refused(&self, method: &str, params: &str) -> (i64, String) {
        let reply = self.send(method, params);
        let error = &reply["error"];
        let message = error["message"].as_str().unwrap().to_owned();
        (error["code"].as_i64().unwrap(), message)
    }

    /// An invoice of its making: its label is twenty random bytes in base 58, its amount a text.
    fn invoice(&self, amount: &str, label: &str) -> Value {
        let params =
            format!(r#"["{amount}","{label}","Paid to Shop (Order 1)",900,null,null,false]"#);
        let invoice = self.call("invoice", &params);
        hex(&invoice["payment_hash"], 32);
        assert!(invoice["bolt11"].as_str().unwrap().starts_with("lnbcrt"));
        assert!(invoice["expires_at"].as_u64().unwrap() > 1_600_000_000);
        invoice
    }

    /// The one of its invoices with this label.
    fn invoice_of(&self, label: &str) -> Value {
        let listed = self.list("listinvoices", &json!([label]).to_string());
        assert_eq!(listed.len(), 1, "{listed:?}");
        listed[0].clone()
    }

    /// The last of the payments of this hash.
    fn payment(&self, hash: &Value) -> Option<Value> {
        let listed = self.list("listpays", &format!("[null,{hash}]"));
        listed.last().cloned()
    }
}

/// What its converter of amounts reads: a number, or a text with the unit.
fn msat(amount: &Value) -> u64 {
    let text = amount
        .as_str()
        .map(|text| text.strip_suffix("msat").unwrap());
    text.map_or_else(|| amount.as_u64().unwrap(), |text| text.parse().unwrap())
}

/// The payment_hash, which it computes from the preimage itself.
fn sha256(preimage: &Value) -> Value {
    use bitcoin::hashes::{Hash, sha256};
    let digits = hex(preimage, 32).as_bytes();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    json!(sha256::Hash::hash(&bytes).to_string())
}

fn hex(value: &Value, bytes: usize) -> &str {
    let text = value.as_str().unwrap();
    assert_eq!(text.len(), 2 * bytes, "{text}");
    assert!(
        text.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{text}"
    );
    text
}

/// What it reads of a node, its channels and its funds when a wallet is set up.
fn set_up(wallet: &Wallet) -> Value {
    let info = wallet.call("getinfo", "[]");
    hex(&info["id"], 33);
    for name in ["alias", "color", "version"] {
        assert!(info[name].is_string(), "{name}: {info}");
    }
    assert_eq!(info["network"], "regtest");
    assert!(info["blockheight"].as_u64().unwrap() > 100);
    for address in info["address"].as_array().unwrap() {
        assert!(address["type"].is_string() && address["address"].is_string());
        assert!(address["port"].is_u64());
    }
    let channels = wallet.list("listpeerchannels", "[]");
    assert!(!channels.is_empty());
    for channel in &channels {
        hex(&channel["peer_id"], 33);
        assert!(channel["private"].is_boolean());
        assert!(msat(&channel["to_us_msat"]) <= msat(&channel["total_msat"]));
        hex(&channel["funding_txid"], 32);
        assert!(channel["funding_outnum"].is_u64());
        assert_eq!(channel["state"], "CHANNELD_NORMAL");
    }
    let funds = wallet.call("listfunds", "[]");
    for output in funds["outputs"].as_array().unwrap() {
        assert!(msat(&output["amount_msat"]) > 0);
        assert!(output["reserved"].is_boolean());
        assert_eq!(output["status"], "confirmed");
    }
    for channel in funds["channels"].as_array().unwrap() {
        assert!(msat(&channel["our_amount_msat"]) <= msat(&channel["amount_msat"]));
        assert_eq!(channel["state"], "CHANNELD_NORMAL");
    }
    // The first property, whatever its name, is the address.
    let address = wallet.call("newaddr", "[]");
    let (_, address) = address.as_object().unwrap().iter().next().unwrap();
    assert!(address.as_str().unwrap().starts_with("bcrt1"), "{address}");
    let known = wallet.list("listchannels", "[]");
    let scid = &known[0]["short_channel_id"];
    let found = wallet.list("listchannels", &format!("[{scid}]"));
    assert!(found.contains(&known[0]));
    assert!(found.iter().all(|one| one["short_channel_id"] == *scid));
    info
}

fn is_unpaid(invoice: &Value, label: &str, made: &Value) {
    assert_eq!(invoice["label"], label);
    assert_eq!(invoice["bolt11"], made["bolt11"]);
    assert_eq!(invoice["payment_hash"], made["payment_hash"]);
    assert_eq!(invoice["expires_at"], made["expires_at"]);
    assert_eq!(invoice["status"], "unpaid");
    for absent in [
        "payment_preimage",
        "amount_received_msat",
        "paid_at",
        "pay_index",
    ] {
        assert_eq!(invoice.get(absent), None, "{absent}");
    }
}

fn is_paid(invoice: &Value, amount_msat: u64) {
    assert_eq!(invoice["status"], "paid");
    assert_eq!(msat(&invoice["amount_received_msat"]), amount_msat);
    hex(&invoice["payment_preimage"], 32);
    assert!(invoice["paid_at"].as_u64().unwrap() > 1_600_000_000);
    assert!(invoice["pay_index"].as_u64().unwrap() > 0);
}

/// What `GetPayment` makes of a payment.
fn is_complete(payment: &Value, invoice: &Value, amount_msat: u64) {
    assert_eq!(payment["payment_hash"], invoice["payment_hash"]);
    assert_eq!(payment["bolt11"], invoice["bolt11"]);
    assert_eq!(payment["status"], "complete");
    hex(&payment["preimage"], 32);
    assert_eq!(msat(&payment["amount_msat"]), amount_msat);
    assert!(msat(&payment["amount_sent_msat"]) >= amount_msat);
    assert!(payment["created_at"].as_u64().unwrap() > 1_600_000_000);
}

/// Pays as `Pay` does; the answer, with all that it reads.
fn pay(payer: &Wallet, invoice: &Value, amount: &str, max_fee: &str, amount_msat: u64) -> Value {
    let paid = payer.call(
        "xpay",
        &format!("[{},{amount},{max_fee}]", invoice["bolt11"]),
    );
    hex(&paid["payment_preimage"], 32);
    assert_eq!(msat(&paid["amount_msat"]), amount_msat);
    assert!(msat(&paid["amount_sent_msat"]) >= amount_msat);
    paid
}

/// A shop that waits for its customers: the listener asks for what comes next, whatever its index,
/// and then for what follows that.
fn listens(shop: &Wallet, payer: &Wallet) {
    let next = std::thread::scope(|scope| {
        let listener = scope.spawn(|| shop.call("waitanyinvoice", "[99999999999]"));
        // It cannot say that it listens; customers come until it has heard of one.
        for customer in 0.. {
            if listener.is_finished() {
                break;
            }
            let made = shop.invoice("7000", &format!("customer {customer}"));
            pay(payer, &made, "null", "null", 7_000);
        }
        listener.join().unwrap()
    });
    is_paid(&next, 7_000);
    let label = next["label"].as_str().unwrap();
    assert!(label.starts_with("customer "), "{next}");
    assert_eq!(shop.invoice_of(label), next);
    let made = shop.invoice("8000", "after");
    pay(payer, &made, "null", "null", 8_000);
    let mut last = next;
    while last["label"] != "after" {
        last = shop.call("waitanyinvoice", &json!([last["pay_index"]]).to_string());
    }
    is_paid(&last, 8_000);
}

/// Paying: an invoice with its amount, one without, a node without an invoice; and what is refused.
fn pays(shop: &Wallet, shop_id: &str, payer: &Wallet) {
    let fixed = shop.invoice("25000", "4QAhmkVkLhsgYo3wMzeMTGz2wUcQ");
    assert_eq!(payer.payment(&fixed["payment_hash"]), None);
    let paid = pay(payer, &fixed, "null", "null", 25_000);
    let payment = payer.payment(&fixed["payment_hash"]).unwrap();
    is_complete(&payment, &fixed, 25_000);
    assert_eq!(payment["preimage"], paid["payment_preimage"]);
    let received = wait_for("the shop's invoice to be paid", || {
        let invoice = shop.invoice_of("4QAhmkVkLhsgYo3wMzeMTGz2wUcQ");
        (invoice["status"] == "paid").then_some(invoice)
    });
    is_paid(&received, 25_000);
    assert_eq!(received["payment_preimage"], paid["payment_preimage"]);

    let open = shop.invoice("any", "any amount");
    pay(payer, &open, "30000", "20000", 30_000);
    is_complete(
        &payer.payment(&open["payment_hash"]).unwrap(),
        &open,
        30_000,
    );

    let sent = payer.call("xkeysend", &format!(r#"["{shop_id}",5000,null,20000]"#));
    hex(&sent["payment_preimage"], 32);
    assert_eq!(msat(&sent["amount_msat"]), 5_000);
    for hash in [
        open["payment_hash"].clone(),
        sha256(&sent["payment_preimage"]),
    ] {
        wait_for("the shop to have it", || {
            let by_hash = shop.list("listinvoices", &format!("[null,null,{hash}]"));
            (by_hash.first()?["status"] == "paid").then_some(())
        });
    }

    // More than the payer's own channel to the shop has, so that some of it needs a fee. 205, no route,
    // is what it tells apart from other failures.
    let dear = shop.invoice("1200000000", "no fee allowed");
    let (code, _) = payer.refused("xpay", &format!("[{},null,0]", dear["bolt11"]));
    assert!((200..=210).contains(&code), "{code}");
    let (code, message) = payer.refused("xpay", r#"["lnbcrt1garbage",null,null]"#);
    assert_eq!(code, -32602, "{message}");
}

#[test]
fn the_session_of_btcpay_runs_unchanged_against_the_demo() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("demo");
    let (mut demo, _) = Process::demo(&dir, &[]);
    let [payer, shop] = ["alice", "carol"].map(|name| Wallet::of(&dir.join(name)));
    set_up(&payer);
    let shop_id = set_up(&shop)["id"].as_str().unwrap().to_owned();

    let made = shop.invoice("25000", "2Nq3bvRpZUjCPNKWVEMM4kGnVFjD");
    is_unpaid(
        &shop.invoice_of("2Nq3bvRpZUjCPNKWVEMM4kGnVFjD"),
        "2Nq3bvRpZUjCPNKWVEMM4kGnVFjD",
        &made,
    );
    let by_hash = shop.list(
        "listinvoices",
        &format!("[null,null,{}]", made["payment_hash"]),
    );
    assert_eq!(by_hash, [shop.invoice_of("2Nq3bvRpZUjCPNKWVEMM4kGnVFjD")]);
    assert!(shop.list("listinvoices", r#"["nobody's"]"#).is_empty());
    let described = r#"["26000","hashed","A long story",900,null,null,true,null,true]"#;
    let described = shop.call("invoice", described);
    hex(&described["payment_secret"], 32);
    let all = shop.list("listinvoices", "[]");
    assert!(all.iter().any(|invoice| invoice["label"] == "hashed"));
    // It gives up on any other word.
    assert!(all.iter().all(|invoice| {
        let status = invoice["status"].as_str().unwrap();
        ["unpaid", "paid", "expired"].contains(&status)
    }));

    let payments = payer.list("listpays", "[]");
    assert!(payments.iter().all(|payment| {
        let status = payment["status"].as_str().unwrap();
        ["pending", "failed", "complete"].contains(&status) && payment["created_at"].is_u64()
    }));
    assert_eq!(payer.payment(&json!("11".repeat(32))), None);

    pays(&shop, &shop_id, &payer);
    listens(&shop, &payer);
    let label = "2Nq3bvRpZUjCPNKWVEMM4kGnVFjD";
    let deleted = shop.call("delinvoice", &format!(r#"["{label}","unpaid"]"#));
    is_unpaid(&deleted, label, &made);
    assert_eq!(
        shop.refused("delinvoice", &format!(r#"["{label}","unpaid"]"#))
            .0,
        905
    );
    // A peer that it knows, one that is not there, and a channel with nobody.
    let bob = Wallet::of(&dir.join("bob")).call("getinfo", "[]");
    let (id, binding) = (bob["id"].as_str().unwrap(), &bob["binding"][0]);
    let at = format!(
        "{id}@{}:{}",
        binding["address"].as_str().unwrap(),
        binding["port"]
    );
    payer.call("connect", &json!([at]).to_string());
    let nobody = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let (code, message) = payer.refused("connect", &format!(r#"["{nobody}@127.0.0.1:1"]"#));
    assert!(code == 400 || code == 401, "{code} {message}");
    let (_, message) = payer.refused(
        "fundchannel",
        &format!(r#"["{nobody}",100000,"1000perkb"]"#),
    );
    let known = [
        "Peer not connected",
        "Unknown peer",
        "Unable to connect, no address known for peer",
    ];
    assert!(known.contains(&message.as_str()), "{message}");
    let (code, message) = payer.refused("fundchannel", &format!(r#"["{id}",2099999999999999]"#));
    assert_eq!(code, 301, "{message}");
    let opened = payer.call("fundchannel", &format!(r#"["{id}",100000,"1000perkb"]"#));
    hex(&opened["txid"], 32);
    assert!(demo.terminate().success());
}
