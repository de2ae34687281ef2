//! `listpays`: the parts of one try at a hash, summed up. Filters apply to whole groups, and a
//! page never cuts one.

use crate::{Cursor, Ledger, Msat, NodeId, Order, PaymentHash, Preimage, ReadError, Status};

/// Which groups to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Only groups of this hash.
    pub payment_hash: Option<PaymentHash>,
    /// Only groups with this status, as a whole.
    pub status: Option<Status>,
    /// By the groups' first `created_index`, or by their last `updated_index` (with a start of 0,
    /// groups that never changed come first, by `created_index`).
    pub order: Order,
    /// The first index to list, in that order's numbers.
    pub start: u64,
}

/// One try at paying a hash: all its parts, summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// The try.
    pub groupid: u64,
    /// Complete if any part is; else pending if any part is; else failed.
    pub status: Status,
    /// The sum over complete and pending parts, in msat; `None` when there are none.
    pub amount_msat: Option<Msat>,
    /// The sum over complete and pending parts, fees included, in msat.
    pub amount_sent_msat: Msat,
    /// How many parts are complete or pending.
    pub number_of_parts: u64,
    /// The smallest of its parts.
    pub created_index: u64,
    /// The largest of its parts.
    pub updated_index: Option<u64>,
    /// When its first part was begun, in ms since 1970.
    pub created_at_ms: u64,
    /// When its first complete part was settled, in ms since 1970.
    pub completed_at_ms: Option<u64>,
    /// The proof, once a part is complete.
    pub preimage: Option<Preimage>,
    /// Of the first part that has one.
    pub bolt11: Option<String>,
    /// Of the first part that has one.
    pub description: Option<String>,
    /// Of the first part.
    pub destination: Option<NodeId>,
    /// Of the first part.
    pub label: Option<String>,
}

impl Ledger {
    /// Visits the next groups, at most `groups_max`; else as [`Ledger::page`]. A page may have
    /// fewer groups, even none, and not be the last: the work of one page is bounded.
    pub fn groups_page(
        &self,
        filter: &GroupFilter,
        after: Option<Cursor>,
        groups_max: usize,
        visit: &mut dyn FnMut(&Group),
    ) -> Result<Option<Cursor>, ReadError> {
        todo!()
    }
}
