//! The ledger as its users see it: one binary, each test with a file of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod follow;
mod imports;
mod invoice_ends;
mod invoice_lists;
mod invoices;
mod paging;
mod promises;
mod repeat;
mod requests;
mod retire;
mod scene;
mod unknown_amounts;
