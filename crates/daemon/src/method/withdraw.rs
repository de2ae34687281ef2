//! `withdraw`.

use std::sync::Arc;

use bitcoin::Amount;
use bitcoin::consensus::encode::serialize;
use sendpay_node::Withdrawal;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::withdraw::{Withdraw, WithdrawResult};
use sendpay_rpc::value::{HexBytes, SatOrAll};

use super::listpeerchannels::txid;
use super::onchain;
use crate::daemon::Daemon;
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: Withdraw,
) -> Result<WithdrawResult, RpcError> {
    let script = onchain::address(daemon, "destination", &params.destination)?;
    let outputs = params.utxos.as_ref();
    let withdrawn = daemon
        .node()
        .withdraw(Withdrawal {
            script,
            amount: match params.satoshi {
                SatOrAll::All => None,
                SatOrAll::Sat(sat) => Some(Amount::from_sat(sat)),
            },
            feerate: onchain::feerate(daemon, params.feerate),
            confirmations_min: params.minconf,
            outputs: outputs.map(|outputs| outputs.0.iter().map(onchain::outpoint).collect()),
        })
        .await
        .map_err(|cause| error::withdraw(&cause))?;
    Ok(WithdrawResult {
        tx: HexBytes(serialize(&withdrawn.transaction)),
        txid: txid(withdrawn.transaction.compute_txid()),
        psbt: withdrawn.unsigned.to_string(),
    })
}
