//! Texts and node ids, stored once by content and pointed to.

use bitcoin_hashes::{Hash as _, sha256};
use rusqlite::{Connection, OptionalExtension as _};

use crate::{NodeId, PaymentHash};

/// The row of this text, made if missing.
pub(crate) fn text_row(connection: &Connection, body: &str) -> Result<i64, rusqlite::Error> {
    let hash = text_hash(body);
    if let Some(row) = find_hashed(connection, hash, body)? {
        return Ok(row);
    }
    connection
        .prepare_cached("INSERT INTO text (hash, body) VALUES (?1, ?2)")?
        .insert((hash, body))
}

/// The row of this text, if there is one.
pub(crate) fn find_text_row(
    connection: &Connection,
    body: &str,
) -> Result<Option<i64>, rusqlite::Error> {
    find_hashed(connection, text_hash(body), body)
}

fn text_hash(body: &str) -> i64 {
    let digest = sha256::Hash::hash(body.as_bytes()).to_byte_array();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn find_hashed(
    connection: &Connection,
    hash: i64,
    body: &str,
) -> Result<Option<i64>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT id FROM text WHERE hash = ?1 AND body = ?2")?
        .query_row((hash, body), |row| row.get(0))
        .optional()
}

/// As [`text_row`], of a text that may be missing.
pub(crate) fn optional_text_row(
    connection: &Connection,
    body: Option<&str>,
) -> Result<Option<i64>, rusqlite::Error> {
    body.map(|body| text_row(connection, body)).transpose()
}

/// A row for an invoice of a hash that has no record yet. An index by content would cost each payment
/// a page of its own, and the hash finds the row as well.
pub(crate) fn invoice_row(connection: &Connection, bolt11: &str) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached("INSERT INTO text (body) VALUES (?1)")?
        .insert([bolt11])
}

/// The row of this invoice, if a record of the hash points to one, else a new one.
pub(crate) fn known_invoice_row(
    connection: &Connection,
    payment_hash: &PaymentHash,
    bolt11: &str,
) -> Result<i64, rusqlite::Error> {
    match find_invoice_row(connection, payment_hash, bolt11)? {
        Some(row) => Ok(row),
        None => invoice_row(connection, bolt11),
    }
}

/// The row of this invoice, if a record of the hash points to one.
pub(crate) fn find_invoice_row(
    connection: &Connection,
    payment_hash: &PaymentHash,
    bolt11: &str,
) -> Result<Option<i64>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT text.id FROM payment JOIN text ON text.id = payment.bolt11
             WHERE payment.payment_hash = ?1 AND text.body = ?2 LIMIT 1",
        )?
        .query_row((payment_hash.as_bytes(), bolt11), |row| row.get(0))
        .optional()
}

/// The row of this node, made if missing; nothing for no node.
pub(crate) fn optional_node_row(
    connection: &Connection,
    node_id: Option<&NodeId>,
) -> Result<Option<i64>, rusqlite::Error> {
    let Some(node_id) = node_id else {
        return Ok(None);
    };
    let found = find_node_row(connection, node_id)?;
    if found.is_some() {
        return Ok(found);
    }
    connection
        .prepare_cached("INSERT INTO node (node_id) VALUES (?1)")?
        .insert([node_id.as_bytes()])
        .map(Some)
}

/// The row of this node, if there is one.
pub(crate) fn find_node_row(
    connection: &Connection,
    node_id: &NodeId,
) -> Result<Option<i64>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT id FROM node WHERE node_id = ?1")?
        .query_row([node_id.as_bytes()], |row| row.get(0))
        .optional()
}
