//! `listinvoices`, also by its old name `listinvoice`.

use std::sync::Arc;

use sendpay_ledger::{Cursor, InvoiceFilter, Ledger, Order, ReadError};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::listinvoices::ListInvoices;
use sendpay_rpc::value::ListIndex;

use crate::convert::{self, from_hash};
use crate::daemon::{Daemon, unix_millis};
use crate::listing::{self, First, Limit, Rows, Source};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListInvoices, reply: Reply) {
    let filter = match filter(daemon, &params) {
        Ok(filter) => filter,
        Err(error) => return reply.error(&error),
    };
    let ledger = daemon.node().ledger().clone();
    // No offers are made here, so none has an invoice.
    let limit = if params.offer_id.is_some() {
        Some(0)
    } else {
        params.limit
    };
    let listing = Listing { ledger, filter };
    listing::stream(reply, "invoices", Limit(limit), First::Apart, listing).await;
}

struct Listing {
    ledger: Ledger,
    filter: InvoiceFilter,
}

impl Source for Listing {
    fn page(
        &self,
        after: Option<Cursor>,
        rows_max: usize,
        rows: &mut Rows,
    ) -> Result<Option<Cursor>, ReadError> {
        let now = unix_millis();
        self.ledger
            .invoices_page(&self.filter, after, rows_max, &mut |invoice| {
                rows.push(&convert::invoice(invoice, now));
            })
    }
}

fn filter(daemon: &Daemon, params: &ListInvoices) -> Result<InvoiceFilter, RpcError> {
    let given = [
        params.label.is_some(),
        params.invstring.is_some(),
        params.payment_hash.is_some(),
        params.offer_id.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(RpcError::invalid_params(
            "Can only specify one of {label}, {invstring}, {payment_hash} or {offer_id}",
        ));
    }
    if params.start != 0 && params.index.is_none() {
        return Err(RpcError::invalid_params(
            "Can only specify {start} with {index}",
        ));
    }
    if params.limit.is_some() && params.index.is_none() {
        return Err(RpcError::invalid_params(
            "Can only specify {limit} with {index}",
        ));
    }
    let of_invoice = match &params.invstring {
        None => None,
        Some(text) => {
            let decoded = sendpay_node::decode(text.as_str(), Some(daemon.network()))
                .map_err(|_| RpcError::invalid_params("Invalid invstring"))?;
            Some(decoded.payment_hash)
        }
    };
    Ok(InvoiceFilter {
        label: params.label.as_ref().map(|label| label.as_str().to_owned()),
        payment_hash: of_invoice.or(params.payment_hash.map(from_hash)),
        order: match params.index {
            Some(ListIndex::Updated) => Order::Updated,
            _ => Order::Created,
        },
        start: params.start,
        ..Default::default()
    })
}
