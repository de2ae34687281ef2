//! Fuzzes `targets/arguments.rs`.
#![no_main]

#[path = "../targets/arguments.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
