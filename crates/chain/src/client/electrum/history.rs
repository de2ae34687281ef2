//! The transactions of scripts that somebody watches, each with the proof that a block has it.

use std::collections::{HashMap, HashSet};

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Block, BlockHash, ScriptBuf, Transaction, TxMerkleNode, Txid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Electrum;
use super::error::ElectrumError;
use super::line::{Line, Request};
use super::proof::{Proof, is_ambiguous};

/// A transaction that is proven to be in a block.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Height of the block.
    pub height: u32,
    /// The block's header.
    pub header: Header,
    /// Place in the block.
    pub position: usize,
    /// The transaction.
    pub transaction: Transaction,
}

/// Where a transaction was found already.
pub type Found = HashMap<Txid, (u32, BlockHash)>;

/// A line of `blockchain.scripthash.get_history`.
#[derive(Deserialize)]
struct Entry {
    /// 0 or less: in no block.
    height: i64,
    tx_hash: Txid,
}

/// What `blockchain.transaction.id_from_pos` answers.
#[derive(Deserialize)]
struct First {
    tx_hash: Txid,
    merkle: Vec<TxMerkleNode>,
}

/// What is looked up of one transaction.
type Wanted = (Txid, u32);

impl Electrum {
    /// The transactions in blocks of the best chain up to a height that pay one of these scripts, or
    /// spend what did, in the order of the chain. Those that were found already, in the block that is
    /// still there, are left out.
    pub async fn confirmed(
        &self,
        scripts: &[ScriptBuf],
        up_to: u32,
        found: &Found,
    ) -> Result<Vec<Confirmed>, ElectrumError> {
        let mut tries = self.servers.tries();
        loop {
            let line = tries.line().await?;
            match self.confirmed_by(&line, scripts, up_to, found).await {
                Ok(confirmed) => {
                    self.servers.worked(&line);
                    return Ok(confirmed);
                }
                Err(error) => tries.failed(&line, error).await?,
            }
        }
    }

    /// Makes sure that a block is at a height: its first transaction must say so (BIP 34).
    pub(super) async fn prove_height(
        &self,
        line: &Line,
        header: &Header,
        height: u32,
    ) -> Result<(), ElectrumError> {
        // Of so few blocks, all headers were read down to the first.
        if height <= super::HEADERS_AT_FIRST {
            return Ok(());
        }
        let method = "blockchain.transaction.id_from_pos";
        let answer = line.call(method, json!([height, 0, true])).await?;
        let first: First = serde_json::from_value(answer)
            .map_err(|error| line.malformed(method, error.to_string()))?;
        let get = "blockchain.transaction.get";
        let transaction = line.call(get, json!([first.tx_hash])).await?;
        let transaction = transaction
            .as_str()
            .and_then(|hex| deserialize_hex(hex).ok());
        let transaction: Transaction =
            transaction.ok_or_else(|| line.malformed(get, "no transaction"))?;
        let proof = Proof::of_first(first.merkle);
        let txid = transaction.compute_txid();
        let is_first = proof.fits(txid, header.merkle_root) && !is_ambiguous(&transaction);
        let block = Block {
            header: *header,
            txdata: vec![transaction],
        };
        match block.bip34_block_height() {
            Ok(said) if is_first && said == u64::from(height) => Ok(()),
            _ => {
                let hash = header.block_hash();
                Err(line.untrue(format!("block {hash} is not at {height}")))
            }
        }
    }

    async fn confirmed_by(
        &self,
        line: &Line,
        scripts: &[ScriptBuf],
        up_to: u32,
        found: &Found,
    ) -> Result<Vec<Confirmed>, ElectrumError> {
        let method = "blockchain.scripthash.get_history";
        let asked: Vec<Request> = scripts
            .iter()
            .map(|script| (method, json!([script_hash(script)])))
            .collect();
        let mut wanted: HashSet<Wanted> = HashSet::new();
        for answer in line.call_all(&asked).await? {
            let history: Vec<Entry> = serde_json::from_value(answer)
                .map_err(|error| line.malformed(method, error.to_string()))?;
            let mined = history.into_iter().filter_map(|entry| {
                let height = u32::try_from(entry.height).ok().filter(|it| *it > 0)?;
                (height <= up_to).then_some((entry.tx_hash, height))
            });
            wanted.extend(mined);
        }
        let wanted = self.not_found_yet(wanted, found).await;
        let Some(lowest) = wanted.iter().map(|(_, height)| *height).min() else {
            return Ok(Vec::new());
        };
        let mut chain = self.chain.lock().await;
        self.reach_down(line, &mut chain.headers, lowest).await?;
        drop(chain);
        let mut confirmed = self.prove(line, wanted).await?;
        confirmed.sort_by_key(|one| (one.height, one.position));
        Ok(confirmed)
    }

    /// Leaves out what was found in a block that is still there.
    async fn not_found_yet(&self, wanted: HashSet<Wanted>, found: &Found) -> Vec<Wanted> {
        let chain = self.chain.lock().await;
        let is_new = |(txid, height): &Wanted| {
            let Some((known_height, hash)) = found.get(txid) else {
                return true;
            };
            let at = chain.headers.at(*height);
            // What is so deep that its header was not asked for is there still.
            *known_height != *height || at.is_some_and(|at| at.header.block_hash() != *hash)
        };
        wanted.into_iter().filter(is_new).collect()
    }

    /// Transactions and their proofs.
    async fn prove(
        &self,
        line: &Line,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Confirmed>, ElectrumError> {
        let (get, merkle) = (
            "blockchain.transaction.get",
            "blockchain.transaction.get_merkle",
        );
        let asked: Vec<Request> = wanted
            .iter()
            .map(|(txid, _)| (get, json!([txid])))
            .collect();
        let transactions = line.call_all(&asked).await?;
        let asked: Vec<Request> = wanted
            .iter()
            .map(|(txid, height)| (merkle, json!([txid, height])))
            .collect();
        let proofs = match line.call_all(&asked).await {
            // It was there a moment ago.
            Err(ElectrumError::Refused { .. }) => return Err(self.changed_or(line, merkle).await),
            proofs => proofs?,
        };
        let mut confirmed = Vec::with_capacity(wanted.len());
        for ((txid, height), (transaction, proof)) in
            wanted.into_iter().zip(transactions.into_iter().zip(proofs))
        {
            let transaction = transaction
                .as_str()
                .and_then(|hex| deserialize_hex(hex).ok());
            let transaction: Transaction =
                transaction.ok_or_else(|| line.malformed(get, "no transaction"))?;
            if transaction.compute_txid() != txid {
                return Err(line.untrue(format!("it gives another transaction for {txid}")));
            }
            if is_ambiguous(&transaction) {
                tracing::warn!(%txid, "a transaction that could be a part of a proof is left out");
                continue;
            }
            let proof: Proof = serde_json::from_value(proof)
                .map_err(|error| line.malformed(merkle, error.to_string()))?;
            let header = self.chain.lock().await.headers.at(height);
            let header = header.ok_or_else(|| self.changed(line))?.header;
            if !proof.fits(txid, header.merkle_root) {
                return Err(self.misfit(line, txid, height, &header).await);
            }
            confirmed.push(Confirmed {
                height,
                header,
                position: proof.pos,
                transaction,
            });
        }
        Ok(confirmed)
    }

    /// What a proof that does not fit means: a lie, or that the server's chain has changed.
    async fn misfit(&self, line: &Line, txid: Txid, height: u32, header: &Header) -> ElectrumError {
        match self.read(line, height, 1).await {
            Ok(now) if now.first() == Some(header) => line.untrue(format!(
                "its proof that {txid} is in block {height} is none"
            )),
            Ok(_) => self.changed(line),
            Err(error) => error,
        }
    }

    /// The server says no to what it has just told of.
    async fn changed_or(&self, line: &Line, method: &'static str) -> ElectrumError {
        let tip = self.chain.lock().await.headers.tip();
        let now = line.call("blockchain.headers.subscribe", json!([])).await;
        let hex = tip.map(|tip| serialize_hex(&tip.header));
        match now {
            Ok(now) if now.get("hex").and_then(Value::as_str) != hex.as_deref() => {
                self.changed(line)
            }
            Ok(_) => line.malformed(method, "no proof of what is in its own history"),
            Err(error) => error,
        }
    }
}

/// A script as Electrum servers call it: its SHA256, backwards.
fn script_hash(script: &ScriptBuf) -> String {
    let mut bytes = sha256::Hash::hash(script.as_bytes()).to_byte_array();
    bytes.reverse();
    sha256::Hash::from_byte_array(bytes).to_string()
}
