//! Files as lightningd makes them: the tables `version`, `vars`, `payments` and `invoices` with the
//! columns of a given schema (CLN's `wallet/migrations.c`), written out here once more, so that a
//! mistake in the product's own list shows.

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use sendpay_ledger::Preimage;

/// Schemas of v0.10.0, v0.10.1, v0.10.2, v0.11, v0.12, v22.11, v23.08, v23.11, v25.12 and v26.06.
pub const SCHEMAS: [i64; 10] = [161, 176, 190, 197, 199, 212, 233, 249, 280, 282];

/// Regtest's first block, as CLN stores it.
pub const REGTEST: [u8; 32] = [
    0x06, 0x22, 0x6e, 0x46, 0x11, 0x1a, 0x0b, 0x59, 0xca, 0xaf, 0x12, 0x60, 0x43, 0xeb, 0x5b, 0xbf,
    0x28, 0xc3, 0x4f, 0x3a, 0x5e, 0x33, 0x2a, 0x1f, 0xc7, 0xb2, 0xb7, 0x3c, 0xf1, 0x88, 0x91, 0x0f,
];

const PAYMENTS: &[(&str, i64, i64)] = &[
    ("id INTEGER", 0, 999),
    ("timestamp INTEGER", 0, 999),
    ("status INTEGER", 0, 999),
    ("payment_hash BLOB", 0, 999),
    ("destination BLOB", 0, 999),
    ("msatoshi INTEGER", 0, 999),
    ("payment_preimage BLOB", 0, 999),
    ("path_secrets BLOB", 0, 999),
    ("route_nodes BLOB", 0, 999),
    ("route_channels BLOB", 0, 999),
    ("failonionreply BLOB", 0, 999),
    ("faildestperm INTEGER", 0, 999),
    ("failindex INTEGER", 0, 999),
    ("failcode INTEGER", 0, 999),
    ("failnode BLOB", 0, 999),
    ("failchannel TEXT", 0, 209),
    ("failupdate BLOB", 0, 999),
    ("msatoshi_sent INTEGER", 0, 999),
    ("faildetail TEXT", 0, 999),
    ("description TEXT", 0, 999),
    ("faildirection INTEGER", 0, 999),
    ("bolt11 TEXT", 0, 999),
    ("total_msat INTEGER", 0, 999),
    ("partid INTEGER", 0, 999),
    ("groupid INTEGER NOT NULL DEFAULT 0", 180, 999),
    ("local_offer_id BLOB DEFAULT NULL", 0, 999),
    ("paydescription TEXT", 197, 999),
    ("completed_at INTEGER DEFAULT NULL", 200, 999),
    ("failscid INTEGER", 209, 999),
    ("local_invreq_id BLOB DEFAULT NULL", 212, 999),
    ("updated_index INTEGER DEFAULT 0", 242, 999),
];

const INVOICES: &[(&str, i64, i64)] = &[
    ("id INTEGER", 0, 999),
    ("state INTEGER", 0, 999),
    ("msatoshi INTEGER", 0, 999),
    ("payment_hash BLOB", 0, 999),
    ("payment_key BLOB", 0, 999),
    ("label TEXT", 0, 999),
    ("expiry_time INTEGER", 0, 999),
    ("pay_index INTEGER", 0, 999),
    ("msatoshi_received INTEGER", 0, 999),
    ("paid_timestamp INTEGER", 0, 999),
    ("bolt11 TEXT", 0, 999),
    ("description TEXT", 0, 999),
    ("features BLOB DEFAULT ''", 0, 999),
    ("local_offer_id BLOB DEFAULT NULL", 0, 999),
    ("updated_index INTEGER DEFAULT 0", 226, 999),
    ("paid_txid BLOB DEFAULT NULL", 238, 999),
    ("paid_outnum INTEGER DEFAULT NULL", 239, 999),
];

/// The indexes beside those that come with a table, and since which schema.
const INDEXES: &[(i64, &str)] = &[
    (202, "CREATE INDEX payments_idx ON payments (payment_hash)"),
    (
        227,
        "CREATE INDEX invoice_update_idx ON invoices (updated_index)",
    ),
    (
        243,
        "CREATE INDEX payments_update_idx ON payments (updated_index)",
    ),
];

/// The names of the columns of a table in that schema.
pub fn columns(table: &str, version: i64) -> Vec<&'static str> {
    let all = if table == "payments" {
        PAYMENTS
    } else {
        INVOICES
    };
    all.iter()
        .filter(|(_, since, until)| (*since..*until).contains(&version))
        .map(|(column, ..)| *column)
        .collect()
}

fn name(column: &str) -> &str {
    column.split(' ').next().unwrap()
}

/// A file of lightningd.
pub struct Cln {
    pub path: PathBuf,
    pub version: i64,
    pub connection: Connection,
}

pub fn preimage(number: u8) -> Preimage {
    Preimage([number; 32])
}

pub fn hash(number: u8) -> Vec<u8> {
    preimage(number).payment_hash().0.to_vec()
}

pub fn blob(bytes: impl Into<Vec<u8>>) -> Value {
    Value::Blob(bytes.into())
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn int(number: i64) -> Value {
    Value::Integer(number)
}

impl Cln {
    pub fn new(path: &Path, version: i64) -> Cln {
        let connection = Connection::open(path).unwrap();
        let unique = if version < 180 { "" } else { ", groupid" };
        let declared = |table| columns(table, version).join(", ");
        connection
            .execute_batch(&format!(
                "CREATE TABLE version (version INTEGER);
                 INSERT INTO version VALUES ({version});
                 CREATE TABLE vars (name TEXT, val TEXT, intval INTEGER, blobval BLOB,
                     PRIMARY KEY (name));
                 CREATE TABLE payments ({}, PRIMARY KEY (id),
                     UNIQUE (payment_hash, partid{unique}));
                 CREATE TABLE invoices ({}, PRIMARY KEY (id), UNIQUE (label),
                     UNIQUE (payment_hash));
                 CREATE UNIQUE INDEX invoices_pay_index ON invoices(pay_index);",
                declared("payments"),
                declared("invoices"),
            ))
            .unwrap();
        for (since, index) in INDEXES {
            if version >= *since {
                connection.execute_batch(index).unwrap();
            }
        }
        let cln = Cln {
            path: path.to_owned(),
            version,
            connection,
        };
        cln.variable("genesis_hash", &REGTEST);
        if version >= 212 {
            cln.variable("node_id", &[2; 33]);
        }
        cln
    }

    pub fn variable(&self, name: &str, value: &[u8]) {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO vars (name, blobval) VALUES (?1, ?2)",
                (name, value),
            )
            .unwrap();
    }

    /// A row; columns that the schema has not are left out.
    pub fn row(&self, table: &str, values: &[(&str, Value)]) {
        let known = columns(table, self.version);
        let values: Vec<_> = values
            .iter()
            .filter(|(column, _)| known.iter().any(|known| name(known) == *column))
            .collect();
        let names: Vec<_> = values.iter().map(|(column, _)| *column).collect();
        let marks = vec!["?"; values.len()].join(", ");
        self.connection
            .execute(
                &format!(
                    "INSERT INTO {table} ({}) VALUES ({marks})",
                    names.join(", ")
                ),
                params_from_iter(values.iter().map(|(_, value)| value)),
            )
            .unwrap();
    }

    /// A payment of hash `number` with the usual columns, and these more.
    pub fn payment(&self, id: i64, number: u8, status: i64, more: &[(&str, Value)]) {
        let mut values = vec![
            ("id", int(id)),
            ("timestamp", int(1_600_000_000 + id)),
            ("status", int(status)),
            ("payment_hash", blob(hash(number))),
            ("destination", blob([3; 33])),
            ("msatoshi", int(1_000 * id)),
            ("msatoshi_sent", int(1_000 * id + 7)),
            ("total_msat", int(1_000 * id)),
            ("partid", int(0)),
            ("groupid", int(1)),
        ];
        if status == 1 {
            values.push(("payment_preimage", blob([number; 32])));
        }
        if status != 0 {
            values.push(("completed_at", int(1_600_000_060 + id)));
            values.push(("updated_index", int(100 + id)));
        }
        values.retain(|(column, _)| more.iter().all(|(other, _)| other != column));
        values.extend(more.iter().cloned());
        self.row("payments", &values);
    }

    /// An invoice of hash `number` with the usual columns, and these more.
    pub fn invoice(&self, id: i64, number: u8, state: i64, more: &[(&str, Value)]) {
        let mut values = vec![
            ("id", int(id)),
            ("state", int(state)),
            ("msatoshi", int(5_000 * id)),
            ("payment_hash", blob(hash(number))),
            ("payment_key", blob([number; 32])),
            ("label", text(&format!("order {id}"))),
            ("expiry_time", int(1_600_003_600 + id)),
            ("bolt11", text(&format!("lnbcrt{id}"))),
            ("description", text("coffee")),
            ("features", blob([0x02, 0x41])),
        ];
        if state == 1 {
            values.push(("pay_index", int(40 + id)));
            values.push(("msatoshi_received", int(5_000 * id + 1)));
            values.push(("paid_timestamp", int(1_600_000_100 + id)));
            values.push(("updated_index", int(9)));
        }
        values.retain(|(column, _)| more.iter().all(|(other, _)| other != column));
        values.extend(more.iter().cloned());
        self.row("invoices", &values);
    }

    /// Payments and invoices of every kind.
    pub fn fill(&self) {
        self.payments_that_ended();
        self.payments_in_parts();
        self.odd_payments();
        self.invoice(3, 101, 0, &[]);
        self.invoice(
            4,
            102,
            1,
            &[("paid_txid", blob([9; 32])), ("paid_outnum", int(1))],
        );
        self.invoice(5, 103, 2, &[("local_offer_id", blob([8; 32]))]);
        let odd = [
            ("label", text(r#"a\"b\\ \u00e9\n"#)),
            ("msatoshi", Value::Null),
            ("bolt11", Value::Null),
            ("description", Value::Null),
            ("expiry_time", int(i64::MAX)),
        ];
        self.invoice(6, 104, 0, &odd);
        self.invoice(
            7,
            105,
            1,
            &[("label", text(r"no json \q")), ("payment_key", Value::Null)],
        );
    }

    fn payments_that_ended(&self) {
        let words = [
            ("bolt11", text("lnbcrt1complete")),
            ("description", text("coffee")),
            ("paydescription", text("a cup of it")),
            ("local_offer_id", blob([7; 32])),
            ("local_invreq_id", blob([6; 32])),
        ];
        self.payment(1, 1, 1, &words);
        let reported = [
            ("faildestperm", int(0)),
            ("failindex", int(2)),
            ("failcode", int(0x1007)),
            ("failnode", blob([4; 33])),
            ("failchannel", text("103x2x1")),
            ("failscid", int(103 << 40 | 2 << 16 | 1)),
            ("faildirection", int(1)),
            ("failupdate", blob([1, 2, 3])),
            ("faildetail", text("reply from remote")),
            ("bolt11", text("lnbcrt1failed")),
        ];
        self.payment(2, 2, 2, &reported);
        let refused = [
            ("faildestperm", int(1)),
            ("failindex", int(3)),
            ("failcode", int(0x400f)),
            ("failnode", blob([3; 33])),
            // As v25.12 and before wrote it at times.
            ("faildetail", blob(*b"unknown to it")),
        ];
        self.payment(3, 3, 2, &refused);
        let unreadable = [("failonionreply", blob([5; 292])), ("failcode", int(0))];
        self.payment(4, 4, 2, &unreadable);
        self.payment(5, 5, 2, &[("completed_at", Value::Null)]);
        let detail = text("unspecified payment failure reason");
        self.payment(6, 6, 2, &[("faildetail", detail)]);
    }

    fn payments_in_parts(&self) {
        let part = |partid| {
            [
                ("partid", int(partid)),
                ("groupid", int(7)),
                ("total_msat", int(90)),
            ]
        };
        self.payment(10, 10, 1, &part(1));
        self.payment(11, 10, 1, &part(2));
        self.payment(12, 10, 2, &part(3));
        // One part is in, one is on its way.
        self.payment(13, 11, 1, &part(1));
        let mut out = part(2).to_vec();
        out.push(("path_secrets", blob([1; 64])));
        out.push(("route_nodes", blob([2; 66])));
        out.push(("route_channels", blob([0; 16])));
        self.payment(14, 11, 0, &out);
        // Parts that have lost their numbers (v0.10.2), and those of the pay plugin.
        for id in [15, 16] {
            self.payment(
                id,
                12,
                1,
                &[("partid", Value::Null), ("total_msat", Value::Null)],
            );
        }
        self.payment(17, 13, 2, &[("groupid", int(-5)), ("partid", int(4))]);
        self.payment(18, 13, 2, &[("groupid", int(-5)), ("partid", int(5))]);
    }

    fn odd_payments(&self) {
        self.payment(20, 20, 0, &[]);
        let nothing = [
            "timestamp",
            "destination",
            "msatoshi",
            "msatoshi_sent",
            "total_msat",
            "partid",
        ];
        let nothing = nothing.map(|column| (column, Value::Null));
        self.payment(21, 21, 2, &nothing);
        self.payment(22, 22, 1, &[("payment_preimage", Value::Null)]);
        self.payment(23, 23, 1, &[("payment_preimage", blob([99; 32]))]);
        self.payment(24, 24, 2, &[("payment_preimage", blob([24; 32]))]);
        self.payment(
            25,
            25,
            2,
            &[("description", text("\0 \u{1f980} \"quoted\""))],
        );
        self.payment(26, 26, 2, &[("destination", blob([1; 5]))]);
        self.connection
            .execute(
                "UPDATE payments SET description = CAST(x'ff00fe' AS TEXT) WHERE id = 26",
                [],
            )
            .unwrap();
    }
}
