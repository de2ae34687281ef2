//! The tables.
pub(crate) const APPLICATION_ID: i32 = 0x5350_4159;
pub(crate) const LEDGER_1: &str = "";
