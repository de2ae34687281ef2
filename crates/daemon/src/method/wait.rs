//! `wait`.

use std::sync::Arc;

use sendpay_ledger::{Counters, Index};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::wait::{Details, Wait, WaitResult};
use sendpay_rpc::value::{IndexName, Subsystem};

use crate::changes::counters;
use crate::convert;
use crate::daemon::{Daemon, unix_millis};
use crate::error;

pub(super) async fn run(daemon: &Arc<Daemon>, params: Wait) -> Result<WaitResult, RpcError> {
    let last = |counters: &Counters| match params.subsystem {
        Subsystem::Sendpays => counters.payments(index(params.indexname)),
        Subsystem::Invoices => counters.invoices(index(params.indexname)),
    };
    // Before the look, so that no change falls in between.
    let mut changes = daemon.changes().subscribe();
    let now = last(&counters(daemon.node().ledger()).await?);
    if now >= params.nextvalue {
        return Ok(result(&params, now, None));
    }
    let reached = changes.wait_for(|counters| last(counters) >= params.nextvalue);
    // The sender is the daemon's: it cannot be gone.
    let reached = reached.await.map_or(now, |counters| last(&counters));
    let found = find(daemon, &params)?;
    let value = found.as_ref().map_or(reached, |(index, _)| *index);
    Ok(result(&params, value, found.map(|(_, details)| details)))
}

fn index(name: IndexName) -> Index {
    match name {
        IndexName::Created => Index::Created,
        IndexName::Updated => Index::Updated,
        IndexName::Deleted => Index::Deleted,
    }
}

/// What was waited for, with its place.
fn find(daemon: &Daemon, params: &Wait) -> Result<Option<(u64, Details)>, RpcError> {
    let (ledger, index) = (daemon.node().ledger(), index(params.indexname));
    match params.subsystem {
        Subsystem::Sendpays => {
            let found = ledger.first_payment(index, params.nextvalue);
            let found = found.map_err(error::read)?;
            Ok(found.map(|found| (found.index, payment(&found.record))))
        }
        Subsystem::Invoices if index == Index::Deleted => {
            let found = ledger.first_deleted_invoice(params.nextvalue);
            let found = found.map_err(error::read)?;
            Ok(found.map(|found| (found.index, deleted_invoice(&found.record))))
        }
        Subsystem::Invoices => {
            let found = ledger.first_invoice(index, params.nextvalue);
            let found = found.map_err(error::read)?;
            Ok(found.map(|found| (found.index, invoice(&found.record))))
        }
    }
}

fn payment(payment: &sendpay_ledger::Payment) -> Details {
    Details {
        status: payment.status.to_string(),
        partid: Some(payment.partid),
        groupid: Some(payment.groupid),
        payment_hash: Some(convert::hash(payment.payment_hash)),
        label: None,
        description: None,
        bolt11: None,
    }
}

fn invoice(invoice: &sendpay_ledger::Invoice) -> Details {
    let shown = convert::invoice(invoice, unix_millis());
    Details {
        status: shown.status,
        partid: None,
        groupid: None,
        payment_hash: None,
        label: Some(shown.label),
        description: shown.description,
        bolt11: shown.bolt11,
    }
}

fn deleted_invoice(invoice: &sendpay_ledger::DeletedInvoice) -> Details {
    Details {
        status: invoice.status.to_string(),
        partid: None,
        groupid: None,
        payment_hash: None,
        label: Some(invoice.label.clone()),
        description: None,
        bolt11: None,
    }
}

fn result(params: &Wait, value: u64, details: Option<Details>) -> WaitResult {
    let named = |name| (params.indexname == name).then_some(value);
    let under = |subsystem| details.clone().filter(|_| params.subsystem == subsystem);
    WaitResult {
        subsystem: params.subsystem,
        created: named(IndexName::Created),
        updated: named(IndexName::Updated),
        deleted: named(IndexName::Deleted),
        sendpays: under(Subsystem::Sendpays),
        invoices: under(Subsystem::Invoices),
        details: details.clone(),
    }
}
