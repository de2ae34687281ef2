//! What must not run, or not be believed, once channel state is lost or proven old: the state itself,
//! and that own payments are still on their way.
//!
//! A payment that was pending has ended since, or will, and this node will not hear how. Its record
//! becomes one of another origin, [`RECOVERED`]: as with one that was imported as pending, nothing but
//! an operator's word ends it, and its hash takes no new send until then.

use rusqlite::{Connection, OptionalExtension as _};

/// The origin of own records whose end nobody here knows.
pub const RECOVERED: &str = "recovered";

/// Under which channel state is kept that never runs again.
const ASIDE: &str = "set_aside";

/// The trigger by which the origin of a record never changes, but for here.
const FIXED: &str = "payment_fixed";

/// State that the node keeps under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvRow {
    /// The first part of its name.
    pub primary: String,
    /// The second.
    pub secondary: String,
    /// The last.
    pub key: String,
    /// What is kept.
    pub value: Vec<u8>,
}

/// Why nothing was set aside; all is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SetAsideError {
    /// SQLite refused.
    #[error("the store could not be used: {0}")]
    Store(#[from] rusqlite::Error),
}

/// In one commit, the caller's: channel state out of the way, pending payments unknown, `rows` written
/// in the place of what was under their names. `is_channel_state` says which names (primary,
/// secondary, key) are. How many payments are unknown by now.
///
/// # Errors
/// If the store cannot be written.
pub fn begin_again(
    connection: &Connection,
    is_channel_state: fn(&str, &str, &str) -> bool,
    rows: &[KvRow],
) -> Result<u64, SetAsideError> {
    set_state_aside(connection, is_channel_state)?;
    doubt_pending(connection)?;
    for row in rows {
        connection.execute(
            "INSERT INTO kv (primary_namespace, secondary_namespace, key, value)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value = excluded.value",
            (&row.primary, &row.secondary, &row.key, &row.value),
        )?;
    }
    let unknown: i64 = connection.query_row(
        "SELECT count(*) FROM payment
         WHERE status = 0 AND origin = (SELECT id FROM origin WHERE name = ?1)",
        [RECOVERED],
        |row| row.get(0),
    )?;
    Ok(unknown.cast_unsigned())
}

fn set_state_aside(
    connection: &Connection,
    is_channel_state: fn(&str, &str, &str) -> bool,
) -> Result<(), rusqlite::Error> {
    let names: Vec<(String, String, String)> = connection
        .prepare("SELECT primary_namespace, secondary_namespace, key FROM kv")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (primary, secondary, key) in names {
        if primary == ASIDE || !is_channel_state(&primary, &secondary, &key) {
            continue;
        }
        connection.execute(
            "UPDATE OR REPLACE kv SET primary_namespace = ?4, secondary_namespace = ?5
             WHERE primary_namespace = ?1 AND secondary_namespace = ?2 AND key = ?3",
            (
                &primary,
                &secondary,
                &key,
                ASIDE,
                format!("{primary}/{secondary}"),
            ),
        )?;
    }
    Ok(())
}

fn doubt_pending(connection: &Connection) -> Result<(), rusqlite::Error> {
    let found = connection
        .query_row(
            "SELECT id FROM origin WHERE name = ?1",
            [RECOVERED],
            |row| row.get::<_, i64>(0),
        )
        .optional()?;
    let origin = match found {
        Some(origin) => origin,
        None => {
            connection.execute("INSERT INTO origin (name) VALUES (?1)", [RECOVERED])?;
            connection.last_insert_rowid()
        }
    };
    let fixed: String = connection.query_row(
        "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1",
        [FIXED],
        |row| row.get(0),
    )?;
    connection.execute_batch(&format!("DROP TRIGGER {FIXED}"))?;
    connection.execute(
        "UPDATE payment SET origin = ?1, origin_id = created_index
         WHERE status = 0 AND origin = 0",
        [origin],
    )?;
    connection.execute_batch(&fixed)
}
