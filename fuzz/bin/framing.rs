//! Fuzzes `targets/framing.rs`.
#![no_main]

#[path = "../targets/framing.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
