//! Evaluating a policy as Kubewarden's policy server does: compiled once, instantiated for each request.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use kubewarden_policy_sdk::metadata::ProtocolVersion;
use serde_json::Value;
use wapc::WapcHost;
use wasmtime_provider::{
    EpochDeadlines, ResourceLimits, WasmtimeEngineProviderBuilder, WasmtimeEngineProviderPre, wasmtime,
};

use crate::{
    capabilities::{Host, HostCall, Journal, LogLine},
    console,
    evaluation::ValidationResponse,
    protocol::SettingsValidationResponse,
    review::AdmissionRequest,
};

pub use crate::evaluation::Evaluation;

/// How long a policy may take to start, and again to answer.
///
/// The policy server counts two ticks of a second, so that a policy is interrupted after one to two seconds. Here the
/// ticks are finer, and the deadline is always the two seconds.
pub const DEADLINE: Duration = Duration::from_secs(2);

const TICK: Duration = Duration::from_millis(10);
const DEADLINES: EpochDeadlines = EpochDeadlines {
    wapc_init: (DEADLINE.as_millis() / TICK.as_millis()) as u64,
    wapc_func: (DEADLINE.as_millis() / TICK.as_millis()) as u64,
};
/// The unit in which WebAssembly memories grow.
const PAGE: usize = 64 * 1024;
/// wasm32 cannot address more.
const MAX_PAGES: usize = 64 * 1024;

/// Why a policy cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The module's file cannot be read.
    #[error("cannot read the module {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The runtime cannot be set up.
    #[error("cannot set up WebAssembly: {0}")]
    Runtime(String),
    /// It is not a WebAssembly module that this host can link.
    #[error("cannot compile the module: {0}")]
    Compile(String),
    /// Starting, or calling, the guest failed: a trap, the deadline, or an error that the guest returned.
    #[error(transparent)]
    Guest(#[from] wapc::errors::Error),
    /// The answer is not what the protocol says.
    #[error("invalid response from policy: {0}")]
    Response(#[from] serde_json::Error),
    /// `protocol_version` answered something else than a version.
    #[error("not a protocol version: {0}")]
    ProtocolVersion(String),
}

/// A policy, compiled, from which instances are made.
#[derive(Clone)]
pub struct PolicyModule {
    module: wasmtime::Module,
    pre: WasmtimeEngineProviderPre,
}

impl std::fmt::Debug for PolicyModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyModule").finish_non_exhaustive()
    }
}

impl PolicyModule {
    /// Compiles a file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, HostError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| HostError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::new(&bytes)
    }

    /// Compiles a module.
    pub fn new(wasm: &[u8]) -> Result<Self, HostError> {
        let module =
            wasmtime::Module::new(engine()?, wasm).map_err(|error| HostError::Compile(format!("{error:#}")))?;
        let pre = prepare(&module, None)?;
        Ok(Self { module, pre })
    }

    /// Makes an instance and starts it (`_start`, `wapc_init`).
    pub fn instantiate(&self, host: &Host) -> Result<Instance, HostError> {
        Instance::new(&self.pre, host)
    }

    /// Makes an instance whose linear memory may not grow above `bytes`, and starts it.
    pub fn instantiate_within(&self, host: &Host, bytes: usize) -> Result<Instance, HostError> {
        let limits = ResourceLimits {
            max_memory_size: Some(bytes),
            max_table_elements: None,
        };
        Instance::new(&prepare(&self.module, Some(limits))?, host)
    }

    /// Calls an operation of a fresh instance with any bytes.
    pub fn call(&self, host: &Host, operation: &str, payload: &[u8]) -> Result<Vec<u8>, HostError> {
        self.instantiate(host)?.call(operation, payload)
    }

    /// Evaluates a request. Every failure of the guest is a rejection with code 500.
    pub fn validate(&self, host: &Host, request: &AdmissionRequest, settings: &Value) -> Evaluation {
        match self.instantiate(host) {
            Ok(instance) => instance.validate(request, settings),
            Err(error) => Evaluation::failed(request, &error.to_string()),
        }
    }

    /// Asks the policy whether the settings are valid.
    pub fn validate_settings(&self, host: &Host, settings: &Value) -> Result<SettingsValidationResponse, HostError> {
        let answer = self.call(host, "validate_settings", settings.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Asks the policy for the version of the protocol that it speaks.
    pub fn protocol_version(&self, host: &Host) -> Result<ProtocolVersion, HostError> {
        let answer = self.call(host, "protocol_version", &[])?;
        ProtocolVersion::try_from(answer).map_err(|error| HostError::ProtocolVersion(error.to_string()))
    }

    /// The size, in bytes, to which the linear memory of a fresh instance grows during one call.
    ///
    /// waPC's host hides the memory, so this searches for the smallest limit under which the call still gives the same
    /// answer. It starts the policy some fifteen times, so a `host` that answers each request only once will not do, and a
    /// policy may say on standard error that its memory ran out.
    pub fn peak_memory(&self, host: &Host, operation: &str, payload: &[u8]) -> Result<usize, HostError> {
        let expected = self.call(host, operation, payload)?;
        let enough = |pages: usize| -> Result<bool, HostError> {
            let instance = self.instantiate_within(host, pages * PAGE);
            let answer = instance.and_then(|instance| instance.call(operation, payload));
            Ok(answer.is_ok_and(|answer| answer == expected))
        };
        let (mut too_small, mut fits) = (0, MAX_PAGES);
        // Memories are small as a rule: doubling finds the range in fewer and cheaper steps than halving from the top.
        let mut pages = 16;
        while pages < fits {
            match enough(pages)? {
                true => fits = pages,
                false => {
                    too_small = pages;
                    pages *= 2;
                }
            }
        }
        while fits - too_small > 1 {
            let middle = too_small + (fits - too_small) / 2;
            match enough(middle)? {
                true => fits = middle,
                false => too_small = middle,
            }
        }
        Ok(fits * PAGE)
    }
}

/// A started instance of a policy. The policy server makes one for each request; `kwctl bench` keeps one.
#[derive(Debug)]
pub struct Instance {
    guest: WapcHost,
    journal: Arc<Journal>,
}

impl Instance {
    fn new(pre: &WasmtimeEngineProviderPre, host: &Host) -> Result<Self, HostError> {
        let provider = pre
            .rehydrate(Some(DEADLINES))
            .map_err(|error| HostError::Runtime(error.to_string()))?;
        let journal = Arc::new(Journal::default());
        let callback = {
            let (host, journal) = (host.clone(), Arc::clone(&journal));
            move |_id: u64, binding: &str, namespace: &str, operation: &str, payload: &[u8]| {
                host.call(&journal, binding, namespace, operation, payload)
                    .map_err(Into::into)
            }
        };
        let (guest, console) = console::capture(|| WapcHost::new(Box::new(provider), Some(Box::new(callback))));
        journal.console(console);
        Ok(Self { guest: guest?, journal })
    }

    /// Calls an operation with any bytes.
    pub fn call(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>, HostError> {
        let (answer, console) = console::capture(|| self.guest.call(operation, payload));
        self.journal.console(console);
        Ok(answer?)
    }

    /// Evaluates a request, step by step as the policy server does, so that the benchmark counts what it takes
    /// ([runtime.rs](https://github.com/kubewarden/kubewarden-controller/blob/main/crates/policy-evaluator/src/runtimes/wapc/runtime.rs)).
    /// Every failure of the guest is a rejection with code 500.
    pub fn validate(&self, request: &AdmissionRequest, settings: &Value) -> Evaluation {
        let tree = serde_json::to_value(request).unwrap_or_default();
        let object = tree.get("object");
        let answer = validate_payload(request, settings)
            .and_then(|payload| self.call("validate", &payload))
            .and_then(|answer| Ok(serde_json::from_slice::<ValidationResponse>(&answer)?));
        if let (Some(before), Ok(answer)) = (object, &answer)
            && let Some(after) = &answer.mutated_object
        {
            crate::mutated::keep(before, after);
        }
        Evaluation::from_answer(
            request,
            object,
            answer.map_err(|error| error.to_string()),
            &self.journal,
        )
    }

    /// The calls to the host, and the lines logged, since the last time this was asked or a request was validated.
    pub fn take_journal(&self) -> (Vec<HostCall>, Vec<LogLine>) {
        self.journal.take()
    }
}

/// The payload of `validate`, made as the policy server makes it: the request goes through a JSON tree.
pub fn validate_payload(request: &AdmissionRequest, settings: &Value) -> Result<Vec<u8>, HostError> {
    Ok(crate::evaluation::validate_payload(request, settings)?)
}

/// The one engine of the process: its epoch is what deadlines are counted in.
fn engine() -> Result<&'static wasmtime::Engine, HostError> {
    static ENGINE: OnceLock<Result<wasmtime::Engine, String>> = OnceLock::new();
    ENGINE
        .get_or_init(start_engine)
        .as_ref()
        .map_err(|error| HostError::Runtime(error.clone()))
}

fn start_engine() -> Result<wasmtime::Engine, String> {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let engine = wasmtime::Engine::new(&config).map_err(|error| format!("{error:#}"))?;
    let ticked = engine.weak();
    thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = ticked.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map_err(|error| error.to_string())?;
    Ok(engine)
}

fn prepare(module: &wasmtime::Module, limits: Option<ResourceLimits>) -> Result<WasmtimeEngineProviderPre, HostError> {
    let mut builder = WasmtimeEngineProviderBuilder::new()
        .engine(engine()?.clone())
        .module(module.clone());
    if let Some(limits) = limits {
        builder = builder.enable_resource_limits(limits);
    }
    builder
        .build_pre()
        .map_err(|error| HostError::Compile(error.to_string()))
}
