//! `countsendpays`.

use std::sync::Arc;

use sendpay_ledger::{Sum, Totals};
use sendpay_rpc::method::countsendpays::{CountSendPays, CountSendPaysResult, StatusCount};
use sendpay_rpc::value::Amounts;
use sendpay_rpc::{Code, RpcError};

use super::selection::{Selection, selection};
use crate::daemon::Daemon;
use crate::error;

/// Ends when its client is gone: between two pages whoever waits for it may drop it.
pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: CountSendPays,
) -> Result<CountSendPaysResult, RpcError> {
    let filter = Arc::new(selection!(params).filter(daemon)?);
    let (mut totals, mut after) = (Totals::default(), None);
    loop {
        let (ledger, filter) = (daemon.node().ledger().clone(), Arc::clone(&filter));
        let page = move || {
            let next = ledger.count_page(&filter, after, &mut totals);
            next.map(|next| (next, totals))
        };
        let read = tokio::task::spawn_blocking(page).await;
        let given_up = |_| RpcError::new(Code::Internal, "the count was given up");
        (after, totals) = read.map_err(given_up)?.map_err(error::read)?;
        if after.is_none() {
            return Ok(result(&totals, daemon.amounts()));
        }
    }
}

fn result(totals: &Totals, amounts: Amounts) -> CountSendPaysResult {
    let shown = |sum: &Sum, fees_msat: Option<u128>| StatusCount {
        count: sum.count,
        amount_msat: amounts.sum(sum.amount_msat),
        amount_sent_msat: amounts.sum(sum.amount_sent_msat),
        fees_msat: fees_msat.map(|msat| amounts.sum(msat)),
    };
    CountSendPaysResult {
        count: totals.pending.count + totals.complete.count + totals.failed.count,
        pending: shown(&totals.pending, Some(totals.pending.fees_msat())),
        complete: shown(&totals.complete, Some(totals.complete.fees_msat())),
        failed: shown(&totals.failed, None),
    }
}
