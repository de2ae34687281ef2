//! The program as a user runs it: the real binary, its exit codes and its streams.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod forms;
mod manual;
mod server;
mod told;

use crate::server::{cli, serve, text};
use serde_json::Value;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

#[test]
fn without_a_daemon_it_says_where_it_looked_and_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let output = cli(dir.path()).arg("getinfo").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let socket = dir.path().join("regtest/lightning-rpc");
    let error = text(&output.stderr);
    assert!(error.contains(socket.to_str().unwrap()), "{error}");
    assert!(error.contains("No such file or directory"), "{error}");
    assert!(error.contains("Is sendpayd running?"), "{error}");
}

#[test]
fn what_fails_has_failed_also_if_nobody_reads_why() {
    let dir = tempfile::tempdir().unwrap();
    let unread = || Stdio::from(std::io::pipe().unwrap().1);
    let code = |arguments: &[&str]| {
        let mut command = cli(dir.path());
        let command = command.args(arguments).stdout(unread()).stderr(unread());
        command.status().unwrap().code()
    };
    assert_eq!(code(&["getinfo"]), Some(2), "no daemon");
    serve(dir.path());
    for (arguments, expected) in [
        (&["nosuch"][..], 1),
        (&["-R", "nosuch"], 1),
        (&["--format", "table", "nosuch"], 1),
        (&["--format", "csv", "check"], 3),
        (&["--nosuch"], 3),
        (&["verifyproof", "lnbc1"], 3),
        // A result that nobody wants to see is one all the same.
        (&["help"], 0),
        (&["--help"], 0),
    ] {
        assert_eq!(code(arguments), Some(expected), "{arguments:?}");
    }
}

#[test]
fn the_socket_is_looked_for_where_lightning_cli_would() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    for (options, socket) in [
        (vec!["--regtest"], "regtest/lightning-rpc"),
        (vec!["--signet"], "signet/lightning-rpc"),
        (vec!["--testnet"], "testnet/lightning-rpc"),
        (vec!["--testnet4"], "testnet4/lightning-rpc"),
        (vec!["--mainnet"], "bitcoin/lightning-rpc"),
        (vec!["--network", "bitcoin"], "bitcoin/lightning-rpc"),
        (
            vec!["--network=regtest", "--rpc-file=other"],
            "regtest/other",
        ),
        (vec!["--rpc-file", "/no/such/socket"], "/no/such/socket"),
    ] {
        let lightning_dir = format!("--lightning-dir={path}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendpay-cli"));
        let output = command
            .arg(lightning_dir)
            .args(&options)
            .arg("getinfo")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        let socket = dir.path().join(socket);
        let told = text(&output.stderr);
        assert!(
            told.contains(socket.to_str().unwrap()),
            "{options:?}: {told}"
        );
    }
}

#[test]
fn the_configuration_files_of_lightning_cli_say_where_the_socket_is() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    let socket = dir.path().join("regtest/lightning-rpc");
    let config = dir.path().join("config");
    std::fs::write(&config, "network=signet\nrpc-file=nothing\n").unwrap();
    let output = cli(dir.path()).arg("help").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("signet/nothing"), "{told}");
    let line = format!("rpc-file={}\n", socket.display());
    std::fs::write(&config, format!("network=signet\n{line}")).unwrap();
    let output = cli(dir.path()).arg("help").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // Another file instead, and an option instead of what the file says.
    let other = dir.path().join("other");
    std::fs::write(&other, "rpc-file=nothing\nregtest\n").unwrap();
    for (more, code) in [(None, 2), (Some("--rpc-file=lightning-rpc"), 0)] {
        let mut command = cli(dir.path());
        command.arg("--conf").arg(&other).args(more);
        let output = command.arg("help").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    }
    // A file that is wrong is said to be, and asks nobody; a proof needs no daemon.
    std::fs::write(&config, "alias=me\nnetwork=moon\n").unwrap();
    let output = cli(dir.path()).arg("help").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = text(&output.stderr);
    let problem = format!("{} line 2: network=moon: Unknown", config.display());
    assert!(told.contains(&problem), "{told}");
    let output = cli(dir.path()).args(["verifyproof", "x", "y"]).output();
    assert!(!text(&output.unwrap().stderr).contains("Config file"));
}

#[test]
fn a_daemon_that_hangs_up_is_no_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let served = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let output = cli(dir.path())
        .arg("--rpc-file")
        .arg(&path)
        .arg("getinfo")
        .output()
        .unwrap();
    served.join().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn a_wrong_command_line_shows_the_usage_and_exits_with_3() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["--nosuch", "getinfo"][..],
        &["-k", "-o", "getinfo"],
        &["-J", "-R", "getinfo"],
        &["-H", "-F", "getinfo"],
        &["-J", "--format", "csv", "getinfo"],
        &["-N", "loud", "getinfo"],
        &["--notifications", "", "getinfo"],
        &["--network"],
        &["--regtest", "--signet", "getinfo"],
        &["--regtest", "--network", "signet", "getinfo"],
        &["-l"],
    ] {
        let output = cli(dir.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(
            text(&output.stderr).contains("Usage: sendpay-cli"),
            "{}",
            text(&output.stderr)
        );
    }
    for arguments in [
        &["-k", "sendpay", "[]"][..],
        &["sendpay", "a=b", "c"],
        &["sendpay", "[1],[2]"],
        &["-l", "{", "getinfo"],
        &["--filter", "{} {}", "getinfo"],
    ] {
        let output = cli(dir.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
    }
}

#[test]
fn usage_and_version_are_no_errors() {
    let dir = tempfile::tempdir().unwrap();
    for (argument, expected) in [("--help", "Usage: sendpay-cli"), ("-V", "sendpay-cli ")] {
        let output = cli(dir.path()).arg(argument).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(expected));
    }
}

#[test]
fn a_result_goes_to_a_pipe_as_json_and_raw_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    let run = |arguments: &[&str]| -> Output {
        let output = cli(dir.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        output
    };
    let output = run(&["check", "listsendpays", "null", &"ab".repeat(32)]);
    assert_eq!(
        text(&output.stdout),
        "{\n   \"command_to_check\": \"listsendpays\"\n}\n"
    );
    let output = run(&[
        "-R",
        "check",
        "command_to_check=listsendpays",
        "status=failed",
    ]);
    assert_eq!(
        text(&output.stdout),
        "{\"command_to_check\":\"listsendpays\"}\n"
    );
    // Options end at the first parameter: what follows is the method's.
    let output = run(&["echo", "-R", "-5", "-J", "--dir"]);
    assert!(text(&output.stdout).starts_with(r#"{"params":["-5","-J","--dir"]"#));
    let output = run(&["echo"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["long"].as_array().unwrap().len(), 10_000);
}

#[test]
fn an_error_of_the_method_is_json_in_a_pipe_and_exits_with_1() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    let output = cli(dir.path()).arg("nosuch").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = "{\n   \"code\": -32601,\n   \"message\": \"Unknown command 'nosuch'\"\n}\n";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "");
    let output = cli(dir.path()).args(["-R", "nosuch"]).output().unwrap();
    let expected = "{\"code\":-32601,\"message\":\"Unknown command 'nosuch'\"}\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn on_a_terminal_an_error_is_words_with_what_to_do_next_and_help_is_text() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    let run = |arguments: &[&str]| {
        let dir = dir.path().to_str().unwrap();
        let arguments = ["sendpay-cli", "--dir", dir]
            .into_iter()
            .chain(arguments.iter().copied());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let terminal = Some(sendpay_cli::Terminal {
            columns: 80,
            colours: false,
        });
        let code = sendpay_cli::run(arguments.map(Into::into), &mut out, &mut err, terminal);
        (code, text(&out).to_owned(), text(&err).to_owned())
    };
    let (code, out, err) = run(&["check", "sendpay"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "check: missing required parameter: route (code -32602)\n\
         `sendpay-cli help check` explains the parameters.\n"
    );
    let (code, out, _) = run(&["help", "listsendpays"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("NAME\n    sendpay-listsendpays - "),
        "{out}"
    );
    assert!(
        out.contains("    listsendpays [bolt11] [payment_hash]"),
        "{out}"
    );
    let longest = out.lines().map(|line| line.chars().count()).max();
    assert!(longest.is_some_and(|columns| columns <= 80), "{out}");
    let (_, out, _) = run(&["help"]);
    assert!(out.contains("\ngetinfo\n"), "{out}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    let mut child = cli(dir.path())
        .arg("echo")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}
