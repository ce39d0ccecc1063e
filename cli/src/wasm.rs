//! Runs a policy on an interpreter, which is small and starts at once. The policy server compiles the same module.

mod imports;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use wasmi::{CompilationMode, Config, Engine, Linker, Module, Store, TypedFunc};

use crate::{
    capabilities::{Host, Journal},
    evaluation::{Evaluation, validate_payload},
    protocol::SettingsValidationResponse,
    review::AdmissionRequest,
};
use imports::{Guest, link};

/// Why a policy cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum WasmError {
    /// The module's file cannot be read.
    #[error("cannot read the module {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not a module that this host can run.
    #[error("not a WebAssembly module of a policy: {0}")]
    Module(String),
    /// The same of a file.
    #[error("{} is not a WebAssembly module of a policy: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// The guest trapped, or returned an error.
    #[error("Guest call failure: {0}")]
    Guest(String),
    /// The answer is not what the protocol says.
    #[error("invalid response from policy: {0}")]
    Response(#[from] serde_json::Error),
}

/// A policy, from which instances are made.
pub struct PolicyModule {
    engine: Engine,
    module: Module,
    linker: Linker<Guest>,
}

impl fmt::Debug for PolicyModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyModule").finish_non_exhaustive()
    }
}

impl PolicyModule {
    /// Reads a file.
    ///
    /// # Errors
    /// [`WasmError`]
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, WasmError> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| WasmError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::new(&bytes).map_err(|error| match error {
            WasmError::Module(message) => WasmError::File {
                path: path.to_owned(),
                message,
            },
            other => other,
        })
    }

    /// Reads a module.
    ///
    /// # Errors
    /// [`WasmError::Module`]
    pub fn new(wasm: &[u8]) -> Result<Self, WasmError> {
        // The interpreter's messages have several lines.
        let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let invalid = |error: &dyn fmt::Display| WasmError::Module(words(error.to_string()));
        let mut config = Config::default();
        // One evaluation calls a small part of a policy's functions.
        config.compilation_mode(CompilationMode::LazyTranslation);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, wasm).map_err(|error| invalid(&error))?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(|error| invalid(&error))?;
        Ok(Self { engine, module, linker })
    }

    /// Calls an operation of a fresh instance.
    ///
    /// # Errors
    /// [`WasmError`]
    pub fn call(&self, host: &Host, operation: &str, payload: &[u8]) -> Result<Vec<u8>, WasmError> {
        self.call_with(host, &Arc::default(), operation, payload)
    }

    /// Evaluates a request. Every failure of the guest is a rejection with the code 500.
    pub fn validate(&self, host: &Host, request: &AdmissionRequest, settings: &Value) -> Evaluation {
        let journal = Arc::<Journal>::default();
        let answer = validate_payload(request, settings)
            .map_err(WasmError::from)
            .and_then(|payload| self.call_with(host, &journal, "validate", &payload))
            .and_then(|answer| Ok(serde_json::from_slice(&answer)?))
            .map_err(|error| error.to_string());
        Evaluation::from_answer(request, request.object.as_ref(), answer, &journal)
    }

    /// Asks the policy whether the settings are valid.
    ///
    /// # Errors
    /// [`WasmError`]
    pub fn validate_settings(&self, host: &Host, settings: &Value) -> Result<SettingsValidationResponse, WasmError> {
        let answer = self.call(host, "validate_settings", settings.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn call_with(
        &self,
        host: &Host,
        journal: &Arc<Journal>,
        operation: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, WasmError> {
        let guest = Guest::new(host.clone(), Arc::clone(journal), operation, payload);
        let mut store = Store::new(&self.engine, guest);
        let instance = self
            .linker
            .instantiate_and_start(&mut store, &self.module)
            .map_err(|error| WasmError::Module(error.to_string()))?;
        let failed = |error: wasmi::Error| WasmError::Guest(error.to_string());
        for start in ["_start", "wapc_init"] {
            if let Ok(function) = instance.get_typed_func::<(), ()>(&store, start) {
                function.call(&mut store, ()).map_err(failed)?;
            }
        }
        let call: TypedFunc<(i32, i32), i32> = instance
            .get_typed_func(&store, "__guest_call")
            .map_err(|_| WasmError::Module("it does not export __guest_call".to_owned()))?;
        let length = |bytes: usize| i32::try_from(bytes).map_err(|_| WasmError::Guest("too long".to_owned()));
        let lengths = (length(operation.len())?, length(payload.len())?);
        let succeeded = call.call(&mut store, lengths).map_err(failed)?;
        store.into_data().answer(succeeded == 1).map_err(WasmError::Guest)
    }
}
