//! See the module of the same name in `src`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::rule_files::check(bytes));
