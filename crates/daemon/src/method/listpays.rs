//! `listpays`.

use std::sync::Arc;

use sendpay_rpc::method::listpays::ListPays;

use super::selection::{Selection, selection};
use crate::daemon::Daemon;
use crate::listing::{self, First, Limit};
use crate::server::Reply;
use crate::{attempts, convert};

/// Tries read at once when their parts are shown too: some hundreds each at most.
const TRIES_WITH_PARTS_A_PAGE: usize = 16;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListPays, reply: Reply) {
    let filter = match selection!(params, with windows).filter(daemon) {
        Ok(filter) => filter,
        Err(error) => return reply.error(&error),
    };
    let (ledger, amounts) = (daemon.node().ledger().clone(), daemon.amounts());
    let height = daemon.node().height();
    let (limit, with_parts) = (Limit(params.limit), params.attempts);
    let asked = params.bolt11.map(|bolt11| bolt11.into_string());
    let show = move |group: &sendpay_ledger::Group| {
        let mut shown = convert::group(group, height, amounts);
        if shown.bolt11.is_none() && shown.bolt12.is_none() {
            // CLN shows the invoice that was asked for where none was recorded.
            shown.bolt11.clone_from(&asked);
        }
        shown
    };
    if !with_parts {
        let read = move |after, groups_max, out: &mut listing::Rows<'_>| {
            ledger.groups_page(&filter, after, groups_max, &mut |group| {
                out.push(&show(group));
            })
        };
        return listing::stream(reply, "pays", limit, First::Apart, read).await;
    }
    let read = move |after, groups_max: usize, out: &mut listing::Rows<'_>| {
        let groups_max = groups_max.min(TRIES_WITH_PARTS_A_PAGE);
        let mut groups = Vec::new();
        let next = ledger.groups_page(&filter, after, groups_max, &mut |group| {
            groups.push((group.payment_hash, group.groupid, show(group)));
        })?;
        // Read once no reader is held: a page holds one until its end.
        for (hash, groupid, mut shown) in groups {
            let parts = ledger.group(hash, groupid)?;
            let parts = parts.iter().map(|part| attempts::attempt(part, amounts));
            shown.attempts = Some(parts.collect());
            out.push(&shown);
        }
        Ok(next)
    };
    listing::stream(reply, "pays", limit, First::Apart, read).await;
}
