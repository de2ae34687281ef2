//! Records a second of an import: a file of payments as lightningd v26.06 makes them, one invoice
//! of 300 bytes each, nine of ten complete, taken into an empty ledger with fsync on.
//! `cargo bench -p sendpay-import [-- PAYMENTS]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub, dead_code)]

#[path = "../tests/import/fixture.rs"]
mod fixture;

use std::time::Instant;

use fixture::{Cln, REGTEST};
use sendpay_import::{Chain, ClnFile, import};
use sendpay_ledger::{Ledger, Preimage};

const PAYMENTS: u32 = 1_000_000;

fn fill(cln: &Cln, payments: u32) {
    cln.connection.execute_batch("BEGIN").unwrap();
    let mut insert = cln
        .connection
        .prepare(
            "INSERT INTO payments (id, timestamp, status, payment_hash, destination, msatoshi,
                 payment_preimage, msatoshi_sent, description, bolt11, total_msat, partid, groupid,
                 completed_at, updated_index, faildestperm, failindex, failcode, failnode,
                 failscid, faildirection, faildetail)
             VALUES (?1, 1600000000 + ?1, ?2, ?3, ?4, 1000 * ?1, ?5, 1001 * ?1, 'order ' || ?1, ?6,
                 1000 * ?1, 0, 1, 1600000002 + ?1, ?1, ?7, ?7, ?7, iif(?7 = 1, ?4, NULL), ?7, ?7,
                 iif(?7 = 1, 'reply from remote', NULL))",
        )
        .unwrap();
    for id in 1..=payments {
        let mut preimage = [7; 32];
        preimage[..4].copy_from_slice(&id.to_be_bytes());
        let preimage = Preimage(preimage);
        let failed = id % 10 == 0;
        let mut node = [2; 33];
        node[1] = u8::try_from(id % 199).unwrap();
        insert
            .execute((
                id,
                if failed { 2 } else { 1 },
                preimage.payment_hash().0,
                node,
                (!failed).then_some(preimage.0),
                format!("lnbc{:0>296}", preimage.payment_hash().to_string()),
                failed.then_some(1),
            ))
            .unwrap();
    }
    drop(insert);
    cln.connection.execute_batch("COMMIT").unwrap();
}

fn main() {
    let asked = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next();
    let payments = asked.unwrap_or(PAYMENTS);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lightningd.sqlite3");
    let cln = Cln::new(&path, 282);
    fill(&cln, payments);
    drop(cln);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("file of {payments} payments: {} MB", bytes / 1_000_000);

    let ours = Chain {
        name: "regtest",
        genesis: REGTEST,
    };
    let store_path = dir.path().join("ledger.sqlite3");
    let (store, ledger) = Ledger::open(&store_path).unwrap();
    let began = Instant::now();
    let file = ClnFile::open(&path, &|| Ok(dir.path().to_owned()), ours, &[]).unwrap();
    let summary = import(&ledger, &file, "cln", &|_| None, &mut |_| {}).unwrap();
    let took = began.elapsed().as_secs_f64();
    assert_eq!(summary.added.payments, u64::from(payments));
    println!(
        "imported in {took:.1} s: {:.0} records a second",
        f64::from(payments) / took
    );
    let began = Instant::now();
    import(&ledger, &file, "cln", &|_| None, &mut |_| {}).unwrap();
    println!(
        "again, with nothing new: {:.0} ms",
        began.elapsed().as_secs_f64() * 1e3
    );
    drop(ledger);
    store.close();
    let bytes = std::fs::metadata(&store_path).unwrap().len();
    println!("ledger: {} bytes for each", bytes / u64::from(payments));
}
