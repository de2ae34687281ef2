//! An Electrum server that a test makes up: it has the blocks that it is given, and says what else it is
//! told to say.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::blockdata::constants::genesis_block;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{
    Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid,
    Witness,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A chain that was mined in the test.
pub(super) struct Blocks {
    headers: Vec<Header>,
    transactions: Vec<Vec<Transaction>>,
}

impl Blocks {
    /// Blocks above the first, each with one transaction, which pays a script.
    pub(super) fn paying(script: &ScriptBuf, count: usize) -> Blocks {
        let genesis = genesis_block(Network::Regtest);
        let mut blocks = Blocks {
            headers: vec![genesis.header],
            transactions: vec![genesis.txdata],
        };
        for _ in 0..count {
            blocks.mine(script, Vec::new());
        }
        blocks
    }

    /// One more block, whose first transaction pays a script.
    pub(super) fn mine(&mut self, script: &ScriptBuf, more: Vec<Transaction>) {
        let height = i64::try_from(self.headers.len()).unwrap();
        let mut coinbase = transaction(OutPoint::null(), script.clone());
        // Its height, as every block's (BIP 34), and more for the least size there is.
        let said = bitcoin::script::Builder::new().push_int(height);
        coinbase.input[0].script_sig = said.push_slice([7; 8]).into_script();
        let transactions = [vec![coinbase], more].concat();
        let hashes = transactions.iter().map(Transaction::compute_txid);
        let hashes = hashes.map(|txid| txid.to_raw_hash());
        let root = bitcoin::merkle_tree::calculate_root(hashes).unwrap();
        let mut header = *self.headers.last().unwrap();
        header.prev_blockhash = header.block_hash();
        // From this one on the height is in the block.
        header.version = bitcoin::block::Version::TWO;
        header.merkle_root = TxMerkleNode::from_raw_hash(root);
        header.time += 1;
        while header.validate_pow(header.target()).is_err() {
            header.nonce += 1;
        }
        self.headers.push(header);
        self.transactions.push(transactions);
    }

    pub(super) fn transactions(&self, height: usize) -> &[Transaction] {
        &self.transactions[height]
    }

    /// The block at a height as the best one.
    pub(super) fn tip(&self, height: usize) -> Value {
        json!({"height": height, "hex": serialize_hex(&self.headers[height])})
    }

    /// What a server with these blocks says; None: it knows no such thing.
    fn answer(&self, method: &str, params: &Value) -> Option<Value> {
        let number = |place: usize| usize::try_from(params[place].as_u64().unwrap()).unwrap();
        let found = |place: usize| {
            let txid: Txid = params[place].as_str().unwrap().parse().unwrap();
            let mut all = self.transactions.iter().flatten();
            all.find(|transaction| transaction.compute_txid() == txid)
        };
        Some(match method {
            "server.version" => json!(["fake", "1.4"]),
            "blockchain.block.header" => json!(serialize_hex(&self.headers[number(0)])),
            "blockchain.headers.subscribe" => self.tip(self.headers.len() - 1),
            "blockchain.block.headers" => {
                let few = self.headers.iter().skip(number(0)).take(number(1));
                json!({"hex": few.map(serialize_hex).collect::<String>()})
            }
            "blockchain.transaction.id_from_pos" => {
                let block = &self.transactions[number(0)];
                json!({"tx_hash": block[number(1)].compute_txid(), "merkle": proof(block, 0)})
            }
            "blockchain.transaction.get" => json!(serialize_hex(found(0)?)),
            "blockchain.transaction.get_merkle" => {
                let (block, wanted) = (&self.transactions[number(1)], found(0)?);
                let place = block.iter().position(|one| one == wanted)?;
                json!({"block_height": number(1), "pos": place, "merkle": proof(block, place)})
            }
            _ => return None,
        })
    }
}

/// The path from a place in a block up to its root.
fn proof(block: &[Transaction], mut place: usize) -> Vec<TxMerkleNode> {
    let leaf = |one: &Transaction| TxMerkleNode::from_raw_hash(one.compute_txid().to_raw_hash());
    let mut row: Vec<TxMerkleNode> = block.iter().map(leaf).collect();
    let mut path = Vec::new();
    while row.len() > 1 {
        if row.len() % 2 == 1 {
            row.push(*row.last().unwrap());
        }
        path.push(row[place ^ 1]);
        place /= 2;
        let above = |pair: &[TxMerkleNode]| {
            let both = [pair[0].to_byte_array(), pair[1].to_byte_array()].concat();
            TxMerkleNode::from_raw_hash(sha256d::Hash::hash(&both))
        };
        row = row.chunks(2).map(above).collect();
    }
    path
}

/// Spends an output, and pays a script.
pub(super) fn transaction(spent: OutPoint, script: ScriptBuf) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: spent,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(1_000),
            script_pubkey: script,
        }],
    }
}

/// What it says instead of what its blocks would have it say.
pub(super) enum Says {
    /// This.
    Result(Value),
    /// That it does not want to.
    Error(i64, &'static str),
    /// Nothing: it ends the connection.
    HangsUp,
    /// What it would say, after that time.
    Late(Duration),
}

type Answers = dyn Fn(&str, &Value) -> Option<Says> + Send + Sync;

/// The server.
pub(super) struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    task: AbortHandle,
}

impl Fake {
    /// Starts one. Where it is told to say nothing special, it says what its blocks are.
    pub(super) async fn start(
        blocks: &Arc<Blocks>,
        answers: impl Fn(&str, &Value) -> Option<Says> + Send + Sync + 'static,
    ) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<HashMap<_, _>>>::default();
        let (blocks, counts) = (blocks.clone(), asked.clone());
        let answers: Arc<Answers> = Arc::new(answers);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let one = serve(stream, blocks.clone(), counts.clone(), answers.clone());
                // Who asks may go away in the middle of it.
                tokio::spawn(async move { drop(one.await) });
            }
        });
        Fake {
            address,
            asked,
            task: serving.abort_handle(),
        }
    }

    /// As it stands in a configuration.
    pub(super) fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// How often it was asked for something.
    pub(super) fn asked(&self, method: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.get(method).copied().unwrap_or(0)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    blocks: Arc<Blocks>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    answers: Arc<Answers>,
) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Value = serde_json::from_str(&line).unwrap();
        let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
        *asked.lock().unwrap().entry(method.to_owned()).or_default() += 1;
        let says = match answers(method, params) {
            Some(Says::Late(late)) => {
                pass(late).await;
                None
            }
            says => says,
        };
        let mut answer = json!({"jsonrpc": "2.0", "id": request["id"]});
        match says {
            Some(Says::HangsUp) => return Ok(()),
            Some(Says::Result(result)) => answer["result"] = result,
            Some(Says::Error(code, message)) => {
                answer["error"] = json!({"code": code, "message": message});
            }
            _ => match blocks.answer(method, params) {
                Some(result) => answer["result"] = result,
                None => answer["error"] = json!({"code": -32601, "message": "no such thing"}),
            },
        }
        writing.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

/// Lets that much time pass at once. (Between these, time goes on as it does: paused for longer, it would
/// jump while something is on its way through a socket.)
pub(super) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
