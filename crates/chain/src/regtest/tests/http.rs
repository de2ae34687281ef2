//! The server as a client sees it: over HTTP, with and without the cookie.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Address, Network};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Draft, FEE, Funds, Key};
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
struct Served {
    regtest: Regtest,
    cookie: String,
}

impl Served {
    async fn start(directory: &Path) -> Self {
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
    async fn call(&self, method: &str, params: Value) -> Result<Value, (i64, String)> {
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

    async fn generate(&self, count: u32) -> Vec<Value> {
        let made = self
            .call("generatetoaddress", json!([count, address()]))
            .await
            .unwrap();
        made.as_array().unwrap().clone()
    }

    /// What the first transaction of the block at a height pays.
    async fn coinbase(&self, height: u32) -> Funds {
        let hash = self.call("getblockhash", json!([height])).await.unwrap();
        let hex = self.call("getblock", json!([hash, 0])).await.unwrap();
        let block: bitcoin::Block =
            bitcoin::consensus::encode::deserialize_hex(hex.as_str().unwrap()).unwrap();
        super::funds_of(&block.txdata[0], 0)
    }
}

fn address() -> Value {
    let address = Address::from_script(&Key::new(1).p2wpkh(), Network::Regtest).unwrap();
    json!(address.to_string())
}

/// Pays a coin back to the key, less the fee.
fn payment(funds: &Funds) -> bitcoin::Transaction {
    let key = Key::new(1);
    let output = bitcoin::TxOut {
        value: funds.output.value - FEE,
        script_pubkey: key.p2wpkh(),
    };
    key.sign(&Draft {
        version: 2,
        lock_time: 0,
        inputs: vec![(funds.clone(), bitcoin::Sequence::MAX)],
        outputs: vec![output],
    })
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
async fn a_payment_goes_from_the_mempool_into_a_block() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let made = served.generate(101).await;
    assert_eq!(made.len(), 101);
    let payment = payment(&served.coinbase(1).await);
    let (txid, hex) = (payment.compute_txid(), serialize_hex(&payment));

    let trial = served
        .call("testmempoolaccept", json!([[hex]]))
        .await
        .unwrap();
    assert_eq!(trial[0]["allowed"], json!(true));
    assert_eq!(
        served.call("sendrawtransaction", json!([hex])).await,
        Ok(json!(txid))
    );
    assert_eq!(
        served.call("sendrawtransaction", json!([hex])).await,
        Ok(json!(txid)),
        "again"
    );
    assert_eq!(
        served.call("getrawmempool", json!([])).await,
        Ok(json!([txid]))
    );
    let entry = served.call("getmempoolentry", json!([txid])).await.unwrap();
    assert_eq!(entry["fees"]["base"], json!(0.00001));
    assert_eq!(
        entry,
        served.call("getrawmempool", json!([true])).await.unwrap()[txid.to_string()]
    );
    let info = served.call("getmempoolinfo", json!([])).await.unwrap();
    assert_eq!(
        (&info["size"], &info["bytes"]),
        (&json!(1), &entry["vsize"])
    );
    let spent = json!([payment.input[0].previous_output.txid, 0]);
    assert_eq!(
        served.call("gettxout", spent.clone()).await,
        Ok(Value::Null)
    );
    let unspent = served.call("gettxout", json!([txid, 0])).await.unwrap();
    assert_eq!(
        (&unspent["confirmations"], &unspent["value"]),
        (&json!(0), &json!(49.99999))
    );

    let block = served.generate(1).await.remove(0);
    assert_eq!(served.call("getrawmempool", json!([])).await, Ok(json!([])));
    assert_eq!(
        served.call("getrawtransaction", json!([txid])).await,
        Ok(json!(hex))
    );
    let verbose = served
        .call("getrawtransaction", json!([txid, true]))
        .await
        .unwrap();
    assert_eq!(
        (&verbose["blockhash"], &verbose["confirmations"]),
        (&block, &json!(1))
    );
    let full = served.call("getblock", json!([block, 2])).await.unwrap();
    assert_eq!(full["tx"][1]["txid"], json!(txid));
    assert_eq!(
        full["tx"][1]["vout"][0]["scriptPubKey"]["address"],
        address()
    );
    let unspent = served
        .call("gettxout", json!([txid, 0, false]))
        .await
        .unwrap();
    assert_eq!(
        (&unspent["confirmations"], &unspent["coinbase"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        served.call("sendrawtransaction", json!([hex])).await,
        Err((-27, "Transaction outputs already in utxo set".into()))
    );
}

#[tokio::test]
async fn refused_transactions_have_bitcoinds_codes() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    served.generate(101).await;
    let funds = served.coinbase(1).await;
    let good = payment(&funds);
    let send = |transaction: bitcoin::Transaction| {
        let hex = serialize_hex(&transaction);
        let served = &served;
        async move { served.call("sendrawtransaction", json!([hex])).await }
    };
    let young = payment(&served.coinbase(2).await);
    let premature = "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 100";
    // Depth 100 is ripe: with 101 blocks the second coinbase has depth 100 in the next.
    assert!(send(young).await.is_ok(), "{premature}");
    let mut missing = good.clone();
    missing.input[0].previous_output.vout = 9;
    assert_eq!(
        send(missing).await,
        Err((-25, "bad-txns-inputs-missingorspent".into()))
    );
    let mut forged = good.clone();
    forged.output[0].value -= FEE;
    let (code, text) = send(forged).await.unwrap_err();
    assert_eq!(code, -26);
    assert!(
        text.starts_with("mandatory-script-verify-flag-failed ("),
        "{text}"
    );
    let mut generous = good.clone();
    generous.output[0].value = bitcoin::Amount::from_sat(1_000_000);
    let key = Key::new(1);
    let generous = key.sign(&Draft {
        version: 2,
        lock_time: 0,
        inputs: vec![(funds, bitcoin::Sequence::MAX)],
        outputs: generous.output,
    });
    let hex = serialize_hex(&generous);
    assert_eq!(
        send(generous).await.unwrap_err().0,
        -25,
        "50 bitcoin of fees are a mistake"
    );
    assert!(
        served
            .call("sendrawtransaction", json!([hex, 0]))
            .await
            .is_ok(),
        "unless meant"
    );
}

#[tokio::test]
async fn headers_have_what_a_light_client_reads() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let made = served.generate(3).await;
    let header = served
        .call("getblockheader", json!([made[1]]))
        .await
        .unwrap();
    assert_eq!(header["previousblockhash"], made[0]);
    assert_eq!(header["nextblockhash"], made[2]);
    assert_eq!(
        (&header["height"], &header["confirmations"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (&header["bits"], &header["versionHex"]),
        (&json!("207fffff"), &json!("20000000"))
    );
    // Genesis and two blocks, each with a work of 2.
    assert_eq!(header["chainwork"], json!(format!("{:064x}", 6)));
    let raw = served
        .call("getblockheader", json!([made[1], false]))
        .await
        .unwrap();
    assert_eq!(raw.as_str().unwrap().len(), 160);
    served
        .call("invalidateblock", json!([made[2]]))
        .await
        .unwrap();
    let header = served
        .call("getblockheader", json!({ "blockhash": made[2] }))
        .await
        .unwrap();
    assert_eq!(header["confirmations"], json!(-1));
    assert!(header.get("nextblockhash").is_none());
    served
        .call("reconsiderblock", json!([made[2]]))
        .await
        .unwrap();
    let info = served.call("getblockchaininfo", json!([])).await.unwrap();
    assert_eq!(
        (&info["chain"], &info["blocks"]),
        (&json!("regtest"), &json!(3))
    );
    assert_eq!(info["bestblockhash"], made[2]);
    let genesis = served.call("getblockhash", json!([0])).await.unwrap();
    let header = served
        .call("getblockheader", json!([genesis]))
        .await
        .unwrap();
    assert!(header.get("previousblockhash").is_none());
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

#[tokio::test]
async fn packages_and_blocks_are_taken_over_rpc() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    served.generate(101).await;
    let parent = payment(&served.coinbase(1).await);
    let child = payment(&super::funds_of(&parent, 0));
    let package = json!([[serialize_hex(&parent), serialize_hex(&child)]]);
    let answer = served.call("submitpackage", package.clone()).await.unwrap();
    assert_eq!(answer["package_msg"], json!("success"));
    assert_eq!(
        answer["tx-results"][child.compute_wtxid().to_string()]["fees"]["base"],
        json!(0.00001)
    );
    let again = served.call("submitpackage", package).await.unwrap();
    assert_eq!(again, answer, "sent twice is sent");
    let unrelated = json!([[serialize_hex(&child), serialize_hex(&parent)]]);
    assert_eq!(
        served.call("submitpackage", unrelated).await.unwrap_err().0,
        -25
    );

    // A block made to order, not connected; then handed in.
    let order = json!([
        address(),
        [parent.compute_txid(), serialize_hex(&child)],
        false
    ]);
    let made = served.call("generateblock", order).await.unwrap();
    assert_eq!(
        served.call("getblockcount", json!([])).await,
        Ok(json!(101))
    );
    assert_eq!(
        served.call("submitblock", json!([made["hex"]])).await,
        Ok(Value::Null)
    );
    assert_eq!(
        served.call("submitblock", json!([made["hex"]])).await,
        Ok(json!("duplicate"))
    );
    assert_eq!(
        served.call("getbestblockhash", json!([])).await.as_ref(),
        Ok(&made["hash"])
    );
    assert_eq!(served.call("getrawmempool", json!([])).await, Ok(json!([])));
    // In the chain now: the same order cannot be met again.
    let order = json!([address(), [serialize_hex(&parent)]]);
    let (code, message) = served.call("generateblock", order).await.unwrap_err();
    assert_eq!(code, -25);
    assert!(
        message.starts_with("TestBlockValidity failed: bad-txns-"),
        "{message}"
    );
}

#[tokio::test]
async fn help_lists_every_method_and_a_small_number_of_tries_makes_few_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let help = served.call("help", json!([])).await.unwrap();
    let lines: Vec<&str> = help.as_str().unwrap().lines().collect();
    assert!(lines.contains(&"waitfornewblock ( timeout current_tip )"));
    for line in &lines {
        let name = line.split(' ').next().unwrap();
        assert_eq!(served.call("help", json!([name])).await, Ok(json!(line)));
    }
    let made = served
        .call("generatetoaddress", json!([100, address(), 10]))
        .await
        .unwrap();
    assert!(made.as_array().unwrap().len() <= 10);
    let estimate = served.call("estimatesmartfee", json!([6])).await.unwrap();
    assert_eq!(estimate, json!({ "feerate": 0.00001, "blocks": 6 }));
    assert!(served.call("uptime", json!([])).await.unwrap().is_u64());
    assert_eq!(
        served.call("getnetworkinfo", json!([])).await.unwrap()["version"],
        json!(300_000)
    );
}
