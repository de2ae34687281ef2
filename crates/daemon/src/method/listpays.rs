//! `listpays`.

use std::collections::HashMap;
use std::sync::Arc;

use sendpay_ledger::{Cursor, Filter, Group, PaymentHash, ReadError, Status};
use sendpay_node::{Node, Paying};
use sendpay_rpc::method::listpays::{ListPays, PaymentGroup};
use sendpay_rpc::value::{Amounts, InvoiceString};

use super::selection::{Selection, selection};
use crate::daemon::Daemon;
use crate::listing::{self, First, Limit, Rows, Source};
use crate::server::Reply;
use crate::{attempts, convert};

/// Tries read at once when their parts are shown too: some hundreds each at most.
const TRIES_WITH_PARTS_A_PAGE: usize = 16;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListPays, reply: Reply) {
    let filter = match selection!(params, with windows).filter(daemon) {
        Ok(filter) => filter,
        Err(error) => return reply.error(&error),
    };
    let listing = Listing {
        node: daemon.node().clone(),
        failed_only: filter.status == Some(Status::Failed),
        filter,
        height: daemon.node().height(),
        amounts: daemon.amounts(),
        asked: params.bolt11.map(InvoiceString::into_string),
    };
    let limit = Limit(params.limit);
    if params.attempts {
        return listing::stream(reply, "pays", limit, First::Apart, WithParts(listing)).await;
    }
    listing::stream(reply, "pays", limit, First::Apart, listing).await;
}

struct Listing {
    node: Node,
    filter: Filter,
    /// Only what has failed was asked for.
    failed_only: bool,
    height: u32,
    amounts: Amounts,
    /// The invoice that was asked for.
    asked: Option<String>,
}

impl Source for Listing {
    fn page(
        &self,
        after: Option<Cursor>,
        rows_max: usize,
        rows: &mut Rows,
    ) -> Result<Option<Cursor>, ReadError> {
        let under_way = self.under_way();
        self.node
            .ledger()
            .groups_page(&self.filter, after, rows_max, &mut |group| {
                if let Some(shown) = self.shown(group, &under_way) {
                    rows.push(&shown);
                }
            })
    }

    fn ahead(&self, after: Cursor, rows: usize) -> Result<Option<Cursor>, ReadError> {
        self.node.ledger().groups_ahead(&self.filter, after, rows)
    }
}

impl Listing {
    /// Before the read: what ends after this has its end in what is read, or is taken to be under way still.
    fn under_way(&self) -> HashMap<PaymentHash, Paying> {
        self.node.all_paying()
    }

    /// A group as it is shown, unless it has not failed yet and only what has was asked for.
    fn shown<'a>(
        &'a self,
        group: &'a Group,
        under_way: &HashMap<PaymentHash, Paying>,
    ) -> Option<PaymentGroup<&'a str>> {
        let paying = match group.status {
            Status::Failed => under_way
                .get(&group.payment_hash)
                .cloned()
                // Begun since.
                .or_else(|| self.node.paying(&group.payment_hash)),
            Status::Pending | Status::Complete => None,
        };
        if self.failed_only && convert::is_between_tries(group, paying.as_ref()) {
            return None;
        }
        let mut shown = convert::group(group, paying.as_ref(), self.height, self.amounts);
        if shown.bolt11.is_none() && shown.bolt12.is_none() {
            // CLN shows the invoice that was asked for where none was recorded.
            shown.bolt11 = self.asked.as_deref();
        }
        Some(shown)
    }
}

/// The same with the parts of each try.
struct WithParts(Listing);

impl Source for WithParts {
    fn page(
        &self,
        after: Option<Cursor>,
        rows_max: usize,
        rows: &mut Rows,
    ) -> Result<Option<Cursor>, ReadError> {
        let Listing {
            node,
            filter,
            amounts,
            ..
        } = &self.0;
        let ledger = node.ledger();
        let under_way = self.0.under_way();
        let rows_max = rows_max.min(TRIES_WITH_PARTS_A_PAGE);
        let mut groups = Vec::new();
        let next = ledger.groups_page(filter, after, rows_max, &mut |group| {
            groups.push(group.clone());
        })?;
        // Read once no reader is held: a page holds one until its end.
        for group in &groups {
            let parts = ledger.group(group.payment_hash, group.groupid)?;
            let parts = parts.iter().map(|part| attempts::attempt(part, *amounts));
            if let Some(mut shown) = self.0.shown(group, &under_way) {
                shown.attempts = Some(parts.collect());
                rows.push(&shown);
            }
        }
        Ok(next)
    }
}
