//! `verifyproof`: what an invoice and a preimage prove, and what they do not. Offline: there is no
//! daemon in these tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentHash, PaymentSecret};
use sendpay_cli::{EXIT_OK, EXIT_RPC_ERROR, EXIT_USAGE, Terminal};
use serde_json::{Value, json};
use std::time::Duration;

const PREIMAGE: [u8; 32] = [7; 32];
const MADE_AT: u64 = 1_700_000_000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key() -> SecretKey {
    SecretKey::from_slice(&[3; 32]).unwrap()
}

fn payee() -> String {
    key().public_key(&Secp256k1::new()).to_string()
}

fn hash() -> String {
    hex(&sha256::Hash::hash(&PREIMAGE).to_byte_array())
}

/// An invoice that `PREIMAGE` pays: of that amount, with that description or only its hash.
fn invoice(amount_msat: Option<u64>, description: &str, hashed: bool) -> String {
    let builder = InvoiceBuilder::new(Currency::Regtest);
    let builder = if hashed {
        builder.description_hash(sha256::Hash::hash(description.as_bytes()))
    } else {
        builder.description(description.to_owned())
    };
    let mut builder = builder
        .duration_since_epoch(Duration::from_secs(MADE_AT))
        .payment_hash(PaymentHash(sha256::Hash::hash(&PREIMAGE).to_byte_array()))
        .payment_secret(PaymentSecret([1; 32]))
        .min_final_cltv_expiry_delta(42)
        .expiry_time(Duration::from_secs(600));
    if let Some(amount) = amount_msat {
        builder = builder.amount_milli_satoshis(amount);
    }
    let secp = Secp256k1::new();
    let signed = builder.build_signed(|message| secp.sign_ecdsa_recoverable(message, &key()));
    signed.unwrap().to_string()
}

struct Ran {
    code: u8,
    out: String,
    err: String,
}

fn run_for(terminal: Option<Terminal>, arguments: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = ["sendpay-cli", "--dir", "/nowhere"].into_iter();
    let words = words.chain(arguments.iter().copied()).map(Into::into);
    let code = sendpay_cli::run(words, &mut out, &mut err, terminal);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code,
        out: text(out),
        err: text(err),
    }
}

fn run(arguments: &[&str]) -> Ran {
    let mut words = vec!["verifyproof"];
    words.extend(arguments);
    run_for(None, &words)
}

fn verdict(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn an_invoice_and_its_preimage_prove_the_payment_and_say_what_of() {
    let invoice = invoice(Some(50_000), "a cup of coffee", false);
    for text in [
        invoice.clone(),
        invoice.to_uppercase(),
        format!("lightning:{invoice}"),
    ] {
        let ran = run(&[&text, &hex(&PREIMAGE)]);
        assert_eq!((ran.code, ran.err.as_str()), (EXIT_OK, ""));
        let verdict = verdict(&ran);
        assert_eq!(verdict["proven"], true);
        assert_eq!(verdict["payment_hash"], hash());
        assert_eq!(verdict["payment_preimage"], hex(&PREIMAGE));
        assert_eq!(verdict["payee"], payee());
        assert_eq!(verdict["amount_msat"], 50_000);
        assert_eq!(verdict["currency"], "bcrt");
        assert_eq!(verdict["description"], "a cup of coffee");
        assert_eq!(verdict["created_at"], MADE_AT);
        assert_eq!(verdict["expires_at"], MADE_AT + 600);
        let proves = verdict["proves"].to_string();
        for word in [
            &payee(),
            "50000 msat",
            "a cup of coffee",
            "2023-11-14 22:13 UTC",
        ] {
            assert!(proves.contains(word), "{word}: {proves}");
        }
        let limits = verdict["does_not_prove"].to_string();
        assert!(limits.contains("every node that forwarded the payment knows the preimage"));
    }
    let by_name = run(&[
        &format!("preimage={}", hex(&PREIMAGE)),
        &format!("invoice={invoice}"),
    ]);
    assert_eq!(by_name.code, EXIT_OK);
}

#[test]
fn a_preimage_of_something_else_proves_nothing() {
    let invoice = invoice(Some(50_000), "coffee", false);
    let other = hex(&[8; 32]);
    let ran = run(&[&invoice, &other]);
    assert_eq!(ran.code, EXIT_RPC_ERROR);
    let verdict = verdict(&ran);
    assert_eq!(verdict["proven"], false);
    let found = hex(&sha256::Hash::hash(&[8; 32]).to_byte_array());
    let reason = format!("the preimage is not this invoice's: its SHA256 is {found}");
    assert_eq!(verdict["reason"], reason);
    assert!(verdict.get("proves").is_none());
}

#[test]
fn without_an_invoice_nothing_is_proven_as_of_a_keysend() {
    let ran = run(&[&hash(), &hex(&PREIMAGE)]);
    assert_eq!(ran.code, EXIT_RPC_ERROR);
    let told = verdict(&ran);
    assert_eq!(told["proven"], false);
    let reason = told["reason"].as_str().unwrap();
    assert!(
        reason.contains("(keysend) the payer made the preimage"),
        "{reason}"
    );
    assert_eq!(
        told["does_not_prove"],
        json!(["That anything was paid to anybody."])
    );
    let told = verdict(&run(&[&hex(&[9; 32]), &hex(&PREIMAGE)]));
    assert_eq!(
        told["reason"],
        "the preimage is not that of the payment_hash"
    );
}

#[test]
fn an_invoice_of_any_amount_does_not_prove_how_much() {
    let told = verdict(&run(&[&invoice(None, "gift", false), &hex(&PREIMAGE)]));
    assert!(told.get("amount_msat").is_none());
    assert!(told["proves"].to_string().contains("any amount"));
    assert!(
        told["does_not_prove"]
            .to_string()
            .contains("How much was paid")
    );
}

#[test]
fn a_description_is_held_against_its_hash() {
    let hashed = invoice(Some(1), "the whole contract", true);
    let preimage = hex(&PREIMAGE);
    let told = verdict(&run(&[&hashed, &preimage]));
    let digest = hex(&sha256::Hash::hash(b"the whole contract").to_byte_array());
    assert_eq!(told["description_hash"], digest);
    let ran = run(&[&hashed, &preimage, "the whole contract"]);
    assert_eq!(ran.code, EXIT_OK);
    assert!(
        verdict(&ran)["proves"]
            .to_string()
            .contains("the whole contract")
    );
    let ran = run(&[&hashed, &preimage, "description=another"]);
    assert_eq!(ran.code, EXIT_RPC_ERROR);
    assert_eq!(
        verdict(&ran)["reason"],
        "the invoice is for another description"
    );
    let plain = invoice(Some(1), "coffee", false);
    assert_eq!(run(&[&plain, &preimage, "coffee"]).code, EXIT_OK);
    assert_eq!(run(&[&plain, &preimage, "tea"]).code, EXIT_RPC_ERROR);
}

#[test]
fn an_invoice_that_was_changed_is_not_its_payees() {
    let honest = invoice(Some(50_000), "coffee", false);
    // Each character of the data in turn: the checksum catches it.
    let broken = honest.replacen('q', "p", 1);
    let ran = run(&[&broken, &hex(&PREIMAGE)]);
    assert_eq!((ran.code, ran.out.as_str()), (EXIT_USAGE, ""));
    assert!(ran.err.contains("INVOICE cannot be read"), "{}", ran.err);
}

#[test]
fn arguments_that_make_no_sense_are_explained() {
    let invoice = invoice(Some(1), "coffee", false);
    let preimage = hex(&PREIMAGE);
    let long = "l".repeat(16_385);
    for (arguments, word) in [
        (vec![], "an invoice and a preimage are needed"),
        (
            vec![invoice.as_str()],
            "an invoice and a preimage are needed",
        ),
        (
            vec![&invoice, &preimage, "coffee", "more"],
            "too many arguments",
        ),
        (vec![&invoice, &format!("invoice={invoice}")], "given twice"),
        (vec![&invoice, "77"], "PREIMAGE should be 64 hex digits"),
        (vec!["lnbcrt1nonsense", &preimage], "INVOICE cannot be read"),
        (vec!["lni1qqg", &preimage], "BOLT 12"),
        (vec![&long, &preimage], "longer than 16384 bytes"),
    ] {
        let ran = run(&arguments);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (EXIT_USAGE, ""),
            "{arguments:?}"
        );
        assert!(ran.err.contains(word), "{word}: {}", ran.err);
    }
}

#[test]
fn a_person_gets_sentences_and_hostile_text_does_no_harm() {
    let invoice = invoice(Some(50_000), "red\u{1b}[31m alert", false);
    let terminal = Terminal {
        columns: 80,
        colours: true,
    };
    let ran = run_for(Some(terminal), &["verifyproof", &invoice, &hex(&PREIMAGE)]);
    assert_eq!(ran.code, EXIT_OK);
    assert!(ran.out.starts_with("Proven: the invoice was paid.\n"));
    for head in ["It proves:", "It does not prove:"] {
        assert!(ran.out.contains(head), "{}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    let line = run_for(None, &["-R", "verifyproof", &invoice, &hex(&PREIMAGE)]);
    assert_eq!(line.out.lines().count(), 1);
    let table = run_for(
        None,
        &["--format", "csv", "verifyproof", &invoice, &hex(&PREIMAGE)],
    );
    assert_eq!(table.code, EXIT_USAGE);
}
