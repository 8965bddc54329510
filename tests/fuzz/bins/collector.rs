//! Hands the fuzzer's bytes to its target. Knows nothing of either.
#![no_main]

#[path = "../targets/collector.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
