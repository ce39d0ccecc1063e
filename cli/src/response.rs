//! From a policy's answer to what the API server gets.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{mask::Mask, protocol::ValidationResponse};

const MUTATION_OF_NOTHING: &str = "Incoming object is null, which happens only with DELETE operations, but the policy \
                                   is attempting a mutation. This is not allowed";

/// `admission.k8s.io/v1` AdmissionResponse.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionResponse {
    /// That of the request.
    pub uid: String,
    /// Whether the object may be.
    pub allowed: bool,
    /// `JSONPatch` where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_type: Option<String>,
    /// RFC 6902, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// For the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_annotations: Option<BTreeMap<String, String>>,
    /// For whoever made the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

/// The part of `meta/v1` Status that Kubewarden fills.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// An HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
}

impl AdmissionResponse {
    /// What the policy server makes of the policy's answer to the request `uid` for `object`
    /// ([admission_response.rs](https://github.com/kubewarden/kubewarden-controller/blob/main/crates/policy-evaluator/src/admission_response.rs)).
    pub fn from_policy(uid: &str, object: Option<&Value>, answer: &ValidationResponse) -> Self {
        // A copy is what the policy server compares with: the benchmark counts it.
        let patch = match (object, answer.mutated_object.clone()) {
            (None, Some(_)) => return Self::rejection(uid, MUTATION_OF_NOTHING, None),
            (Some(object), Some(mutated)) => encode(&json_patch::diff(object, &mutated)),
            (_, None) => None,
        };
        let status = (answer.message.is_some() || answer.code.is_some()).then(|| Status {
            message: answer.message.clone(),
            code: answer.code,
        });
        Self {
            uid: uid.to_owned(),
            allowed: answer.accepted,
            patch_type: patch.is_some().then(|| "JSONPatch".to_owned()),
            patch,
            status,
            audit_annotations: answer
                .audit_annotations
                .as_ref()
                .map(|annotations| annotations.clone().into_iter().collect()),
            warnings: answer.warnings.clone(),
        }
    }

    /// What the policy server answers when the policy itself fails.
    pub fn internal_server_error(uid: &str, message: &str) -> Self {
        Self::rejection(uid, &format!("internal server error: {message}"), Some(500))
    }

    fn rejection(uid: &str, message: &str, code: Option<u16>) -> Self {
        Self {
            uid: uid.to_owned(),
            status: Some(Status {
                message: Some(message.to_owned()),
                code,
            }),
            ..Self::default()
        }
    }

    /// The patch, decoded. Empty where the response has none.
    pub fn json_patch(&self) -> json_patch::Patch {
        self.patch
            .as_ref()
            .and_then(|patch| STANDARD.decode(patch).ok())
            .and_then(|patch| serde_json::from_slice(&patch).ok())
            .unwrap_or_default()
    }

    /// Puts the patch in place that leads from one object to another.
    pub fn set_patch(&mut self, before: &Value, after: &Value) {
        self.patch = encode(&json_patch::diff(before, after));
        self.patch_type = self.patch.is_some().then(|| "JSONPatch".to_owned());
    }

    /// Keeps the values of secrets out of the texts.
    pub fn mask(&mut self, mask: &Mask) {
        let message = self.status.as_mut().and_then(|status| status.message.as_mut());
        let warnings = self.warnings.iter_mut().flatten();
        let annotations = self.audit_annotations.iter_mut().flat_map(BTreeMap::values_mut);
        message
            .into_iter()
            .chain(warnings)
            .chain(annotations)
            .for_each(|text| mask.apply_to_text(text));
    }

    /// `object` with the patch applied: what the API server goes on with.
    pub fn patched(&self, object: &Value) -> Result<Value, json_patch::PatchError> {
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &self.json_patch())?;
        Ok(patched)
    }

    /// The message of the status, or nothing.
    pub fn message(&self) -> &str {
        let message = self.status.as_ref().and_then(|status| status.message.as_deref());
        message.unwrap_or_default()
    }

    /// The code of the status.
    pub fn code(&self) -> Option<u16> {
        self.status.as_ref()?.code
    }

    /// The AdmissionReview that goes over the wire.
    pub fn to_review(&self) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": self})
    }
}

fn encode(patch: &json_patch::Patch) -> Option<String> {
    if patch.0.is_empty() {
        return None;
    }
    Some(STANDARD.encode(patch.to_string()))
}
