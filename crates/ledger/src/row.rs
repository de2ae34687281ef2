//! Records from rows: one list of columns, one decoder, and the checks of what is read.

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::nodes::NodesOfPage;
use crate::{
    Failure, ListedPayment, Msat, NodeId, Payment, PaymentHash, Preimage, ReadError, Status,
    Violation,
};

/// What [`decode_payment`] reads, of a table or alias named `payment`. A subquery costs even where
/// there is nothing to look up, so what most records lack is asked for first.
pub(crate) const COLUMNS: &str = "\
    created_index, updated_index, payment_hash, groupid, partid, \
    (SELECT node_id FROM node WHERE node.id = payment.destination), \
    amount_msat, amount_sent_msat, total_msat, created_at, completed_at, status, preimage, \
    (SELECT body FROM text WHERE text.id = payment.label), \
    (SELECT body FROM text WHERE text.id = payment.bolt11), \
    CASE WHEN description IS NOT NULL \
        THEN (SELECT body FROM text WHERE text.id = payment.description) END, \
    cltv_expiry, first_channel, code, failcode, erring_index, \
    CASE WHEN erring_node IS NOT NULL \
        THEN (SELECT node_id FROM node WHERE node.id = payment.erring_node) END, \
    erring_channel, erring_direction, \
    CASE WHEN message IS NOT NULL \
        THEN (SELECT body FROM text WHERE text.id = payment.message) END, \
    origin, route";

/// What [`decode_listed`] reads: what listings show, texts and nodes by their rows. A column costs
/// SQLite and us some 40 ns, and a listing has millions of rows.
pub(crate) const LISTED_COLUMNS: &str = "\
    created_index, updated_index, payment_hash, groupid, partid, destination, amount_msat, \
    amount_sent_msat, created_at, completed_at, status, preimage, label, bolt11, description, \
    cltv_expiry, code, failcode, erring_index, erring_node, \
    erring_channel, erring_direction, message";

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
    /// How many a record can have.
    pub(crate) const COUNT: usize = 4;
}

/// A row whose values are checked as they are read.
struct Record<'a, 'stmt> {
    row: &'a Row<'stmt>,
    created_index: u64,
}

impl<'a, 'stmt> Record<'a, 'stmt> {
    /// Of a row that begins with `created_index`.
    fn of(row: &'a Row<'stmt>) -> Result<Record<'a, 'stmt>, rusqlite::Error> {
        let created_index = row.get::<_, i64>(0)?;
        Ok(Record {
            row,
            created_index: u64::try_from(created_index).unwrap_or(0),
        })
    }

    fn impossible(&self, column: &'static str) -> Violation {
        Violation::Value {
            created_index: self.created_index,
            column,
        }
    }

    fn number(&self, index: usize, column: &'static str) -> Result<u64, ReadError> {
        let number: i64 = self.row.get(index)?;
        Ok(u64::try_from(number).map_err(|_| self.impossible(column))?)
    }

    fn optional(&self, index: usize, column: &'static str) -> Result<Option<u64>, ReadError> {
        let number: Option<i64> = self.row.get(index)?;
        let number = number.map(u64::try_from).transpose();
        Ok(number.map_err(|_| self.impossible(column))?)
    }

    fn amount(&self, index: usize, column: &'static str) -> Result<Msat, ReadError> {
        Ok(Msat::new(self.number(index, column)?).ok_or(self.impossible(column))?)
    }

    fn status(&self, index: usize) -> Result<Status, ReadError> {
        let code = self.row.get(index)?;
        Ok(Status::from_code(code).ok_or(self.impossible("status"))?)
    }
}

/// The record in a row of [`COLUMNS`].
pub(crate) fn decode_payment(row: &Row<'_>) -> Result<Payment, ReadError> {
    let record = Record::of(row)?;
    let payment = Payment {
        created_index: record.created_index,
        updated_index: record.optional(1, "updated_index")?,
        payment_hash: PaymentHash(row.get(2)?),
        groupid: record.number(3, "groupid")?,
        partid: record.number(4, "partid")?,
        destination: row.get::<_, Option<_>>(5)?.map(NodeId),
        amount_msat: record.amount(6, "amount_msat")?,
        amount_sent_msat: record.amount(7, "amount_sent_msat")?,
        total_msat: record.amount(8, "total_msat")?,
        created_at_ms: record.number(9, "created_at")?,
        completed_at_ms: record.optional(10, "completed_at")?,
        status: record.status(11)?,
        preimage: row.get::<_, Option<_>>(12)?.map(Preimage),
        label: row.get(13)?,
        bolt11: row.get(14)?,
        description: row.get(15)?,
        cltv_expiry: row.get(16)?,
        first_channel: row.get::<_, Option<i64>>(17)?.map(i64::cast_unsigned),
        failure: match row.get(18)? {
            Some(code) => Some(Failure {
                code,
                failcode: row.get(19)?,
                erring_index: row.get(20)?,
                erring_node: row.get::<_, Option<_>>(21)?.map(NodeId),
                erring_channel: row.get::<_, Option<i64>>(22)?.map(i64::cast_unsigned),
                erring_direction: row.get(23)?,
                // There with each code, as a constraint says.
                message: row.get::<_, Option<_>>(24)?.unwrap_or_default(),
            }),
            None => None,
        },
        own: row.get::<_, i64>(25)? == 0,
        route: row.get(26)?,
    };
    if cfg!(debug_assertions) {
        payment.invariants()?;
    }
    Ok(payment)
}

/// The record in a row of [`LISTED_COLUMNS`], with the rows of its texts.
pub(crate) fn decode_listed(
    row: &Row<'_>,
    nodes: &mut NodesOfPage<'_>,
) -> Result<ListedPayment<i64>, ReadError> {
    let record = Record::of(row)?;
    let mut node = |index| -> Result<Option<NodeId>, rusqlite::Error> {
        let node: Option<i64> = row.get(index)?;
        node.map(|node| nodes.id(node)).transpose()
    };
    Ok(ListedPayment {
        created_index: record.created_index,
        updated_index: record.optional(1, "updated_index")?,
        payment_hash: PaymentHash(row.get(2)?),
        groupid: record.number(3, "groupid")?,
        partid: record.number(4, "partid")?,
        destination: node(5)?,
        amount_msat: record.amount(6, "amount_msat")?,
        amount_sent_msat: record.amount(7, "amount_sent_msat")?,
        created_at_ms: record.number(8, "created_at")?,
        completed_at_ms: record.optional(9, "completed_at")?,
        status: record.status(10)?,
        preimage: row.get::<_, Option<_>>(11)?.map(Preimage),
        label: row.get(12)?,
        bolt11: row.get(13)?,
        description: row.get(14)?,
        cltv_expiry: row.get(15)?,
        failure: match row.get(16)? {
            Some(code) => Some(Failure {
                code,
                failcode: row.get(17)?,
                erring_index: row.get(18)?,
                erring_node: node(19)?,
                erring_channel: row.get::<_, Option<i64>>(20)?.map(i64::cast_unsigned),
                erring_direction: row.get(21)?,
                // There with each code, as a constraint says.
                message: row.get::<_, Option<_>>(22)?.unwrap_or_default(),
            }),
            None => None,
        },
    })
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
