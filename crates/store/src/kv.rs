//! State of others under names: LDK's `KVStore` shape (primary namespace, secondary namespace,
//! key). The channel manager, the channel monitors and the wallet live here.
//!
//! Reads go through the queue too, so that they see every write that was placed before them; they
//! are for the start, off the hot path.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{Closed, Store, Ticket};

/// The table, a migration for [`crate::Options`].
pub const SCHEMA: &str = "
CREATE TABLE kv (
    primary_namespace TEXT NOT NULL,
    secondary_namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (primary_namespace, secondary_namespace, key)
) STRICT;
";

/// Why state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// SQLite refused.
    #[error("state could not be read or written")]
    Sqlite(#[from] rusqlite::Error),
    /// The store was closed first.
    #[error("state could not be read or written")]
    Closed(#[from] Closed),
}

struct Name {
    primary_namespace: String,
    secondary_namespace: String,
    key: String,
}

impl Name {
    fn new(primary_namespace: &str, secondary_namespace: &str, key: &str) -> Name {
        Name {
            primary_namespace: primary_namespace.to_owned(),
            secondary_namespace: secondary_namespace.to_owned(),
            key: key.to_owned(),
        }
    }

    fn bytes(&self) -> usize {
        self.primary_namespace.len() + self.secondary_namespace.len() + self.key.len()
    }
}

impl Store {
    /// Writes `value` under this name; its place in the order is fixed when this returns.
    pub fn kv_write(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
        key: &str,
        value: Vec<u8>,
    ) -> Ticket<Result<(), KvError>> {
        let name = Name::new(primary_namespace, secondary_namespace, key);
        self.enqueue(name.bytes() + value.len(), move |connection| {
            write(connection, &name, &value)
        })
    }

    /// Removes what is under this name, if anything is.
    pub fn kv_remove(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
        key: &str,
    ) -> Ticket<Result<(), KvError>> {
        let name = Name::new(primary_namespace, secondary_namespace, key);
        self.enqueue(name.bytes(), move |connection| remove(connection, &name))
    }

    /// What is under this name, after every write placed before. Blocks for a commit.
    pub fn kv_read(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, KvError> {
        let name = Name::new(primary_namespace, secondary_namespace, key);
        self.enqueue(name.bytes(), move |connection| read(connection, &name))
            .wait()?
    }

    /// The keys in these namespaces, after every write placed before. Blocks for a commit.
    pub fn kv_list(
        &self,
        primary_namespace: &str,
        secondary_namespace: &str,
    ) -> Result<Vec<String>, KvError> {
        let name = Name::new(primary_namespace, secondary_namespace, "");
        self.enqueue(name.bytes(), move |connection| list(connection, &name))
            .wait()?
    }
}

fn write(connection: &Connection, name: &Name, value: &[u8]) -> Result<(), KvError> {
    connection
        .prepare_cached(
            "INSERT INTO kv (primary_namespace, secondary_namespace, key, value)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET value = excluded.value",
        )?
        .execute(params![
            name.primary_namespace,
            name.secondary_namespace,
            name.key,
            value
        ])?;
    Ok(())
}

fn remove(connection: &Connection, name: &Name) -> Result<(), KvError> {
    connection
        .prepare_cached(
            "DELETE FROM kv
             WHERE primary_namespace = ?1 AND secondary_namespace = ?2 AND key = ?3",
        )?
        .execute(params![
            name.primary_namespace,
            name.secondary_namespace,
            name.key
        ])?;
    Ok(())
}

fn read(connection: &Connection, name: &Name) -> Result<Option<Vec<u8>>, KvError> {
    let value = connection
        .prepare_cached(
            "SELECT value FROM kv
             WHERE primary_namespace = ?1 AND secondary_namespace = ?2 AND key = ?3",
        )?
        .query_row(
            params![name.primary_namespace, name.secondary_namespace, name.key],
            |row| row.get(0),
        )
        .optional()?;
    Ok(value)
}

fn list(connection: &Connection, name: &Name) -> Result<Vec<String>, KvError> {
    let keys = connection
        .prepare_cached(
            "SELECT key FROM kv WHERE primary_namespace = ?1 AND secondary_namespace = ?2
             ORDER BY key",
        )?
        .query_map(
            params![name.primary_namespace, name.secondary_namespace],
            |row| row.get(0),
        )?
        .collect::<Result<_, _>>()?;
    Ok(keys)
}
