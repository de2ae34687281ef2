//! `listpays`.

use std::sync::Arc;

use sendpay_ledger::GroupFilter;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::listpays::ListPays;

use super::listsendpays::Selected;
use crate::convert::{self, from_status};
use crate::daemon::Daemon;
use crate::listing::{self, Limit};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListPays, reply: Reply) {
    let filter = match filter(daemon, &params) {
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
    listing::stream(reply, "pays", Limit(params.limit), read).await;
}

fn filter(daemon: &Daemon, params: &ListPays) -> Result<GroupFilter, RpcError> {
    let selected = Selected {
        bolt11: params.bolt11.as_ref(),
        payment_hash: params.payment_hash,
        index: params.index,
        start: params.start,
        limit: params.limit,
    };
    Ok(GroupFilter {
        payment_hash: selected.payment_hash(daemon)?,
        status: params.status.map(from_status),
        order: selected.order(),
        start: params.start,
    })
}
