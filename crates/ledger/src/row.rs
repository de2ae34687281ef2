//! Records from rows: one list of columns, one decoder, and the checks of what is read.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{Failure, Msat, NodeId, Payment, ReadError, Status, Violation};

/// The columns, each text as the expression says. A subquery costs even where there is nothing to
/// look up, so what most records lack is asked for first.
macro_rules! columns {
    ($label:literal, $bolt11:literal, $description:literal, $message:literal) => {
        concat!(
            "created_index, updated_index, payment_hash, groupid, partid, \
             (SELECT node_id FROM node WHERE node.id = payment.destination), \
             amount_msat, amount_sent_msat, total_msat, created_at, completed_at, status, preimage, ",
            $label,
            ", ",
            $bolt11,
            ", ",
            $description,
            ", cltv_expiry, first_channel, code, failcode, erring_index, \
             CASE WHEN erring_node IS NOT NULL \
                 THEN (SELECT node_id FROM node WHERE node.id = payment.erring_node) END, \
             erring_channel, erring_direction, ",
            $message,
            ", origin, route"
        )
    };
}

/// What [`decode_payment`] reads, of a table or alias named `payment`.
pub(crate) const COLUMNS: &str = columns!(
    "(SELECT body FROM text WHERE text.id = payment.label)",
    "(SELECT body FROM text WHERE text.id = payment.bolt11)",
    "CASE WHEN description IS NOT NULL \
         THEN (SELECT body FROM text WHERE text.id = payment.description) END",
    "CASE WHEN message IS NOT NULL \
         THEN (SELECT body FROM text WHERE text.id = payment.message) END"
);

/// The same with the rows of the texts, for many records: `listed.rs` reads the texts together.
pub(crate) const LISTED_COLUMNS: &str = columns!("label", "bolt11", "description", "message");

/// The same of `deleted`, with nothing for what a tombstone does not keep. The route is the one
/// without hops.
pub(crate) const DELETED_COLUMNS: &str = "\
    created_index, updated_index, payment_hash, groupid, partid, \
    (SELECT node_id FROM node WHERE node.id = deleted.destination), \
    amount_msat, amount_sent_msat, total_msat, created_at, completed_at, status, preimage, \
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
    origin, x'01'";

/// A number for SQL. What the ledger stores is at most 2^63-1 by its own checks; a time beyond
/// that (in 292 million years) is stored as the last one.
pub(crate) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A text of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TextOf {
    Label,
    Bolt11,
    Description,
    /// Of its failure.
    Message,
}

impl TextOf {
    /// Its place among the columns.
    const fn column(self) -> usize {
        match self {
            TextOf::Label => 13,
            TextOf::Bolt11 => 14,
            TextOf::Description => 15,
            TextOf::Message => 24,
        }
    }
}

/// The record in a row of [`COLUMNS`].
pub(crate) fn decode_payment(row: &Row<'_>) -> Result<Payment, ReadError> {
    decode(row, |text| row.get(text.column()))
}

/// The record in a row of [`LISTED_COLUMNS`], without its texts: `wants` is told the row of each.
pub(crate) fn decode_listed(
    row: &Row<'_>,
    mut wants: impl FnMut(TextOf, i64),
) -> Result<Payment, ReadError> {
    decode(row, |text| {
        if let Some(of) = row.get(text.column())? {
            wants(text, of);
        }
        Ok(None)
    })
}

fn decode(
    row: &Row<'_>,
    mut text: impl FnMut(TextOf) -> Result<Option<String>, rusqlite::Error>,
) -> Result<Payment, ReadError> {
    let created_index = row.get::<_, i64>(0)?;
    let created_index = u64::try_from(created_index).unwrap_or(0);
    let impossible = |column| Violation::Value {
        created_index,
        column,
    };
    let number = |index, column| -> Result<u64, ReadError> {
        let number: i64 = row.get(index)?;
        Ok(u64::try_from(number).map_err(|_| impossible(column))?)
    };
    let optional = |index, column| -> Result<Option<u64>, ReadError> {
        let number: Option<i64> = row.get(index)?;
        let number = number.map(u64::try_from).transpose();
        Ok(number.map_err(|_| impossible(column))?)
    };
    let amount = |index, column| -> Result<Msat, ReadError> {
        Ok(Msat::new(number(index, column)?).ok_or(impossible(column))?)
    };
    let payment = Payment {
        created_index,
        updated_index: optional(1, "updated_index")?,
        payment_hash: crate::PaymentHash(row.get(2)?),
        groupid: number(3, "groupid")?,
        partid: number(4, "partid")?,
        destination: row.get::<_, Option<_>>(5)?.map(NodeId),
        amount_msat: amount(6, "amount_msat")?,
        amount_sent_msat: amount(7, "amount_sent_msat")?,
        total_msat: amount(8, "total_msat")?,
        created_at_ms: number(9, "created_at")?,
        completed_at_ms: optional(10, "completed_at")?,
        status: Status::from_code(row.get(11)?).ok_or(impossible("status"))?,
        preimage: row.get::<_, Option<_>>(12)?.map(crate::Preimage),
        // In the order in which a record's texts are stored.
        bolt11: text(TextOf::Bolt11)?,
        label: text(TextOf::Label)?,
        description: text(TextOf::Description)?,
        cltv_expiry: row.get(16)?,
        first_channel: row.get::<_, Option<i64>>(17)?.map(i64::cast_unsigned),
        failure: decode_failure(row, text)?,
        own: row.get::<_, i64>(25)? == 0,
        route: row.get(26)?,
    };
    if cfg!(debug_assertions) {
        payment.invariants()?;
    }
    Ok(payment)
}

fn decode_failure(
    row: &Row<'_>,
    mut text: impl FnMut(TextOf) -> Result<Option<String>, rusqlite::Error>,
) -> Result<Option<Failure>, rusqlite::Error> {
    let Some(code) = row.get(18)? else {
        return Ok(None);
    };
    Ok(Some(Failure {
        code,
        failcode: row.get(19)?,
        erring_index: row.get(20)?,
        erring_node: row.get::<_, Option<_>>(21)?.map(NodeId),
        erring_channel: row.get::<_, Option<i64>>(22)?.map(i64::cast_unsigned),
        erring_direction: row.get(23)?,
        // There with each code, as a constraint says.
        message: text(TextOf::Message)?.unwrap_or_default(),
    }))
}

/// The one record of a statement over [`COLUMNS`], if it has one.
pub(crate) fn find_payment(
    connection: &Connection,
    statement: &str,
    params: impl rusqlite::Params,
) -> Result<Option<Payment>, ReadError> {
    connection
        .prepare_cached(statement)?
        .query_row(params, |row| Ok(decode_payment(row)))
        .optional()?
        .transpose()
}

/// The records of a statement over [`COLUMNS`].
pub(crate) fn find_payments(
    connection: &Connection,
    statement: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Payment>, ReadError> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params)?;
    let mut payments = Vec::new();
    while let Some(row) = rows.next()? {
        payments.push(decode_payment(row)?);
    }
    Ok(payments)
}

/// The live record with this number.
pub(crate) fn live_payment(
    connection: &Connection,
    created_index: i64,
) -> Result<Option<Payment>, ReadError> {
    let statement = by_created_index("payment", COLUMNS);
    find_payment(connection, &statement, [created_index])
}

/// What is kept of the deleted record with this number.
pub(crate) fn deleted_payment(
    connection: &Connection,
    created_index: i64,
) -> Result<Option<Payment>, ReadError> {
    let statement = by_created_index("deleted", DELETED_COLUMNS);
    find_payment(connection, &statement, [created_index])
}

fn by_created_index(table: &str, columns: &str) -> String {
    format!("SELECT {columns} FROM {table} WHERE created_index = ?1")
}
