//! What is made from the types: help, schemas, man pages, completion; and that results have CLN's
//! fields in CLN's order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use sendpay_rpc::method::{METHODS, help::Help, listsendpays::ListSendPaysResult};
use sendpay_rpc::payment::{Failure, Payment};
use sendpay_rpc::value::{Amounts, PaymentStatus, PlainText};
use sendpay_rpc::{completion, manpage};
use serde_json::{Value, json};

fn payment(amounts: Amounts) -> Payment {
    Payment {
        created_index: 7,
        id: 7,
        payment_hash: "ab".repeat(32).parse().unwrap(),
        groupid: 1,
        updated_index: Some(9),
        partid: Some(2),
        destination: Some(format!("02{}", "cd".repeat(32)).parse().unwrap()),
        amount_msat: Some(amounts.payment(1000)),
        amount_sent_msat: amounts.payment(1001),
        created_at: 1,
        completed_at: Some(2),
        status: PaymentStatus::Failed,
        payment_preimage: Some("ef".repeat(32).parse().unwrap()),
        label: Some("l".to_owned()),
        bolt11: Some("lnbc".to_owned()),
        bolt12: None,
        description: Some("d".to_owned()),
        erroronion: None,
        cltv_expiry: None,
        failure: Failure {
            code: Some(204),
            erring_index: Some(1),
            failcode: Some(16394),
            failcodename: Some("WIRE_UNKNOWN_NEXT_PEER".to_owned()),
            erring_channel: Some("999x1x0".parse().unwrap()),
            ..Failure::default()
        },
    }
}

#[test]
fn a_payment_has_its_fields_in_clns_order_and_amounts_as_configured() {
    let text = serde_json::to_string(&payment(Amounts::MsatStrings)).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "created_index",
            "id",
            "payment_hash",
            "groupid",
            "updated_index",
            "partid",
            "destination",
            "amount_msat",
            "amount_sent_msat",
            "created_at",
            "completed_at",
            "status",
            "payment_preimage",
            "label",
            "bolt11",
            "description",
            "code",
            "erring_index",
            "failcode",
            "failcodename",
            "erring_channel",
        ]
    );
    assert_eq!(value["amount_msat"], "1000msat");
    assert_eq!(value["amount_sent_msat"], "1001msat");
    let integers = serde_json::to_value(payment(Amounts::Integer)).unwrap();
    assert_eq!(integers["amount_msat"], 1000);
    assert_eq!(integers["amount_sent_msat"], 1001);
}

#[test]
fn a_payment_reads_back_as_it_was_written() {
    for amounts in [Amounts::MsatStrings, Amounts::Integer] {
        let text = serde_json::to_string(&payment(amounts)).unwrap();
        assert_eq!(
            serde_json::from_str::<Payment>(&text).unwrap(),
            payment(amounts)
        );
    }
}

#[test]
fn the_answer_of_a_cln_node_reads_as_ours() {
    let cln = json!({"payments": [{
        "created_index": 1, "id": 1, "payment_hash": "ab".repeat(32), "groupid": 288u64,
        "updated_index": 1, "partid": 1, "amount_msat": 250_000, "amount_sent_msat": 250_000,
        "created_at": 1_795_361_960, "completed_at": 1_795_361_960, "status": "complete",
        "payment_preimage": "cd".repeat(32), "bolt11": "lnbcrt1",
    }]});
    let result: ListSendPaysResult = serde_json::from_value(cln).unwrap();
    assert_eq!(result.payments[0].amount_sent_msat.msat(), 250_000);
}

#[test]
fn help_is_clns_line_for_each_method_sorted() {
    let help = Help { command: None }.answer().unwrap().help;
    let lines: Vec<&str> = help.iter().map(|entry| entry.command.as_str()).collect();
    assert_eq!(lines.len(), METHODS.len());
    assert!(lines.is_sorted());
    assert!(lines.contains(&"getinfo "));
    assert!(lines.contains(
        &"listsendpays [bolt11] [payment_hash] [status] [index] [start] [limit] [order] \
              [destination] [label] [groupid] [created_from] [created_to] [completed_from] \
              [completed_to] [amount_from_msat] [amount_to_msat] [code] [failcode]"
    ));
    assert!(lines.contains(
        &"sendpay route payment_hash [label] [amount_msat] [bolt11] [payment_secret] [partid] \
          [localinvreqid] [groupid] [payment_metadata] [description] [idempotency_key]"
    ));
    assert!(lines.contains(
        &"holdinvoice amount_msat label description [payment_hash] [preimage] [expiry] [cltv]"
    ));
    let error = Help {
        command: Some(PlainText::from("nosuch")),
    }
    .answer()
    .unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (-32601, "Unknown command nosuch")
    );
}

#[test]
fn every_member_of_every_result_is_described_and_none_may_be_null() {
    fn look(path: &str, schema: &Value) {
        assert!(
            !schema.to_string().contains("\"null\""),
            "{path} may be null: {schema}"
        );
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            let described = property.get("description").and_then(Value::as_str);
            assert!(
                described.is_some_and(|text| !text.is_empty()),
                "{path} is not described"
            );
            let mut inner = property;
            while let Some(items) = inner.get("items") {
                inner = items;
            }
            look(&path, inner);
        }
    }
    for entry in METHODS {
        let schema = entry.schema();
        look(entry.name, &schema["result"]);
        for spec in entry.params {
            assert!(
                !spec.description().is_empty(),
                "{}.{}",
                entry.name,
                spec.name
            );
        }
    }
}

#[test]
fn the_message_of_sendpay_is_described_as_its_own() {
    let schema = sendpay_rpc::method::find("sendpay")
        .unwrap()
        .result_schema();
    let message = &schema["properties"]["message"];
    let described = message["description"].as_str().unwrap();
    assert!(described.starts_with("What to do next."), "{described}");
    assert_eq!(message["type"], "string");
}

#[test]
fn the_schema_says_which_members_are_always_there() {
    let entry = sendpay_rpc::method::find("listsendpays").unwrap();
    let schema = entry.result_schema();
    let required = &schema["properties"]["payments"]["items"]["required"];
    assert_eq!(
        *required,
        json!([
            "created_index",
            "id",
            "payment_hash",
            "groupid",
            "amount_sent_msat",
            "created_at",
            "status"
        ])
    );
}

#[test]
fn pages_name_only_methods_that_exist_and_listsendpays_comes_first() {
    let pages: Vec<(String, String)> = manpage::pages().collect();
    assert_eq!(pages[0].0, "sendpay-listsendpays.7");
    assert!(pages[0].1.contains(".TH \"SENDPAY\\-LISTSENDPAYS\" \"7\""));
    for entry in METHODS {
        for name in entry.see_also {
            assert!(
                sendpay_rpc::method::find(name).is_some(),
                "{} names {name}",
                entry.name
            );
        }
    }
    for (file, page) in pages {
        for line in page.lines() {
            let request = line.split([' ', '\t']).next().unwrap();
            let known = [
                ".TH", ".SH", ".PP", ".TP", ".RS", ".RE", ".nf", ".fi", ".\\\"",
            ];
            assert!(
                !line.starts_with(['.', '\'']) || known.contains(&request),
                "{file}: {line}"
            );
        }
        let count = |request| page.lines().filter(|line| *line == request).count();
        let depth = count(".RS").abs_diff(count(".RE"));
        assert_eq!(depth, 0, "{file} leaves an indent open");
    }
}

#[test]
fn markup_in_the_words_is_closed() {
    for entry in METHODS {
        let page = manpage::roff(entry);
        for line in page.lines() {
            let fonts: Vec<&str> = ["\\fI", "\\fB"]
                .into_iter()
                .filter(|font| line.contains(font))
                .collect();
            if !fonts.is_empty() {
                let opened = line.matches("\\fI").count() + line.matches("\\fB").count();
                assert_eq!(
                    opened,
                    line.matches("\\fR").count(),
                    "{}: {line}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn completion_knows_every_method_and_bash_can_read_it() {
    let script = completion::bash();
    for entry in METHODS {
        assert!(script.contains(entry.name));
    }
    assert!(script.contains("listinvoices|listinvoice) words=\"label= "));
    let status = std::process::Command::new("bash")
        .args(["-n", "-c", &script])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn the_pages_in_the_tree_are_those_of_the_types() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let folder = docs.join("man/man7");
    let stale = "make it again: cargo run -p sendpay-rpc --example pages -- docs";
    let mut names = Vec::new();
    for (file, page) in manpage::pages() {
        let kept = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(kept == page, "docs/man/man7/{file} is stale; {stale}");
        names.push(file);
    }
    let mut kept: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    kept.sort_unstable();
    assert_eq!(kept, names, "docs/man/man7 has a page of no method");
    let path = "bash-completion/completions/sendpay-cli";
    let kept = std::fs::read_to_string(docs.join(path)).unwrap_or_default();
    assert!(kept == completion::bash(), "docs/{path} is stale; {stale}");
}

#[test]
fn what_comes_after_an_answer_is_in_its_schema_and_on_its_page() {
    for entry in METHODS {
        let notification = &entry.schema()["notification"];
        let page = manpage::plain_text(entry);
        if entry.name == "followsendpays" {
            assert_eq!(notification["method"], "sendpay_changed");
            let members = notification["params"]["properties"].as_object().unwrap();
            let names: Vec<&String> = members.keys().collect();
            assert_eq!(names, ["change", "kind", "payment"]);
            let title = page.find("\nNOTIFICATIONS\n").unwrap();
            let (answer, after) = page.split_at(title);
            assert!(answer.contains("\nRETURN VALUE\n") && after.contains("change (u64)"));
            assert!(after.contains("created_index (u64)"), "{after}");
        } else {
            assert_eq!(*notification, Value::Null, "{}", entry.name);
            assert!(!page.contains("NOTIFICATIONS"), "{}", entry.name);
        }
    }
}
