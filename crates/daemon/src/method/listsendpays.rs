//! `listsendpays`.

use std::sync::Arc;

use sendpay_ledger::{Filter, Order};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::listsendpays::ListSendPays;
use sendpay_rpc::value::{Hash32, InvoiceString, ListIndex};

use super::invoice_of;
use crate::convert::{self, from_hash, from_status};
use crate::daemon::Daemon;
use crate::listing::{self, Limit};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListSendPays, reply: Reply) {
    let filter = match filter(daemon, &params) {
        Ok(filter) => filter,
        Err(error) => return reply.error(&error),
    };
    let (ledger, amounts) = (daemon.node().ledger().clone(), daemon.amounts());
    let read = move |after, rows_max, out: &mut listing::Rows<'_>| {
        ledger.page(&filter, after, rows_max, &mut |row| {
            out.push(&convert::payment(row, amounts))
        })
    };
    listing::stream(reply, "payments", Limit(params.limit), read).await;
}

fn filter(daemon: &Daemon, params: &ListSendPays) -> Result<Filter, RpcError> {
    let selected = Selected {
        bolt11: params.bolt11.as_ref(),
        payment_hash: params.payment_hash,
        index: params.index,
        start: params.start,
        limit: params.limit,
    };
    Ok(Filter {
        payment_hash: selected.payment_hash(daemon)?,
        status: params.status.map(from_status),
        order: selected.order(),
        start: params.start,
    })
}

/// The parameters that `listsendpays` and `listpays` share, with CLN's checks in CLN's order.
pub(super) struct Selected<'a> {
    pub(super) bolt11: Option<&'a InvoiceString>,
    pub(super) payment_hash: Option<Hash32>,
    pub(super) index: Option<ListIndex>,
    pub(super) start: u64,
    pub(super) limit: Option<u32>,
}

impl Selected<'_> {
    pub(super) fn payment_hash(
        &self,
        daemon: &Daemon,
    ) -> Result<Option<sendpay_ledger::PaymentHash>, RpcError> {
        let refuse = |text: &str| Err(RpcError::invalid_params(text));
        if self.bolt11.is_some() && self.payment_hash.is_some() {
            return refuse("Can only specify one of {bolt11} or {payment_hash}");
        }
        if self.start != 0 && self.index.is_none() {
            return refuse("Can only specify {start} with {index}");
        }
        if self.limit.is_some() && self.index.is_none() {
            return refuse("Can only specify {limit} with {index}");
        }
        let one = self.bolt11.is_some() || self.payment_hash.is_some();
        if self.start != 0 && one {
            return refuse("Cannot use start with bolt11 or payment_hash");
        }
        match (self.bolt11, self.payment_hash) {
            (Some(bolt11), _) => Ok(Some(invoice_of(daemon, bolt11)?.payment_hash)),
            (None, hash) => Ok(hash.map(from_hash)),
        }
    }

    /// `deleted` is read as `created`, as CLN does.
    pub(super) fn order(&self) -> Order {
        match self.index {
            Some(ListIndex::Updated) => Order::Updated,
            Some(ListIndex::Created | ListIndex::Deleted) | None => Order::Created,
        }
    }
}
