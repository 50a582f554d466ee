//! Every fuzz target: the binary's name says which.

#![no_main]

use glossator_testkit::fuzz;

libfuzzer_sys::fuzz_target!(init: fuzz::hide_guarded_panics(), |bytes: &[u8]| {
    fuzz::run(env!("CARGO_BIN_NAME"), bytes);
});
