//! Beside Core Lightning: its file with the same records, and how fast such a file is imported.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rusqlite::Statement;
use sendpay_import::{Chain, ClnFile, import};
use sendpay_ledger::Ledger;

use crate::figures::{DISK, Figures, RATES};
use crate::fill::{self, CACHE_KIB, Made};
use crate::generator::{End, Generator, Part, SEED};

// The tests of the import make such files, from CLN's own schema.
#[path = "../../../import/tests/import/fixture.rs"]
mod fixture;

/// The schema of v26.06.
const VERSION: i64 = 282;

/// Records of the file that is imported: some seconds.
const IMPORTED: u64 = 100_000;

/// How long CLN's file would be for each record.
pub fn size(figures: &mut Figures, cache: &Path, made: &Made, generator: &Generator) {
    let kept = made.dir.join("cln");
    let stamp = format!("{SEED:x} {VERSION} ");
    let known = fs::read_to_string(&kept).unwrap_or_default();
    let known = known
        .strip_prefix(&stamp)
        .and_then(|bytes| bytes.parse().ok());
    let bytes: u64 = known.unwrap_or_else(|| {
        let dir = tempfile::tempdir_in(cache).unwrap();
        let path = dir.path().join("lightningd.sqlite3");
        make(&path, 0, made.records, generator);
        let bytes = fs::metadata(path).unwrap().len();
        fs::write(kept, format!("{stamp}{bytes}")).unwrap();
        bytes
    });
    let each = bytes as f64 / made.records as f64;
    let name = "bytes of Core Lightning's file for each record";
    figures.add(DISK, name, made.records, each);
}

/// Imports payments of later on into a copy of the ledger.
pub fn import_rate(figures: &mut Figures, cache: &Path, made: &Made, generator: &Generator) {
    let dir = tempfile::tempdir_in(cache).unwrap();
    let path = dir.path().join("lightningd.sqlite3");
    make(&path, made.payments, IMPORTED, generator);
    let copy = dir.path().join("ledger.sqlite3");
    fill::copy(&fill::file(&made.dir), &copy);
    let (store, ledger) = Ledger::open(&copy).unwrap();
    let ours = Chain {
        name: "regtest",
        genesis: fixture::REGTEST,
    };
    let begun = Instant::now();
    let scratch = || Ok(dir.path().to_owned());
    let file = ClnFile::open(&path, &scratch, ours, &[]).unwrap();
    let summary = import(&ledger, &file, "cln", &|_| None, &mut |_| {}).unwrap();
    let rate = IMPORTED as f64 / begun.elapsed().as_secs_f64();
    assert_eq!(summary.added.payments, IMPORTED);
    let name = "records imported from Core Lightning's file";
    figures.add(RATES, name, made.records, rate);
    drop(ledger);
    store.close();
}

/// A file with so many records from that payment on, each as it is after its end.
fn make(path: &Path, first_payment: u64, records: u64, generator: &Generator) {
    let cln = fixture::Cln::new(path, VERSION);
    let connection = &cln.connection;
    for (pragma, value) in [
        ("journal_mode", "OFF"),
        ("synchronous", "OFF"),
        ("cache_size", &format!("-{CACHE_KIB}")),
    ] {
        connection.pragma_update(None, pragma, value).unwrap();
    }
    connection.execute_batch("BEGIN").unwrap();
    let mut insert = connection
        .prepare(
            "INSERT INTO payments (id, timestamp, status, payment_hash, destination, msatoshi,
                 payment_preimage, msatoshi_sent, description, bolt11, paydescription, total_msat,
                 partid, groupid, completed_at, updated_index, faildestperm, failindex, failcode,
                 failnode, failscid, faildirection, faildetail)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .unwrap();
    let (mut made, mut updated) = (0, 0);
    let waves = (first_payment..).flat_map(|number| generator.payment(number).waves);
    for mut wave in waves {
        wave.truncate(usize::try_from(records - made).unwrap());
        // The last of a wave ends first, as in the ledger.
        updated += wave.len() as u64;
        for (number, part) in (0..).zip(&wave) {
            made += 1;
            row(&mut insert, part, made, updated - number);
        }
        if made == records {
            break;
        }
    }
    drop(insert);
    connection.execute_batch("COMMIT").unwrap();
}

fn row(insert: &mut Statement<'_>, part: &Part, id: u64, updated: u64) {
    let new = &part.new;
    let (preimage, failure) = match &part.end {
        End::Complete(preimage) => (Some(preimage), None),
        End::Failed(failure) => (None, Some(failure)),
    };
    let mut at = 0;
    let mut bind = |value: &dyn rusqlite::ToSql| {
        at += 1;
        insert.raw_bind_parameter(at, value).unwrap();
    };
    bind(&id.cast_signed());
    bind(&(part.created_at_ms / 1_000).cast_signed());
    bind(if failure.is_some() { &2 } else { &1 });
    bind(new.payment_hash.as_bytes());
    bind(&new.destination.as_ref().map(|node| node.as_bytes()));
    bind(&new.amount_msat.msat().cast_signed());
    bind(&preimage.map(|preimage| preimage.as_bytes()));
    bind(&new.amount_sent_msat.msat().cast_signed());
    bind(&new.label);
    bind(&new.bolt11);
    bind(&new.description);
    bind(&new.effective_total_msat().msat().cast_signed());
    bind(&new.partid.cast_signed());
    bind(&new.groupid.map(u64::cast_signed));
    bind(&(part.settled_at_ms / 1_000).cast_signed());
    bind(&updated.cast_signed());
    bind(&failure.map(|_| 0));
    bind(&failure.and_then(|failure| failure.erring_index));
    bind(&failure.and_then(|failure| failure.failcode));
    bind(&failure.and_then(|failure| failure.erring_node.map(|node| *node.as_bytes())));
    bind(&failure.and_then(|failure| failure.erring_channel.map(u64::cast_signed)));
    bind(&failure.and_then(|failure| failure.erring_direction));
    bind(&failure.map(|failure| failure.message.as_str()));
    insert.raw_execute().unwrap();
}
