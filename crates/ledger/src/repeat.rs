//! The repeat rules (L7): what asking again for a payment hash may do. CLN's `check_progress`
//! to the letter, with deleted records and late preimages besides.

use rusqlite::Connection;

use crate::payment::GROUPID_MAX;
use crate::read::from_read_error;
use crate::{Msat, NewPayment, NodeId, PaymentHash, ReadError, Status, Violation};

/// Why a payment was not begun. `Display` is CLN's text.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// This part was paid with another amount (201).
    #[error("Already succeeded with amount {had} (not {asked})")]
    AlreadySucceededAmount {
        /// What was paid.
        had: Msat,
        /// What is asked now.
        asked: Msat,
    },
    /// This part was paid to another node (201).
    #[error("Already succeeded to {0}")]
    AlreadySucceededTo(NodeId),
    /// The hash is paid, by other parts (201).
    #[error("Already succeeded other parts")]
    AlreadySucceededOtherParts,
    /// Another try at this hash is pending (200).
    #[error(
        "Payment with groupid={groupid} still in progress, cannot retry before that completes."
    )]
    OtherGroupInProgress {
        /// The pending group.
        groupid: u64,
    },
    /// Part 0 is asked for while numbered parts are pending (200).
    #[error("Already have parallel payment in progress")]
    ParallelInProgress,
    /// A numbered part is asked for while part 0 is pending (200).
    #[error("Already have non-parallel payment in progress")]
    NonParallelInProgress,
    /// This part is pending with another amount (201).
    #[error("Already pending with amount {had} (not {asked})")]
    PendingAmount {
        /// What is pending.
        had: Msat,
        /// What is asked now.
        asked: Msat,
    },
    /// This part is pending to another node (201).
    #[error("Already pending to {0}")]
    PendingTo(NodeId),
    /// The group has parts with another total (-32602).
    #[error("msatoshi was previously {was}, now {now}")]
    TotalChanged {
        /// The total of the parts that are pending.
        was: Msat,
        /// The total asked now.
        now: Msat,
    },
    /// This part of this group has failed, or was deleted (201).
    #[error(
        "There already is a payment with payment_hash={payment_hash}, groupid={groupid}, \
         partid={partid}. Either change the partid, or wait for the payment to complete and start \
         a new group."
    )]
    GroupPartFailed {
        /// What is paid.
        payment_hash: PaymentHash,
        /// The group asked for.
        groupid: u64,
        /// The part asked for.
        partid: u64,
    },
    /// What is pending makes up the total already (200).
    #[error("Already have {have} of {of} payments in progress")]
    PartsInProgress {
        /// What is pending.
        have: Msat,
        /// The total.
        of: Msat,
    },
    /// What is pending and this part are together more than they may be (200); only when asked
    /// to check.
    #[error("Already have {have} of {of} payments in progress, {adding} more would exceed it")]
    WouldExceedTotal {
        /// What is pending.
        have: Msat,
        /// What this part would add.
        adding: Msat,
        /// What they may be together.
        of: Msat,
    },
    /// A record of this hash was imported as pending: the node it comes from may still pay it
    /// (200).
    #[error(
        "payment_hash={0} was imported or restored as pending: once it is known what became of it, \
         tell by settleimported"
    )]
    ImportedPending(PaymentHash),
    /// A record of this hash was called failed, and was claimed after all (201): the hash is
    /// paid, and is never sent again.
    #[error("Already succeeded: payment_hash={0} was claimed after its record had failed")]
    LatePreimage(PaymentHash),
    /// The key of the request stands for another one (-32602).
    #[error("idempotency_key: was given for another request before")]
    OtherRequest,
    /// The same request was asked for before, and pays another hash (200).
    #[error("idempotency_key: the same request is payment_hash={payment_hash}, groupid={groupid}")]
    KeyTaken {
        /// What it pays.
        payment_hash: PaymentHash,
        /// The try that it began.
        groupid: u64,
    },
    /// A groupid above 2^63-1, or no larger one left to give (-32602).
    #[error("groupid {0} is too large: at most 9223372036854775807")]
    GroupidTooLarge(u64),
    /// A partid above 2^63-1 (-32602).
    #[error("partid {0} is too large: at most 9223372036854775807")]
    PartidTooLarge(u64),
    /// A route that cannot be recorded (-32602).
    #[error("the route cannot be recorded")]
    Route(#[from] crate::RouteError),
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

from_read_error!(BeginError);

/// What the rules need to know of an earlier record of the same hash.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    pub(crate) created_index: i64,
    pub(crate) deleted: bool,
    own: bool,
    groupid: u64,
    partid: u64,
    status: Status,
    amount_msat: Msat,
    total_msat: Msat,
    destination: Option<NodeId>,
}

/// What the rules allow.
pub(crate) enum Verdict {
    /// A new record in this group.
    New {
        /// As asked for, or the next one.
        groupid: u64,
        /// Whether there is no other record of the hash.
        is_first: bool,
        /// The first record that the group ever had, if it had one.
        follows: Option<i64>,
    },
    /// Asked for before: nothing is sent, this record is the answer.
    Same(Earlier),
}

/// Applies the rules to the records there are now.
pub(crate) fn judge(connection: &Connection, new: &NewPayment) -> Result<Verdict, BeginError> {
    if new.partid > GROUPID_MAX {
        return Err(BeginError::PartidTooLarge(new.partid));
    }
    let earlier = earlier(connection, &new.payment_hash)?;
    let groupid = match new.groupid {
        Some(groupid) => groupid,
        None => {
            1 + earlier
                .iter()
                .map(|record| record.groupid)
                .max()
                .unwrap_or(0)
        }
    };
    if groupid > GROUPID_MAX {
        return Err(BeginError::GroupidTooLarge(groupid));
    }
    if let Some(same) = scan(new, groupid, &earlier)? {
        return Ok(Verdict::Same(same.clone()));
    }
    let late = connection
        .prepare_cached("SELECT 1 FROM late_preimage WHERE payment_hash = ?1")?
        .exists([new.payment_hash.as_bytes()])?;
    if late {
        return Err(BeginError::LatePreimage(new.payment_hash));
    }
    // In the order of creation.
    let follows = earlier.iter().find(|record| record.groupid == groupid);
    Ok(Verdict::New {
        groupid,
        is_first: earlier.is_empty(),
        follows: follows.map(|record| record.created_index),
    })
}

/// All records of the hash, deleted ones as if they lived, in the order of creation.
fn earlier(connection: &Connection, hash: &PaymentHash) -> Result<Vec<Earlier>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT created_index, 0, groupid, partid, status, amount_msat, total_msat,
             (SELECT node_id FROM node WHERE node.id = destination), origin
         FROM payment WHERE payment_hash = ?1
         UNION ALL
         SELECT created_index, 1, groupid, partid, status, amount_msat, total_msat,
             (SELECT node_id FROM node WHERE node.id = destination), origin
         FROM deleted WHERE payment_hash = ?1",
    )?;
    let mut rows = statement.query([hash.as_bytes()])?;
    let mut earlier = Vec::new();
    while let Some(row) = rows.next()? {
        let created_index: i64 = row.get(0)?;
        let number = |index, column| -> Result<u64, ReadError> {
            let number = u64::try_from(row.get::<_, i64>(index)?);
            Ok(number.map_err(|_| impossible(created_index, column))?)
        };
        let amount = |index, column| -> Result<Msat, ReadError> {
            Ok(Msat::new(number(index, column)?).ok_or(impossible(created_index, column))?)
        };
        earlier.push(Earlier {
            created_index,
            deleted: row.get(1)?,
            own: row.get::<_, i64>(8)? == 0,
            groupid: number(2, "groupid")?,
            partid: number(3, "partid")?,
            status: Status::from_code(row.get(4)?).ok_or(impossible(created_index, "status"))?,
            amount_msat: amount(5, "amount_msat")?,
            total_msat: amount(6, "total_msat")?,
            destination: row.get::<_, Option<_>>(7)?.map(NodeId),
        });
    }
    earlier.sort_unstable_by_key(|record| record.created_index);
    Ok(earlier)
}

fn impossible(created_index: i64, column: &'static str) -> Violation {
    Violation::Value {
        created_index: u64::try_from(created_index).unwrap_or(0),
        column,
    }
}

/// CLN's scan: the first record that decides, does.
fn scan<'a>(
    new: &NewPayment,
    groupid: u64,
    earlier: &'a [Earlier],
) -> Result<Option<&'a Earlier>, BeginError> {
    let mut any_complete = false;
    let mut pending_msat = Msat::ZERO;
    for record in earlier {
        match record.status {
            Status::Complete => {
                any_complete = true;
                // The group is not compared: the part is paid, whichever try paid it.
                if record.partid == new.partid {
                    return same_as_complete(new, record).map(Some);
                }
            }
            // No event will ever tell its end, not even for the same part.
            Status::Pending if !record.own => {
                return Err(BeginError::ImportedPending(new.payment_hash));
            }
            Status::Pending => {
                if let Some(same) = beside_pending(new, groupid, record)? {
                    return Ok(Some(same));
                }
                pending_msat = pending_msat
                    .checked_add(record.amount_msat)
                    .unwrap_or(Msat::MAX);
            }
            Status::Failed => {
                if (record.groupid, record.partid) == (groupid, new.partid) {
                    return Err(BeginError::GroupPartFailed {
                        payment_hash: new.payment_hash,
                        groupid,
                        partid: new.partid,
                    });
                }
            }
        }
    }
    if any_complete {
        return Err(BeginError::AlreadySucceededOtherParts);
    }
    check_total(new, pending_msat)?;
    Ok(None)
}

fn same_as_complete<'a>(new: &NewPayment, record: &'a Earlier) -> Result<&'a Earlier, BeginError> {
    if record.amount_msat != new.amount_msat {
        return Err(BeginError::AlreadySucceededAmount {
            had: record.amount_msat,
            asked: new.amount_msat,
        });
    }
    match other_destination(new, record) {
        Some(node_id) => Err(BeginError::AlreadySucceededTo(node_id)),
        None => Ok(record),
    }
}

/// The pending record if it is the part asked for; nothing if a part beside it is allowed.
fn beside_pending<'a>(
    new: &NewPayment,
    groupid: u64,
    record: &'a Earlier,
) -> Result<Option<&'a Earlier>, BeginError> {
    if record.groupid != groupid {
        return Err(BeginError::OtherGroupInProgress {
            groupid: record.groupid,
        });
    }
    match (record.partid, new.partid) {
        (0, 1..) => return Err(BeginError::NonParallelInProgress),
        (1.., 0) => return Err(BeginError::ParallelInProgress),
        _ => {}
    }
    if record.partid != new.partid {
        let (was, now) = (record.total_msat, new.effective_total_msat());
        if was != now {
            return Err(BeginError::TotalChanged { was, now });
        }
        return Ok(None);
    }
    if record.amount_msat != new.amount_msat {
        return Err(BeginError::PendingAmount {
            had: record.amount_msat,
            asked: new.amount_msat,
        });
    }
    match other_destination(new, record) {
        Some(node_id) => Err(BeginError::PendingTo(node_id)),
        None => Ok(Some(record)),
    }
}

/// The destination of the record, if both are known and differ.
fn other_destination(new: &NewPayment, record: &Earlier) -> Option<NodeId> {
    let (had, asked) = (record.destination?, new.destination?);
    (had != asked).then_some(had)
}

/// BOLT 4: no HTLC more once the set has reached its total. With `cap_msat`: and none that would
/// exceed that.
fn check_total(new: &NewPayment, pending_msat: Msat) -> Result<(), BeginError> {
    let total = new.effective_total_msat();
    if total != Msat::ZERO && pending_msat >= total {
        return Err(BeginError::PartsInProgress {
            have: pending_msat,
            of: total,
        });
    }
    let Some(cap) = new.cap_msat else {
        return Ok(());
    };
    let within = pending_msat
        .checked_add(new.amount_msat)
        .is_some_and(|sum| sum <= cap);
    if !within {
        return Err(BeginError::WouldExceedTotal {
            have: pending_msat,
            adding: new.amount_msat,
            of: cap,
        });
    }
    Ok(())
}
