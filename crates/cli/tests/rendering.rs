//! What comes out: JSON over many lines, and tables that fit their terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use sendpay_cli::{Pretty, Terminal, render};
use serde_json::{Value, json};

fn pretty(json: &str, cut: usize) -> String {
    let (start, end) = json.as_bytes().split_at(cut);
    let mut out = Vec::new();
    let mut pretty = Pretty::new();
    pretty.write(start, &mut out);
    pretty.write(end, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_three_spaces_a_level_wherever_it_is_cut() {
    let compact = r#"{"a":[],"b":{},"c":[1,{"d":"x, \"]}:"}],"e":null}"#;
    let expected = r#"{
   "a": [],
   "b": {},
   "c": [
      1,
      {
         "d": "x, \"]}:"
      }
   ],
   "e": null
}"#;
    for cut in 0..=compact.len() {
        assert_eq!(pretty(compact, cut), expected, "cut at {cut}");
    }
    assert_eq!(pretty(expected, 7), expected, "again it is the same");
    for whole in ["[]", "{}", "5", "\"a b\""] {
        assert_eq!(pretty(whole, 1), whole);
    }
}

fn payments() -> Value {
    json!({"payments": [
        {"created_index": 1, "id": 1, "payment_hash": "ab".repeat(32), "groupid": 1,
         "destination": format!("02{}", "cd".repeat(32)), "amount_msat": "1000msat",
         "amount_sent_msat": "1001msat", "created_at": 1_795_361_960u64, "status": "complete",
         "label": "coffee", "bolt11": "lnbcrt1".repeat(40)},
        {"created_index": 2, "id": 2, "payment_hash": "ef".repeat(32), "groupid": 1,
         "amount_msat": "20msat", "amount_sent_msat": "20msat", "created_at": 1_795_361_961u64,
         "status": "failed", "failcodename": "WIRE_UNKNOWN_NEXT_PEER",
         "label": "\u{1b}[2J and so on for a long, long while"},
    ]})
}

const WIDE: Terminal = Terminal {
    columns: 500,
    colours: false,
};

#[test]
fn a_list_is_a_table_with_short_hashes_and_dates() {
    let text = render(&payments(), WIDE).unwrap();
    for expected in [
        "payment_hash",
        "abababab…abab",
        "02cdcdcd…cdcd",
        "lnbcrt1l…crt1",
        "2026-11-22 15:39",
        "1000msat",
        "coffee",
        "WIRE_UNKNOWN_NEXT_PEER",
        "2 rows",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(
        !text.starts_with("created_index  id "),
        "an old name for the same is shown\n{text}"
    );
    assert!(!text.contains('\u{1b}'), "a label moves the cursor");
    assert!(!text.contains("not shown"));
}

#[test]
fn a_narrow_table_fits_and_says_what_is_left_out() {
    for columns in [60, 80, 100, 140] {
        let text = render(
            &payments(),
            Terminal {
                columns,
                colours: false,
            },
        )
        .unwrap();
        for line in text.lines().filter(|line| !line.contains("not shown")) {
            assert!(line.chars().count() <= columns, "over {columns}:\n{text}");
        }
        assert!(
            text.contains("bolt11") && text.contains("not shown: "),
            "{text}"
        );
        assert!(
            text.contains("status") && text.contains("payment_hash"),
            "{text}"
        );
    }
}

#[test]
fn the_status_is_coloured_only_where_colours_are_wanted() {
    let text = render(
        &payments(),
        Terminal {
            columns: 100,
            colours: true,
        },
    )
    .unwrap();
    assert!(
        text.contains("\u{1b}[38;5;10m") && text.contains("\u{1b}[38;5;9m"),
        "{text:?}"
    );
    assert!(!render(&payments(), WIDE).unwrap().contains('\u{1b}'));
}

#[test]
fn what_is_no_list_is_no_table() {
    assert_eq!(
        render(&json!({"id": "02", "address": [{"port": 1}]}), WIDE),
        None
    );
    assert_eq!(render(&json!({}), WIDE), None);
    assert_eq!(render(&json!([{"a": 1}]), WIDE), None);
    assert_eq!(render(&json!({"a": [1, 2]}), WIDE), None);
}

#[test]
fn empty_lists_and_second_lists_are_named() {
    assert_eq!(
        render(&json!({"payments": []}), WIDE).unwrap(),
        "payments: none\n"
    );
    let funds = json!({"outputs": [], "channels": [{"state": "CHANNELD_NORMAL"}], "note": "x"});
    let text = render(&funds, WIDE).unwrap();
    assert!(text.starts_with("outputs: none\nchannels:\n"), "{text}");
    assert!(
        text.contains("CHANNELD_NORMAL") && text.ends_with("note: x\n"),
        "{text}"
    );
}

#[test]
fn a_simple_result_is_its_texts() {
    let help = json!({"help": [{"command": "a [b]"}, {"command": "c "}], "format-hint": "simple"});
    let more = "---\nrun `sendpay-cli help <command>` for more information on a specific command\n";
    assert_eq!(
        render(&help, WIDE).unwrap(),
        format!("a [b]\n\nc\n\n{more}")
    );
    let help =
        json!({"help": [{"command": "a", "verbose": "NAME\n\n    a\n"}], "format-hint": "simple"});
    assert_eq!(render(&help, WIDE).unwrap(), "NAME\n\n    a\n");
}
