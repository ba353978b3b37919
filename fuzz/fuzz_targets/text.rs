#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| neverdark_fuzz::text(data));
