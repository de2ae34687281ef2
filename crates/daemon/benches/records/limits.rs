//! What the machine allows at most, and what others make of the same file.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// As the daemon writes.
const WRITE_BYTES: usize = 64 << 10;

/// So many bytes through a Unix socket from memory, to a reader that counts them.
pub fn socket(bytes: u64) -> Duration {
    let (mut reader, mut writer) = UnixStream::pair().unwrap();
    let begun = Instant::now();
    let writing = std::thread::spawn(move || {
        let chunk = vec![b'x'; WRITE_BYTES];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(WRITE_BYTES as u64);
            writer.write_all(&chunk[..now as usize]).unwrap();
            left -= now;
        }
    });
    let mut chunk = vec![0; 256 << 10];
    let mut seen = 0;
    while seen < bytes {
        seen += reader.read(&mut chunk).unwrap() as u64;
    }
    let time = begun.elapsed();
    writing.join().unwrap();
    time
}

/// A bare loop over all records with the columns that a listing needs; renders nothing.
pub fn sqlite_loop(file: &Path, records: u64) -> Duration {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let begun = Instant::now();
    let mut statement = connection
        .prepare(
            "SELECT created_index, updated_index, payment_hash, groupid, partid,
                 (SELECT node_id FROM node WHERE node.id = payment.destination),
                 amount_msat, amount_sent_msat, total_msat, created_at, completed_at, status,
                 preimage,
                 (SELECT body FROM text WHERE text.id = payment.label),
                 (SELECT body FROM text WHERE text.id = payment.bolt11),
                 (SELECT body FROM text WHERE text.id = payment.description),
                 cltv_expiry, first_channel, code, failcode, erring_index,
                 (SELECT node_id FROM node WHERE node.id = payment.erring_node),
                 erring_channel, erring_direction,
                 (SELECT body FROM text WHERE text.id = payment.message), origin, route
             FROM payment ORDER BY created_index",
        )
        .unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let (mut seen, mut bytes) = (0, 0);
    while let Some(row) = rows.next().unwrap() {
        seen += 1;
        for column in 0..columns {
            bytes += match row.get_ref(column).unwrap() {
                ValueRef::Text(text) => text.len(),
                ValueRef::Blob(blob) => blob.len(),
                _ => 8,
            };
        }
    }
    let time = begun.elapsed();
    assert_eq!(seen, records);
    assert!(std::hint::black_box(bytes) > 0 || records == 0);
    time
}

/// `sqlite3 -json` of the view that shows what `listsendpays` does; `None` without that program.
pub fn sqlite3_json(file: &Path) -> Option<Duration> {
    let begun = Instant::now();
    let status = Command::new("sqlite3")
        .args(["-readonly", "-json"])
        .arg(file)
        .arg("SELECT * FROM sendpays ORDER BY created_index")
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Some(begun.elapsed()),
        Ok(status) => {
            eprintln!("  skipped: sqlite3 -json ended with {status}");
            None
        }
        Err(cause) => {
            eprintln!("  skipped: sqlite3 -json ({cause})");
            None
        }
    }
}
