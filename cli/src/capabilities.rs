//! What a policy may ask of its host: the callback behind waPC's `__host_call`.
//!
//! Messages are those of the policy server, word for word, because policies read them.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use crate::protocol::{CanIRequest, GetResourceRequest};

pub use crate::grants::{Grants, GrantsError};
pub use crate::host_request::{Answer, CallError, ContextAwareResource, HostRequest, reason_unanswered, unanswered};

/// One call of the policy to its host, the log excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCall {
    /// The namespace, such as `kubernetes`.
    pub namespace: String,
    /// The operation, such as `get_resource`.
    pub operation: String,
    /// What was asked for, if the host knows the operation.
    pub request: Option<HostRequest>,
    /// What the policy got: JSON text, or the error's message.
    pub answer: Result<String, String>,
}

/// A line that the policy logged.
#[derive(Debug, Clone, PartialEq)]
pub enum LogLine {
    /// Through Kubewarden's `tracing`: the event with its `level` and `message`.
    Event(Value),
    /// Through waPC's console.
    Console(String),
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "{event}"),
            Self::Console(line) => f.write_str(line),
        }
    }
}

/// What one instance of a policy did to its host.
#[derive(Debug, Default)]
pub struct Journal {
    calls: Mutex<Vec<HostCall>>,
    log: Mutex<Vec<LogLine>>,
}

impl Journal {
    /// Returns what was written down since the last time.
    pub fn take(&self) -> (Vec<HostCall>, Vec<LogLine>) {
        (
            std::mem::take(&mut *lock(&self.calls)),
            std::mem::take(&mut *lock(&self.log)),
        )
    }

    /// Writes lines down that the policy wrote to waPC's console.
    pub fn console(&self, lines: Vec<String>) {
        lock(&self.log).extend(lines.into_iter().map(LogLine::Console));
    }
}

/// A poisoned list is still a list: whoever panicked has already failed the test.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The host of policies: who answers, and what is granted. Cloning is cheap; the clones share who answers.
#[derive(Clone)]
pub struct Host {
    answers: Arc<dyn Answer>,
    grants: Arc<Grants>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// A host that lets `answers` answer what `grants` allows.
    pub fn new(answers: impl Answer + 'static, grants: Grants) -> Self {
        Self {
            answers: Arc::new(answers),
            grants: Arc::new(grants),
        }
    }

    /// A host that grants nothing: for policies that need no cluster.
    pub fn isolated() -> Self {
        Self::new(crate::cluster::Cluster::default(), Grants::none())
    }

    /// Answers one call, and writes it down.
    ///
    /// # Errors
    /// [`CallError`], whose text the policy gets.
    pub fn call(
        &self,
        journal: &Journal,
        binding: &str,
        namespace: &str,
        operation: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, CallError> {
        if binding != "kubewarden" {
            return Err(CallError::Binding(binding.to_owned()));
        }
        if namespace == "tracing" {
            return log(journal, operation, payload);
        }
        let request = parse(namespace, operation, payload);
        let answer = match &request {
            Ok(request) => self
                .grants
                .check(request)
                .and_then(|()| self.answers.answer(request).map_err(CallError::Answer)),
            Err(_) => Ok(String::new()),
        };
        let (request, answer) = match request {
            Ok(request) => (Some(request), answer),
            Err(error) => (None, Err(error)),
        };
        lock(&journal.calls).push(HostCall {
            namespace: namespace.to_owned(),
            operation: operation.to_owned(),
            request,
            answer: answer.as_ref().map(String::clone).map_err(ToString::to_string),
        });
        answer.map(String::into_bytes)
    }
}

fn parse(namespace: &str, operation: &str, payload: &[u8]) -> Result<HostRequest, CallError> {
    match (namespace, operation) {
        ("kubernetes", "get_resource") => Ok(serde_json::from_slice::<GetResourceRequest>(payload)?.into()),
        ("kubernetes", "can_i") => Ok(serde_json::from_slice::<CanIRequest>(payload)?.into()),
        ("kubernetes", _) => Err(CallError::Operation(operation.to_owned())),
        _ => Err(CallError::Namespace(namespace.to_owned())),
    }
}

fn log(journal: &Journal, operation: &str, payload: &[u8]) -> Result<Vec<u8>, CallError> {
    if operation != "log" {
        return Err(CallError::Operation(operation.to_owned()));
    }
    let event = serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(payload).into_owned()));
    lock(&journal.log).push(LogLine::Event(event));
    Ok(Vec::new())
}

impl<T: Answer + ?Sized> Answer for Box<T> {
    fn answer(&self, request: &HostRequest) -> Result<String, String> {
        (**self).answer(request)
    }
}
