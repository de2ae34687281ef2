//! How a result is shown: one line for each form, short and long.

use crate::server::{cli, serve, text};

/// What the program shows of a call, which must go well.
fn shown(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    let output = cli(dir.path()).args(arguments).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
    assert_eq!(told, "", "{arguments:?}");
    text(&output.stdout).to_owned()
}

const PRETTY: &str = r#"{
   "outputs": [
      {
         "txid": "aa",
         "note": "a\n\t\"b\""
      },
      {
         "txid": "bb"
      }
   ],
   "channels": [],
   "one": {
      "deep": {
         "er": 5
      }
   }
}
"#;

const RAW: &str = "{\"outputs\":[{\"txid\":\"aa\",\"note\":\"a\\n\\t\\\"b\\\"\"},\
    {\"txid\":\"bb\"}],\"channels\":[],\"one\":{\"deep\":{\"er\":5}}}\n";

const HUMAN: &str = "outputs=txid=aa\nnote=a\n\t\"b\"\nbb\nchannels=one=5\n";

const FLAT: &str = "outputs[0].txid=aa\noutputs[0].note=a\\n\\t\\\"b\\\"\noutputs[1].txid=bb\n\
    one.deep.er=5\n";

#[test]
fn each_form_has_a_short_and_a_long_name() {
    for (options, expected) in [
        (&[][..], PRETTY),
        (&["-J"], PRETTY),
        (&["--json"], PRETTY),
        (&["-R"], RAW),
        (&["--raw"], RAW),
        (&["-H"], HUMAN),
        (&["--human-readable"], HUMAN),
        (&["-F"], FLAT),
        (&["--flat"], FLAT),
        (
            &["-F", "-l", r#"{"outputs":[{"txid":true}]}"#],
            "outputs[0].txid=aa\noutputs[1].txid=bb\n",
        ),
        (
            &["-H", "--filter", r#"{"outputs":[{"txid":true}]}"#],
            "aa\nbb\n",
        ),
        (
            &["-R", r#"--filter={"one":{"deep":true}}"#],
            "{\"one\":{\"deep\":{\"er\":5}}}\n",
        ),
        (
            &["-R", "-l", r#"{"one":[true]}"#],
            "{\"one\":{},\"warning_parameter_filter\":\".one is an object\"}\n",
        ),
    ] {
        let arguments = [options, &["listfunds"]].concat();
        assert_eq!(shown(&arguments), expected, "{options:?}");
    }
}

#[test]
fn parameters_are_by_name_or_in_order_as_they_are_said_to_be() {
    for (options, params, sent) in [
        (&[][..], &["a=1", "b=x"][..], r#"{"a":1,"b":"x"}"#),
        (&[], &["1", "b=x"], r#"[1,"b=x"]"#),
        (&["-k"], &["a=1"], r#"{"a":1}"#),
        (&["--keywords"], &[], "{}"),
        (&["-o"], &["a=1"], r#"["a=1"]"#),
        (
            &["--order"],
            &["a=1", "{\"b\":2}", "007", "-5"],
            r#"["a=1",{"b":2},"007","-5"]"#,
        ),
    ] {
        let arguments = [options, &["-R", "-l", r#"{"params":true}"#, "echo"], params].concat();
        let expected = format!("{{\"params\":{sent}}}\n");
        assert_eq!(shown(&arguments), expected, "{arguments:?}");
    }
}

#[test]
fn an_error_is_json_whichever_form_a_result_would_have() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path());
    for form in ["-J", "-H", "-F"] {
        let output = cli(dir.path()).args([form, "nosuch"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{form}");
        let expected = "{\n   \"code\": -32601,\n   \"message\": \"Unknown command 'nosuch'\"\n}\n";
        assert_eq!(text(&output.stdout), expected, "{form}");
    }
}

#[test]
fn a_long_result_goes_through_in_every_form() {
    // An empty list has no line of its own.
    for (form, lines) in [("-H", 10_000), ("-F", 10_000), ("-J", 10_005), ("-R", 1)] {
        let shown = shown(&[form, "echo"]);
        assert_eq!(shown.lines().count(), lines, "{form}");
        assert!(shown.len() > 10_000_000, "{form}");
    }
}

#[test]
fn without_a_method_it_shows_its_usage_and_the_methods() {
    let shown = shown(&[]);
    assert!(
        shown.contains("Usage: sendpay-cli [OPTIONS] [METHOD] [PARAMS]..."),
        "{shown}"
    );
    for option in [
        "-k, --keywords",
        "-o, --order",
        "-J, --json",
        "-R, --raw",
        "-H, --human-readable",
        "-F, --flat",
        "-l, --filter <FILTER>",
        "-N, --notifications <LEVEL>",
    ] {
        assert!(shown.contains(option), "{option}: {shown}");
    }
    let (_, methods) = shown.split_once("Asking sendpayd for its methods").unwrap();
    let list = self::shown(&["help"]);
    assert!(methods.ends_with(&list), "{methods}");
    assert!(
        list.starts_with("bumpfee txid [feerate]\n\ncancelpay payment_hash\n\n"),
        "{list}"
    );
    let end =
        "\n\n---\nrun `sendpay-cli help <command>` for more information on a specific command\n";
    assert!(list.ends_with(end), "{list}");
    // As JSON only if it is asked for.
    let help = |form| self::shown(&[form, "help", "stop"]);
    assert!(help("-J").starts_with("{\n   \"help\": ["));
    assert!(help("-H").starts_with("command=stop \ncategory=utility\n"));
    assert!(help("-F").starts_with("help[0].command=stop \n"));
}
