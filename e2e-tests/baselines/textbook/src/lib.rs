//! A policy by the book: the SDK's request with its tree of the object, a typed Pod out of that, one variable added to
//! each container, and the Pod back through a tree.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, Pod, SecretKeySelector};
use kubewarden_policy_sdk::{
    accept_request, mutate_request, protocol_version_guest, request::ValidationRequest, settings::Validatable,
    validate_settings,
};
use serde::{Deserialize, Serialize};
use wapc_guest::{CallResult, register_function};

/// It has none, but the SDK reads them.
#[derive(Serialize, Deserialize, Default)]
struct Settings {}

impl Validatable for Settings {
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// waPC's entry point.
#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings::<Settings>);
    register_function("protocol_version", protocol_version_guest);
}

fn validate(payload: &[u8]) -> CallResult {
    let validation_request: ValidationRequest<Settings> = ValidationRequest::new(payload)?;
    let Ok(mut pod) = serde_json::from_value::<Pod>(validation_request.request.object) else {
        return accept_request();
    };
    if let Some(spec) = pod.spec.as_mut() {
        let init_containers = spec.init_containers.iter_mut().flatten();
        for container in spec.containers.iter_mut().chain(init_containers) {
            container.env.get_or_insert_default().insert(0, variable());
        }
    }
    mutate_request(serde_json::to_value(pod)?)
}

fn variable() -> EnvVar {
    EnvVar {
        name: "_UNION_GROUP_KEY".to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: "group".to_owned(),
                key: "key".to_owned(),
                optional: Some(true),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
