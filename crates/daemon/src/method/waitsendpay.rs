//! `waitsendpay`.

use std::sync::Arc;
use std::time::Duration;

use sendpay_ledger::{Payment, PaymentHash, Status};
use sendpay_rpc::method::waitsendpay::WaitSendPay;
use sendpay_rpc::payment::Payment as Shown;
use sendpay_rpc::{Code, RpcError};
use tokio::time::{Instant, timeout_at};

use crate::convert;
use crate::daemon::Daemon;
use crate::error;

/// What is waited for: one part, or with `None` as part every part of the group.
struct Wanted {
    payment_hash: PaymentHash,
    groupid: u64,
    partid: Option<u64>,
}

pub(super) async fn run(daemon: &Arc<Daemon>, params: WaitSendPay) -> Result<Shown, RpcError> {
    let deadline = params
        .timeout
        .map(|seconds| Instant::now() + Duration::from_secs(u64::from(seconds)));
    let ledger = daemon.node().ledger();
    let hash = convert::from_hash(params.payment_hash);
    let wanted = Wanted {
        payment_hash: hash,
        groupid: match params.groupid {
            Some(groupid) => groupid.get(),
            None => ledger.last_groupid(hash).map_err(error::read)?.unwrap_or(0),
        },
        partid: params.partid.map(|partid| partid.get()),
    };
    loop {
        // Registered before the look, so that no change falls in between.
        let changed = ledger.changed(hash);
        if let Some(outcome) = look(daemon, &wanted)? {
            return outcome;
        }
        match deadline {
            None => changed.await,
            Some(deadline) => timeout_at(deadline, changed)
                .await
                .map_err(|_| RpcError::new(Code::PayInProgress, "Timed out while waiting"))?,
        }
    }
}

/// The outcome, if there is one yet.
fn look(daemon: &Daemon, wanted: &Wanted) -> Result<Option<Result<Shown, RpcError>>, RpcError> {
    let ledger = daemon.node().ledger();
    let Wanted {
        payment_hash,
        groupid,
        partid,
    } = *wanted;
    let part = ledger
        .payment(payment_hash, groupid, partid.unwrap_or(0))
        .map_err(error::read)?;
    let parts = match (part, partid) {
        (Some(part), _) => vec![part],
        // A group without a part 0 is waited for as a whole.
        (None, None) => ledger.group(payment_hash, groupid).map_err(error::read)?,
        (None, Some(_)) => Vec::new(),
    };
    let Some(last) = parts.last() else {
        let partid = partid.unwrap_or(0);
        let text = format!("Never attempted payment part {partid} for '{payment_hash}'");
        return Err(RpcError::new(Code::PayNoSuchPayment, text));
    };
    let amounts = daemon.amounts();
    let with = |status: Status| parts.iter().filter(move |part| part.status == status);
    if with(Status::Pending).next().is_some() {
        return Ok(None);
    }
    // Parts that failed on the way do not matter to a payment that others completed.
    let complete: Option<&Payment> = with(Status::Complete).max_by_key(|part| part.updated_index);
    Ok(Some(match complete {
        Some(part) => Ok(convert::payment(part, amounts)),
        None => Err(error::failed(last, amounts)),
    }))
}
