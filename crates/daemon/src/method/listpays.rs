//! `listpays`.

use std::sync::Arc;

use sendpay_ledger::{Cursor, Filter, Ledger, ReadError};
use sendpay_rpc::method::listpays::ListPays;
use sendpay_rpc::value::{Amounts, InvoiceString};

use super::selection::{Selection, selection};
use crate::convert;
use crate::daemon::Daemon;
use crate::listing::{self, First, Limit, Rows, Source};
use crate::server::Reply;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListPays, reply: Reply) {
    let filter = match selection!(params, with windows).filter(daemon) {
        Ok(filter) => filter,
        Err(error) => return reply.error(&error),
    };
    let listing = Listing {
        ledger: daemon.node().ledger().clone(),
        filter,
        amounts: daemon.amounts(),
        asked: params.bolt11.map(InvoiceString::into_string),
    };
    listing::stream(reply, "pays", Limit(params.limit), First::Apart, listing).await;
}

struct Listing {
    ledger: Ledger,
    filter: Filter,
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
                let mut shown = convert::group(group, self.amounts);
                if shown.bolt11.is_none() && shown.bolt12.is_none() {
                    // CLN shows the invoice that was asked for where none was recorded.
                    shown.bolt11 = self.asked.as_deref();
                }
                rows.push(&shown);
            })
    }

    fn ahead(&self, after: Cursor, rows: usize) -> Result<Option<Cursor>, ReadError> {
        self.ledger.groups_ahead(&self.filter, after, rows)
    }
}
