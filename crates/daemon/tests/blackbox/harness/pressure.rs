//! A mempool in which there is little room, so that it takes only what pays more.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    Witness,
};
use serde_json::json;

use super::Chain;

/// What makes bitcoind's mempool small enough to be filled.
pub const SMALL_MEMPOOL: &str = "-maxmempool=5";

/// Transactions that fill it, and more: some are thrown out, and what they pay is the least from then on.
const FILLERS: usize = 60;

/// Bytes of data in each.
const FILLER_BYTES: usize = 95_000;

/// What each has for its fee.
const FILLER_COIN: Amount = Amount::from_sat(10_000_000);

/// A script that anybody can spend from.
fn anybody() -> ScriptBuf {
    Builder::new().push_int(1).into_script()
}

fn spending(outpoint: OutPoint, output: Vec<TxOut>) -> Transaction {
    let input = TxIn {
        previous_output: outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[anybody().as_bytes()]),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output,
    }
}

/// Coins that a mempool can be filled with, in a block.
pub struct Pressure {
    coins: Vec<OutPoint>,
}

impl Chain {
    /// Makes ready to [`Chain::press`] so many times: 101 blocks. A bitcoind must have been started with
    /// [`SMALL_MEMPOOL`].
    pub fn prepare_pressure(&self, times: usize) -> Pressure {
        if !self.is_bitcoind() {
            return Pressure { coins: Vec::new() };
        }
        let address = Address::p2wsh(&anybody(), Network::Regtest);
        self.mine_to(1, &address.to_string());
        let hash = self.ask("getblockhash", &[json!(self.height())]);
        let block = self.ask("getblock", &[hash]);
        let txid: Txid = block["tx"][0].as_str().unwrap().parse().unwrap();
        self.mine(100);
        let output = TxOut {
            value: FILLER_COIN,
            script_pubkey: anybody().to_p2wsh(),
        };
        let fan = spending(OutPoint { txid, vout: 0 }, vec![output; FILLERS * times]);
        // All the rest is fee; bitcoind takes that for a mistake unless it is told not to.
        let hex = serialize_hex(&fan);
        self.ask("sendrawtransaction", &[json!(hex), json!(0)]);
        self.mine(1);
        let txid = fan.compute_txid();
        let coins =
            (0..u32::try_from(FILLERS * times).unwrap()).map(|vout| OutPoint { txid, vout });
        Pressure {
            coins: coins.collect(),
        }
    }

    /// From now on the mempool takes only what pays some more than that, in satoshi for 1000 virtual bytes,
    /// for as long as a test runs.
    pub fn press(&self, pressure: &mut Pressure, sat_per_kvb: u64) {
        if !self.is_bitcoind() {
            let rate = Amount::from_sat(sat_per_kvb).to_btc();
            self.ask("setmempoolminfee", &[json!(rate)]);
            return;
        }
        for outpoint in pressure.coins.split_off(pressure.coins.len() - FILLERS) {
            let filler = |fee: u64| {
                let data = PushBytesBuf::try_from(vec![0; FILLER_BYTES]).unwrap();
                let nothing = TxOut {
                    value: Amount::ZERO,
                    script_pubkey: ScriptBuf::new_op_return(data),
                };
                let rest = TxOut {
                    value: FILLER_COIN - Amount::from_sat(fee),
                    script_pubkey: anybody().to_p2wsh(),
                };
                spending(outpoint, vec![nothing, rest])
            };
            let vsize = u64::try_from(filler(0).vsize()).unwrap();
            let transaction = filler(vsize * sat_per_kvb / 1_000);
            // Towards the end it may be one of those that find no room.
            let _thrown_out = self.ask_anyway(
                "sendrawtransaction",
                &[json!(serialize_hex(&transaction)), json!(0)],
            );
        }
        let least = self.mempool_floor();
        // bitcoind's estimates, which servers pass on, are never below what its mempool takes; on regtest
        // it has none.
        self.estimate(least);
        assert!(least >= sat_per_kvb, "{least} is less than {sat_per_kvb}");
    }

    /// The least that the mempool takes, in satoshi for 1000 virtual bytes.
    pub fn mempool_floor(&self) -> u64 {
        let info = self.ask("getmempoolinfo", &[]);
        let rate = info["mempoolminfee"].as_f64().unwrap();
        Amount::from_btc(rate).unwrap().to_sat()
    }
}
