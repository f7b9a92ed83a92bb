//! Arbitrary bytes as a capture, all the way to feature vectors and rules. Nothing may panic, no byte may
//! stay unaccounted, no value may be infinite.
#![no_main]

use detector_common::parse::Decapsulation;
use detector_fuzz::scored;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| scored::read(data, Decapsulation::default()));
