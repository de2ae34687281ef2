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
        let paying = daemon.node().paying(&hash);
        let goes_on = paying
            .as_ref()
            .is_some_and(|paying| paying.groupid == Some(wanted.groupid));
        if let Some(outcome) = look(daemon, &wanted, goes_on)? {
            return outcome;
        }
        let news = async {
            match paying {
                Some(paying) => tokio::select! {
                    () = changed => {}
                    () = paying.ended() => {}
                },
                None => changed.await,
            }
        };
        match deadline {
            None => news.await,
            Some(deadline) => timeout_at(deadline, news)
                .await
                .map_err(|_| RpcError::new(Code::PayInProgress, "Timed out while waiting"))?,
        }
    }
}

/// The outcome, if there is one yet; `goes_on` says that more of the group may be sent.
fn look(
    daemon: &Daemon,
    wanted: &Wanted,
    goes_on: bool,
) -> Result<Option<Result<Shown, RpcError>>, RpcError> {
    let ledger = daemon.node().ledger();
    let Wanted {
        payment_hash,
        groupid,
        partid,
    } = *wanted;
    let part = ledger
        .payment(payment_hash, groupid, partid.unwrap_or(0))
        .map_err(error::read)?;
    let is_whole = part.is_none() && partid.is_none();
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
    Ok(match complete {
        Some(part) => Some(Ok(convert::payment(part, amounts))),
        None if is_whole && goes_on => None,
        None => Some(Err(error::failed(last, amounts))),
    })
}
