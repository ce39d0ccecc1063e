//! A policy that returns the object as it came, unparsed, as the mutated object: what any mutation costs at least.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wapc_guest::{CallResult, register_function};

#[derive(Deserialize)]
struct Payload<'p> {
    #[serde(borrow)]
    request: Request<'p>,
}

#[derive(Deserialize)]
struct Request<'p> {
    #[serde(borrow, default)]
    object: Option<&'p RawValue>,
}

#[derive(Serialize)]
struct Response<'p> {
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutated_object: Option<&'p RawValue>,
}

/// waPC's entry point.
#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings);
    register_function("protocol_version", protocol_version);
}

fn validate(payload: &[u8]) -> CallResult {
    let payload: Payload = serde_json::from_slice(payload)?;
    Ok(serde_json::to_vec(&Response {
        accepted: true,
        mutated_object: payload.request.object,
    })?)
}

fn validate_settings(_payload: &[u8]) -> CallResult {
    Ok(br#"{"valid":true}"#.to_vec())
}

fn protocol_version(_payload: &[u8]) -> CallResult {
    Ok(br#""v1""#.to_vec())
}
