//! A server between an Electrum server and who asks it, which speaks TLS if it is wanted to, and lies as
//! it is told to.
//!
//! Not a crate: the tests of `chain` and of `daemon` name this file by its path.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::Hash;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What it does besides passing on.
#[derive(Debug, Clone, PartialEq)]
pub enum Lie {
    /// Nothing.
    Honest,
    /// It tells of a best block that somebody made up without working for it.
    TipWithoutWork,
    /// It puts its best block a hundred blocks higher.
    HigherTip,
    /// It puts all blocks some blocks higher.
    AllHigher,
    /// It gives other headers than those that are asked for.
    OtherHeaders,
    /// It changes an output of each transaction that it gives.
    OtherTransaction,
    /// It proves another place than the one in the block.
    FalseProof,
    /// It proves a place beyond the end of the block.
    OtherPlace,
    /// It is asked too often.
    TooOften,
    /// It speaks no JSON.
    NoJson,
    /// It never ends its line.
    EndlessLine,
    /// It takes for ever to answer.
    Silence,
    /// Its first block is another one.
    OtherNetwork,
    /// It wants that much for each transaction, in bitcoin for 1000 virtual bytes.
    Dear(f64),
    /// It keeps to itself what was mined.
    NoHistory,
    /// It keeps all blocks to itself above one: its header in hex, and its height.
    OldTip(String, u32),
    /// It takes every transaction and sends none.
    Swallow,
}

/// How much higher.
const HIGHER: u64 = 3;

/// What is asked with a height first.
const BY_HEIGHT: [&str; 2] = [
    "blockchain.block.headers",
    "blockchain.transaction.id_from_pos",
];

/// The server between.
pub struct Between {
    runtime: Option<Runtime>,
    address: SocketAddr,
    lie: watch::Sender<Lie>,
    certificate: Option<PathBuf>,
}

impl Between {
    /// Without TLS.
    pub fn start(electrs: SocketAddr) -> Between {
        Between::with(electrs, None, None)
    }

    /// With TLS, and a certificate for `localhost` that it signed itself; it is in a file in the
    /// directory.
    pub fn start_tls(electrs: SocketAddr, dir: &Path) -> Between {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = dir.join("certificate.pem");
        std::fs::write(&file, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Between::with(electrs, Some(acceptor), Some(file))
    }

    fn with(
        electrs: SocketAddr,
        tls: Option<TlsAcceptor>,
        certificate: Option<PathBuf>,
    ) -> Between {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (lie, told) = watch::channel(Lie::Honest);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (told, tls) = (told.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => pass(stream, electrs, told).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                pass(stream, electrs, told).await;
                            }
                        }
                    }
                });
            }
        });
        Between {
            runtime: Some(runtime),
            address,
            lie,
            certificate,
        }
    }

    /// From now on, on connections that are open too.
    pub fn tell(&self, lie: Lie) {
        self.lie.send_replace(lie);
    }

    /// As it stands in a configuration.
    pub fn url(&self) -> String {
        let port = self.address.port();
        match self.certificate {
            None => format!("tcp://127.0.0.1:{port}"),
            Some(_) => format!("ssl://localhost:{port}"),
        }
    }

    /// Its certificate, in a file.
    pub fn certificate(&self) -> &Path {
        self.certificate.as_ref().unwrap()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        // A test that is async cannot wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Passes lines both ways until one side ends.
async fn pass(
    client: impl AsyncRead + AsyncWrite,
    electrs: SocketAddr,
    told: watch::Receiver<Lie>,
) {
    let Ok(server) = TcpStream::connect(electrs).await else {
        return;
    };
    let (from_client, mut to_client) = tokio::io::split(client);
    let (from_server, mut to_server) = server.into_split();
    let asked: Mutex<HashMap<u64, String>> = Mutex::default();
    let up = async {
        let mut lines = BufReader::new(from_client).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut request: Value = serde_json::from_str(&line).unwrap();
            let method = request["method"].as_str().unwrap().to_owned();
            let id = request["id"].as_u64().unwrap();
            if *told.borrow() == Lie::Swallow && method == "blockchain.transaction.broadcast" {
                // Something that is answered, in its place.
                let ping =
                    json!({"jsonrpc": "2.0", "id": id, "method": "server.ping", "params": []});
                to_server
                    .write_all(format!("{ping}\n").as_bytes())
                    .await
                    .ok();
                continue;
            }
            if *told.borrow() == Lie::AllHigher && BY_HEIGHT.contains(&method.as_str()) {
                let height = request["params"][0].as_u64().unwrap();
                request["params"][0] = height.saturating_sub(HIGHER).into();
            }
            asked.lock().unwrap().insert(id, method);
            if to_server
                .write_all(format!("{request}\n").as_bytes())
                .await
                .is_err()
            {
                return;
            }
        }
    };
    let down = async {
        let mut lines = BufReader::new(from_server).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let lie = told.borrow().clone();
            let answer: Value = serde_json::from_str(&line).unwrap();
            let method = answer["id"]
                .as_u64()
                .and_then(|id| asked.lock().unwrap().remove(&id));
            let text = match (&lie, method) {
                (Lie::Silence, _) | (Lie::OldTip(..), None) => continue,
                (Lie::NoJson, _) => "HTTP/1.1 400 Bad Request\n".to_owned(),
                (Lie::EndlessLine, _) => {
                    let much = vec![b'1'; 1 << 20];
                    while to_client.write_all(&much).await.is_ok() {}
                    return;
                }
                (_, None) => format!("{line}\n"),
                (lie, Some(method)) => format!("{}\n", twisted(lie, &method, answer)),
            };
            if to_client.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// The answer as the liar gives it.
fn twisted(lie: &Lie, method: &str, mut answer: Value) -> Value {
    if *lie == Lie::TooOften && method != "server.version" {
        answer["error"] = json!({"code": -101, "message": "excessive resource usage"});
        return answer;
    }
    let result = &mut answer["result"];
    match (lie, method) {
        (Lie::TipWithoutWork, "blockchain.headers.subscribe") => {
            let hex = result["hex"].as_str().unwrap();
            let mut header: Header = deserialize_hex(hex).unwrap();
            header.prev_blockhash = header.block_hash();
            while header.validate_pow(header.target()).is_ok() {
                header.nonce += 1;
            }
            result["hex"] = serialize_hex(&header).into();
            result["height"] = (result["height"].as_u64().unwrap() + 1).into();
        }
        (Lie::OldTip(header, height), "blockchain.headers.subscribe") => {
            *result = json!({"hex": header, "height": height});
        }
        (Lie::HigherTip, "blockchain.headers.subscribe") => {
            result["height"] = (result["height"].as_u64().unwrap() + 100).into();
        }
        (Lie::AllHigher, "blockchain.headers.subscribe") => {
            result["height"] = (result["height"].as_u64().unwrap() + HIGHER).into();
        }
        (Lie::OtherHeaders, "blockchain.block.headers") => {
            let hex = result["hex"].as_str().unwrap();
            let (first, rest) = hex.split_at(160);
            let mut header: Header = deserialize_hex(first).unwrap();
            header.merkle_root = bitcoin::TxMerkleNode::all_zeros();
            while header.validate_pow(header.target()).is_err() {
                header.nonce += 1;
            }
            result["hex"] = format!("{}{rest}", serialize_hex(&header)).into();
        }
        (Lie::OtherTransaction, "blockchain.transaction.get") => {
            let mut other: bitcoin::Transaction =
                deserialize_hex(result.as_str().unwrap()).unwrap();
            other.output[0].value = bitcoin::Amount::from_sat(2_100_000_000);
            *result = serialize_hex(&other).into();
        }
        (Lie::FalseProof, "blockchain.transaction.get_merkle") => {
            result["merkle"] = json!(["11".repeat(32)]);
        }
        (Lie::OtherPlace, "blockchain.transaction.get_merkle") => {
            result["pos"] = (result["pos"].as_u64().unwrap() + 64).into();
        }
        (Lie::OtherNetwork, "blockchain.block.header") => {
            *result = "00".repeat(80).into();
        }
        (Lie::Dear(rate), "blockchain.estimatefee" | "blockchain.relayfee") => {
            *result = json!(rate);
        }
        (Lie::NoHistory, "blockchain.scripthash.get_history") => *result = json!([]),
        _ => {}
    }
    answer
}
