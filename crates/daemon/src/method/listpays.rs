//! `listpays`.

use std::sync::Arc;

use sendpay_rpc::method::listpays::ListPays;

use super::selection::{Selection, selection};
use crate::convert;
use crate::daemon::Daemon;
use crate::listing::{self, First, Limit};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListPays, reply: Reply) {
    let filter = match selection!(params, with windows).filter(daemon) {
        Ok(filter) => filter,
        Err(error) => return reply.error(&error),
    };
    let (ledger, amounts) = (daemon.node().ledger().clone(), daemon.amounts());
    let asked = params.bolt11.map(|bolt11| bolt11.into_string());
    let read = move |after, groups_max, out: &mut listing::Rows<'_>| {
        ledger.groups_page(&filter, after, groups_max, &mut |group| {
            let mut shown = convert::group(group, amounts);
            if shown.bolt11.is_none() && shown.bolt12.is_none() {
                // CLN shows the invoice that was asked for where none was recorded.
                shown.bolt11.clone_from(&asked);
            }
            out.push(&shown);
        })
    };
    listing::stream(reply, "pays", Limit(params.limit), First::Apart, read).await;
}
