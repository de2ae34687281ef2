//! What earlier tries of a hash came to: the old result of one that is paid, and the end of one that
//! is still out, perhaps from before a restart.

use std::sync::Arc;

use sendpay_ledger::{BeginError, Filter, KeptRequest, Msat, Payment, PaymentHash, Status};
use tokio::sync::watch;
use tokio::time::Instant;

use super::tries::refused_for_good;
use super::{PaidInvoice, PayError, Tried, Why};
use crate::Inner;

/// Groups of one hash that are looked through for an old result.
const GROUPS_A_PAGE: usize = 100;

/// The old result if the hash is paid; waits for what an earlier `pay` (perhaps before a restart)
/// left out. None when nothing of the hash is pending or complete.
pub(super) async fn settle_earlier(
    inner: &Inner,
    hash: PaymentHash,
    deadline: Instant,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Option<PaidInvoice>, PayError> {
    if let Some(paid) = paid_group(inner, hash)? {
        return Ok(Some(PaidInvoice {
            before: true,
            ..paid
        }));
    }
    loop {
        let changed = inner.ledger.changed(hash);
        if let Some(paid) = paid_group(inner, hash)? {
            return Ok(Some(paid));
        }
        let pending = find_group(inner, hash, Status::Pending)?;
        let Some(pending) = pending else {
            return Ok(None);
        };
        let parts = inner.ledger.group(hash, pending.groupid)?;
        if parts
            .iter()
            .any(|part| part.status == Status::Pending && !part.own)
        {
            // Nothing here will tell its end.
            return Err(PayError::Repeat(Arc::new(BeginError::ImportedPending(
                hash,
            ))));
        }
        let why = tokio::select! {
            () = changed => continue,
            _ = cancelled.wait_for(|cancelled| *cancelled) => Why::Cancelled,
            () = tokio::time::sleep_until(deadline) => Why::TimeOver,
        };
        let parts = inner.ledger.group(hash, pending.groupid)?;
        let unsent = Vec::new();
        return Err(Tried { why, parts, unsent }.into());
    }
}

/// What the first request with the same key came to: its proof, or how it ended. What it left out
/// is waited for, and nothing is sent.
pub(super) async fn settle_kept(
    inner: &Inner,
    kept: KeptRequest,
    deadline: Instant,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<PaidInvoice, PayError> {
    let hash = kept.payment_hash;
    loop {
        let changed = inner.ledger.changed(hash);
        if let Some(paid) = paid_group(inner, hash)? {
            let before = paid
                .completed_at_ms
                .is_some_and(|at| at < kept.created_at_ms);
            return Ok(PaidInvoice { before, ..paid });
        }
        let parts = inner.ledger.group(hash, kept.groupid)?;
        let pending = parts.iter().any(|part| part.status == Status::Pending);
        let why = if !pending {
            match parts.iter().any(refused_for_good) {
                true => Why::Refused,
                false => Why::Before,
            }
        } else {
            tokio::select! {
                () = changed => continue,
                // Who joined a payment may outlast it, and then nobody is left who could cancel.
                Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => Why::Cancelled,
                () = tokio::time::sleep_until(deadline) => Why::TimeOver,
            }
        };
        let unsent = Vec::new();
        return Err(Tried { why, parts, unsent }.into());
    }
}

fn find_group(
    inner: &Inner,
    hash: PaymentHash,
    status: Status,
) -> Result<Option<sendpay_ledger::Group>, PayError> {
    let filter = Filter {
        payment_hash: Some(hash),
        status: Some(status),
        ..Filter::default()
    };
    let mut found = None;
    let mut after = None;
    loop {
        let next = inner
            .ledger
            .groups_page(&filter, after, GROUPS_A_PAGE, &mut |group| {
                found.get_or_insert_with(|| group.clone());
            })?;
        match next {
            Some(next) if found.is_none() => after = Some(next),
            _ => return Ok(found),
        }
    }
}

pub(super) fn paid_group(
    inner: &Inner,
    hash: PaymentHash,
) -> Result<Option<PaidInvoice>, PayError> {
    let Some(group) = find_group(inner, hash, Status::Complete)? else {
        return paid_and_deleted(inner, hash);
    };
    let Some(preimage) = group.preimage else {
        return Ok(None);
    };
    let parts = inner.ledger.group(hash, group.groupid)?;
    let failed = parts.iter().filter(|part| part.status == Status::Failed);
    Ok(Some(PaidInvoice {
        groupid: group.groupid,
        before: false,
        failed_parts: u64::try_from(failed.count()).unwrap_or(u64::MAX),
        preimage,
        payment_hash: hash,
        destination: group.destination,
        amount_msat: group.amount_msat.unwrap_or(group.amount_sent_msat),
        amount_sent_msat: group.amount_sent_msat,
        parts: group.number_of_parts,
        created_at_ms: group.created_at_ms,
        completed_at_ms: group.completed_at_ms,
    }))
}

/// What is known of a payment whose records were deleted: it is not paid again (L7).
fn paid_and_deleted(inner: &Inner, hash: PaymentHash) -> Result<Option<PaidInvoice>, PayError> {
    let parts = inner.ledger.deleted_complete(hash)?;
    let Some((first, preimage)) = parts
        .first()
        .and_then(|first| Some((first, first.preimage?)))
    else {
        return Ok(None);
    };
    let sum = |amount: fn(&Payment) -> Msat| {
        let sum = parts.iter().map(|part| amount(part).msat()).sum();
        Msat::new(sum).unwrap_or(Msat::MAX)
    };
    Ok(Some(PaidInvoice {
        groupid: first.groupid,
        before: false,
        failed_parts: 0,
        preimage,
        payment_hash: hash,
        destination: first.destination,
        amount_msat: sum(|part| part.amount_msat),
        amount_sent_msat: sum(|part| part.amount_sent_msat),
        parts: u64::try_from(parts.len()).unwrap_or(u64::MAX),
        created_at_ms: first.created_at_ms,
        completed_at_ms: first.completed_at_ms,
    }))
}
