//! See the module of the same name in `src`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::policies::check(bytes));

libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8], size: usize, most: usize, seed: u32| {
    fuzz::json::mutate(bytes, size, most, seed, libfuzzer_sys::fuzzer_mutate)
});
