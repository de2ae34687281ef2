//! Rows of `payments` as records.
//!
//! CLN's word for how a payment ended is taken where the ledger's promises allow it: a row that says
//! complete without a preimage that proves it becomes a pending record (L3; in doubt it is pending).

use rusqlite::Row;
use sendpay_ledger::{
    ClnPayment, Failure, ImportedEnd, ImportedPayment, NodeId, PaymentHash, Preimage,
};

use crate::cell::{Cells, RowError, millis};
use crate::version::PAYMENTS;

/// CLN's numbers of the status.
const PENDING: i64 = 0;
const COMPLETE: i64 = 1;
const FAILED: i64 = 2;

/// `PAY_UNPARSEABLE_ONION`, `PAY_DESTINATION_PERM_FAIL`, `PAY_TRY_OTHER_ROUTE` and
/// `PAY_UNSPECIFIED_ERROR` of CLN's `common/jsonrpc_errors.h`.
const UNPARSEABLE_ONION: i32 = 202;
const DESTINATION_PERM_FAIL: i32 = 203;
const TRY_OTHER_ROUTE: i32 = 204;
const UNSPECIFIED: i32 = 209;

/// A row as a record, and what is to be told of it.
pub(crate) struct Read {
    pub(crate) payment: ImportedPayment,
    /// It says complete and does not prove it.
    pub(crate) unproven: bool,
    pub(crate) bytes: usize,
}

/// The record of a row of [`PAYMENTS`].
pub(crate) fn read(row: &Row<'_>) -> Result<Read, RowError> {
    let cells = Cells::of("payments", PAYMENTS, row)?;
    let payment_hash = cells
        .bytes("payment_hash")?
        .map(PaymentHash)
        .ok_or_else(|| cells.wrong("payment_hash"))?;
    let mut cln = verbatim(&cells)?;
    let destination = cells.bytes("destination")?.map(NodeId);
    if destination.is_none() {
        cln.destination = cells.any("destination")?;
    }
    let (label, description) = (cells.words("description")?, cells.words("paydescription")?);
    let bolt11 = cells.words("bolt11")?;
    (cln.description, cln.paydescription, cln.bolt11) = (label.1, description.1, bolt11.1);
    let amount_msat = cells.amount("msatoshi")?.unwrap_or_default();
    let (end, unproven) = end(&cells, payment_hash, &mut cln)?;
    Ok(Read {
        payment: ImportedPayment {
            origin_id: cells.id,
            payment_hash,
            groupid: number(cln.groupid),
            partid: number(cln.partid),
            destination,
            amount_msat,
            amount_sent_msat: cells.amount("msatoshi_sent")?.unwrap_or(amount_msat),
            total_msat: cells.amount("total_msat")?.unwrap_or(amount_msat),
            created_at_ms: millis(cln.timestamp),
            end,
            label: label.0,
            bolt11: bolt11.0,
            description: description.0,
            cln,
        },
        unproven,
        bytes: cells.size(),
    })
}

fn verbatim(cells: &Cells<'_>) -> Result<ClnPayment, RowError> {
    Ok(ClnPayment {
        status: cells.required("status")?,
        timestamp: cells.integer("timestamp")?,
        completed_at: cells.integer("completed_at")?,
        updated_index: cells.integer("updated_index")?,
        msatoshi: cells.integer("msatoshi")?,
        msatoshi_sent: cells.integer("msatoshi_sent")?,
        total_msat: cells.integer("total_msat")?,
        groupid: cells.integer("groupid")?,
        partid: cells.integer("partid")?,
        path_secrets: cells.blob("path_secrets")?,
        route_nodes: cells.blob("route_nodes")?,
        route_channels: cells.blob("route_channels")?,
        failonionreply: cells.blob("failonionreply")?,
        faildestperm: cells.integer("faildestperm")?,
        failindex: cells.integer("failindex")?,
        failcode: cells.integer("failcode")?,
        failnode: cells.blob("failnode")?,
        failchannel: cells.words("failchannel")?.0,
        failscid: cells.integer("failscid")?,
        faildirection: cells.integer("faildirection")?,
        failupdate: cells.blob("failupdate")?,
        faildetail: cells.any("faildetail")?,
        local_offer_id: cells.blob("local_offer_id")?,
        local_invreq_id: cells.blob("local_invreq_id")?,
        ..ClnPayment::default()
    })
}

/// A groupid or partid. CLN keeps 64 bits in a column with a sign; the ledger has 63.
fn number(stored: Option<i64>) -> u64 {
    (stored.unwrap_or(0) & i64::MAX).cast_unsigned()
}

/// How the payment ended, and whether it says complete without proof.
fn end(
    cells: &Cells<'_>,
    payment_hash: PaymentHash,
    cln: &mut ClnPayment,
) -> Result<(ImportedEnd, bool), RowError> {
    // Before v22.11 there was no time of the end; CLN took the one of the beginning.
    let at_ms = millis(cln.completed_at.or(cln.timestamp));
    let proof = cells
        .bytes("payment_preimage")?
        .map(Preimage)
        .filter(|preimage| preimage.payment_hash() == payment_hash);
    let end = match (cln.status, proof) {
        (COMPLETE, Some(preimage)) => {
            return Ok((ImportedEnd::Complete { preimage, at_ms }, false));
        }
        (COMPLETE | PENDING, _) => ImportedEnd::Pending,
        (FAILED, claimed) => ImportedEnd::Failed {
            failure: failure(cells, cln)?,
            at_ms,
            claimed,
        },
        _ => return Err(cells.wrong("status")),
    };
    cln.payment_preimage = cells.any("payment_preimage")?;
    Ok((end, cln.status == COMPLETE))
}

/// Why it failed, as CLN's `waitsendpay` tells it from the same columns.
fn failure(cells: &Cells<'_>, cln: &ClnPayment) -> Result<Option<Failure>, RowError> {
    let detail = cells.words("faildetail")?.0;
    let erring_node = cells.bytes("failnode")?.map(NodeId);
    let (code, usual) = match (&cln.failonionreply, erring_node) {
        (Some(_), _) => (UNPARSEABLE_ONION, "Malformed error reply"),
        (None, Some(_)) if cln.faildestperm.unwrap_or(0) != 0 => {
            (DESTINATION_PERM_FAIL, "reply from remote")
        }
        (None, Some(_)) => (TRY_OTHER_ROUTE, "reply from remote"),
        (None, None) if detail.is_some() => (UNSPECIFIED, ""),
        (None, None) => return Ok(None),
    };
    // Without a node nobody reported anything: the columns hold zeros.
    let reported = code != UNPARSEABLE_ONION && erring_node.is_some();
    let erring_channel = channel(cln).filter(|_| reported);
    Ok(Some(Failure {
        code,
        failcode: cln
            .failcode
            .filter(|_| reported)
            .and_then(|failcode| u16::try_from(failcode).ok()),
        erring_index: cln
            .failindex
            .filter(|_| reported)
            .and_then(|index| u32::try_from(index).ok()),
        erring_node: erring_node.filter(|_| reported),
        erring_channel,
        // CLN's own default where there is a channel and no direction.
        erring_direction: erring_channel.map(|_| u8::from(cln.faildirection.unwrap_or(0) != 0)),
        message: detail.unwrap_or_else(|| usual.to_owned()),
    }))
}

fn channel(cln: &ClnPayment) -> Option<u64> {
    let of_text = || cln.failchannel.as_deref().and_then(scid);
    cln.failscid.map(i64::cast_unsigned).or_else(of_text)
}

/// A channel as `BLOCKxTRANSACTIONxOUTPUT` (or with colons, as before v0.7), BOLT 7's numbering.
fn scid(text: &str) -> Option<u64> {
    let mut numbers = text.split(['x', ':']).map(str::parse::<u64>);
    let (block, transaction, output) = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    );
    let fits = block < 1 << 24 && transaction < 1 << 24 && output < 1 << 16;
    (fits && numbers.next().is_none()).then_some(block << 40 | transaction << 16 | output)
}

#[cfg(test)]
mod tests {
    use super::{number, scid};

    #[test]
    fn a_channel_as_text_is_read_as_bolt_7_numbers_it() {
        for (text, channel) in [
            ("103x1x1", Some(103 << 40 | 1 << 16 | 1)),
            ("103:1:1", Some(103 << 40 | 1 << 16 | 1)),
            ("16777215x16777215x65535", Some(u64::MAX)),
            ("16777216x0x0", None),
            ("1x2", None),
            ("1x2x3x4", None),
            ("", None),
        ] {
            assert_eq!(scid(text), channel, "{text}");
        }
    }

    #[test]
    fn groups_without_a_number_and_those_of_64_bits_have_one_in_63() {
        assert_eq!(number(None), 0);
        assert_eq!(number(Some(0)), 0);
        assert_eq!(number(Some(7)), 7);
        assert_eq!(number(Some(-1)), i64::MAX.cast_unsigned());
    }
}
