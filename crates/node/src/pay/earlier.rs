//! What earlier tries of a hash came to: the old result of one that is paid, and the end of one that
//! is still out, perhaps from before a restart.

use std::sync::Arc;

use sendpay_ledger::{BeginError, Filter, Msat, Payment, PaymentHash, Status};
use tokio::time::Instant;

use super::{PaidInvoice, PayError};
use crate::Inner;

/// Groups of one hash that are looked through for an old result.
const GROUPS_A_PAGE: usize = 100;

/// The old result if the hash is paid; waits for what an earlier `pay` (perhaps before a restart)
/// left out. None when nothing of the hash is pending or complete.
pub(super) async fn settle_earlier(
    inner: &Inner,
    hash: PaymentHash,
    deadline: Instant,
) -> Result<Option<PaidInvoice>, PayError> {
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
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            let parts = inner.ledger.group(hash, pending.groupid)?;
            return Err(PayError::InProgress(parts));
        }
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
    Ok(Some(PaidInvoice {
        preimage,
        payment_hash: hash,
        destination: group.destination,
        amount_msat: group.amount_msat.unwrap_or(group.amount_sent_msat),
        amount_sent_msat: group.amount_sent_msat,
        parts: group.number_of_parts,
        created_at_ms: group.created_at_ms,
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
        preimage,
        payment_hash: hash,
        destination: first.destination,
        amount_msat: sum(|part| part.amount_msat),
        amount_sent_msat: sum(|part| part.amount_sent_msat),
        parts: u64::try_from(parts.len()).unwrap_or(u64::MAX),
        created_at_ms: first.created_at_ms,
    }))
}
