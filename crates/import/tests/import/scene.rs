//! What the tests share: a ledger and a CLN file in a directory of their own.

use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::types::Value;
use sendpay_import::{Chain, ClnFile, ImportError, InvoiceFacts, OpenError, Summary, import};
use sendpay_ledger::{Filter, Invoice, InvoiceFilter, Ledger, ListedPayment, Payment, Store};
use tempfile::TempDir;

use crate::fixture::{Cln, REGTEST, hash};

pub const OURS: Chain = Chain {
    name: "regtest",
    genesis: REGTEST,
};

pub struct Scene {
    pub dir: TempDir,
    pub ledger: Ledger,
    pub store: Store,
}

impl Scene {
    pub fn new() -> Scene {
        let dir = TempDir::new().unwrap();
        let (store, ledger) = Ledger::open(&dir.path().join("ledger.sqlite3")).unwrap();
        Scene { dir, ledger, store }
    }

    pub fn cln_path(&self) -> PathBuf {
        self.dir.path().join("lightningd.sqlite3")
    }

    pub fn cln(&self, version: i64) -> Cln {
        Cln::new(&self.cln_path(), version)
    }

    pub fn open(&self) -> ClnFile {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<ClnFile, OpenError> {
        let scratch = || Ok(self.dir.path().to_owned());
        ClnFile::open(&self.cln_path(), &scratch, OURS, &[OURS])
    }

    pub fn import(&self) -> Result<Summary, ImportError> {
        let facts = |bolt11: &str| {
            (bolt11 == "lnbcrt3").then_some(InvoiceFacts {
                created_at_ms: 1_600_000_000_000,
                cltv: 18,
            })
        };
        import(&self.ledger, &self.open(), "cln", &facts, &mut |_| {})
    }

    pub fn payments(&self) -> Vec<Payment> {
        let mut found = Vec::new();
        let mut page = |payment: &ListedPayment<&str>| {
            found.push((payment.payment_hash, payment.groupid, payment.partid));
        };
        let filter = Filter::default();
        assert!(
            self.ledger
                .page(&filter, None, 1_000_000, &mut page)
                .unwrap()
                .is_none()
        );
        let whole =
            |(hash, groupid, partid)| self.ledger.payment(hash, groupid, partid).unwrap().unwrap();
        found.into_iter().map(whole).collect()
    }

    pub fn of(&self, number: u8) -> Vec<Payment> {
        let mut payments = self.payments();
        payments.retain(|payment| payment.payment_hash.0.to_vec() == hash(number));
        payments
    }

    pub fn invoices(&self) -> Vec<Invoice> {
        let mut found = Vec::new();
        let mut page = |invoice: &Invoice| found.push(invoice.clone());
        let filter = InvoiceFilter::default();
        self.ledger
            .invoices_page(&filter, None, 1_000_000, &mut page)
            .unwrap();
        found
    }

    /// The ledger's file, read past the ledger.
    pub fn raw(&self) -> Connection {
        Connection::open(self.dir.path().join("ledger.sqlite3")).unwrap()
    }

    /// All that is in the ledger's tables.
    pub fn dump(&self) -> Vec<String> {
        let raw = self.raw();
        let tables = [
            "payment",
            "invoice",
            "cln_payment",
            "cln_invoice",
            "counter",
            "total",
        ];
        let mut dump = Vec::new();
        for table in tables {
            let mut statement = raw.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let width = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values: Vec<Value> = (0..width).map(|at| row.get(at).unwrap()).collect();
                dump.push(format!("{table} {values:?}"));
            }
        }
        dump
    }
}
