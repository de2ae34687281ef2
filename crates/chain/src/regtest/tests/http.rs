//! The server as a client sees it: over HTTP, with and without the cookie.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::{Address, Network};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Funds, Key};
use crate::regtest::{LocateError, Regtest, StartError};

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Sends a request and returns status, head and body. One connection for each.
async fn exchange(address: SocketAddr, request: String) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn post(authorization: Option<&str>, body: &str) -> String {
    let authorization = authorization
        .map(|pair| format!("Authorization: Basic {}\r\n", BASE64.encode(pair)))
        .unwrap_or_default();
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A running chain and the cookie to it.
pub(super) struct Served {
    pub(super) regtest: Regtest,
    cookie: String,
}

impl Served {
    pub(super) async fn start(directory: &Path) -> Self {
        let regtest = Regtest::start(directory, any_port()).await.unwrap();
        let cookie = std::fs::read_to_string(regtest.cookie_file()).unwrap();
        Served { regtest, cookie }
    }

    /// Posts a body with the cookie: status and JSON.
    async fn post(&self, body: &Value) -> (u16, Value) {
        let request = post(Some(&self.cookie), &body.to_string());
        let (status, _, body) = exchange(self.regtest.rpc_address(), request).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Calls a method: its result, or its error's code and message.
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, (i64, String)> {
        let (_, mut reply) = self
            .post(&json!({ "id": 1, "method": method, "params": params }))
            .await;
        match &reply["error"] {
            Value::Null => Ok(reply["result"].take()),
            error => Err((
                error["code"].as_i64().unwrap(),
                error["message"].as_str().unwrap().to_owned(),
            )),
        }
    }

    pub(super) async fn generate(&self, count: u32) -> Vec<Value> {
        let made = self
            .call("generatetoaddress", json!([count, address()]))
            .await
            .unwrap();
        made.as_array().unwrap().clone()
    }

    /// What the first transaction of the block at a height pays.
    pub(super) async fn coinbase(&self, height: u32) -> Funds {
        let hash = self.call("getblockhash", json!([height])).await.unwrap();
        let hex = self.call("getblock", json!([hash, 0])).await.unwrap();
        let block: bitcoin::Block =
            bitcoin::consensus::encode::deserialize_hex(hex.as_str().unwrap()).unwrap();
        super::funds_of(&block.txdata[0], 0)
    }
}

pub(super) fn address() -> Value {
    let address = Address::from_script(&Key::new(1).p2wpkh(), Network::Regtest).unwrap();
    json!(address.to_string())
}

#[tokio::test]
async fn only_the_cookie_opens_and_only_its_owner_can_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let address = served.regtest.rpc_address();
    let body = json!({ "id": 1, "method": "getblockcount" }).to_string();
    let wrong = served.cookie.replace("__cookie__:", "__cookie__:0");
    for credentials in [None, Some("user:password"), Some(wrong.as_str()), Some("")] {
        let (status, head, answer) = exchange(address, post(credentials, &body)).await;
        assert_eq!(status, 401, "{credentials:?}");
        assert!(
            head.contains("www-authenticate: basic realm=\"jsonrpc\""),
            "{head}"
        );
        assert_eq!(answer, "");
    }
    assert_eq!(served.call("getblockcount", json!([])).await, Ok(json!(0)));
    let secret = served.cookie.strip_prefix("__cookie__:").unwrap();
    assert_eq!(secret.len(), 64);
    for name in [
        ".cookie",
        "regtest.json",
        "chain.sqlite3",
        "chain.sqlite3-wal",
        "lock",
    ] {
        let mode = std::fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(address, get.into()).await.0, 405);
    let cookie_file = served.regtest.cookie_file();
    served.regtest.stop().await;
    assert!(!cookie_file.exists());
}

#[tokio::test]
async fn errors_have_bitcoinds_codes_and_statuses() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let hash = "00".repeat(32);
    let table = [
        ("nosuchmethod", json!([]), 404, -32601, "Method not found"),
        (
            "getblockhash",
            json!([1]),
            500,
            -8,
            "Block height out of range",
        ),
        (
            "getblockhash",
            json!([-1]),
            500,
            -8,
            "Block height out of range",
        ),
        ("getblockhash", json!(["1"]), 500, -3, "Wrong type passed"),
        (
            "getblockhash",
            json!([]),
            500,
            -1,
            "missing parameter height",
        ),
        (
            "getblockhash",
            json!([1, 2]),
            500,
            -1,
            "getblockhash ( height )",
        ),
        (
            "getblockhash",
            json!({ "hight": 1 }),
            500,
            -8,
            "Unknown named parameter hight",
        ),
        ("getblock", json!([hash]), 500, -5, "Block not found"),
        (
            "getblock",
            json!(["00"]),
            500,
            -8,
            "blockhash must be of length 64 (not 2, for '00')",
        ),
        (
            "getblock",
            json!(["zz".repeat(32)]),
            500,
            -8,
            "blockhash must be hexadecimal string",
        ),
        ("getblockheader", json!([hash]), 500, -5, "Block not found"),
        ("invalidateblock", json!([hash]), 500, -5, "Block not found"),
        (
            "getrawtransaction",
            json!([hash]),
            500,
            -5,
            "No such mempool or blockchain transaction",
        ),
        (
            "getmempoolentry",
            json!([hash]),
            500,
            -5,
            "Transaction not in mempool",
        ),
        (
            "sendrawtransaction",
            json!(["00"]),
            500,
            -22,
            "TX decode failed",
        ),
        (
            "submitblock",
            json!(["00"]),
            500,
            -22,
            "Block decode failed",
        ),
        (
            "generatetoaddress",
            json!([1, "x"]),
            500,
            -5,
            "Error: Invalid address",
        ),
        // An address of mainnet.
        (
            "generatetoaddress",
            json!([1, "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"]),
            500,
            -5,
            "Error",
        ),
        (
            "generatetoaddress",
            json!([10_001, address()]),
            500,
            -8,
            "nblocks must be at most",
        ),
        (
            "estimatesmartfee",
            json!([0]),
            500,
            -8,
            "Invalid conf_target",
        ),
        (
            "help",
            json!(["nosuchmethod"]),
            500,
            -1,
            "help: unknown command",
        ),
        (
            "testmempoolaccept",
            json!([[]]),
            500,
            -8,
            "Array must contain between 1 and 25",
        ),
    ];
    for (method, params, status, code, message) in table {
        let request = json!({ "id": "x", "method": method, "params": params });
        let (got, reply) = served.post(&request).await;
        assert_eq!(got, status, "{request}");
        assert_eq!(reply["error"]["code"], json!(code), "{request} {reply}");
        let text = reply["error"]["message"].as_str().unwrap();
        assert!(text.starts_with(message), "{request} {reply}");
        assert_eq!(
            (&reply["result"], &reply["id"]),
            (&Value::Null, &json!("x"))
        );
    }
}

#[tokio::test]
async fn versions_batches_and_bad_requests_are_answered_as_bitcoind_does() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let v2 = |method: &str| json!({ "jsonrpc": "2.0", "id": 7, "method": method });
    assert_eq!(
        served.post(&v2("getblockcount")).await,
        (200, json!({ "jsonrpc": "2.0", "result": 0, "id": 7 }))
    );
    let (status, reply) = served.post(&v2("nosuchmethod")).await;
    assert_eq!(status, 200);
    assert_eq!(reply["error"]["code"], json!(-32601));
    assert!(reply.get("result").is_none());
    let notification = json!({ "jsonrpc": "2.0", "method": "getblockcount" });
    assert_eq!(served.post(&notification).await, (204, Value::Null));
    assert_eq!(
        served.post(&json!({ "method": "getblockcount" })).await,
        (200, json!({ "result": 0, "error": null, "id": null }))
    );
    let batch = json!([v2("getblockcount"), 5, notification, { "id": 1, "method": "nosuch" }]);
    let (status, replies) = served.post(&batch).await;
    let replies = replies.as_array().unwrap();
    assert_eq!((status, replies.len()), (200, 3));
    assert_eq!(replies[0]["result"], json!(0));
    assert_eq!(replies[1]["error"]["code"], json!(-32600));
    assert_eq!(replies[2]["error"]["code"], json!(-32601));
    for (bad, code) in [
        (json!(5), -32600),
        (json!({ "id": 1 }), -32600),
        (json!({ "id": 1, "method": 5 }), -32600),
        (
            json!({ "id": 1, "method": "getblockcount", "params": 5 }),
            -32600,
        ),
        (
            json!({ "jsonrpc": "3.0", "id": 1, "method": "getblockcount" }),
            -32600,
        ),
    ] {
        let (status, reply) = served.post(&bad).await;
        assert_eq!(
            (status, &reply["error"]["code"]),
            (400, &json!(code)),
            "{bad}"
        );
    }
    let too_many = Value::Array(vec![v2("getblockcount"); 1_001]);
    assert_eq!(served.post(&too_many).await.0, 400);
    let address = served.regtest.rpc_address();
    let (status, _, body) = exchange(address, post(Some(&served.cookie), "{")).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["error"]["code"]), (500, &json!(-32700)));
    let deep = "[".repeat(10_000);
    assert_eq!(
        exchange(address, post(Some(&served.cookie), &deep)).await.0,
        500
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let mut stream = TcpStream::connect(served.regtest.rpc_address())
        .await
        .unwrap();
    let head = post(Some(&served.cookie), "").replace("Length: 0", "Length: 9000000");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0_u8; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_wait_ends_with_a_block_with_time_and_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let genesis = served.call("getbestblockhash", json!([])).await.unwrap();
    let timed_out = served.call("waitfornewblock", json!([1])).await.unwrap();
    assert_eq!(timed_out, json!({ "hash": genesis, "height": 0 }));

    let wait = served.call("waitfornewblock", json!([0, genesis]));
    let (waited, made) = tokio::join!(wait, served.generate(1));
    assert_eq!(waited.unwrap(), json!({ "hash": made[0], "height": 1 }));
    // One that knows an old tip returns at once.
    let at_once = served
        .call("waitfornewblock", json!([0, genesis]))
        .await
        .unwrap();
    assert_eq!(at_once["height"], json!(1));

    let forever = served.call("waitfornewblock", json!([0]));
    let stop = served.call("stop", json!([]));
    let (waited, _) = tokio::join!(forever, stop);
    assert_eq!(waited.unwrap()["height"], json!(1));
    served.regtest.stop_requested().await;
    tokio::time::timeout(Duration::from_secs(4), served.regtest.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_restart_keeps_port_and_chain_and_a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        Regtest::locate(directory.path()),
        Err(LocateError::Read { .. })
    ));
    let served = Served::start(directory.path()).await;
    let made = served.generate(2).await;
    let second = Regtest::start(directory.path(), any_port()).await;
    assert!(matches!(second.err(), Some(StartError::Locked(_))));
    let address = served.regtest.rpc_address();
    let located = Regtest::locate(directory.path()).unwrap();
    assert_eq!(located.rpc_address, address);
    assert_eq!(located.cookie_file, served.regtest.cookie_file());
    served.regtest.stop().await;

    let again = Served::start(directory.path()).await;
    assert_eq!(again.regtest.rpc_address(), address);
    assert_ne!(again.cookie, served.cookie, "the cookie is new");
    assert_eq!(
        again.call("getbestblockhash", json!([])).await.as_ref(),
        Ok(&made[1])
    );
    again.regtest.stop().await;

    // The port is taken by then: another one.
    let _taken = std::net::TcpListener::bind(address).unwrap();
    let elsewhere = Served::start(directory.path()).await;
    assert_ne!(elsewhere.regtest.rpc_address(), address);
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Regtest::start(directory.path(), everywhere).await;
    assert!(matches!(refused.err(), Some(StartError::NotLoopback(_))));
}
