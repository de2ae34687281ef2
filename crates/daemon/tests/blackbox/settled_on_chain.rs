//! Payments whose channel went on chain while they were pending: the chain says how they ended, and
//! it may take its word back (promises L2, L3 and L4).

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Transaction, Txid};
use serde_json::{Value, json};

use crate::harness::{Backend, Pair, hop, wait_for, with_every_backend};

/// The hash of a preimage of 32 times 1.
const PREIMAGE: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const HASH: &str = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";

with_every_backend! {
    a_claim_on_chain_completes_the_payment_and_stays_its_proof_when_it_is_reorganised_away,
}

/// A payment from alice to bob that he claimed on chain while she was away. He is gone for good, his
/// commitment is in a block, and his claim waits in the mempool.
struct Claimed {
    pair: Pair,
    /// The transaction that shows the preimage.
    claim: String,
    cltv_expiry: u32,
}

impl Pair {
    fn mempool(&self) -> Vec<(String, Transaction)> {
        let txids = self.chain.ask("getrawmempool", &[]);
        // What was replaced meanwhile is left out.
        let raw = txids.as_array().unwrap().iter().filter_map(|txid| {
            let asked = std::slice::from_ref(txid);
            let raw = self.chain.ask_anyway("getrawtransaction", asked);
            Some(raw.ok()?.as_str()?.to_owned())
        });
        raw.map(|raw| (raw.clone(), deserialize_hex(&raw).unwrap()))
            .collect()
    }

    /// Alice's only record.
    fn record(&self) -> Value {
        let payments = self.alice.payments();
        assert_eq!(payments.len(), 1);
        payments[0].clone()
    }

    fn mine_for_alice(&self, count: u32) {
        self.chain.mine(count);
        self.alice.wait_for_height(self.chain.height());
    }

    /// Blocks with nothing in them.
    fn mine_empty_for_alice(&self, count: u32) {
        for _ in 0..count {
            self.chain.mine_only(&[]);
        }
        self.alice.wait_for_height(self.chain.height());
    }

    /// Takes away all blocks from a height on.
    fn take_back(&self, height: u32) {
        let hash = self.chain.ask("getblockhash", &[json!(height)]);
        self.chain.ask("invalidateblock", &[hash]);
    }
}

impl Claimed {
    fn on(backend: Backend) -> Claimed {
        let mut pair = Pair::on(backend, &[]);
        let hold = json!({
            "amount_msat": 5_000_000, "label": "held", "description": "", "cltv": 50,
            "payment_hash": HASH,
        });
        let invoice = pair.bob.call("holdinvoice", hold);
        pair.alice.call(
            "sendpay",
            json!({
                "route": [hop(&pair.bob, &pair.channel, 5_000_000, 50)],
                "payment_hash": HASH, "payment_secret": invoice["payment_secret"],
            }),
        );
        wait_for("an invoice held", || {
            let listed = pair.bob.call("listinvoices", json!({}));
            (listed["invoices"][0]["hold_state"] == "held").then_some(())
        });
        let cltv_expiry = pair.record()["cltv_expiry"].as_u64().unwrap();
        let channels = pair.bob.call("listpeerchannels", json!({}));
        let funding = channels["channels"][0].clone();
        pair.alice.kill();
        let settled = pair.bob.call("holdinvoicesettle", json!([PREIMAGE]));
        assert_eq!(settled["state"], "settled");
        // With alice away he goes on chain while there is time.
        let outpoint = [
            funding["funding_txid"].clone(),
            funding["funding_outnum"].clone(),
        ];
        wait_for("bob's commitment", || {
            if pair.chain.ask("gettxout", &outpoint).is_null() {
                return Some(());
            }
            pair.chain.mine(1);
            pair.bob.wait_for_height(pair.chain.height());
            None
        });
        let funding_txid = funding["funding_txid"].as_str().unwrap().parse().unwrap();
        let claim = wait_for("bob's claim", || {
            pair.claim_above_its_commitment(funding_txid)
        });
        pair.bob.kill();
        let cltv_expiry = u32::try_from(cltv_expiry).unwrap();
        assert!(pair.chain.height() < cltv_expiry);
        Claimed {
            pair,
            claim,
            cltv_expiry,
        }
    }
}

impl Pair {
    /// The claim in the mempool, once what it spends is in a block, with a child if one pays for it.
    fn claim_above_its_commitment(&self, funding_txid: Txid) -> Option<String> {
        let waiting = self.mempool();
        let closes = |transaction: &Transaction| {
            let mut inputs = transaction.input.iter();
            inputs.any(|input| input.previous_output.txid == funding_txid)
        };
        let is_claim = |raw: &str| raw.contains(PREIMAGE);
        // The child may come later than the commitment, and has the coin that the claim needs.
        let mut package: Vec<_> = waiting.iter().filter(|(raw, _)| !is_claim(raw)).collect();
        package.sort_by_key(|(_, one)| !closes(one));
        if !package.is_empty() {
            let package: Vec<&str> = package.iter().map(|(raw, _)| raw.as_str()).collect();
            self.chain.mine_only(&package);
            return None;
        }
        let mut claims = waiting.into_iter().map(|(raw, _)| raw);
        claims.find(|raw| is_claim(raw))
    }
}

fn a_claim_on_chain_completes_the_payment_and_stays_its_proof_when_it_is_reorganised_away(
    backend: Backend,
) {
    let Claimed {
        mut pair,
        cltv_expiry,
        ..
    } = Claimed::on(backend);
    pair.alice.resume();
    pair.alice.wait_for_height(pair.chain.height());
    assert_eq!(pair.record()["status"], "pending", "nothing is proven yet");
    pair.mine_for_alice(1);
    let claimed_at = pair.chain.height();
    let complete = pair
        .alice
        .call("waitsendpay", json!({"payment_hash": HASH}));
    assert_eq!(complete["status"], "complete");
    assert_eq!(complete["payment_preimage"], PREIMAGE);
    let record = pair.record();

    // The block of the claim is taken back, and the claim never comes again: alice gets the HTLC's
    // coins. It is paid all the same: whoever has the preimage has the proof.
    pair.take_back(claimed_at);
    pair.mine_empty_for_alice(cltv_expiry + 10 - claimed_at);
    assert_eq!(pair.record(), record);
    pair.alice.kill();
    pair.alice.resume();
    assert_eq!(pair.record(), record);
    let info = pair.alice.call("getinfo", json!({}));
    assert!(info.get("warning_late_preimage").is_none());
}

// The embedded chain cannot be made to forget what waits for a block.
mod forgetful {
    #[test]
    fn bitcoind() {
        super::a_timeout_that_a_claim_takes_the_place_of_was_never_a_failure(
            crate::harness::Backend::Bitcoind,
        );
    }

    #[test]
    fn electrs() {
        super::a_timeout_that_a_claim_takes_the_place_of_was_never_a_failure(
            crate::harness::Backend::Electrs,
        );
    }
}

fn a_timeout_that_a_claim_takes_the_place_of_was_never_a_failure(backend: Backend) {
    let Claimed {
        mut pair,
        claim,
        cltv_expiry,
    } = Claimed::on(backend);
    pair.chain.forget_mempool();
    pair.alice.resume();
    pair.alice.wait_for_height(pair.chain.height());
    assert_eq!(pair.mempool(), []);
    pair.mine_empty_for_alice(cltv_expiry - pair.chain.height());
    // Alice takes the HTLC's coins back, which are what bob claims first of all.
    let claimed: Transaction = deserialize_hex(&claim).unwrap();
    let htlc = claimed.input[0].previous_output;
    let is_taken = || {
        let waiting = pair.mempool();
        let mut inputs = waiting.iter().flat_map(|(_, one)| &one.input);
        inputs.any(|input| input.previous_output == htlc)
    };
    wait_for("alice's refund", || is_taken().then_some(()));
    pair.mine_for_alice(1);
    assert!(!is_taken(), "it is in a block");
    let refunded_at = pair.chain.height();
    assert_eq!(pair.record()["status"], "pending", "one block deep");
    pair.mine_empty_for_alice(4);
    assert_eq!(pair.record()["status"], "pending", "five blocks deep");

    // Five blocks give way to six, and bob's claim is in the first of them.
    pair.take_back(refunded_at);
    pair.chain.mine_only(&[&claim]);
    pair.mine_empty_for_alice(5);
    let complete = pair
        .alice
        .call("waitsendpay", json!({"payment_hash": HASH}));
    assert_eq!(complete["status"], "complete");
    assert_eq!(complete["payment_preimage"], PREIMAGE);
    // It was never anything but pending before.
    let changes = pair.alice.call("wait", json!(["sendpays", "updated", 0]));
    assert_eq!(changes["updated"], 1);
    pair.mine_empty_for_alice(10);
    assert_eq!(pair.record()["status"], "complete");
}
