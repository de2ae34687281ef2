//! Fuzzes `targets/route.rs`.
#![no_main]

#[path = "../targets/route.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
