//! The client over HTTP, against the embedded chain and against Bitcoin Core: one list of tests, each
//! run with both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../../../../../tests/electrs/between.rs"]
#[allow(dead_code, unreachable_pub)]
mod between;
mod broadcast;
mod connect;
#[path = "../../../../../tests/electrs/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod electrs_process;
mod electrum;
mod electrum_faults;
mod electrum_history;
mod fake_electrum;
mod fees;
mod follow;
#[path = "../../../../../tests/port.rs"]
#[allow(dead_code, unreachable_pub)]
mod port;
#[path = "../../../../../tests/bitcoind/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod process;
mod refusing;
mod wait;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bitcoin::{Address, Amount, BlockHash, Network, OutPoint, Transaction, TxOut};
use lightning_block_sync::{BlockData, BlockSource};

use super::{Auth, ChainClient, ChainConfig};
use crate::regtest::Regtest;
use process::Bitcoind;

/// Longer than anything here takes; a test that runs into it failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A regtest chain with a server, in a directory of the test.
trait Backend: Sized {
    /// What it estimates fee rates at, where there is nothing to estimate from: satoshi for 1000
    /// weight units.
    const ESTIMATE: Option<u32>;

    /// Starts it, at the port it had in that directory before.
    async fn start(directory: &Path) -> Self;

    fn rpc_address(&self) -> String;

    fn cookie_file(&self) -> PathBuf;

    /// Ends the server; the blocks stay.
    async fn stop(self);

    fn config(&self) -> ChainConfig {
        ChainConfig {
            rpc_address: self.rpc_address(),
            auth: Auth::CookieFile(self.cookie_file()),
            zmq: None,
            network: Network::Regtest,
        }
    }
}

impl Backend for Regtest {
    const ESTIMATE: Option<u32> = Some(253);

    async fn start(directory: &Path) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Regtest::start(directory, listen).await.unwrap()
    }

    fn rpc_address(&self) -> String {
        Regtest::rpc_address(self).to_string()
    }

    fn cookie_file(&self) -> PathBuf {
        Regtest::cookie_file(self)
    }

    async fn stop(self) {
        Regtest::stop(self).await;
    }
}

impl Backend for Bitcoind {
    const ESTIMATE: Option<u32> = None;

    async fn start(directory: &Path) -> Self {
        Bitcoind::start(directory, &[])
    }

    fn rpc_address(&self) -> String {
        Bitcoind::rpc_address(self)
    }

    fn cookie_file(&self) -> PathBuf {
        Bitcoind::cookie_file(self)
    }

    async fn stop(mut self) {
        Bitcoind::stop(&mut self);
    }
}

/// Runs each test with both backends.
macro_rules! with_both_backends {
    ($($file:ident::$test:ident,)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $test() {
                super::$file::$test::<crate::regtest::Regtest>().await;
            })*
        }

        mod bitcoind {
            $(#[tokio::test]
            async fn $test() {
                super::$file::$test::<super::process::Bitcoind>().await;
            })*
        }
    };
}

with_both_backends! {
    follow::a_light_client_follows_the_chain_through_a_reorganisation,
    follow::a_listener_that_slept_through_a_reorganisation_is_brought_up_to_date,
    follow::a_wait_returns_with_the_block_and_not_before,
    connect::the_wrong_network_and_the_wrong_door_are_told_apart,
    connect::a_restart_of_the_server_with_a_new_cookie_is_survived,
    broadcast::broadcasts_succeed_refuse_and_know_what_was_sent,
    broadcast::ldks_broadcaster_sends_from_any_thread_and_again_at_the_next_block,
    broadcast::a_transaction_waits_for_a_server_that_is_down,
    fees::fee_rates_are_the_chains_or_fallbacks_and_stay_when_it_is_gone,
}

/// Anybody may spend what is paid there: transactions need no signatures.
fn open_script() -> bitcoin::ScriptBuf {
    use bitcoin::opcodes::OP_TRUE;
    bitcoin::script::Builder::new()
        .push_opcode(OP_TRUE)
        .into_script()
}

fn address() -> Address {
    Address::p2wsh(&open_script(), Network::Regtest)
}

/// Blocks of a second branch pay this one: mined to the same address in the same second, a block that
/// was invalidated would be made once more, and refused.
fn other_address() -> Address {
    Address::p2wsh(&bitcoin::ScriptBuf::new(), Network::Regtest)
}

/// Spends an output that [`open_script`] locks, to the same again.
fn spend(outpoint: OutPoint, value: Amount, fee: u64) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn {
            previous_output: outpoint,
            script_sig: bitcoin::ScriptBuf::new(),
            sequence: bitcoin::Sequence::MAX,
            witness: bitcoin::Witness::from_slice(&[open_script().as_bytes()]),
        }],
        output: vec![TxOut {
            value: value - Amount::from_sat(fee),
            script_pubkey: address().script_pubkey(),
        }],
    }
}

/// Spends the coinbase of a block, or with `Some(child)` the output of a transaction.
async fn spend_coinbase(client: &ChainClient, block: BlockHash, fee: u64) -> Transaction {
    let BlockData::FullBlock(block) = client.get_block(&block).await.unwrap() else {
        panic!()
    };
    let coinbase = &block.txdata[0];
    let outpoint = OutPoint {
        txid: coinbase.compute_txid(),
        vout: 0,
    };
    spend(outpoint, coinbase.output[0].value, fee)
}

fn spend_first(parent: &Transaction, fee: u64) -> Transaction {
    let outpoint = OutPoint {
        txid: parent.compute_txid(),
        vout: 0,
    };
    spend(outpoint, parent.output[0].value, fee)
}
