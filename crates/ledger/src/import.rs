//! History of another node, taken over: its records keep their times, groups and ends, and get
//! numbers of ours in the order in which they come (L5).
//!
//! An imported record is no send: events and the start check never touch it, and one that is pending
//! ends only by `settle_imported.rs`. Each record of the other node is taken once; the highest of
//! its numbers says how far an import has come, so one that was cut short goes on from there.

mod invoice;

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use sendpay_store::Ticket;

use self::invoice::insert_invoice;
use crate::cln::{self, ClnInvoice, ClnPayment};
use crate::number::Block;
use crate::read::from_read_error;
use crate::row::sql;
use crate::text::{known_invoice_row, optional_node_row, optional_text_row};
use crate::{
    Failure, InvoiceState, Ledger, Msat, NodeId, PaymentHash, Preimage, ReadError, Violation,
};

/// The route without hops, as `route.rs` writes it.
const NO_ROUTE: [u8; 1] = [1];

/// How a part of another node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedEnd {
    /// It has not, as far as is known.
    Pending,
    /// Complete, with its proof (L3).
    Complete {
        /// The proof.
        preimage: Preimage,
        /// When, in ms since 1970.
        at_ms: u64,
    },
    /// Failed.
    Failed {
        /// Why, where known.
        failure: Option<Failure>,
        /// When, in ms since 1970.
        at_ms: u64,
        /// A preimage that proves it was paid all the same: the hash takes no new send.
        claimed: Option<Preimage>,
    },
}

/// A part that another node sent.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedPayment {
    /// That node's number of it. They come in ascending order.
    pub origin_id: i64,
    /// What was paid.
    pub payment_hash: PaymentHash,
    /// The try; another number if that is taken by a payment that is not of this node.
    pub groupid: u64,
    /// The part; the next free number if it is taken.
    pub partid: u64,
    /// The final node, where known.
    pub destination: Option<NodeId>,
    /// What it delivered, in msat.
    pub amount_msat: Msat,
    /// What left the node for it, in msat.
    pub amount_sent_msat: Msat,
    /// All parts of the try together, in msat.
    pub total_msat: Msat,
    /// When it was begun, in ms since 1970.
    pub created_at_ms: u64,
    /// How it ended.
    pub end: ImportedEnd,
    /// The sender's own words for it.
    pub label: Option<String>,
    /// The invoice it pays.
    pub bolt11: Option<String>,
    /// The description whose hash the invoice has.
    pub description: Option<String>,
    /// The row it was read from.
    pub cln: ClnPayment,
}

/// An invoice that another node made.
#[derive(Clone, PartialEq)]
pub struct ImportedInvoice {
    /// That node's number of it. They come in ascending order.
    pub origin_id: i64,
    /// Its label; if that is taken, the number is added to it.
    pub label: String,
    /// What is paid.
    pub payment_hash: PaymentHash,
    /// What proves it, where known.
    pub preimage: Option<Preimage>,
    /// The invoice itself; empty where there is none.
    pub bolt11: String,
    /// What it is for.
    pub description: Option<String>,
    /// How much; `None` for any amount.
    pub amount_msat: Option<Msat>,
    /// When it was made, in ms since 1970; 0 where nobody knows.
    pub created_at_ms: u64,
    /// When it lapses, in ms since 1970.
    pub expires_at_ms: u64,
    /// Its `min_final_cltv_expiry_delta`, in blocks.
    pub cltv: u32,
    /// Open, paid or cancelled (expired, as that node saw it).
    pub state: InvoiceState,
    /// Paid: how much came, in msat.
    pub amount_received_msat: Msat,
    /// Paid: when, in ms since 1970.
    pub paid_at_ms: u64,
    /// The row it was read from.
    pub cln: ClnInvoice,
}

/// What is recorded in one commit.
#[derive(Clone, Default, PartialEq)]
pub struct ImportBatch {
    /// Payments, by `origin_id`.
    pub payments: Vec<ImportedPayment>,
    /// Invoices, by `origin_id`.
    pub invoices: Vec<ImportedInvoice>,
    /// About how many bytes of texts and blobs are in it.
    pub bytes: usize,
}

/// How much of a batch was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Payments recorded.
    pub payments: u64,
    /// Invoices recorded.
    pub invoices: u64,
}

/// How far the import of a node has come: the last of its records, by its number and its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportedUpTo {
    /// The last payment.
    pub payment: Option<(i64, PaymentHash)>,
    /// The last invoice.
    pub invoice: Option<(i64, PaymentHash)>,
}

/// Why a batch was not recorded; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// L3: a payment said to be complete whose preimage is not its hash's.
    #[error("the preimage of payment {0} does not prove its hash")]
    NoProof(i64),
    /// The store refused.
    #[error("the ledger could not be used")]
    Store(#[from] rusqlite::Error),
    /// A record that breaks a promise was found.
    #[error("the ledger holds a record that cannot be")]
    Damaged(#[from] Violation),
}

from_read_error!(ImportError);

impl Ledger {
    /// Records what another node, known as `origin`, paid and asked for, in one commit. What was
    /// recorded before is passed over.
    pub fn import(
        &self,
        origin: &str,
        batch: ImportBatch,
    ) -> Ticket<Result<Imported, ImportError>> {
        let origin = origin.to_owned();
        let changed = Arc::clone(&self.payments_changed);
        let hashes: Vec<_> = batch.payments.iter().map(|new| new.payment_hash).collect();
        let bytes = batch.bytes
            + size_of_val(batch.payments.as_slice())
            + size_of_val(batch.invoices.as_slice());
        self.store.enqueue_then(
            bytes,
            move |connection| import(connection, &origin, &batch),
            move |outcome| {
                if outcome.is_ok() {
                    hashes.iter().for_each(|hash| changed.wake(hash));
                }
            },
        )
    }

    /// How far the import of this node has come.
    pub fn imported_up_to(&self, origin: &str) -> Result<ImportedUpTo, ReadError> {
        self.store.read(|connection| {
            let last = |statement: &str| -> Result<_, ReadError> {
                let last = connection
                    .prepare_cached(statement)?
                    .query_row([origin], |row| Ok((row.get(0)?, PaymentHash(row.get(1)?))))
                    .optional()?;
                Ok(last)
            };
            Ok(ImportedUpTo {
                payment: last(
                    "SELECT c.id, coalesce(
                         (SELECT payment_hash FROM payment
                          WHERE created_index = c.created_index),
                         (SELECT payment_hash FROM deleted
                          WHERE created_index = c.created_index))
                     FROM cln_payment AS c
                     WHERE c.origin = (SELECT id FROM origin WHERE name = ?1)
                     ORDER BY c.id DESC LIMIT 1",
                )?,
                invoice: last(
                    "SELECT c.id, i.payment_hash
                     FROM cln_invoice AS c JOIN invoice AS i USING (created_index)
                     WHERE c.origin = (SELECT id FROM origin WHERE name = ?1)
                     ORDER BY c.id DESC LIMIT 1",
                )?,
            })
        })
    }
}

fn import(
    connection: &Connection,
    origin: &str,
    batch: &ImportBatch,
) -> Result<Imported, ImportError> {
    let origin = origin_row(connection, origin)?;
    let mut numbers = Block::open(connection)?;
    let mut imported = Imported::default();
    let last = |table| -> Result<Option<i64>, rusqlite::Error> {
        connection
            .prepare_cached(&format!("SELECT max(id) FROM {table} WHERE origin = ?1"))?
            .query_row([origin], |row| row.get(0))
    };
    let last_payment = last("cln_payment")?;
    let is_new = |new: &&ImportedPayment| last_payment.is_none_or(|last| new.origin_id > last);
    for new in batch.payments.iter().filter(is_new) {
        insert_payment(connection, origin, new, &mut numbers)?;
        imported.payments += 1;
    }
    let last_invoice = last("cln_invoice")?;
    let is_new = |new: &&ImportedInvoice| last_invoice.is_none_or(|last| new.origin_id > last);
    for new in batch.invoices.iter().filter(is_new) {
        imported.invoices += u64::from(insert_invoice(connection, origin, new, &mut numbers)?);
    }
    numbers.close(connection)?;
    Ok(imported)
}

fn origin_row(connection: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    let found = connection
        .prepare_cached("SELECT id FROM origin WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match found {
        Some(row) => Ok(row),
        None => connection
            .prepare_cached("INSERT INTO origin (name) VALUES (?1)")?
            .insert([name]),
    }
}

fn insert_payment(
    connection: &Connection,
    origin: i64,
    new: &ImportedPayment,
    numbers: &mut Block,
) -> Result<(), ImportError> {
    let (groupid, partid) = place(connection, origin, new)?;
    let follows = first_of_group(connection, new.payment_hash.as_bytes(), groupid)?;
    let (created_index, created_change) = numbers.created();
    let (status, preimage, completed_at_ms, failure) = match &new.end {
        ImportedEnd::Pending => (0, None, None, None),
        ImportedEnd::Complete { preimage, at_ms } => (1, Some(preimage), Some(*at_ms), None),
        ImportedEnd::Failed { failure, at_ms, .. } => (2, None, Some(*at_ms), failure.as_ref()),
    };
    if preimage.is_some_and(|preimage| preimage.payment_hash() != new.payment_hash) {
        return Err(ImportError::NoProof(new.origin_id));
    }
    let settled = completed_at_ms.map(|_| numbers.updated());
    let bolt11 = match &new.bolt11 {
        Some(bolt11) => Some(known_invoice_row(connection, &new.payment_hash, bolt11)?),
        None => None,
    };
    let erring_node = failure.and_then(|failure| failure.erring_node.as_ref());
    let message = failure.map(|failure| failure.message.as_str());
    connection
        .prepare_cached(
            "INSERT INTO payment (created_index, created_change, updated_index, settled_change,
                 payment_hash, groupid, partid, destination, amount_msat, amount_sent_msat,
                 total_msat, created_at, completed_at, status, preimage, label, bolt11,
                 description, code, failcode, erring_index, erring_node, erring_channel,
                 erring_direction, message, origin, origin_id, route, follows)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, max(?12, ?13), ?14, ?15,
                 ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29)",
        )?
        .execute(params![
            created_index,
            created_change,
            settled.map(|(index, _)| index),
            settled.map(|(_, change)| change),
            new.payment_hash.as_bytes(),
            groupid,
            partid,
            optional_node_row(connection, new.destination.as_ref())?,
            sql(new.amount_msat.msat()),
            sql(new.amount_sent_msat.msat()),
            sql(new.total_msat.msat()),
            sql(new.created_at_ms),
            completed_at_ms.map(sql),
            status,
            preimage.map(Preimage::as_bytes),
            optional_text_row(connection, new.label.as_deref())?,
            bolt11,
            optional_text_row(connection, new.description.as_deref())?,
            failure.map(|failure| failure.code),
            failure.and_then(|failure| failure.failcode),
            failure.and_then(|failure| failure.erring_index),
            optional_node_row(connection, erring_node)?,
            failure
                .and_then(|failure| failure.erring_channel)
                .map(u64::cast_signed),
            failure.and_then(|failure| failure.erring_direction),
            optional_text_row(connection, message)?,
            origin,
            new.origin_id,
            NO_ROUTE,
            follows,
        ])?;
    if let ImportedEnd::Failed {
        claimed: Some(claimed),
        at_ms,
        ..
    } = &new.end
    {
        keep_claimed(connection, new, claimed, created_index, *at_ms)?;
    }
    let row = cln::Row {
        origin,
        id: new.origin_id,
        created_index,
    };
    cln::keep_payment(connection, &row, &new.cln)?;
    Ok(())
}

/// A preimage beside a failed record: the hash is paid, and takes no new send (L7).
fn keep_claimed(
    connection: &Connection,
    new: &ImportedPayment,
    claimed: &Preimage,
    created_index: i64,
    at_ms: u64,
) -> Result<(), ImportError> {
    if claimed.payment_hash() != new.payment_hash {
        return Err(ImportError::NoProof(new.origin_id));
    }
    connection
        .prepare_cached(
            "INSERT INTO late_preimage (payment_hash, preimage, created_index, seen_at)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute((
            new.payment_hash.as_bytes(),
            claimed.as_bytes(),
            created_index,
            sql(at_ms),
        ))?;
    Ok(())
}

/// Where in our ledger the part stands: as it was, unless something else stands there.
fn place(
    connection: &Connection,
    origin: i64,
    new: &ImportedPayment,
) -> Result<(i64, i64), ReadError> {
    let hash = new.payment_hash.as_bytes();
    let (groupid, partid) = (sql(new.groupid), sql(new.partid));
    // A group is of one node, so one of its parts tells whose.
    let whose: Option<i64> = connection
        .prepare_cached(
            "SELECT origin FROM payment WHERE payment_hash = ?1 AND groupid = ?2
             UNION ALL
             SELECT origin FROM deleted WHERE payment_hash = ?1 AND groupid = ?2
             LIMIT 1",
        )?
        .query_row((hash, groupid), |row| row.get(0))
        .optional()?;
    let groupid = match whose {
        None => return Ok((groupid, partid)),
        Some(whose) if whose == origin => groupid,
        Some(_) => other_group(connection, origin, new)?,
    };
    let taken = connection
        .prepare_cached(
            "SELECT 1 FROM payment WHERE payment_hash = ?1 AND groupid = ?2 AND partid = ?3
             UNION ALL
             SELECT 1 FROM deleted WHERE payment_hash = ?1 AND groupid = ?2 AND partid = ?3",
        )?
        .exists((hash, groupid, partid))?;
    if !taken {
        return Ok((groupid, partid));
    }
    // Parts of before CLN v0.10.2 have lost their numbers there.
    let parts = "SELECT partid FROM payment WHERE payment_hash = ?1 AND groupid = ?2
        UNION ALL SELECT partid FROM deleted WHERE payment_hash = ?1 AND groupid = ?2";
    Ok((groupid, next_free(connection, parts, &[&hash, &groupid])?))
}

/// The first record that the group ever had.
fn first_of_group(
    connection: &Connection,
    hash: &[u8; 32],
    groupid: i64,
) -> Result<Option<i64>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT min(created_index) FROM (
                 SELECT created_index FROM payment WHERE payment_hash = ?1 AND groupid = ?2
                 UNION ALL
                 SELECT created_index FROM deleted WHERE payment_hash = ?1 AND groupid = ?2)",
        )?
        .query_row((hash, groupid), |row| row.get(0))
}

/// The group that takes the place of one that is taken: the one its earlier parts went to, or a
/// new one.
fn other_group(
    connection: &Connection,
    origin: i64,
    new: &ImportedPayment,
) -> Result<i64, ReadError> {
    let hash = new.payment_hash.as_bytes();
    let begun: Option<i64> = connection
        .prepare_cached(
            "SELECT p.groupid FROM payment AS p
             JOIN cln_payment AS c ON c.origin = p.origin AND c.id = p.origin_id
             WHERE p.payment_hash = ?1 AND p.origin = ?2 AND c.groupid IS ?3 LIMIT 1",
        )?
        .query_row((hash, origin, new.cln.groupid), |row| row.get(0))
        .optional()?;
    match begun {
        Some(groupid) => Ok(groupid),
        None => next_free(
            connection,
            "SELECT groupid FROM payment WHERE payment_hash = ?1
             UNION ALL SELECT groupid FROM deleted WHERE payment_hash = ?1",
            &[&hash],
        ),
    }
}

/// The number after the largest of these; when that is the last there is, the first that is free.
fn next_free(
    connection: &Connection,
    numbers: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Result<i64, ReadError> {
    let taken: std::collections::BTreeSet<i64> = connection
        .prepare_cached(numbers)?
        .query_map(params, |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let next = taken.last().map_or(Some(1), |last| last.checked_add(1));
    Ok(next
        .or_else(|| (1..i64::MAX).find(|number| !taken.contains(number)))
        .unwrap_or(i64::MAX))
}
