//! What comes after an answer is shown as it comes, until the daemon closes the connection.

use super::{Ran, daemon, run};
use sendpay_rpc::{Code, RpcError, reply};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;

fn change(number: u64) -> Value {
    json!({
        "change": number, "kind": "updated",
        "payment": {"created_index": 3, "id": 3, "status": "complete", "label": "a\nb"},
    })
}

fn tell(stream: &mut UnixStream, method: &str, params: &Value) -> io::Result<()> {
    let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
    stream.write_all(message.to_string().as_bytes())?;
    stream.write_all(b"\n\n")
}

fn answer(id: &sendpay_rpc::Id, stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(&reply::begin_result(id))?;
    stream.write_all(br#"{"from":6,"last":8}"#)?;
    stream.write_all(reply::END)
}

/// Runs it against a daemon that tells of two changes and goes.
fn run_with_two(words: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let served = daemon::serve_once(dir.path(), |id, stream| {
        answer(id, stream)?;
        tell(stream, "sendpay_changed", &change(7))?;
        tell(stream, "of_something_else", &json!({}))?;
        tell(stream, "sendpay_changed", &change(8))
    });
    let ran = run(dir.path(), words);
    served.join().unwrap().unwrap();
    ran
}

#[test]
fn a_change_is_a_line_in_a_pipe_before_the_next_one_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (seen, go_on) = mpsc::channel::<()>();
    let served = daemon::serve_once(dir.path(), move |id, stream| {
        answer(id, stream)?;
        tell(stream, "sendpay_changed", &change(7))?;
        // Ends with an error, and nothing more, if the line is never seen.
        go_on.recv().map_err(io::Error::other)?;
        tell(stream, "sendpay_changed", &change(8))
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_sendpay-cli"))
        .arg("--rpc-file")
        .arg(daemon::socket(dir.path()))
        .args(["followsendpays", "6"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), change(7));
    seen.send(()).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, format!("{}\n", change(8)));
    let ended = child.wait_with_output().unwrap();
    served.join().unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(err, "sendpay-cli: the daemon closed the connection\n");
}

#[test]
fn each_format_shows_the_changes_in_its_way() {
    let (seven, eight) = (change(7).to_string(), change(8).to_string());
    let lines = format!("{seven}\n{eight}\n");
    let whole = |params: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"sendpay_changed","params":{params}}}"#)
    };
    let raw = format!(
        "{{\"from\":6,\"last\":8}}\n{}\n{}\n",
        whole(&seven),
        whole(&eight)
    );
    let words = "from=6 last=8\n\
        change=7 kind=updated created_index=3 status=complete label=a·b\n\
        change=8 kind=updated created_index=3 status=complete label=a·b\n";
    for (options, expected) in [
        (&[][..], lines.as_str()),
        (&["--format", "jsonl"], &lines),
        (&["-R"], &raw),
        (&["--format", "table"], words),
    ] {
        let ran = run_with_two(&[options, &["followsendpays"]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, expected), "{options:?}");
        assert_eq!(ran.err, "sendpay-cli: the daemon closed the connection\n");
    }
    let pretty = run_with_two(&["-J", "followsendpays"]).out;
    assert!(pretty.starts_with("{\n   \"change\": 7,\n"), "{pretty}");
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&pretty)
        .into_iter()
        .collect();
    assert_eq!(values.unwrap(), [change(7), change(8)]);
}

#[test]
fn an_error_or_a_form_that_changes_cannot_have_is_told_of_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // There is no daemon yet: who asked it would exit with 2.
    let ran = run(dir.path(), &["--format", "csv", "followsendpays"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(
        ran.err.contains("--format csv cannot be used"),
        "{}",
        ran.err
    );
    let served = daemon::serve_once(dir.path(), |id, stream| {
        let error = RpcError::new(Code::InvalidParams, "from: there was no change 9 yet");
        stream.write_all(&reply::error(id, &error))
    });
    let ran = run(dir.path(), &["followsendpays", "9"]);
    served.join().unwrap().unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let error: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(error["message"], "from: there was no change 9 yet");
}
