//! Chain backends that lie, refuse, or are too slow: warned of, asked again, and never believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Block, BlockHash};
use lightning_block_sync::rpc::{RpcClient, RpcClientError};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::harness::{Chain, Node, wait_for};

/// What a backend does besides answering.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Lie {
    /// Nothing.
    Honest,
    /// It tells of a best block that somebody made up without working for it.
    BlockWithoutWork,
    /// It gives the best block more work than its header has.
    BoastedWork,
    /// It gives the block before the one that was asked for.
    OtherBlock,
    /// It adds what is paid to somebody in the block that was asked for.
    AddedPayment(String),
    /// It does not give blocks at all.
    NoBlocks,
    /// It is asked too often.
    TooOften,
    /// It speaks no JSON.
    NoJson,
    /// It takes for ever to give a block.
    Silence,
    /// It takes for ever to tell those who wait for a block of one.
    SilentWait,
    /// It is a Bitcoin Core of long ago.
    Old,
}

/// A server between a node and its chain, which lies as it is told to.
pub(crate) struct Liar {
    _runtime: Runtime,
    address: String,
    cookie_file: PathBuf,
    lie: watch::Sender<Lie>,
    between: Arc<Between>,
}

struct Between {
    chain: RpcClient,
    lie: watch::Receiver<Lie>,
    /// How many waited for a block and were told nothing.
    held: AtomicUsize,
}

impl Liar {
    pub(crate) fn start(dir: &Path, chain: &Chain) -> Liar {
        let settings = chain.settings();
        let setting = |name: &str| {
            let found = settings.iter().find_map(|text| text.strip_prefix(name));
            found.unwrap().to_owned()
        };
        let address = setting("chain.rpc_address=");
        let cookie = std::fs::read_to_string(setting("chain.cookie_file=")).unwrap();
        let cookie_file = dir.join("cookie");
        std::fs::write(&cookie_file, &cookie).unwrap();
        let (lie, told) = watch::channel(Lie::Honest);
        let between = Arc::new(Between {
            chain: RpcClient::new(&BASE64.encode(cookie), format!("http://{address}")),
            lie: told,
            held: AtomicUsize::new(0),
        });
        let routes = axum::Router::new()
            .fallback(answer)
            .with_state(between.clone());
        let runtime = Runtime::new().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listener).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Liar {
            _runtime: runtime,
            address,
            cookie_file,
            lie,
            between,
        }
    }

    /// How many have waited for a block in vain, or wait.
    pub(crate) fn held(&self) -> usize {
        self.between.held.load(Ordering::SeqCst)
    }

    pub(crate) fn tell(&self, lie: Lie) {
        self.lie.send_replace(lie);
    }

    /// What makes a node ask the liar, whatever its chain's own settings are.
    pub(crate) fn settings(&self) -> Vec<String> {
        vec![
            format!("chain.rpc_address={}", self.address),
            format!("chain.cookie_file={}", self.cookie_file.display()),
        ]
    }

    fn node(&self, dir: &Path, chain: &Chain) -> Node {
        let settings = self.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Node::start(dir, "deceived", chain, &settings)
    }
}

async fn answer(State(between): State<Arc<Between>>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    let method = request["method"].as_str().unwrap();
    let params = request["params"].as_array().unwrap();
    let lie = between.lie.borrow().clone();
    match (&lie, method) {
        (Lie::TooOften, _) => {
            return (StatusCode::TOO_MANY_REQUESTS, "come back later").into_response();
        }
        (Lie::NoJson, _) => return "<html>a proxy's page</html>".into_response(),
        (Lie::Silence, "getblock") => {
            let mut lie = between.lie.clone();
            lie.wait_for(|lie| *lie != Lie::Silence).await.unwrap();
        }
        (Lie::SilentWait, "waitfornewblock") => {
            between.held.fetch_add(1, Ordering::SeqCst);
            let mut lie = between.lie.clone();
            lie.wait_for(|lie| *lie != Lie::SilentWait).await.unwrap();
        }
        _ => {}
    }
    let reply = match between.answer(&lie, method, params).await {
        Ok(result) => json!({"result": result, "error": null, "id": request["id"]}),
        Err(RpcClientError::Rpc(error)) => {
            let error = json!({"code": error.code, "message": error.message});
            json!({"result": null, "error": error, "id": request["id"]})
        }
        Err(_) => return StatusCode::BAD_GATEWAY.into_response(),
    };
    reply.to_string().into_response()
}

impl Between {
    async fn ask(&self, method: &str, params: &[Value]) -> Result<Value, RpcClientError> {
        self.chain.call_method(method, params).await
    }

    async fn answer(
        &self,
        lie: &Lie,
        method: &str,
        params: &[Value],
    ) -> Result<Value, RpcClientError> {
        if let (Lie::BlockWithoutWork, "getblockheader") = (lie, method) {
            let (header, height) = self.made_up().await?;
            if params[0] == json!(header.block_hash()) {
                return Ok(header_json(&header, height));
            }
        }
        if let (Lie::NoBlocks, "getblock") = (lie, method) {
            let message = "Block not available (pruned data)".to_owned();
            return Err(RpcClientError::Rpc(lightning_block_sync::rpc::RpcError {
                code: -1,
                message,
            }));
        }
        let mut result = self.ask(method, params).await?;
        match (lie, method) {
            (Lie::BlockWithoutWork, "getblockchaininfo") => {
                let (header, height) = self.made_up().await?;
                result["bestblockhash"] = json!(header.block_hash());
                result["blocks"] = json!(height);
            }
            (Lie::BoastedWork, "getblockheader") if result.get("nextblockhash").is_none() => {
                result["chainwork"] = json!(format!("{:064x}", 1u128 << 100));
            }
            (Lie::OtherBlock, "getblock") => {
                let block: Block = deserialize_hex(result.as_str().unwrap()).unwrap();
                let before = json!(block.header.prev_blockhash);
                result = self.ask("getblock", &[before, json!(0)]).await?;
            }
            (Lie::AddedPayment(address), "getblock") => {
                let mut block: Block = deserialize_hex(result.as_str().unwrap()).unwrap();
                let address: bitcoin::Address<_> = address.parse().unwrap();
                let mut payment = block.txdata[0].clone();
                payment.output[0].script_pubkey = address.assume_checked().script_pubkey();
                block.txdata.push(payment);
                result = json!(serialize_hex(&block));
            }
            (Lie::Old, "getnetworkinfo") => result["version"] = json!(250_100),
            _ => {}
        }
        Ok(result)
    }

    /// A header on top of the best one whose hash is above the target, and its height.
    async fn made_up(&self) -> Result<(Header, u64), RpcClientError> {
        let info = self.ask("getblockchaininfo", &[]).await?;
        let best = info["bestblockhash"].clone();
        let raw = self.ask("getblock", &[best.clone(), json!(0)]).await?;
        let block: Block = deserialize_hex(raw.as_str().unwrap()).unwrap();
        let best: BlockHash = best.as_str().unwrap().parse().unwrap();
        let mut header = block.header;
        header.prev_blockhash = best;
        header.nonce = 0;
        while header.validate_pow(header.target()).is_ok() {
            header.nonce += 1;
        }
        Ok((header, info["blocks"].as_u64().unwrap() + 1))
    }
}

/// As `getblockheader` shows it, with more work than there ever was.
fn header_json(header: &Header, height: u64) -> Value {
    json!({
        "hash": header.block_hash(), "confirmations": 1, "height": height,
        "version": header.version.to_consensus(),
        "merkleroot": header.merkle_root, "time": header.time, "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "chainwork": format!("{:064x}", 1u128 << 100),
        "previousblockhash": header.prev_blockhash,
    })
}

fn wait_for_warning(node: &Node, wanted: &str) {
    wait_for(wanted, || {
        let info = node.call("getinfo", json!({}));
        let text = info["warning_bitcoind_sync"].as_str()?.to_owned();
        text.contains(wanted).then_some(())
    });
}

#[test]
fn what_a_backend_makes_up_is_warned_of_and_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let liar = Liar::start(dir.path(), &chain);
    let node = liar.node(dir.path(), &chain);
    let address = node.call("newaddr", json!({"addresstype": "bech32"}));
    let address = address["bech32"].as_str().unwrap().to_owned();
    for (lie, warning) in [
        (Lie::BlockWithoutWork, "target"),
        (Lie::BoastedWork, "invalid chainwork"),
        (Lie::OtherBlock, "invalid block hash"),
        (Lie::AddedPayment(address), "invalid merkle root"),
        (Lie::NoBlocks, "Block not available (pruned data)"),
        (Lie::TooOften, "HTTP 429: come back later"),
        (Lie::NoJson, "makes no sense"),
    ] {
        let height = chain.height();
        liar.tell(lie.clone());
        chain.mine(1);
        wait_for_warning(&node, warning);
        let info = node.call("getinfo", json!({}));
        assert_eq!(info["blockheight"], height, "{lie:?}");
        assert_eq!(node.call("listfunds", json!({}))["outputs"], json!([]));
        // The truth is found without a restart.
        liar.tell(Lie::Honest);
        node.wait_for_height(height + 1);
        wait_for("no warning", || {
            let info = node.call("getinfo", json!({}));
            info.get("warning_bitcoind_sync").is_none().then_some(())
        });
    }
    assert_eq!(node.call("listfunds", json!({}))["outputs"], json!([]));
}

#[test]
fn a_node_answers_while_it_reads_blocks_but_meets_no_peer_before_it_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let liar = Liar::start(dir.path(), &chain);
    let mut node = liar.node(dir.path(), &chain);
    let peer = Node::start(dir.path(), "peer", &chain, &[]);
    assert!(node.terminate().success());
    chain.mine(100);
    liar.tell(Lie::Silence);
    node.resume();
    let info = node.call("getinfo", json!({}));
    assert_eq!(info["blockheight"], 0);
    let warning = info["warning_lightningd_sync"].as_str().unwrap();
    let expected = "Still loading latest blocks from bitcoind: 0 of 100 have been read";
    assert_eq!(warning, expected);
    assert_eq!(node.payments(), Vec::<Value>::new());
    let to = json!({"id": format!("{}@{}", peer.id, peer.address)});
    let refused = node.refused("connect", to.clone());
    assert_eq!(refused.code, 401);
    let expected = "still reading blocks, at 0 of 100: peers are connected after that";
    assert_eq!(refused.message, expected);
    liar.tell(Lie::Honest);
    node.wait_for_height(100);
    wait_for("the peer", || node.try_call("connect", to.clone()).ok());
    let info = node.call("getinfo", json!({}));
    assert!(info.get("warning_lightningd_sync").is_none());
}

#[test]
fn too_old_a_bitcoin_core_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let liar = Liar::start(dir.path(), &chain);
    let mut node = liar.node(dir.path(), &chain);
    node.kill();
    liar.tell(Lie::Old);
    node.spawn();
    let (_, log) = wait_for("the end of a start", || node.ended());
    let expected = "is version 25.1.0 of Bitcoin Core; 26.0.0 or later is needed";
    assert!(log.contains(expected), "{log}");
}
