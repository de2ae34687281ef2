//! `cancelpay`.

use std::sync::Arc;

use sendpay_ledger::Payment;
use sendpay_rpc::method::cancelpay::{CancelPay, CancelPayResult};
use sendpay_rpc::{Code, RpcError};

use crate::attempts::outgoing;
use crate::convert::from_hash;
use crate::daemon::Daemon;
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: CancelPay,
) -> Result<CancelPayResult, RpcError> {
    let (node, hash) = (daemon.node(), from_hash(params.payment_hash));
    if !node.cancel_pay(&hash) {
        let text = format!("No payment of payment_hash {hash} is running");
        return Err(RpcError::new(Code::PayNoSuchPayment, text));
    }
    let pending = node.ledger().pending_of(hash).map_err(error::read)?;
    let parts: Vec<Payment> = pending.into_iter().filter(|part| part.own).collect();
    Ok(CancelPayResult {
        payment_hash: params.payment_hash,
        htlcs: outgoing(&parts, node.height(), daemon.amounts()),
    })
}
