//! `listsendpays`.

use std::sync::Arc;

use sendpay_rpc::method::listsendpays::ListSendPays;

use super::selection::{Selection, selection};
use crate::convert;
use crate::daemon::Daemon;
use crate::listing::{self, First, Limit};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListSendPays, reply: Reply) {
    let filter = match selection!(params, with windows).filter(daemon) {
        Ok(filter) => filter,
        Err(error) => return reply.error(&error),
    };
    let first = match filter.payment_hash {
        Some(_) => First::Here,
        None => First::Apart,
    };
    let (ledger, amounts) = (daemon.node().ledger().clone(), daemon.amounts());
    let read = move |after, rows_max, out: &mut listing::Rows<'_>| {
        ledger.page(&filter, after, rows_max, &mut |row| {
            out.push(&convert::payment(row, amounts))
        })
    };
    listing::stream(reply, "payments", Limit(params.limit), first, read).await;
}
