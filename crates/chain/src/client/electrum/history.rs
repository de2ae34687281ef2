//! The transactions of scripts that somebody watches, each with the proof that a block has it.

use std::collections::{HashMap, HashSet};

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Block, BlockHash, ScriptBuf, Transaction, TxMerkleNode, Txid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ElectrumError;
use super::line::{BATCH_MAX, Line, Request};
use super::look::{Patience, Sieve};
use super::proof::{Proof, is_ambiguous};
use super::{Electrum, HEADERS_A_REQUEST};

/// Transactions that one script may have. Many servers answer with some 10,000 at most.
const HISTORY_MAX: usize = 50_000;

/// Transactions that all scripts may have which were not found yet.
const LOOK_MAX: usize = 100_000;

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
            let patience = Patience::new(scripts.len());
            let looked = tokio::select! {
                looked = self.confirmed_by(&line, scripts, up_to, found, &patience) => looked,
                error = patience.over(&line) => Err(error),
            };
            match looked {
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
        patience: &Patience,
    ) -> Result<Vec<Confirmed>, ElectrumError> {
        let mut wanted = self.histories(line, scripts, up_to, found).await?;
        wanted.sort_unstable_by_key(|(_, height)| *height);
        let Some((_, lowest)) = wanted.first() else {
            return Ok(Vec::new());
        };
        let mut chain = self.chain.lock().await;
        let known = chain.headers.lowest().map_or(0, |data| data.height);
        let requests = known.saturating_sub(*lowest).div_ceil(HEADERS_A_REQUEST);
        patience.for_headers(usize::try_from(requests).unwrap_or(usize::MAX));
        self.reach_down(line, &mut chain.headers, *lowest).await?;
        drop(chain);
        let mut sieve = Sieve::new(scripts, found, wanted.iter().map(|(txid, _)| *txid));
        for few in wanted.chunks(BATCH_MAX) {
            let before = sieve.count();
            self.prove(line, few, &mut sieve).await?;
            sieve.check(line)?;
            patience.for_proven(sieve.count().saturating_sub(before));
        }
        let mut confirmed = sieve.finish();
        confirmed.sort_by_key(|one| (one.height, one.position));
        Ok(confirmed)
    }

    /// What a server says that scripts have in blocks up to a height, without what was found already.
    async fn histories(
        &self,
        line: &Line,
        scripts: &[ScriptBuf],
        up_to: u32,
        found: &Found,
    ) -> Result<Vec<Wanted>, ElectrumError> {
        let method = "blockchain.scripthash.get_history";
        let mut wanted: HashSet<Wanted> = HashSet::new();
        for few in scripts.chunks(BATCH_MAX) {
            let asked: Vec<Request> = few
                .iter()
                .map(|script| (method, json!([script_hash(script)])))
                .collect();
            for history in line.call_all::<Vec<Entry>>(&asked).await? {
                if history.len() > HISTORY_MAX {
                    let detail = format!("a history of more than {HISTORY_MAX} transactions");
                    return Err(line.malformed(method, detail));
                }
                let mined = history.into_iter().filter_map(|entry| {
                    let height = u32::try_from(entry.height).ok().filter(|it| *it > 0)?;
                    (height <= up_to).then_some((entry.tx_hash, height))
                });
                wanted.extend(self.not_found_yet(mined, found).await);
                if wanted.len() > LOOK_MAX {
                    let detail = format!("histories of more than {LOOK_MAX} transactions");
                    return Err(line.malformed(method, detail));
                }
            }
        }
        Ok(wanted.into_iter().collect())
    }

    /// Leaves out what was found in a block that is still there.
    async fn not_found_yet(
        &self,
        wanted: impl Iterator<Item = Wanted>,
        found: &Found,
    ) -> Vec<Wanted> {
        let chain = self.chain.lock().await;
        let is_new = |(txid, height): &Wanted| {
            let Some((known_height, hash)) = found.get(txid) else {
                return true;
            };
            let at = chain.headers.at(*height);
            // What is so deep that its header was not asked for is there still.
            *known_height != *height || at.is_some_and(|at| at.header.block_hash() != *hash)
        };
        wanted.filter(is_new).collect()
    }

    /// Asks for a few transactions, and for the proofs of those that may count.
    async fn prove(
        &self,
        line: &Line,
        few: &[Wanted],
        sieve: &mut Sieve<'_>,
    ) -> Result<(), ElectrumError> {
        let mut transactions = self.transactions(line, few).await?;
        transactions.retain(|(_, transaction)| sieve.may_count(transaction));
        let method = "blockchain.transaction.get_merkle";
        let asked: Vec<Request> = transactions
            .iter()
            .map(|((txid, height), _)| (method, json!([txid, height])))
            .collect();
        let proofs = match line.call_all::<Proof>(&asked).await {
            // It was there a moment ago.
            Err(ElectrumError::Refused { .. }) => return Err(self.changed_or(line, method).await),
            proofs => proofs?,
        };
        for (((txid, height), transaction), proof) in transactions.into_iter().zip(proofs) {
            if is_ambiguous(&transaction) {
                tracing::warn!(%txid, "a transaction that could be a part of a proof is left out");
                sieve.note_paid(&transaction);
                continue;
            }
            let header = self.chain.lock().await.headers.at(height);
            let header = header.ok_or_else(|| self.changed(line))?.header;
            if !proof.fits(txid, header.merkle_root) {
                return Err(self.misfit(line, txid, height, &header).await);
            }
            sieve.take(Confirmed {
                height,
                header,
                position: proof.pos,
                transaction,
            });
        }
        Ok(())
    }

    /// A few transactions: those that were asked for, and no others.
    async fn transactions(
        &self,
        line: &Line,
        few: &[Wanted],
    ) -> Result<Vec<(Wanted, Transaction)>, ElectrumError> {
        let method = "blockchain.transaction.get";
        let asked: Vec<Request> = few
            .iter()
            .map(|(txid, _)| (method, json!([txid])))
            .collect();
        let mut transactions = Vec::with_capacity(few.len());
        for (wanted, hex) in few.iter().zip(line.call_all::<String>(&asked).await?) {
            let transaction: Option<Transaction> = deserialize_hex(&hex).ok();
            let transaction =
                transaction.ok_or_else(|| line.malformed(method, "no transaction"))?;
            let (txid, _) = wanted;
            if transaction.compute_txid() != *txid {
                return Err(line.untrue(format!("it gives another transaction for {txid}")));
            }
            transactions.push((*wanted, transaction));
        }
        Ok(transactions)
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
