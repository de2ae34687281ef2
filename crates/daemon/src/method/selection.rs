//! The parameters by which `listsendpays`, `listpays` and `countsendpays` choose records, with CLN's
//! checks in CLN's order and after them our own.

use sendpay_ledger::{Direction, Filter, NodeId as LedgerNodeId, Order, PaymentHash, Span};
use sendpay_node::unverified_payment_hash;
use sendpay_rpc::RpcError;
use sendpay_rpc::value::{
    EscapedText, FailureCode, Hash32, InvoiceString, ListIndex, ListOrder, Msat, NodeId, Number63,
    PaymentStatus,
};

use super::invoice_of;
use crate::convert::{from_hash, from_status};
use crate::daemon::Daemon;
use crate::error;

/// Milliseconds in a second: the contract has the latter, the ledger the former.
const MILLIS: u64 = 1_000;

/// What was given of the parameters.
#[derive(Default)]
pub(super) struct Selection<'a> {
    pub(super) bolt11: Option<&'a InvoiceString>,
    pub(super) payment_hash: Option<Hash32>,
    pub(super) status: Option<PaymentStatus>,
    pub(super) index: Option<ListIndex>,
    pub(super) start: u64,
    pub(super) limit: Option<u32>,
    pub(super) order: Option<ListOrder>,
    pub(super) destination: Option<NodeId>,
    pub(super) label: Option<&'a EscapedText>,
    pub(super) groupid: Option<Number63>,
    pub(super) created_from: Option<u64>,
    pub(super) created_to: Option<u64>,
    pub(super) completed_from: Option<u64>,
    pub(super) completed_to: Option<u64>,
    pub(super) amount_from_msat: Option<Msat>,
    pub(super) amount_to_msat: Option<Msat>,
    pub(super) code: Option<FailureCode>,
    pub(super) failcode: Option<u16>,
}

/// The selection in a method's parameters, which have these names; a count has no window.
macro_rules! selection {
    ($params:ident, with windows) => {
        Selection {
            index: $params.index,
            start: $params.start,
            limit: $params.limit,
            order: $params.order,
            ..selection!($params)
        }
    };
    ($params:ident) => {
        Selection {
            bolt11: $params.bolt11.as_ref(),
            payment_hash: $params.payment_hash,
            status: $params.status,
            destination: $params.destination,
            label: $params.label.as_ref(),
            groupid: $params.groupid,
            created_from: $params.created_from,
            created_to: $params.created_to,
            completed_from: $params.completed_from,
            completed_to: $params.completed_to,
            amount_from_msat: $params.amount_from_msat,
            amount_to_msat: $params.amount_to_msat,
            code: $params.code,
            failcode: $params.failcode,
            ..Selection::default()
        }
    };
}
pub(super) use selection;

impl Selection<'_> {
    /// The ledger's filter.
    pub(super) fn filter(&self, daemon: &Daemon) -> Result<Filter, RpcError> {
        self.check()?;
        let payment_hash = match self.bolt11 {
            Some(bolt11) => Some(hash_of(daemon, bolt11)?),
            None => self.payment_hash.map(from_hash),
        };
        Ok(Filter {
            payment_hash,
            groupid: self.groupid.map(Number63::get),
            status: self.status.map(from_status),
            destination: self.destination.map(|node| LedgerNodeId(node.to_bytes())),
            label: self.label.map(|label| label.as_str().to_owned()),
            created_at_ms: milliseconds(self.created_from, self.created_to),
            completed_at_ms: milliseconds(self.completed_from, self.completed_to),
            amount_msat: Span {
                from: self.amount_from_msat.map(|amount| amount.0),
                to: self.amount_to_msat.map(|amount| amount.0),
            },
            code: self.code.map(FailureCode::get),
            failcode: self.failcode,
            order: self.order(),
            direction: match self.order {
                Some(ListOrder::Descending) => Direction::Descending,
                Some(ListOrder::Ascending) | None => Direction::Ascending,
            },
            start: self.start,
        })
    }

    /// What excludes each other.
    fn check(&self) -> Result<(), RpcError> {
        let one = self.bolt11.is_some() || self.payment_hash.is_some();
        let both = self.bolt11.is_some() && self.payment_hash.is_some();
        let no_index = self.index.is_none();
        let amount = |amount: Option<Msat>| amount.map(|amount| amount.0);
        let (amount_from, amount_to) = (amount(self.amount_from_msat), amount(self.amount_to_msat));
        let rules = [
            (both, "Can only specify one of {bolt11} or {payment_hash}"),
            (
                self.start != 0 && no_index,
                "Can only specify {start} with {index}",
            ),
            (
                self.limit.is_some() && no_index,
                "Can only specify {limit} with {index}",
            ),
            (
                self.start != 0 && one,
                "Cannot use start with bolt11 or payment_hash",
            ),
            (
                reversed(self.created_from, self.created_to),
                "created_from: should not be after {created_to}",
            ),
            (
                reversed(self.completed_from, self.completed_to),
                "completed_from: should not be after {completed_to}",
            ),
            (
                reversed(amount_from, amount_to),
                "amount_from_msat: should not be above {amount_to_msat}",
            ),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, text)) => Err(RpcError::invalid_params(*text)),
            None => Ok(()),
        }
    }

    /// `deleted` is read as `created`, as CLN does.
    fn order(&self) -> Order {
        match self.index {
            Some(ListIndex::Updated) => Order::Updated,
            Some(ListIndex::Created | ListIndex::Deleted) | None => Order::Created,
        }
    }
}

/// What an invoice asks to be paid. To find what was sent for this very text its signature matters
/// to nobody, and looking at it takes longer than all else; any other invoice is read in full.
fn hash_of(daemon: &Daemon, bolt11: &InvoiceString) -> Result<PaymentHash, RpcError> {
    let (text, ledger) = (bolt11.as_str(), daemon.node().ledger());
    if let Some(hash) = unverified_payment_hash(text, daemon.network())
        && ledger.knows_invoice(hash, text).map_err(error::read)?
    {
        return Ok(hash);
    }
    Ok(invoice_of(daemon, bolt11)?.payment_hash)
}

fn reversed(from: Option<u64>, to: Option<u64>) -> bool {
    matches!((from, to), (Some(from), Some(to)) if from > to)
}

/// The times that are shown as these seconds: to the last millisecond of the last one.
fn milliseconds(from: Option<u64>, to: Option<u64>) -> Span {
    Span {
        from: from.map(|seconds| seconds.saturating_mul(MILLIS)),
        to: to.map(|seconds| seconds.saturating_mul(MILLIS).saturating_add(MILLIS - 1)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_excludes_each_other_is_refused_in_clns_order() {
        let invoice = InvoiceString::from("lnbcrt1");
        let hash = Some("11".repeat(32).parse().unwrap());
        let index = Some(ListIndex::Created);
        let none = Selection::default;
        let cases = [
            (none(), ""),
            (
                Selection {
                    bolt11: Some(&invoice),
                    payment_hash: hash,
                    start: 1,
                    ..none()
                },
                "Can only specify one of {bolt11} or {payment_hash}",
            ),
            (
                Selection {
                    start: 1,
                    limit: Some(1),
                    ..none()
                },
                "Can only specify {start} with {index}",
            ),
            (
                Selection {
                    limit: Some(1),
                    ..none()
                },
                "Can only specify {limit} with {index}",
            ),
            (
                Selection {
                    payment_hash: hash,
                    start: 1,
                    index,
                    ..none()
                },
                "Cannot use start with bolt11 or payment_hash",
            ),
            (
                Selection {
                    payment_hash: hash,
                    limit: Some(1),
                    index,
                    ..none()
                },
                "",
            ),
            (
                Selection {
                    order: Some(ListOrder::Descending),
                    ..none()
                },
                "",
            ),
            (
                Selection {
                    created_from: Some(2),
                    created_to: Some(1),
                    ..none()
                },
                "created_from: should not be after {created_to}",
            ),
            (
                Selection {
                    created_from: Some(2),
                    created_to: Some(2),
                    ..none()
                },
                "",
            ),
            (
                Selection {
                    completed_from: Some(u64::MAX),
                    completed_to: Some(0),
                    ..none()
                },
                "completed_from: should not be after {completed_to}",
            ),
            (
                Selection {
                    completed_to: Some(0),
                    ..none()
                },
                "",
            ),
            (
                Selection {
                    amount_from_msat: Some(Msat(2)),
                    amount_to_msat: Some(Msat(1)),
                    ..none()
                },
                "amount_from_msat: should not be above {amount_to_msat}",
            ),
        ];
        for (selection, expected) in cases {
            let found = selection
                .check()
                .map_or_else(|error| error.message, |()| String::new());
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_range_of_seconds_has_every_millisecond_of_its_ends() {
        let span = milliseconds(Some(5), Some(5));
        assert!(span.contains(5_000) && span.contains(5_999));
        assert!(!span.contains(4_999) && !span.contains(6_000));
        assert!(milliseconds(None, Some(u64::MAX)).contains(u64::MAX));
    }
}
