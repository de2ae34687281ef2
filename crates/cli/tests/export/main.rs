//! Listings as files: what is in them, what the program says when they are not whole, and that
//! their size costs no memory; and what comes after an answer. The real binary and the library, against a socket of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod csv;
mod daemon;
mod follow;
mod memory;

use sendpay_rpc::{Code, RpcError, reply};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// What came of a run: exit code, output, errors.
struct Ran {
    code: u8,
    out: String,
    err: String,
}

/// Runs the program on a terminal that is not one.
fn run(dir: &Path, words: &[&str]) -> Ran {
    let socket = daemon::socket(dir);
    let first = ["sendpay-cli", "--rpc-file", socket.to_str().unwrap()];
    let words = first.iter().chain(words).map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = sendpay_cli::run(words, &mut out, &mut err, None);
    Ran {
        code,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// Runs it against a daemon that answers with this result.
fn run_with(result: &str, words: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let result = result.to_owned();
    let served = daemon::serve_once(dir.path(), move |id, stream| {
        stream.write_all(&reply::begin_result(id))?;
        stream.write_all(result.as_bytes())?;
        stream.write_all(reply::END)
    });
    let ran = run(dir.path(), words);
    match served.join().unwrap() {
        // It had seen enough, and left before the end.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        served => served.unwrap(),
    }
    ran
}

#[test]
fn jsonl_is_one_record_in_each_line_however_it_came() {
    let result =
        "{\"payments\": [\n  {\"label\": \"a\\nb, ]\",\n   \"amount_msat\": 5},{\"id\":2}\n]}";
    let ran = run_with(result, &["--format", "jsonl", "listsendpays"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let whole: Value = serde_json::from_str(result).unwrap();
    assert_eq!(Value::from(lines), whole["payments"]);
    assert!(ran.out.ends_with("{\"id\":2}\n"), "{}", ran.out);
}

#[test]
fn an_empty_listing_has_no_lines_and_csv_its_header() {
    let empty = r#"{"payments":[]}"#;
    assert_eq!(
        run_with(empty, &["--format", "jsonl", "listsendpays"]).out,
        ""
    );
    let csv = run_with(empty, &["--format", "csv", "listsendpays"]).out;
    assert_eq!(csv.matches("\r\n").count(), 1, "{csv}");
    assert_eq!(
        run_with(empty, &["--format", "table", "listsendpays"]).out,
        "payments: none\n"
    );
}

#[test]
fn json_by_name_is_the_json_of_a_pipe() {
    let result = r#"{"payments":[{"id":1,"label":"x\"y\\"},{}]}"#;
    let by_name = run_with(result, &["--format", "json", "listsendpays"]).out;
    assert_eq!(by_name, run_with(result, &["listsendpays"]).out);
    assert_eq!(
        by_name,
        "{\n   \"payments\": [\n      {\n         \"id\": 1,\n         \"label\": \"x\\\"y\\\\\"\n      \
         },\n      {}\n   ]\n}\n"
    );
}

#[test]
fn lists_beside_the_first_are_told_of() {
    let result = r#"{"outputs":[{"txid":"aa"}],"channels":[{"state":"x"}]}"#;
    for format in ["csv", "jsonl"] {
        let ran = run_with(result, &["--format", format, "listfunds"]);
        assert_eq!(ran.code, 0);
        assert_eq!(ran.err, "sendpay-cli: not in the output: channels\n");
        assert!(
            ran.out.contains("aa") && !ran.out.contains("state\":"),
            "{}",
            ran.out
        );
    }
}

#[test]
fn a_result_that_is_no_list_is_refused_before_the_method_is_called() {
    // There is no daemon: whoever called would exit with 2.
    let dir = tempfile::tempdir().unwrap();
    for (words, expected) in [
        (
            ["--format", "csv", "getinfo"],
            "--format csv cannot be used with getinfo",
        ),
        (
            ["--format", "jsonl", "sendpay"],
            "--format jsonl cannot be used with sendpay",
        ),
        (
            ["--format", "csv", "nosuch"],
            "--format csv cannot be used with nosuch",
        ),
    ] {
        let ran = run(dir.path(), &words);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{words:?}");
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
    // Only the answer tells what a method is that this program does not know.
    let ran = run_with(r#"{"a":1}"#, &["--format", "jsonl", "nosuch"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    let ran = run_with(r#"{"a":1,"b":[2,3]}"#, &["--format", "jsonl", "nosuch"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "2\n3\n"), "{}", ran.err);
}

#[test]
fn a_format_that_does_not_exist_or_not_beside_another_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    for words in [
        &["--format", "xml", "listsendpays"][..],
        &["--format", "CSV", "listsendpays"],
        &["--format"],
        &["listsendpays", "--format=tsv"],
        &["-J", "--format", "csv", "listsendpays"],
        &["-R", "--format", "csv", "listsendpays"],
    ] {
        let ran = run(dir.path(), words);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{words:?}");
        assert!(ran.err.contains("--format"), "{words:?}: {}", ran.err);
    }
    // It may stand behind the method, before its parameters.
    let ran = run_with(
        r#"{"payments":[{"id":1}]}"#,
        &["listsendpays", "--format", "jsonl", "status=failed"],
    );
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "{\"id\":1}\n"),
        "{}",
        ran.err
    );
}

#[test]
fn an_error_of_the_method_leaves_the_output_empty() {
    for format in ["csv", "jsonl", "table"] {
        let dir = tempfile::tempdir().unwrap();
        let served = daemon::serve_once(dir.path(), |id, stream| {
            let error = RpcError::new(Code::InvalidParams, "limit: must be a number");
            stream.write_all(&reply::error(id, &error))
        });
        let ran = run(dir.path(), &["--format", format, "listsendpays", "limit=x"]);
        served.join().unwrap().unwrap();
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(
            ran.err
                .starts_with("listsendpays: limit: must be a number (code -32602)\n")
        );
    }
}

#[test]
fn a_listing_that_is_cut_off_looks_like_none_and_exits_with_2() {
    // Between two records, and in one.
    for tail in [",", r#",{"created_index":"#] {
        for format in ["json", "jsonl", "csv", "table"] {
            let dir = tempfile::tempdir().unwrap();
            let served = daemon::serve_once(dir.path(), move |id, stream| {
                daemon::begin(id, stream)?;
                daemon::records(3000, stream)?;
                stream.write_all(tail.as_bytes())
            });
            let ran = run(dir.path(), &["--format", format, "listsendpays"]);
            served.join().unwrap().unwrap();
            assert_eq!(ran.code, 2, "{format}");
            assert!(
                ran.err
                    .contains("closed the connection before its answer was whole"),
                "{}",
                ran.err
            );
            let last = ran.out.lines().last().unwrap();
            match format {
                "json" => assert!(serde_json::from_str::<Value>(&ran.out).is_err()),
                "jsonl" => assert!(serde_json::from_str::<Value>(last).is_err(), "{last}"),
                "csv" => assert!(csv::read(&ran.out).is_err()),
                _ => assert_eq!(last, "cut off here"),
            }
            // What came is there.
            assert!(ran.out.contains("10000000") && ran.out.lines().count() > 2000);
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_of_any_format_is_no_error() {
    for format in ["json", "jsonl", "csv", "table"] {
        let dir = tempfile::tempdir().unwrap();
        // The daemon never comes to an end by itself: the client has to go.
        let served = daemon::serve_once(dir.path(), |id, stream| {
            daemon::begin(id, stream)?;
            daemon::records(u64::MAX, stream)
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_sendpay-cli"))
            .arg("--rpc-file")
            .arg(daemon::socket(dir.path()))
            .args(["listsendpays", "--format", format])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), err.as_str()),
            (Some(0), ""),
            "{format}"
        );
        let gone = served.join().unwrap().unwrap_err();
        assert!(
            matches!(
                gone.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ),
            "{gone}"
        );
    }
}

#[test]
fn a_long_table_has_the_same_columns_from_its_first_row_to_its_last() {
    const ROWS: u64 = 5000;
    let dir = tempfile::tempdir().unwrap();
    let served = daemon::serve_once(dir.path(), |id, stream| {
        daemon::begin(id, stream)?;
        daemon::records(ROWS, stream)?;
        // A member that no row before it had.
        stream.write_all(br#",{"created_index":7,"status":"failed","failcode":16394}"#)?;
        daemon::end(stream)
    });
    let ran = run(dir.path(), &["--format", "table", "listsendpays"]);
    served.join().unwrap().unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len() as u64, ROWS + 3);
    let starts: Vec<usize> = ["payment_hash", "status", "label"]
        .iter()
        .map(|name| lines[0].find(name).unwrap())
        .collect();
    for (number, line) in lines[1..=ROWS as usize].iter().enumerate() {
        let letters: Vec<char> = line.chars().collect();
        assert!(
            letters[..starts[0]]
                .iter()
                .collect::<String>()
                .contains(&format!("{}", 10_000_000 + number))
        );
        let at = |start: usize| -> String {
            let rest = letters[start..].iter();
            rest.take_while(|letter| !letter.is_whitespace()).collect()
        };
        assert_eq!(at(starts[1]), "complete", "{line}");
        assert_eq!(at(starts[2]), "order", "{line}");
    }
    let last = lines.last().unwrap();
    assert_eq!(*last, "5001 rows; not shown: failcode (-J shows all)");
}
