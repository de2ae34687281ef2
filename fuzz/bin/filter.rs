//! Fuzzes `targets/filter.rs`.
#![no_main]

#[path = "../targets/filter.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
