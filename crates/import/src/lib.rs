//! Takes the history of a Core Lightning (CLN) node into a ledger.
//!
//! Reads `payments` and `invoices` of a stopped node's `lightningd.sqlite3`, as lightningd v0.10 to
//! v26.06 wrote it, and changes nothing there. What a record means is the ledger's
//! ([`sendpay_ledger::Ledger::import`]); this crate knows CLN's tables: which version has which
//! column (`version.rs`), how the file is opened without touching it (`file.rs`), and what each row
//! becomes (`payments.rs`, `invoices.rs`). Nothing is recorded before every row was read once.

mod cell;
mod file;
mod invoices;
mod payments;
mod run;
mod version;

pub use cell::RowError;
pub use file::{Chain, ClnFile, OpenError};
pub use invoices::InvoiceFacts;
pub use run::{ImportError, Progress, Step, Summary, import};
