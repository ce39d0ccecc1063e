//! An operator's settings: valid, or a sentence that names the place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::check_settings;

fuzz_target!(|text: &str| {
    if let Err(problem) = check_settings(text) {
        assert!(problem.contains(' '), "{problem}");
    }
});
