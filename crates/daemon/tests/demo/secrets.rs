//! The most verbose log of a whole demo has no secret in it.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use bitcoin::hex::FromHex;
use serde_json::{Value, json};

use crate::process::{Process, call, client, printed_commands, wait_for};

/// What must not be in a log, and what it is.
struct Secret {
    what: String,
    forms: Vec<String>,
}

/// The forms in which 32 bytes could get into a log.
fn of_bytes(what: &str, hex: &str) -> Secret {
    let bytes = Vec::<u8>::from_hex(hex).unwrap();
    assert_eq!(bytes.len(), 32, "{what}");
    let list = format!("{bytes:?}");
    let upper = hex.to_uppercase();
    let forms = vec![
        hex.to_owned(),
        upper,
        list.trim_matches(['[', ']']).to_owned(),
        STANDARD.encode(&bytes),
    ];
    Secret {
        what: what.to_owned(),
        forms,
    }
}

fn seeds(dir: &Path) -> Vec<Secret> {
    let names = ["alice", "bob", "carol"];
    let seeds = names.map(|name| {
        let words = std::fs::read_to_string(dir.join(name).join("regtest/seed")).unwrap();
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(words.len(), 12);
        // One word alone may be an English word of a message; three in a row are the seed.
        Secret {
            what: format!("{name}'s seed"),
            forms: words.windows(3).map(|three| three.join(" ")).collect(),
        }
    });
    seeds.into()
}

fn cookie(dir: &Path) -> Secret {
    let cookie = std::fs::read_to_string(dir.join("chain/.cookie")).unwrap();
    let (_, password) = cookie.split_once(':').unwrap();
    Secret {
        what: "the cookie".into(),
        forms: vec![password.to_owned(), STANDARD.encode(&cookie)],
    }
}

/// The payment_secret and preimage of each invoice, and the invoice, which has the first in it.
fn invoices(dir: &Path) -> Vec<Secret> {
    let carol = dir.join("carol");
    let listed = call(&carol, "listinvoices", json!({}));
    let mut secrets = Vec::new();
    for invoice in listed["invoices"].as_array().unwrap() {
        let label = invoice["label"].as_str().unwrap();
        let bolt11 = invoice["bolt11"].as_str().unwrap();
        let decoded = call(&carol, "decode", json!([bolt11]));
        let payment_secret = decoded["payment_secret"].as_str().unwrap();
        secrets.push(of_bytes(
            &format!("the payment_secret of {label}"),
            payment_secret,
        ));
        if let Some(preimage) = invoice.get("payment_preimage").and_then(Value::as_str) {
            secrets.push(of_bytes(&format!("the preimage of {label}"), preimage));
        }
        secrets.push(Secret {
            what: format!("the invoice {label}"),
            forms: vec![bolt11.to_owned(), bolt11.to_uppercase()],
        });
    }
    secrets
}

#[test]
fn the_most_verbose_log_of_a_whole_demo_has_no_secret() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("demo");
    let verbose = ["--log-level", "trace"];
    let (mut first, _) = Process::demo(&dir, &verbose);
    let mut secrets = vec![cookie(&dir)];
    assert!(first.terminate().success());
    // A second run, for what is logged when state is read back.
    let (mut second, text) = Process::demo(&dir, &verbose);
    secrets.push(cookie(&dir));
    secrets.extend(seeds(&dir));
    let held = std::fs::read_to_string(dir.join("carol/held-preimage")).unwrap();
    let held = held.trim();
    secrets.push(of_bytes("the held preimage", held));
    let commands = printed_commands(&text);
    let settle = commands
        .iter()
        .find(|words| words.iter().any(|word| word == held));
    let settled = client(settle.unwrap());
    let hash = json!({"payment_hash": settled["payment_hash"]});
    let alice = dir.join("alice");
    let record = wait_for("the held payment to complete", || {
        let listed = call(&alice, "listsendpays", hash.clone());
        let record = listed["payments"][0].clone();
        (record["status"] == "complete").then_some(record)
    });
    secrets.extend(invoices(&dir));
    assert!(second.terminate().success());

    let log = std::fs::read_to_string(dir.join("demo.log")).unwrap();
    let told = std::fs::read_to_string(dir.with_extension("stderr")).unwrap();
    // That it is the log of all this, and verbose.
    assert!(log.contains("TRACE ldk"), "no trace of LDK's");
    assert!(log.contains(record["payment_hash"].as_str().unwrap()));
    assert!(secrets.len() > 20, "{} secrets", secrets.len());
    let mut found = Vec::new();
    for (file, text) in [("demo.log", &log), ("standard error", &told)] {
        for (number, line) in text.lines().enumerate() {
            for secret in &secrets {
                if secret.forms.iter().any(|form| line.contains(form.as_str())) {
                    found.push(format!("{file}:{number}: {}: {line}", secret.what));
                }
            }
        }
        for word in ["xprv", "tprv"] {
            assert!(!text.contains(word), "a private key in {file}");
        }
    }
    assert!(
        found.is_empty(),
        "{} leaks: {:#?}",
        found.len(),
        found.iter().take(20).collect::<Vec<_>>()
    );
}
