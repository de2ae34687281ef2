//! `listsendpays`.

use std::sync::Arc;

use sendpay_ledger::{Cursor, Filter, Ledger, ReadError};
use sendpay_rpc::method::listsendpays::ListSendPays;
use sendpay_rpc::value::Amounts;

use super::selection::{Selection, selection};
use crate::convert;
use crate::daemon::Daemon;
use crate::listing::{self, First, Limit, Rows, Source};
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
    let listing = Listing {
        ledger: daemon.node().ledger().clone(),
        filter,
        amounts: daemon.amounts(),
    };
    listing::stream(reply, "payments", Limit(params.limit), first, listing).await;
}

struct Listing {
    ledger: Ledger,
    filter: Filter,
    amounts: Amounts,
}

impl Source for Listing {
    fn page(
        &self,
        after: Option<Cursor>,
        rows_max: usize,
        rows: &mut Rows,
    ) -> Result<Option<Cursor>, ReadError> {
        self.ledger.page(&self.filter, after, rows_max, &mut |row| {
            rows.push(&convert::listed(row, self.amounts));
        })
    }

    fn ahead(&self, after: Cursor, rows: usize) -> Result<Option<Cursor>, ReadError> {
        self.ledger.ahead(&self.filter, after, rows)
    }
}
