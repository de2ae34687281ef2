//! The tables. An append-only list: a released script is never changed.
//!
//! The promises stand here as constraints: L2 (triggers on `payment`), L3's half that SQL can say
//! (a preimage if and only if complete), L5 (`counter`, and numbers that are unique), L7
//! (the triggers before an insert). What SQL cannot say, the code checks as well.
//!
//! Words of the raw tables: times in ms since 1970; status 0 pending, 1 complete, 2 failed; invoice
//! state 0 open, 1 held, 2 paid, 3 cancelled, 4 expired. Users read the views `sendpays`,
//! `deleted_sendpays` and `invoices`, which stay as they are when tables change.

/// "SPAY", in SQLite's header.
pub(crate) const APPLICATION_ID: i32 = 0x5350_4159;

/// The whole schema of the first day.
pub(crate) const LEDGER_1: &str = include_str!("schema/ledger_1.sql");

/// HTLCs of others.
pub(crate) const FORWARDS_1: &str = include_str!("schema/forwards_1.sql");
