//! An operator's settings: valid, or a sentence that names the place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::settings::Settings;

fuzz_target!(|text: &str| {
    match Settings::parse(text) {
        Ok(settings) => assert!(!settings.managers.is_empty()),
        Err(error) => assert!(!error.place.is_empty() && !error.problem.is_empty(), "{error}"),
    }
});
