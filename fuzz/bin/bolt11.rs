//! Fuzzes `targets/bolt11.rs`.
#![no_main]

#[path = "../targets/bolt11.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
