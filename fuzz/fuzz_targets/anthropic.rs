#![no_main]

use neverdark_fuzz::{decode, providers::Kind};

libfuzzer_sys::fuzz_target!(|data: &[u8]| decode(Kind::Anthropic, data));
