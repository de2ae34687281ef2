//! `listforwards`.

use std::sync::Arc;

use sendpay_ledger::{ForwardFilter, NewForward};
use sendpay_rpc::method::listforwards::{Forward, ListForwards};
use sendpay_rpc::value::{ForwardStatus, ListIndex, Msat, Scid};
use sendpay_rpc::{RpcError, failcode};
use tokio::task::block_in_place;

use crate::daemon::Daemon;
use crate::error;
use crate::pages::{self, ROWS_A_PAGE};
use crate::server::Reply;

/// Milliseconds in a second: the ledger keeps the former, the contract shows the latter.
const MILLIS: u64 = 1_000;

pub(super) async fn run(daemon: &Arc<Daemon>, params: ListForwards, reply: Reply) {
    if let Err(error) = check(&params) {
        return reply.error(&error);
    }
    let ledger = daemon.node().ledger();
    let filter = ForwardFilter {
        status: params.status.and_then(status),
        in_channel: params.in_channel.map(|scid| scid.0),
        out_channel: params.out_channel.map(|scid| scid.0),
    };
    // What is under way is not recorded, and what is recorded never changes.
    let none = params.status == Some(ForwardStatus::Offered)
        || params.index == Some(ListIndex::Updated) && params.start > 0;
    let mut left = params.limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    if none {
        left = 0;
    }
    let mut after = params.start.saturating_sub(1);
    pages::stream(reply, "forwards", |each| {
        if left == 0 {
            return Ok(false);
        }
        let rows_max = left.min(ROWS_A_PAGE);
        let mut rows = 0;
        let next = block_in_place(|| {
            ledger.forwards_page(&filter, after, rows_max, &mut |forward| {
                rows += 1;
                each(&show(forward.created_index, &forward.forward));
            })
        });
        left -= rows;
        let next = next.map_err(error::read)?;
        after = next.unwrap_or(after);
        Ok(next.is_some() && left > 0)
    })
    .await;
}

fn check(params: &ListForwards) -> Result<(), RpcError> {
    let refused = |text: &str| Err(RpcError::invalid_params(text));
    if params.start != 0 && params.index.is_none() {
        return refused("Can only specify {start} with {index}");
    }
    if params.limit.is_some() && params.index.is_none() {
        return refused("Can only specify {limit} with {index}");
    }
    let by_channel = params.in_channel.is_some() || params.out_channel.is_some();
    if by_channel && params.start != 0 {
        return refused("Cannot use start with in_channel or out_channel");
    }
    Ok(())
}

fn status(status: ForwardStatus) -> Option<sendpay_ledger::ForwardStatus> {
    match status {
        ForwardStatus::Offered => None,
        ForwardStatus::Settled => Some(sendpay_ledger::ForwardStatus::Settled),
        ForwardStatus::LocalFailed => Some(sendpay_ledger::ForwardStatus::LocalFailed),
        ForwardStatus::Failed => Some(sendpay_ledger::ForwardStatus::Failed),
    }
}

fn show(created_index: u64, forward: &NewForward) -> Forward {
    let msat = |amount: sendpay_ledger::Msat| Msat(amount.msat());
    Forward {
        created_index,
        in_channel: Scid(forward.in_channel.unwrap_or(0)),
        in_htlc_id: forward.in_htlc_id,
        in_msat: forward.in_msat.map_or(Msat(0), msat),
        status: match forward.status {
            sendpay_ledger::ForwardStatus::Settled => ForwardStatus::Settled,
            sendpay_ledger::ForwardStatus::LocalFailed => ForwardStatus::LocalFailed,
            sendpay_ledger::ForwardStatus::Failed => ForwardStatus::Failed,
        },
        received_time: 0,
        out_channel: forward.out_channel.map(Scid),
        fee_msat: forward.fee_msat.map(msat),
        out_msat: forward.out_msat.map(msat),
        resolved_time: forward.resolved_at_ms / MILLIS,
        failcode: forward.failcode,
        failreason: forward
            .failcode
            .and_then(failcode::name)
            .map(ToOwned::to_owned),
    }
}
