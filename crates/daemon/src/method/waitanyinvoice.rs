//! `waitanyinvoice`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_rpc::method::listinvoices::InvoiceRecord;
use sendpay_rpc::method::waitanyinvoice::WaitAnyInvoice;
use sendpay_rpc::{Code, RpcError};
use tokio::time::{Instant, timeout_at};

use crate::convert;
use crate::daemon::{Daemon, unix_millis};
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: WaitAnyInvoice,
) -> Result<InvoiceRecord, RpcError> {
    // Further away than there is time is no limit.
    let deadline = params
        .timeout
        .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let ledger = daemon.node().ledger();
    // After a number beyond all comes the next payment from here on, whatever its number.
    let paid = ledger.counters().map_err(error::read)?.pay_index;
    let after = params.lastpay_index.min(paid);
    loop {
        // Registered before the look, so that no payment falls in between.
        let changed = ledger.any_invoice_changed();
        if let Some(invoice) = ledger.paid_after(after).map_err(error::read)? {
            return Ok(convert::invoice(&invoice, unix_millis()));
        }
        match deadline {
            None => changed.await,
            Some(deadline) => timeout_at(deadline, changed).await.map_err(|_| {
                let text = "Timed out while waiting for invoice to be paid";
                RpcError::new(Code::InvoiceWaitTimedOut, text)
            })?,
        }
    }
}
