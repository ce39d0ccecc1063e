//! The base32 of Flyte's annotations: no text is too strange, and what it encodes it decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::requests::base32;

fuzz_target!(|data: &[u8]| {
    assert_eq!(base32::decode(&base32::encode(data)).as_deref(), Ok(data));
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(bytes) = base32::decode(text)
    {
        assert_eq!(base32::decode(&base32::encode(&bytes)), Ok(bytes));
    }
});
