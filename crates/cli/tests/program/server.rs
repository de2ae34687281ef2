//! The program to test, and a server with the contract's own framing and answers.

use sendpay_rpc::filter::Filter;
use sendpay_rpc::frame::{Decoder, Frame, Request};
use sendpay_rpc::method::{check::Check, help::Help, unknown};
use sendpay_rpc::notification::{Level, MESSAGE, Message, PROGRESS, Progress};
use sendpay_rpc::param::{Mode, ParamSet};
use sendpay_rpc::{RpcError, reply};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn cli(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendpay-cli"));
    command.arg("--dir").arg(dir).stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Serves the methods that need no node on the socket of a directory, with the contract's own
/// framing and answers. The thread ends with the test's process.
pub(crate) fn serve(dir: &Path) {
    let network = dir.join("regtest");
    std::fs::create_dir_all(&network).unwrap();
    let listener = UnixListener::bind(network.join("lightning-rpc")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve_one(stream.unwrap());
        }
    });
}

fn serve_one(mut stream: UnixStream) {
    let mut notified = false;
    let mut decoder = Decoder::new();
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        decoder.push(&bytes[..read]);
        while let Some(frame) = decoder.next_frame() {
            let bytes = match frame {
                Frame::Request(request) => {
                    if request.method == "notifications" {
                        notified = request.params.get() == "[true]";
                    }
                    let mut bytes = if notified { tell(&request) } else { Vec::new() };
                    bytes.extend(answered(&request, notified));
                    bytes
                }
                Frame::Refused(refusal) => reply::error(&refusal.id, &refusal.error),
            };
            // A client that has seen enough goes away.
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    }
}

fn answered(request: &Request, notified: bool) -> Vec<u8> {
    match (answer(request, notified), &request.filter) {
        (Ok(result), None) => reply::result(&request.id, &result).unwrap(),
        (Ok(result), Some(filter)) => {
            let filter = Filter::read(filter).unwrap();
            reply::filtered(&request.id, &[result.to_string().as_bytes()], filter)
        }
        (Err(error), _) => reply::error(&request.id, &error),
    }
}

/// What a command tells before it answers.
fn tell(request: &Request) -> Vec<u8> {
    let id = &request.id;
    let message = |level, message| {
        let message = Message { id, level, message };
        reply::notification(MESSAGE, &message).unwrap()
    };
    if request.method != "slow" {
        return Vec::new();
    }
    let stage = None;
    let (num, total) = (1, 2);
    let progress = Progress {
        id,
        num,
        total,
        stage,
    };
    [
        message(Level::Debug, "looking for a way"),
        message(Level::Info, "on the way"),
        reply::notification("sendpay_changed", &json!({"of": "another kind"})).unwrap(),
        message(Level::Unusual, "a detour"),
        reply::notification(PROGRESS, &progress).unwrap(),
    ]
    .concat()
}

fn answer(request: &Request, notified: bool) -> Result<Value, RpcError> {
    match request.method.as_str() {
        "notifications" => Ok(json!({})),
        "slow" => Ok(json!({"notified": notified})),
        // As CLN's listings are: in lines by -H, in paths by -F.
        "listfunds" => Ok(json!({
            "outputs": [{"txid": "aa", "note": "a\n\t\"b\""}, {"txid": "bb"}],
            "channels": [], "one": {"deep": {"er": 5}},
        })),
        "help" => Ok(json!(
            Help::from_raw(&request.params, Mode::Normal)?.answer()?
        )),
        "check" => Ok(json!(Check::answer(&request.params)?)),
        // A list of ten million bytes, for a pipe.
        "echo" => Ok(json!({"params": request.params, "long": vec!["x".repeat(1000); 10_000]})),
        method => Err(unknown(method)),
    }
}
