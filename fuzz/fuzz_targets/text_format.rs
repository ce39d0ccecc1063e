//! Flyte's message in protobuf's text format: a text is a secret or an error, and writing the secret out again gives the
//! same secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::requests::{base32, flyte};

fuzz_target!(|text: &[u8]| {
    match flyte::decode(&base32::encode(text)) {
        Ok(secret) => {
            let written = format!(
                "group: \"{}\" group_version: \"{}\" key: \"{}\" mount_requirement: {} env_var: \"{}\"",
                escaped(&secret.group),
                escaped(&secret.group_version),
                escaped(&secret.key),
                secret.mount.name(),
                escaped(&secret.env_var)
            );
            assert_eq!(
                flyte::decode(&base32::encode(written.as_bytes())),
                Ok(secret),
                "{written}"
            );
        }
        Err(error) => assert!(error.to_string().chars().count() < 300, "{error}"),
    }
});

fn escaped(value: &str) -> String {
    value.bytes().map(|byte| format!("\\{byte:03o}")).collect()
}
