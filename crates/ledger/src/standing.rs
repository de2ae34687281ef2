//! Whether what a group was to pay may be paid again in another way, and what of it is out. Seen in the
//! same snapshot as the group.

use rusqlite::Connection;

use crate::{Group, Msat, Status};

/// An HTLC of a pending part: until it is taken back, it may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingPart {
    /// The part.
    pub partid: u64,
    /// The channel of its first hop; of our own parts only.
    pub first_channel: Option<u64>,
    /// What it binds there, fees included, in msat.
    pub amount_sent_msat: Msat,
    /// The height from which it can be taken back.
    pub cltv_expiry: Option<u32>,
}

/// Whether the payment hash of a group may be paid again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It may: no HTLC of the hash can be claimed any more, and none was.
    #[default]
    Free,
    /// It is paid.
    Complete,
    /// These parts of the group may still complete.
    Pending(Vec<OutgoingPart>),
    /// The group failed, and another try at the hash is pending.
    OtherPending,
    /// The group failed, and another try at the hash is complete, or was and is deleted.
    OtherComplete,
    /// The group failed, and was claimed after that.
    ClaimedLate,
}

/// How it stands with a group, by all records of its hash.
pub(crate) fn standing(
    connection: &Connection,
    group: &Group,
) -> Result<Standing, rusqlite::Error> {
    match group.status {
        Status::Complete => Ok(Standing::Complete),
        Status::Pending => outgoing(connection, group).map(Standing::Pending),
        Status::Failed => of_failed(connection, group),
    }
}

fn outgoing(connection: &Connection, group: &Group) -> Result<Vec<OutgoingPart>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT partid, first_channel, amount_sent_msat, cltv_expiry FROM payment
         WHERE payment_hash = ?1 AND groupid = ?2 AND status = 0 ORDER BY partid",
    )?;
    let parts = statement.query_map(
        (group.payment_hash.as_bytes(), group.groupid.cast_signed()),
        |row| {
            Ok(OutgoingPart {
                partid: row.get::<_, i64>(0)?.cast_unsigned(),
                first_channel: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned),
                amount_sent_msat: Msat::new(row.get::<_, i64>(2)?.cast_unsigned())
                    .unwrap_or(Msat::MAX),
                cltv_expiry: row.get(3)?,
            })
        },
    )?;
    parts.collect()
}

/// What happened to the hash besides this group.
fn of_failed(connection: &Connection, group: &Group) -> Result<Standing, rusqlite::Error> {
    // The highest that holds decides: claimed late, complete, pending.
    let worst: i64 = connection
        .prepare_cached(
            "SELECT max(
                 3 * EXISTS (SELECT 1 FROM late_preimage WHERE payment_hash = ?1),
                 2 * EXISTS (SELECT 1 FROM deleted WHERE payment_hash = ?1 AND status = 1),
                 (SELECT max(CASE status WHEN 1 THEN 2 WHEN 0 THEN 1 ELSE 0 END) FROM payment
                     WHERE payment_hash = ?1))",
        )?
        .query_row([group.payment_hash.as_bytes()], |row| row.get(0))?;
    Ok(match worst {
        3 => Standing::ClaimedLate,
        2 => Standing::OtherComplete,
        1 => Standing::OtherPending,
        _ => Standing::Free,
    })
}
