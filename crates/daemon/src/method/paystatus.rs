//! `paystatus`.

use std::sync::Arc;

use sendpay_ledger::{Cursor, Filter, Group, Ledger, Payment, ReadError, Status};
use sendpay_rpc::method::paystatus::{
    PartFailure, PartFailureData, PartStatus, PartSuccess, PayStatus, TryStatus,
};
use sendpay_rpc::payment::invoice_members;
use sendpay_rpc::value::Msat;

use super::invoice_of;
use crate::convert;
use crate::daemon::{Daemon, unix_millis};
use crate::listing::{self, First, Limit, Rows, Source};
use crate::server::Reply;

/// Tries read at once: each with all its parts, which are some hundreds at most.
const TRIES_A_PAGE: usize = 16;

pub(super) async fn run(daemon: &Arc<Daemon>, params: PayStatus, reply: Reply) {
    let mut filter = Filter::default();
    if let Some(bolt11) = &params.bolt11 {
        match invoice_of(daemon, bolt11) {
            Ok(invoice) => filter.payment_hash = Some(invoice.payment_hash),
            Err(error) => return reply.error(&error),
        }
    }
    let listing = Listing {
        ledger: daemon.node().ledger().clone(),
        filter,
    };
    listing::stream(reply, "pay", Limit(None), First::Apart, listing).await;
}

struct Listing {
    ledger: Ledger,
    filter: Filter,
}

impl Source for Listing {
    fn page(
        &self,
        after: Option<Cursor>,
        rows_max: usize,
        rows: &mut Rows,
    ) -> Result<Option<Cursor>, ReadError> {
        let rows_max = rows_max.min(TRIES_A_PAGE);
        let mut groups = Vec::new();
        let next = self
            .ledger
            .groups_page(&self.filter, after, rows_max, &mut |group| {
                groups.push(group.clone());
            })?;
        // Read once no reader is held: a page holds one until its end.
        for group in groups {
            rows.push(&shown(&self.ledger, group)?);
        }
        Ok(next)
    }
}

fn shown(ledger: &Ledger, group: Group) -> Result<TryStatus, ReadError> {
    let parts = ledger.group(group.payment_hash, group.groupid)?;
    let (bolt11, bolt12) = invoice_members(group.bolt11);
    let total = parts.first().map_or(0, |part| part.total_msat.msat());
    let now_ms = unix_millis();
    Ok(TryStatus {
        label: group.label,
        bolt11,
        bolt12,
        payment_hash: convert::hash(group.payment_hash),
        amount_msat: Msat(total),
        destination: group.destination.map(convert::node_id),
        attempts: parts.iter().map(|part| status(part, now_ms)).collect(),
    })
}

fn status(part: &Payment, now_ms: u64) -> PartStatus {
    let failure = part.failure.as_ref().map(|failure| {
        let shown = convert::failure(failure);
        PartFailure {
            message: convert::failure_text(failure),
            code: failure.code,
            data: PartFailureData {
                id: part.created_index,
                failcode: shown.failcode,
                failcodename: shown.failcodename,
                erring_index: shown.erring_index,
                erring_node: shown.erring_node,
                erring_channel: shown.erring_channel,
                erring_direction: shown.erring_direction,
            },
        }
    });
    let state = match part.status {
        Status::Pending => "pending",
        Status::Complete | Status::Failed => "completed",
    };
    PartStatus {
        start_time: utc(part.created_at_ms),
        age_in_seconds: now_ms.saturating_sub(part.created_at_ms) / 1_000,
        end_time: part.completed_at_ms.map(utc),
        state: state.into(),
        partid: part.partid,
        amount_msat: Msat(part.amount_msat.msat()),
        success: part.preimage.map(|preimage| PartSuccess {
            id: part.created_index,
            payment_preimage: convert::secret(preimage),
        }),
        failure,
    }
}

/// A time in ms since 1970 as `2026-01-31T23:59:59.999Z`, by the proleptic Gregorian calendar.
fn utc(millis: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    /// Days of 400 years, after which the calendar repeats.
    const ERA_DAYS: u64 = 146_097;
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH_DAYS: u64 = 719_468;
    let (days, rest) = (millis / DAY_MS + EPOCH_DAYS, millis % DAY_MS);
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years that begin in March have their leap day at the end.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let seconds = rest / 1_000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        rest % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(utc(millis), text);
        }
    }
}
