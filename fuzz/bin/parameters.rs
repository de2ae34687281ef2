//! Fuzzes `targets/parameters.rs`.
#![no_main]

#[path = "../targets/parameters.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
