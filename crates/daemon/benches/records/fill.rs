//! Ledgers of any size, made once and kept.
//!
//! A node is started and stopped in a new directory; then the records go straight into its file,
//! each as it is after its end, with every constraint, trigger and index of the schema at work.
//! That is some times faster than beginning and settling each. That it comes to the same, to the
//! last column of every table, is checked at each making on a ledger that is made both ways.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::hashes::{Hash as _, sha256};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement};
use sendpay_ledger::{Begun, Hop, Ledger, NodeId, Settled};

use crate::generator::{End, Generator, Part, SEED};
use crate::harness::{Chain, Node};

/// SQLite's cache while a ledger is made: the two indexes that are filled at random places, of ten
/// million records, fit in.
pub const CACHE_KIB: i64 = 1536 << 10;

/// Payments that are made both ways: some of each kind.
const COMPARED: u64 = 1_500;

/// A ledger that is there.
pub struct Made {
    /// Holds the chain and the node.
    pub dir: PathBuf,
    pub records: u64,
    /// How many payments these are the parts of; they are numbered from 0.
    pub payments: u64,
    /// Of its file, with the log copied.
    pub file_bytes: u64,
}

/// The file of the node in this directory.
pub fn file(dir: &Path) -> PathBuf {
    dir.join("node").join("regtest").join("sendpay.sqlite3")
}

/// Copies a ledger; what is measured on the copy does not pay for writing it.
pub fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    fs::File::open(to).unwrap().sync_all().unwrap();
}

/// The ledger of so many records in the cache; made if it is not there or was made by another
/// version of the schema or of the generator.
pub fn ledger(cache: &Path, records: u64, generator: &Generator) -> Made {
    let dir = cache.join(records.to_string());
    let stamp_file = dir.join("stamp");
    let schema = schema(cache);
    let kept = fs::read_to_string(&stamp_file).unwrap_or_default();
    let payments = kept
        .strip_prefix(&format!("{SEED:x} {schema} "))
        .and_then(|payments| payments.parse().ok());
    let payments = payments.unwrap_or_else(|| {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let chain = Chain::start(&dir);
        let mut node = Node::start(&dir, "node", &chain, &[]);
        assert!(node.terminate().success());
        eprintln!("making {records} records ...");
        let begun = std::time::Instant::now();
        let payments = fill(&file(&dir), records, generator);
        check(&file(&dir), records);
        eprintln!("  in {:.1} s", begun.elapsed().as_secs_f64());
        fs::write(&stamp_file, format!("{SEED:x} {schema} {payments}")).unwrap();
        payments
    });
    let file_bytes = fs::metadata(file(&dir)).unwrap().len();
    Made {
        dir,
        records,
        payments,
        file_bytes,
    }
}

/// A name for the schema of this build, and the check that `fill` does what the ledger does.
fn schema(cache: &Path) -> String {
    fs::create_dir_all(cache).unwrap();
    let dir = tempfile::tempdir_in(cache).unwrap();
    let path = dir.path().join("empty.sqlite3");
    drop(Ledger::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let mut statement = connection
        .prepare("SELECT ifnull(sql, name) FROM sqlite_schema ORDER BY name")
        .unwrap();
    let lines = statement.query_map([], |row| row.get::<_, String>(0));
    let all: Vec<String> = lines.unwrap().map(Result::unwrap).collect();
    sha256::Hash::hash(all.join("\n").as_bytes()).to_string()[..16].to_owned()
}

/// Makes a small ledger by the ledger's own operations and by [`fill`], and compares all tables.
pub fn compare_both_ways(cache: &Path, generator: &Generator) {
    fs::create_dir_all(cache).unwrap();
    let dir = tempfile::tempdir_in(cache).unwrap();
    let own = dir.path().join("own.sqlite3");
    let (store, ledger) = Ledger::open(&own).unwrap();
    let mut records = 0;
    for number in 0..COMPARED {
        for wave in generator.payment(number).waves {
            records += wave.len() as u64;
            begin_and_settle(&ledger, wave);
        }
    }
    store.close();
    let filled = dir.path().join("filled.sqlite3");
    let (store, _) = Ledger::open(&filled).unwrap();
    store.close();
    assert_eq!(fill(&filled, records, generator), COMPARED);
    let (own, filled) = (tables(&own), tables(&filled));
    assert!(
        own.len() > 5
            && own
                .iter()
                .any(|(name, rows)| name == "payment" && rows.len() > 1_500)
    );
    for (own, filled) in own.iter().zip(&filled) {
        let differ = own
            .1
            .iter()
            .zip(&filled.1)
            .find(|(own, filled)| own != filled);
        assert!(own == filled, "the table {} differs: {differ:?}", own.0);
    }
}

/// A wave as the node does it; the parts of one end in the reverse order of their beginning.
fn begin_and_settle(ledger: &Ledger, wave: Vec<Part>) {
    let mut begun = Vec::new();
    for part in wave {
        let ticket = ledger.begin(part.new, part.created_at_ms);
        let Ok(Begun::New(payment)) = ticket.wait().unwrap() else {
            panic!("a part was not begun");
        };
        begun.push((payment, part.settled_at_ms, part.end));
    }
    for (payment, at, end) in begun.into_iter().rev() {
        let (id, hash) = (payment.payment_id(), payment.payment_hash);
        let ticket = match end {
            End::Complete(preimage) => ledger.complete(id, hash, preimage, at),
            End::Failed(failure) => ledger.fail(id, Some(hash), failure, at),
        };
        assert!(matches!(ticket.wait().unwrap(), Ok(Settled::Changed(_))));
    }
}

/// All rows of all tables.
fn tables(path: &Path) -> Vec<(String, Vec<Vec<Value>>)> {
    let connection = Connection::open(path).unwrap();
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap();
    let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
    names
        .map(|name| {
            let name = name.unwrap();
            let mut rows = connection
                .prepare(&format!("SELECT * FROM {name}"))
                .unwrap();
            let columns = rows.column_count();
            let rows = rows
                .query_map([], |row| (0..columns).map(|at| row.get(at)).collect())
                .unwrap();
            (name, rows.map(Result::unwrap).collect())
        })
        .collect()
}

/// Writes the records, and returns how many payments they are of. The last one may lack parts.
fn fill(path: &Path, records: u64, generator: &Generator) -> u64 {
    let connection = Connection::open(path).unwrap();
    for (pragma, value) in [
        ("locking_mode", "EXCLUSIVE"),
        ("journal_mode", "DELETE"),
        ("journal_mode", "OFF"),
        ("synchronous", "OFF"),
        ("foreign_keys", "ON"),
        ("cache_size", &format!("-{CACHE_KIB}")),
    ] {
        connection.pragma_update(None, pragma, value).unwrap();
    }
    connection.execute_batch("BEGIN").unwrap();
    let mut payments = 0;
    let mut filling = Filling::new(&connection);
    while filling.created < records {
        for mut wave in generator.payment(payments).waves {
            let room = usize::try_from(records - filling.created).unwrap();
            wave.truncate(room);
            filling.wave(&wave);
        }
        filling.texts.clear();
        filling.firsts.clear();
        payments += 1;
    }
    let (created, updated) = (filling.created, filling.updated);
    drop(filling);
    connection
        .execute(
            "UPDATE counter SET created = ?1, updated = ?2, change = ?1 + ?2",
            (created.cast_signed(), updated.cast_signed()),
        )
        .unwrap();
    connection.execute_batch("COMMIT").unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    drop(connection);
    fs::File::open(path).unwrap().sync_all().unwrap();
    payments
}

/// A ledger that is being filled, in the order in which its own operations would fill it.
struct Filling<'a> {
    insert: Statement<'a>,
    insert_text: Statement<'a>,
    insert_node: Statement<'a>,
    nodes: HashMap<NodeId, i64>,
    /// Those that come again: of the payment at hand, and of all failures.
    texts: HashMap<String, i64>,
    lasting: HashMap<String, i64>,
    /// The first records of the groups of the payment at hand.
    firsts: HashMap<Option<u64>, i64>,
    created: u64,
    updated: u64,
}

/// The numbers of a record, and the rows of its texts and nodes.
#[derive(Default)]
struct Rows {
    created: u64,
    created_change: u64,
    updated: u64,
    settled_change: u64,
    destination: Option<i64>,
    label: Option<i64>,
    bolt11: Option<i64>,
    description: Option<i64>,
    erring_node: Option<i64>,
    message: Option<i64>,
    follows: Option<i64>,
}

impl<'a> Filling<'a> {
    fn new(connection: &'a Connection) -> Filling<'a> {
        let prepare = |sql| connection.prepare(sql).unwrap();
        Filling {
            insert: prepare(
                "INSERT INTO payment (created_index, created_change, updated_index,
                     settled_change, payment_hash, groupid, partid, destination, amount_msat,
                     amount_sent_msat, total_msat, created_at, completed_at, status, preimage,
                     label, bolt11, description, cltv_expiry, first_channel, code, failcode,
                     erring_index, erring_node, erring_channel, erring_direction, message, route,
                     follows)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
                     ?, ?, ?, ?)",
            ),
            insert_text: prepare("INSERT INTO text (hash, body) VALUES (?1, ?2)"),
            insert_node: prepare("INSERT INTO node (node_id) VALUES (?1)"),
            nodes: HashMap::new(),
            texts: HashMap::new(),
            lasting: HashMap::new(),
            firsts: HashMap::new(),
            created: 0,
            updated: 0,
        }
    }

    fn wave(&mut self, wave: &[Part]) {
        let mut rows: Vec<Rows> = wave.iter().map(|part| self.begin(part)).collect();
        for (part, row) in wave.iter().zip(&mut rows).rev() {
            self.settle(part, row);
        }
        for (part, row) in wave.iter().zip(&rows) {
            self.insert(part, row);
        }
    }

    fn begin(&mut self, part: &Part) -> Rows {
        self.created += 1;
        let created = self.created;
        if created.is_multiple_of(1_000_000) {
            eprintln!("  {created}");
        }
        let new = &part.new;
        // The first of a payment's rows, as the ledger makes them.
        let bolt11 = new.bolt11.as_deref().map(|bolt11| self.invoice(bolt11));
        Rows {
            created,
            created_change: created + self.updated,
            destination: new.destination.map(|node| self.node(node)),
            label: new.label.as_deref().map(|text| self.text(text, false)),
            bolt11,
            description: new.description.as_deref().map(|text| self.text(text, true)),
            follows: self.follows(new.groupid, created.cast_signed()),
            ..Rows::default()
        }
    }

    fn settle(&mut self, part: &Part, row: &mut Rows) {
        if let End::Failed(failure) = &part.end {
            row.erring_node = failure.erring_node.map(|node| self.node(node));
            row.message = Some(self.text(&failure.message, true));
        }
        self.updated += 1;
        row.updated = self.updated;
        row.settled_change = self.updated + self.created;
    }

    fn insert(&mut self, part: &Part, row: &Rows) {
        let new = &part.new;
        let (preimage, failure) = match &part.end {
            End::Complete(preimage) => (Some(preimage), None),
            End::Failed(failure) => (None, Some(failure)),
        };
        let insert = &mut self.insert;
        let mut at = 0;
        let mut bind = |value: &dyn rusqlite::ToSql| {
            at += 1;
            insert.raw_bind_parameter(at, value).unwrap();
        };
        bind(&row.created.cast_signed());
        bind(&row.created_change.cast_signed());
        bind(&row.updated.cast_signed());
        bind(&row.settled_change.cast_signed());
        bind(new.payment_hash.as_bytes());
        bind(&new.groupid.map(u64::cast_signed));
        bind(&new.partid.cast_signed());
        bind(&row.destination);
        bind(&new.amount_msat.msat().cast_signed());
        bind(&new.amount_sent_msat.msat().cast_signed());
        bind(&new.effective_total_msat().msat().cast_signed());
        bind(&part.created_at_ms.cast_signed());
        bind(&part.settled_at_ms.cast_signed());
        bind(if failure.is_some() { &2 } else { &1 });
        bind(&preimage.map(|preimage| preimage.as_bytes()));
        bind(&row.label);
        bind(&row.bolt11);
        bind(&row.description);
        bind(&new.cltv_expiry);
        bind(
            &new.route
                .first()
                .map(|hop| hop.short_channel_id.cast_signed()),
        );
        bind(&failure.map(|failure| failure.code));
        bind(&failure.and_then(|failure| failure.failcode));
        bind(&failure.and_then(|failure| failure.erring_index));
        bind(&row.erring_node);
        bind(&failure.and_then(|failure| failure.erring_channel.map(u64::cast_signed)));
        bind(&failure.and_then(|failure| failure.erring_direction));
        bind(&row.message);
        bind(&route(&new.route));
        bind(&row.follows);
        self.insert.raw_execute().unwrap();
    }

    fn node(&mut self, node: NodeId) -> i64 {
        let Filling {
            nodes, insert_node, ..
        } = self;
        *nodes
            .entry(node)
            .or_insert_with(|| insert_node.insert([node.as_bytes()]).unwrap())
    }

    /// The first record of the group, of one that is another.
    fn follows(&mut self, groupid: Option<u64>, created: i64) -> Option<i64> {
        let first = *self.firsts.entry(groupid).or_insert(created);
        (first != created).then_some(first)
    }

    /// Invoices are not indexed by their content.
    fn invoice(&mut self, bolt11: &str) -> i64 {
        if let Some(row) = self.texts.get(bolt11) {
            return *row;
        }
        let row = self.insert_text.insert((None::<i64>, bolt11)).unwrap();
        self.texts.insert(bolt11.to_owned(), row);
        row
    }

    fn text(&mut self, body: &str, lasts: bool) -> i64 {
        if let Some(row) = self.texts.get(body).or_else(|| self.lasting.get(body)) {
            return *row;
        }
        let digest = sha256::Hash::hash(body.as_bytes()).to_byte_array();
        let hash = i64::from_be_bytes(*digest.first_chunk().unwrap());
        let row = self.insert_text.insert((hash, body)).unwrap();
        if lasts {
            self.lasting.insert(body.to_owned(), row);
        } else {
            self.texts.insert(body.to_owned(), row);
        }
        row
    }
}

/// The bytes of a route, as the ledger keeps it (version 1).
fn route(hops: &[Hop]) -> Vec<u8> {
    fn number(bytes: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }
    let mut bytes = vec![1];
    for hop in hops {
        bytes.extend_from_slice(hop.node_id.as_bytes());
        bytes.extend_from_slice(&hop.short_channel_id.to_be_bytes());
        bytes.push(hop.direction);
        number(&mut bytes, hop.amount_msat.msat());
        number(&mut bytes, u64::from(hop.delay));
    }
    bytes
}

/// The made ledger as the ledger reads it.
fn check(path: &Path, records: u64) {
    let (store, ledger) = Ledger::open(path).unwrap();
    let totals = ledger.totals().unwrap();
    assert_eq!(totals.complete.count + totals.failed.count, records);
    assert_eq!(totals.pending.count, 0);
    store.close();
    if records == 0 {
        return;
    }
    let failed = totals.failed.count as f64 / records as f64;
    assert!((0.07..0.13).contains(&failed), "{failed} have failed");
}
