//! `bumpfee`.

use std::sync::Arc;

use bitcoin::consensus::encode::serialize;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::bumpfee::{BumpFee, BumpFeeResult};
use sendpay_rpc::value::HexBytes;

use super::listpeerchannels::txid;
use super::onchain;
use crate::daemon::Daemon;
use crate::error;

pub(super) async fn run(daemon: &Arc<Daemon>, params: BumpFee) -> Result<BumpFeeResult, RpcError> {
    let rate = onchain::feerate(daemon, params.feerate);
    let bumped = daemon
        .node()
        .bump_fee(onchain::txid(params.txid), rate)
        .await
        .map_err(|cause| error::bump(&cause))?;
    Ok(BumpFeeResult {
        tx: HexBytes(serialize(&bumped.transaction)),
        txid: txid(bumped.transaction.compute_txid()),
        replaces: bumped.replaces.then_some(params.txid),
        pays_for: (!bumped.replaces).then_some(params.txid),
    })
}
