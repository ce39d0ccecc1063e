//! What a policy's evaluation comes to, whichever engine ran the policy.

use serde_json::{Value, json};

use crate::{
    capabilities::{HostCall, Journal, LogLine},
    review::{AdmissionRequest, AdmissionResponse},
};

pub use crate::protocol::ValidationResponse;

/// The outcome of one evaluation.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// What the API server gets.
    pub response: AdmissionResponse,
    /// The object as the policy returned it, if it did.
    pub mutated_object: Option<Value>,
    /// The guest's failure, if `response` is the host's own rejection for it.
    pub failure: Option<String>,
    /// The calls to the host, in order.
    pub calls: Vec<HostCall>,
    /// What the policy logged.
    pub log: Vec<LogLine>,
}

impl Evaluation {
    /// Returns the outcome of an instance that could not be started.
    pub fn failed(request: &AdmissionRequest, message: &str) -> Self {
        Self {
            response: AdmissionResponse::internal_server_error(&request.uid, message),
            mutated_object: None,
            failure: Some(message.to_owned()),
            calls: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Returns what the policy server makes of the guest's answer; a failure is a rejection with the code 500.
    ///
    /// `object` is the request's object as the policy got it.
    pub fn from_answer(
        request: &AdmissionRequest,
        object: Option<&Value>,
        answer: Result<ValidationResponse, String>,
        journal: &Journal,
    ) -> Self {
        let (calls, log) = journal.take();
        match answer {
            Ok(answer) => Self {
                response: AdmissionResponse::from_policy(&request.uid, object, &answer),
                mutated_object: answer.mutated_object,
                failure: None,
                calls,
                log,
            },
            Err(message) => Self {
                calls,
                log,
                ..Self::failed(request, &message)
            },
        }
    }
}

/// Makes the payload of `validate` as the policy server makes it: the request goes through a JSON tree.
///
/// # Errors
/// None in practice: the request has no keys but strings.
pub fn validate_payload(request: &AdmissionRequest, settings: &Value) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&json!({"request": request, "settings": settings}))
}
