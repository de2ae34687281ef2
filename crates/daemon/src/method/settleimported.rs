//! `settleimported`.

use std::sync::Arc;

use sendpay_ledger::{Failure, Preimage};
use sendpay_rpc::method::settleimported::{SettleImported, SettleImportedResult};
use sendpay_rpc::value::DeletableStatus;
use sendpay_rpc::{Code, RpcError};

use crate::convert::{self, from_hash};
use crate::daemon::{Daemon, unix_millis};
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: SettleImported,
) -> Result<SettleImportedResult, RpcError> {
    let outcome = match (params.status, params.payment_preimage) {
        (DeletableStatus::Complete, Some(preimage)) => Ok(Preimage(preimage.to_bytes())),
        (DeletableStatus::Failed, None) => Err(Failure {
            code: Code::PayUnspecifiedError.number(),
            failcode: None,
            erring_index: None,
            erring_node: None,
            erring_channel: None,
            erring_direction: None,
            message: "said to have failed by settleimported".to_owned(),
        }),
        (DeletableStatus::Complete, None) => {
            let text = "complete needs the payment_preimage that proves it";
            return Err(RpcError::invalid_params(text));
        }
        (DeletableStatus::Failed, Some(_)) => {
            let text = "a payment_preimage proves that it is complete, not failed";
            return Err(RpcError::invalid_params(text));
        }
    };
    let settled = daemon
        .node()
        .ledger()
        .settle_imported(from_hash(params.payment_hash), outcome, unix_millis())
        .await
        .map_err(error::closed)?
        .map_err(|cause| error::settle_imported(&cause))?;
    let amounts = daemon.amounts();
    let payments = settled
        .iter()
        .map(|payment| convert::payment(payment, amounts));
    Ok(SettleImportedResult {
        payments: payments.collect(),
    })
}
