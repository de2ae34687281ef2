//! Core Lightning's `lightning-cli`, byte for byte: it is in no registry, so what it writes is replayed
//! here as its source at v26.06.6 puts it together, and its replies are read as it reads them. More
//! of that, about payments, is in `clients.rs`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use sendpay_rpc::method::METHODS;
use serde_json::{Value, json};

use crate::harness::{Node, PATIENCE, Pair};

/// What it reads its first reply into: 100 bytes, of which the last stays 0.
const FIRST_REPLY_MAX: usize = 99;

/// One run of the program.
struct Run {
    stream: UnixStream,
    /// Its process id.
    pid: u32,
}

/// What it has at its end.
struct Ended {
    /// The lines that it prints above the answer.
    told: Vec<String>,
    reply: Value,
}

impl Run {
    /// As with `-N none`: no notifications are asked for.
    fn silent(node: &Node, pid: u32) -> Run {
        let stream = UnixStream::connect(node.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Run { stream, pid }
    }

    /// As it runs else: it asks for notifications first, and gives up if the reply does not fit.
    fn start(node: &Node, pid: u32) -> Run {
        let mut run = Run::silent(node, pid);
        let enable = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications","id":"cli:notifications#{pid}","params":{{"enable":true}}}}"#
        );
        run.stream.write_all(enable.as_bytes()).unwrap();
        let mut first = Vec::new();
        while !first.ends_with(b"\n\n") {
            assert!(
                first.len() < FIRST_REPLY_MAX,
                "the first reply does not fit"
            );
            let mut byte = [0];
            run.stream.read_exact(&mut byte).unwrap();
            first.extend(byte);
        }
        run
    }

    /// Writes the command and reads until its reply; `filter` and `params` as they were typed.
    fn end(mut self, method: &str, filter: Option<&str>, params: &str) -> Ended {
        let escaped = serde_json::to_string(method).unwrap();
        // An id has no escapes: a method that needs some is not named in it.
        let id = if escaped == format!("\"{method}\"") {
            format!("cli:{method}#{}", self.pid)
        } else {
            format!("cli:weirdmethod!#{}", self.pid)
        };
        let filter = filter.map_or(String::new(), |filter| format!("\"filter\": {filter},"));
        let request = format!(
            "{{ \"jsonrpc\" : \"2.0\", \"method\" : {escaped}, \"id\" : \"{id}\",{filter} \
             \"params\" :{params} }}"
        );
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut told = Vec::new();
        let objects = serde_json::Deserializer::from_reader(&self.stream).into_iter::<Value>();
        for object in objects {
            let object = object.unwrap();
            // With an id it is the reply, whatever else is in it.
            if object.get("id").is_none() {
                assert_eq!(object["method"], "message", "{object}");
                assert_eq!(object["params"]["id"], id, "of this command");
                assert!(object["params"]["level"].is_string(), "{object}");
                told.push(object["params"]["message"].as_str().unwrap().to_owned());
                continue;
            }
            assert_eq!(object["id"], id);
            let (result, error) = (object.get("result"), object.get("error"));
            assert!(result.is_some() != error.is_some(), "{object}");
            return Ended {
                told,
                reply: object,
            };
        }
        panic!("reading response: socket closed");
    }
}

/// What each row asserts of the reply.
type Look = fn(&Value);

#[test]
fn commands_in_every_form_that_it_writes_get_what_it_reads() {
    let pair = Pair::start();
    let rows: [(&str, Option<&str>, &str, Look); 9] = [
        ("getinfo", None, "[ ]", |reply| {
            assert_eq!(reply["result"]["network"], "regtest");
        }),
        ("getinfo", Some(r#"{"network":true}"#), "[ ]", |reply| {
            assert_eq!(reply["result"], json!({"network": "regtest"}));
        }),
        // `-k`, or an argument with `=`: an object.
        (
            "listsendpays",
            Some(r#"{"payments":[{"status":true}]}"#),
            r#"{ "index" : "created", "limit" : 1} "#,
            |reply| assert_eq!(reply["result"], json!({"payments": []})),
        ),
        // `-o`: an array, and `null` typed for what is not given.
        (
            "listsendpays",
            None,
            r#"[ null, null, "failed"] "#,
            |reply| {
                assert_eq!(reply["result"], json!({"payments": []}));
            },
        ),
        // Digits alone with a zero in front are written as a text.
        ("waitsendpay", None, r#"[ "00"] "#, |reply| {
            assert_eq!(reply["error"]["code"], -32602);
        }),
        ("help", None, "[ ]", |reply| {
            let help = reply["result"]["help"].as_array().unwrap();
            assert_eq!(help.len(), METHODS.len());
            assert!(help.iter().all(|row| row["command"].is_string()));
            assert_eq!(reply["result"]["format-hint"], "simple");
        }),
        ("nonsense", None, "[ ]", |reply| {
            assert_eq!(reply["error"]["code"], -32601);
            assert_eq!(reply["error"]["message"], "Unknown command 'nonsense'");
        }),
        ("a\"b\u{1}", None, "[ ]", |reply| {
            assert_eq!(reply["error"]["code"], -32601);
        }),
        ("listsendpays", Some("7"), "[ ]", |reply| {
            assert_eq!(reply["error"]["code"], -32602);
            let message = reply["error"]["message"].as_str().unwrap();
            assert!(message.starts_with("filter: Expected object"), "{message}");
        }),
    ];
    for (pid, (method, filter, params, look)) in (4_000_000..).zip(rows) {
        for run in [Run::start(&pair.alice, pid), Run::silent(&pair.alice, 1)] {
            let ended = run.end(method, filter, params.trim_end());
            assert!(ended.told.is_empty(), "{method}: {:?}", ended.told);
            look(&ended.reply);
        }
    }
}

#[test]
fn who_is_told_of_the_tries_of_a_pay_gets_its_reply_after_them() {
    let pair = Pair::start();
    for (label, silent) in [("told", false), ("silent", true)] {
        let invoice = pair.bob.invoice(label, 50_000);
        let run = if silent {
            Run::silent(&pair.alice, 1234)
        } else {
            Run::start(&pair.alice, 1234)
        };
        let ended = run.end("pay", None, &format!("[ {}]", invoice["bolt11"]));
        assert_eq!(ended.reply["result"]["status"], "complete");
        assert_eq!(
            ended.told.len(),
            if silent { 0 } else { 2 },
            "{:?}",
            ended.told
        );
        assert!(ended.told.iter().all(|line| line.starts_with("Part ")));
    }
}
