//! Comma-separated values, read by the rules of RFC 4180.

use super::run_with;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A file as its records of fields; a quoted empty field and an empty one are told apart.
pub(crate) fn read(text: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let mut records = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut record = Vec::new();
        loop {
            let (field, after) = field(rest)?;
            record.push(field);
            rest = after;
            if let Some(after) = rest.strip_prefix(',') {
                rest = after;
                continue;
            }
            rest = rest.strip_prefix("\r\n").ok_or("a line without CR LF")?;
            break;
        }
        records.push(record);
    }
    Ok(records)
}

fn field(text: &str) -> Result<(Option<String>, &str), String> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '\r', '\n', '"']).unwrap_or(text.len());
        let (field, rest) = text.split_at(end);
        return Ok(((!field.is_empty()).then(|| field.to_owned()), rest));
    };
    let mut field = String::new();
    loop {
        let end = rest.find('"').ok_or("a quoted field without its end")?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((Some(field), rest)),
        }
    }
}

fn csv_of(method: &str, list: &str, records: &[Value]) -> Vec<Vec<Option<String>>> {
    let ran = run_with(
        &json!({list: records}).to_string(),
        &["--format", "csv", method],
    );
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let rows = read(&ran.out).unwrap();
    assert_eq!(rows.len(), records.len() + 1, "{}", ran.out);
    assert!(
        rows.iter().all(|row| row.len() == rows[0].len()),
        "{}",
        ran.out
    );
    rows
}

fn header(rows: &[Vec<Option<String>>]) -> Vec<&str> {
    rows[0]
        .iter()
        .map(|name| name.as_deref().unwrap())
        .collect()
}

#[test]
fn the_header_is_the_same_whatever_the_records_have() {
    let listsendpays = [
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
        "bolt12",
        "description",
        "erroronion",
        "cltv_expiry",
        "code",
        "erring_index",
        "failcode",
        "failcodename",
        "erring_node",
        "erring_channel",
        "erring_direction",
        "raw_message",
        "message",
    ];
    for records in [&[][..], &[json!({"status": "failed", "message": "m"})]] {
        assert_eq!(
            header(&csv_of("listsendpays", "payments", records)),
            listsendpays
        );
    }
    for (method, list, first) in [
        ("listpays", "pays", "bolt11"),
        ("listinvoices", "invoices", "label"),
        ("listinvoice", "invoices", "label"),
    ] {
        let rows = csv_of(method, list, &[]);
        assert!(rows[0].len() > 10 && header(&rows).contains(&"created_index"));
        assert_eq!(header(&rows)[0], first);
    }
}

#[test]
fn amounts_are_integers_and_what_is_absent_is_empty() {
    let records = [
        json!({"amount_msat": "1000msat", "amount_sent_msat": 1001, "label": "5msat",
            "description": "", "bolt12": null}),
        json!({"status": "failed", "bolt11": {"route": [1, "a"]}, "partid": 0}),
    ];
    let rows = csv_of("listsendpays", "payments", &records);
    let cell = |row: usize, name: &str| {
        let place = header(&rows)
            .iter()
            .position(|column| *column == name)
            .unwrap();
        rows[row][place].clone()
    };
    for (row, name, expected) in [
        (1, "amount_msat", Some("1000")),
        (1, "amount_sent_msat", Some("1001")),
        (1, "label", Some("5msat")),
        (1, "description", Some("")),
        (1, "bolt12", None),
        (1, "status", None),
        (2, "status", Some("failed")),
        (2, "bolt11", Some(r#"{"route":[1,"a"]}"#)),
        (2, "partid", Some("0")),
        (2, "amount_msat", None),
    ] {
        assert_eq!(cell(row, name).as_deref(), expected, "{name} of {row}");
    }
}

#[test]
fn a_member_without_a_column_is_told_of_and_a_record_that_is_none_ends_the_file() {
    let ran = run_with(
        r#"{"payments":[{"status":"failed","new_1":1},{"new_2":[{}],"new_1":2}]}"#,
        &["--format", "csv", "listsendpays"],
    );
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "sendpay-cli: not in the output: new_1, new_2\n")
    );
    assert_eq!(read(&ran.out).unwrap().len(), 3);
    for wrong in ["5", "[1]", r#"{"status":}"#, r#"{"label":"\ud800"}"#] {
        let result = format!(r#"{{"payments":[{{"status":"failed"}},{wrong}]}}"#);
        let ran = run_with(&result, &["--format", "csv", "listsendpays"]);
        assert_eq!(ran.code, 2, "{wrong}");
        assert!(
            ran.err.contains("a record of the result cannot be read"),
            "{}",
            ran.err
        );
        assert!(read(&ran.out).is_err(), "{}", ran.out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_text_is_read_back_as_it_was(
        texts in proptest::collection::vec(
            prop_oneof![any::<String>(), "[a,\"\r\n '=\\\\]{0,8}"], 1..12,
        ),
    ) {
        let names = ["label", "description", "bolt11", "payment_hash"];
        let records: Vec<Value> = texts
            .chunks(names.len())
            .map(|texts| {
                let members = names.iter().zip(texts);
                let members: Map<String, Value> = members
                    .map(|(name, text)| ((*name).to_owned(), text.as_str().into()))
                    .collect();
                Value::from(members)
            })
            .collect();
        let rows = csv_of("listsendpays", "payments", &records);
        let header = header(&rows);
        for (record, row) in records.iter().zip(&rows[1..]) {
            for (name, cell) in header.iter().zip(row) {
                prop_assert_eq!(record.get(*name).and_then(Value::as_str), cell.as_deref());
            }
        }
    }
}
