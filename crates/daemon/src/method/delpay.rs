//! `delpay`.

use std::sync::Arc;

use sendpay_ledger::Status;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::delpay::{DelPay, DelPayResult};
use sendpay_rpc::value::DeletableStatus;

use crate::convert::{self, from_hash};
use crate::daemon::{Daemon, unix_millis};
use crate::error;

pub(super) async fn run(daemon: &Arc<Daemon>, params: DelPay) -> Result<DelPayResult, RpcError> {
    let part = match (params.groupid, params.partid) {
        (Some(groupid), Some(partid)) => Some((groupid.get(), partid.get())),
        (None, None) => None,
        _ => {
            let text = "Must set both partid and groupid, or neither";
            return Err(RpcError::invalid_params(text));
        }
    };
    let status = match params.status {
        DeletableStatus::Complete => Status::Complete,
        DeletableStatus::Failed => Status::Failed,
    };
    let ledger = daemon.node().ledger();
    let deleted = ledger
        .delete(from_hash(params.payment_hash), status, part, unix_millis())
        .await
        .map_err(error::closed)?
        .map_err(|cause| error::delete(&cause))?;
    let amounts = daemon.amounts();
    let payments = deleted
        .iter()
        .map(|payment| convert::payment(payment, amounts));
    Ok(DelPayResult {
        payments: payments.collect(),
    })
}
