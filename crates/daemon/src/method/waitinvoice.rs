//! `waitinvoice`.

use std::sync::Arc;

use sendpay_ledger::{InvoiceKey, InvoiceState};
use sendpay_rpc::method::listinvoices::InvoiceRecord;
use sendpay_rpc::method::waitinvoice::WaitInvoice;
use sendpay_rpc::{Code, RpcError};

use crate::convert;
use crate::daemon::{Daemon, unix_millis};
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: WaitInvoice,
) -> Result<InvoiceRecord, RpcError> {
    let ledger = daemon.node().ledger();
    let find = |key| ledger.invoice(key).map_err(error::read);
    let asked = find(InvoiceKey::Label(params.label.into_string()))?
        .ok_or_else(|| RpcError::new(Code::Lightningd, "Label not found"))?;
    loop {
        // Registered before the look, so that no change falls in between.
        let changed = ledger.invoice_changed(asked.payment_hash);
        // A new one may have the hash of one that was deleted.
        let invoice = find(InvoiceKey::Hash(asked.payment_hash))?
            .filter(|invoice| invoice.created_index == asked.created_index)
            .ok_or_else(|| RpcError::new(Code::Lightningd, "Invoice deleted during wait"))?;
        let now = unix_millis();
        match invoice.state {
            InvoiceState::Paid => return Ok(convert::invoice(&invoice, now)),
            // Whether an open one that has lapsed is still being paid, the node says: it makes it
            // expired or paid. An imported one it does not look at.
            InvoiceState::Open | InvoiceState::Held if invoice.own => changed.await,
            InvoiceState::Open
            | InvoiceState::Held
            | InvoiceState::Cancelled
            | InvoiceState::Expired => {
                let code = Code::InvoiceExpiredDuringWait;
                let error = RpcError::new(code, "invoice expired during wait");
                return Err(error.with_data(&convert::invoice(&invoice, now)));
            }
        }
    }
}
