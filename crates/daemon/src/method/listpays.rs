//! `listpays`.

use std::sync::Arc;

use sendpay_ledger::{Cursor, Filter, Ledger, ReadError};
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
        ledger: daemon.node().ledger().clone(),
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
    ledger: Ledger,
    filter: Filter,
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
        self.ledger
            .groups_page(&self.filter, after, rows_max, &mut |group| {
                rows.push(&self.shown(group));
            })
    }

    fn ahead(&self, after: Cursor, rows: usize) -> Result<Option<Cursor>, ReadError> {
        self.ledger.groups_ahead(&self.filter, after, rows)
    }
}

impl Listing {
    fn shown<'a>(&'a self, group: &'a sendpay_ledger::Group) -> PaymentGroup<&'a str> {
        let mut shown = convert::group(group, self.height, self.amounts);
        if shown.bolt11.is_none() && shown.bolt12.is_none() {
            // CLN shows the invoice that was asked for where none was recorded.
            shown.bolt11 = self.asked.as_deref();
        }
        shown
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
            ledger,
            filter,
            amounts,
            ..
        } = &self.0;
        let rows_max = rows_max.min(TRIES_WITH_PARTS_A_PAGE);
        let mut groups = Vec::new();
        let next = ledger.groups_page(filter, after, rows_max, &mut |group| {
            groups.push(group.clone());
        })?;
        // Read once no reader is held: a page holds one until its end.
        for group in &groups {
            let parts = ledger.group(group.payment_hash, group.groupid)?;
            let parts = parts.iter().map(|part| attempts::attempt(part, *amounts));
            let mut shown = self.0.shown(group);
            shown.attempts = Some(parts.collect());
            rows.push(&shown);
        }
        Ok(next)
    }
}
