//! Tests of the regtest chain: a fixture with a key and a clock of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod blocks;
mod history;
mod http;
mod mempool;
mod methods;
mod reorganisation;
mod speed;
mod transactions;

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, Secp256k1, TapTweak, TweakedKeypair};
use bitcoin::secp256k1::{All, Message, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{
    Amount, Block, BlockHash, CompressedPublicKey, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxOut, Witness, absolute, transaction,
};
use tempfile::TempDir;

use super::chain::{Chain, Submitted};
use super::mempool::Accepted;
use super::mine::{commit_to_witnesses, solve};
use super::reject::AcceptError;

/// Seconds since 1970 at which a fixture begins.
const START: u32 = 1_700_000_000;

/// Seconds between blocks of a fixture.
const BLOCK_INTERVAL: u32 = 600;

/// A fee that every small transaction of these tests is relayed with.
const FEE: Amount = Amount::from_sat(1_000);

/// Bytes of every ECDSA signature of these tests, in DER: what most signatures have whose `r` is low.
const ECDSA_SIZE: usize = 70;

/// An output that can be spent.
#[derive(Debug, Clone)]
struct Funds {
    outpoint: OutPoint,
    output: TxOut,
}

/// A transaction before it is signed.
#[derive(Debug, Clone)]
struct Draft {
    version: i32,
    lock_time: u32,
    inputs: Vec<(Funds, Sequence)>,
    outputs: Vec<TxOut>,
}

/// A key that signs for P2WPKH and P2TR.
struct Key {
    secp: Secp256k1<All>,
    pair: Keypair,
}

impl Key {
    fn new(seed: u8) -> Self {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[seed; 32]).unwrap();
        Key {
            pair: Keypair::from_secret_key(&secp, &secret),
            secp,
        }
    }

    fn public(&self) -> CompressedPublicKey {
        CompressedPublicKey(self.pair.public_key())
    }

    fn p2wpkh(&self) -> ScriptBuf {
        ScriptBuf::new_p2wpkh(&self.public().wpubkey_hash())
    }

    fn p2tr(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr(&self.secp, self.pair.x_only_public_key().0, None)
    }

    /// Signs every input that is P2WPKH or P2TR, whoever's it is.
    fn sign(&self, draft: &Draft) -> Transaction {
        let mut signed = draft.unsigned();
        let prevouts: Vec<TxOut> = draft
            .inputs
            .iter()
            .map(|(funds, _)| funds.output.clone())
            .collect();
        let unsigned = signed.clone();
        let mut cache = SighashCache::new(&unsigned);
        for (index, prevout) in prevouts.iter().enumerate() {
            if prevout.script_pubkey.is_p2tr() {
                let hash = cache
                    .taproot_key_spend_signature_hash(
                        index,
                        &Prevouts::All(&prevouts),
                        TapSighashType::Default,
                    )
                    .unwrap();
                let tweaked: TweakedKeypair = self.pair.tap_tweak(&self.secp, None);
                let message = Message::from_digest(hash.to_byte_array());
                let signature = self
                    .secp
                    .sign_schnorr_no_aux_rand(&message, tweaked.as_keypair());
                signed.input[index].witness = Witness::from_slice(&[signature.serialize()]);
            } else if prevout.script_pubkey.is_p2wpkh() {
                let hash = cache
                    .p2wpkh_signature_hash(
                        index,
                        &prevout.script_pubkey,
                        prevout.value,
                        EcdsaSighashType::All,
                    )
                    .unwrap();
                let message = Message::from_digest(hash.to_byte_array());
                let signature = bitcoin::ecdsa::Signature {
                    signature: self.ecdsa(&message),
                    sighash_type: EcdsaSighashType::All,
                };
                signed.input[index].witness = Witness::p2wpkh(&signature, &self.pair.public_key());
            }
        }
        signed
    }

    /// A signature of [`ECDSA_SIZE`] bytes. Left to itself it has a byte or two less now and then,
    /// and with it the transaction, whose fee is then no longer on the edge that a test means.
    fn ecdsa(&self, message: &Message) -> bitcoin::secp256k1::ecdsa::Signature {
        (0_u64..)
            .map(|attempt| {
                let mut nonce = [0; 32];
                nonce[..8].copy_from_slice(&attempt.to_le_bytes());
                self.secp
                    .sign_ecdsa_with_noncedata(message, &self.pair.secret_key(), &nonce)
            })
            .find(|signature| signature.serialize_der().len() == ECDSA_SIZE)
            .unwrap()
    }
}

impl Draft {
    fn unsigned(&self) -> Transaction {
        Transaction {
            version: transaction::Version(self.version),
            lock_time: absolute::LockTime::from_consensus(self.lock_time),
            input: self
                .inputs
                .iter()
                .map(|(funds, sequence)| TxIn {
                    previous_output: funds.outpoint,
                    script_sig: ScriptBuf::new(),
                    sequence: *sequence,
                    witness: Witness::new(),
                })
                .collect(),
            output: self.outputs.clone(),
        }
    }
}

/// Output `vout` of a transaction.
fn funds_of(transaction: &Transaction, vout: u32) -> Funds {
    Funds {
        outpoint: OutPoint {
            txid: transaction.compute_txid(),
            vout,
        },
        output: transaction.output[vout as usize].clone(),
    }
}

/// A chain in a directory of its own.
struct Fixture {
    chain: Chain,
    key: Key,
    now: u32,
    // Last: the directory goes after what is in it.
    directory: TempDir,
}

impl Fixture {
    /// A chain with genesis only.
    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let chain = Chain::open(&directory.path().join("chain.sqlite3")).unwrap();
        Fixture {
            chain,
            key: Key::new(1),
            now: START,
            directory,
        }
    }

    /// A chain whose first `ripe` coinbases can be spent in the next block.
    fn with_ripe(ripe: u32) -> Self {
        let mut fixture = Fixture::empty();
        fixture.mine(ripe + 99);
        fixture
    }

    /// Makes blocks, one each ten minutes, that pay the key.
    fn mine(&mut self, count: u32) -> Vec<BlockHash> {
        let script = self.key.p2wpkh();
        // One flush to disk for all of them.
        let step = self.chain.store.step().unwrap();
        let mut hashes = Vec::new();
        for _ in 0..count {
            self.now += BLOCK_INTERVAL;
            hashes.extend(
                self.chain
                    .generate(1, &script, 1_000_000, self.now)
                    .unwrap(),
            );
        }
        step.keep().unwrap();
        hashes
    }

    fn height(&self) -> u32 {
        self.chain.tip().unwrap().height
    }

    fn active_block(&self, height: u32) -> Block {
        let hash = self.chain.store.active(height).unwrap().unwrap();
        self.chain.store.body(&hash).unwrap()
    }

    /// What the coinbase at a height pays to the key.
    fn coinbase(&self, height: u32) -> Funds {
        funds_of(&self.active_block(height).txdata[0], 0)
    }

    /// A transaction that pays all of `funds` but the fee back to the key.
    fn draft(&self, funds: &Funds) -> Draft {
        let value = funds.output.value - FEE;
        Draft {
            version: 2,
            lock_time: 0,
            inputs: vec![(funds.clone(), Sequence::MAX)],
            outputs: vec![TxOut {
                value,
                script_pubkey: self.key.p2wpkh(),
            }],
        }
    }

    /// [`Fixture::draft`], signed.
    fn payment(&self, funds: &Funds) -> Transaction {
        self.key.sign(&self.draft(funds))
    }

    fn accept(&self, transaction: &Transaction) -> Result<Accepted, String> {
        self.chain
            .accept(transaction, u64::from(self.now), None)
            .map_err(rejected)
    }

    fn try_accept(&self, transaction: &Transaction) -> Result<Accepted, String> {
        self.chain
            .try_accept(transaction, u64::from(self.now), None)
            .map_err(rejected)
    }

    /// A block with these transactions on the tip, solved, that claims no fees.
    fn block_with(&self, transactions: &[Transaction]) -> Block {
        let listed = transactions
            .iter()
            .map(|one| (one.clone(), Amount::ZERO))
            .collect();
        let now = self.now + BLOCK_INTERVAL;
        let mut block = self
            .chain
            .assemble(listed, &self.key.p2wpkh(), now)
            .unwrap();
        solve_again(&mut block);
        block
    }

    fn submit(&self, block: &Block) -> Result<Submitted, String> {
        self.chain
            .submit(block, self.now + BLOCK_INTERVAL)
            .map_err(rejected)
    }

    /// txids of the mempool in the order of arrival.
    fn waiting(&self) -> Vec<bitcoin::Txid> {
        self.chain
            .store
            .pool_entries()
            .unwrap()
            .iter()
            .map(|entry| entry.txid)
            .collect()
    }
}

/// The refusal's reason; fails the test for any other error.
fn rejected(error: AcceptError) -> String {
    match error {
        AcceptError::Rejected(reject) => reject.text(),
        AcceptError::Store(error) => panic!("{error}"),
    }
}

/// Computes commitment, merkle root and proof of work of a changed block anew.
fn finish(block: &mut Block) {
    block.txdata[0]
        .output
        .retain(|output| !output.script_pubkey.is_op_return());
    commit_to_witnesses(block);
    solve_again(block);
}

fn solve_again(block: &mut Block) {
    block.header.nonce = 0;
    assert!(solve(&mut block.header, &mut 1_000_000));
}

/// `refusal` begins with `reason`.
#[track_caller]
fn assert_reason<T: std::fmt::Debug>(refusal: Result<T, String>, reason: &str, what: &str) {
    match refusal {
        Err(text) => assert!(text.starts_with(reason), "{what}: {text}, not {reason}"),
        Ok(taken) => panic!("{what}: taken ({taken:?}), not refused for {reason}"),
    }
}
