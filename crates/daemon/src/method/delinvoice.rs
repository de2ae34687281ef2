//! `delinvoice`.

use std::sync::Arc;

use sendpay_node::DeleteInvoice;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::delinvoice::DelInvoice;
use sendpay_rpc::method::listinvoices::InvoiceRecord;

use crate::convert;
use crate::daemon::{Daemon, unix_millis};
use crate::error;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: DelInvoice,
) -> Result<InvoiceRecord, RpcError> {
    let deleted = daemon
        .node()
        .delete_invoice(DeleteInvoice {
            label: params.label.into_string(),
            status: params.status.into_string(),
            description_only: params.desconly,
        })
        .await;
    deleted
        .map(|invoice| convert::invoice(&invoice, unix_millis()))
        .map_err(|cause| error::delete_invoice(&cause))
}
