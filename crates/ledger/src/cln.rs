//! Rows of CLN's tables `payments` and `invoices`, kept word for word beside the records made of
//! them: what a record has no place for is lost to nobody.
//!
//! Which record a row becomes is decided by whoever reads CLN's file; how it is recorded is in
//! `import.rs`.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

/// A row of `payments`, under CLN's names. `None` is NULL, or a column that this version of CLN had
/// not; in the columns of any type it is also what the record holds unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClnPayment {
    /// 0 pending, 1 complete, 2 failed.
    pub status: i64,
    /// When it was begun, in seconds since 1970.
    pub timestamp: Option<i64>,
    /// When it was settled, in seconds since 1970.
    pub completed_at: Option<i64>,
    /// CLN's number of its last change; 0 where it never changed.
    pub updated_index: Option<i64>,
    /// What it delivers, in msat.
    pub msatoshi: Option<i64>,
    /// What left CLN for it, in msat.
    pub msatoshi_sent: Option<i64>,
    /// All parts together, in msat.
    pub total_msat: Option<i64>,
    /// The try.
    pub groupid: Option<i64>,
    /// The part.
    pub partid: Option<i64>,
    /// The final node, if that is not what the record holds.
    pub destination: Option<Value>,
    /// The preimage, if that is not what the record holds.
    pub payment_preimage: Option<Value>,
    /// The invoice, if that is not what the record holds.
    pub bolt11: Option<Value>,
    /// The label, if that is not what the record holds.
    pub description: Option<Value>,
    /// The description, if that is not what the record holds.
    pub paydescription: Option<Value>,
    /// Shared secrets with the nodes of the route; of pending ones.
    pub path_secrets: Option<Vec<u8>>,
    /// Nodes of the route, 33 bytes each; of pending ones.
    pub route_nodes: Option<Vec<u8>>,
    /// Channels of the route, 8 bytes each; of pending ones.
    pub route_channels: Option<Vec<u8>>,
    /// The answer that nobody could read.
    pub failonionreply: Option<Vec<u8>>,
    /// 1 where the destination refused it.
    pub faildestperm: Option<i64>,
    /// Which hop reported it.
    pub failindex: Option<i64>,
    /// BOLT 4's failure code.
    pub failcode: Option<i64>,
    /// The node that reported it.
    pub failnode: Option<Vec<u8>>,
    /// The channel it is about, as text; before v22.11.
    pub failchannel: Option<String>,
    /// The channel it is about; since v22.11.
    pub failscid: Option<i64>,
    /// The direction over that channel.
    pub faildirection: Option<i64>,
    /// The `channel_update` that came with it.
    pub failupdate: Option<Vec<u8>>,
    /// In words.
    pub faildetail: Option<Value>,
    /// The offer it pays.
    pub local_offer_id: Option<Vec<u8>>,
    /// The invoice request it answers.
    pub local_invreq_id: Option<Vec<u8>>,
}

/// A row of `invoices`, under CLN's names; `None` as in [`ClnPayment`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClnInvoice {
    /// 0 unpaid, 1 paid, 2 expired.
    pub state: i64,
    /// What it asks for, in msat.
    pub msatoshi: Option<i64>,
    /// Its label as CLN keeps it (JSON's escapes in it), if the record has another.
    pub label: Option<Value>,
    /// When it lapses, in seconds since 1970.
    pub expiry_time: Option<i64>,
    /// CLN's number in the order of payment.
    pub pay_index: Option<i64>,
    /// What came, in msat.
    pub msatoshi_received: Option<i64>,
    /// When it was paid, in seconds since 1970.
    pub paid_timestamp: Option<i64>,
    /// CLN's number of its last change; 0 where it never changed.
    pub updated_index: Option<i64>,
    /// The preimage, if that is not what the record holds.
    pub payment_key: Option<Value>,
    /// The invoice, if that is not what the record holds.
    pub bolt11: Option<Value>,
    /// What it is for, if that is not what the record holds.
    pub description: Option<Value>,
    /// Feature bits.
    pub features: Option<Vec<u8>>,
    /// The offer it belongs to.
    pub local_offer_id: Option<Vec<u8>>,
    /// The Bitcoin transaction that paid it.
    pub paid_txid: Option<Vec<u8>>,
    /// The output of that transaction.
    pub paid_outnum: Option<i64>,
}

/// Which row, of which node, became which record.
pub(crate) struct Row {
    pub(crate) origin: i64,
    pub(crate) id: i64,
    pub(crate) created_index: i64,
}

pub(crate) fn keep_payment(
    connection: &Connection,
    row: &Row,
    cln: &ClnPayment,
) -> Result<(), rusqlite::Error> {
    // By place: by name, each of so many is searched for among all.
    connection
        .prepare_cached(
            "INSERT INTO cln_payment (origin, id, created_index, status, timestamp, completed_at,
                 updated_index, msatoshi, msatoshi_sent, total_msat, groupid, partid, destination,
                 payment_preimage, bolt11, description, paydescription, path_secrets, route_nodes,
                 route_channels, failonionreply, faildestperm, failindex, failcode, failnode,
                 failchannel, failscid, faildirection, failupdate, faildetail, local_offer_id,
                 local_invreq_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32)",
        )?
        .execute(params![
            row.origin,
            row.id,
            row.created_index,
            cln.status,
            cln.timestamp,
            cln.completed_at,
            cln.updated_index,
            cln.msatoshi,
            cln.msatoshi_sent,
            cln.total_msat,
            cln.groupid,
            cln.partid,
            cln.destination,
            cln.payment_preimage,
            cln.bolt11,
            cln.description,
            cln.paydescription,
            cln.path_secrets,
            cln.route_nodes,
            cln.route_channels,
            cln.failonionreply,
            cln.faildestperm,
            cln.failindex,
            cln.failcode,
            cln.failnode,
            cln.failchannel,
            cln.failscid,
            cln.faildirection,
            cln.failupdate,
            cln.faildetail,
            cln.local_offer_id,
            cln.local_invreq_id,
        ])?;
    Ok(())
}

pub(crate) fn keep_invoice(
    connection: &Connection,
    row: &Row,
    cln: &ClnInvoice,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO cln_invoice (origin, id, created_index, state, msatoshi, label,
                 expiry_time, pay_index, msatoshi_received, paid_timestamp, updated_index,
                 payment_key, bolt11, description, features, local_offer_id, paid_txid, paid_outnum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18)",
        )?
        .execute(params![
            row.origin,
            row.id,
            row.created_index,
            cln.state,
            cln.msatoshi,
            cln.label,
            cln.expiry_time,
            cln.pay_index,
            cln.msatoshi_received,
            cln.paid_timestamp,
            cln.updated_index,
            cln.payment_key,
            cln.bolt11,
            cln.description,
            cln.features,
            cln.local_offer_id,
            cln.paid_txid,
            cln.paid_outnum,
        ])?;
    Ok(())
}
