//! What a policy imports: [waPC](https://wapc.io/docs/spec/)'s functions, and those of WASI that Rust's standard library needs.

use std::{
    io::{self, Write},
    sync::Arc,
};

use wasmi::{Caller, Error, Extern, Linker, Memory, errors::LinkerError};

use crate::capabilities::{Host, Journal};

const WAPC: &str = "wapc";
const WASI: &str = "wasi_snapshot_preview1";
const SUCCESS: i32 = 0;
/// WASI's error number for a file descriptor that is not open.
const BAD_FILE_DESCRIPTOR: i32 = 8;

/// The state of one instance.
pub(super) struct Guest {
    host: Host,
    journal: Arc<Journal>,
    operation: Vec<u8>,
    payload: Vec<u8>,
    response: Vec<u8>,
    error: Option<Vec<u8>>,
    host_response: Vec<u8>,
    host_error: Vec<u8>,
}

impl Guest {
    pub(super) fn new(host: Host, journal: Arc<Journal>, operation: &str, payload: &[u8]) -> Self {
        Self {
            host,
            journal,
            operation: operation.as_bytes().to_vec(),
            payload: payload.to_vec(),
            response: Vec::new(),
            error: None,
            host_response: Vec::new(),
            host_error: Vec::new(),
        }
    }

    /// Returns what the guest answered, or its error.
    pub(super) fn answer(self, succeeded: bool) -> Result<Vec<u8>, String> {
        match (succeeded, self.error) {
            (true, _) => Ok(self.response),
            (false, Some(error)) => Err(String::from_utf8_lossy(&error).into_owned()),
            (false, None) => Err("No error message set for call failure".to_owned()),
        }
    }

    fn call_host(&mut self, binding: &str, namespace: &str, operation: &str, payload: &[u8]) -> i32 {
        self.host_response.clear();
        self.host_error.clear();
        match self.host.call(&self.journal, binding, namespace, operation, payload) {
            Ok(answer) => {
                self.host_response = answer;
                1
            }
            Err(error) => {
                self.host_error = error.to_string().into_bytes();
                0
            }
        }
    }
}

/// Defines all functions.
pub(super) fn link(linker: &mut Linker<Guest>) -> Result<(), LinkerError> {
    link_guest(linker)?;
    link_host(linker)?;
    link_wasi(linker)
}

/// The functions by which the guest reads its request and writes its answer.
fn link_guest(linker: &mut Linker<Guest>) -> Result<(), LinkerError> {
    linker
        .func_wrap(
            WAPC,
            "__guest_request",
            |mut caller: Caller<'_, Guest>, operation: i32, payload: i32| {
                let (memory, guest) = parts(&mut caller)?;
                write(memory, payload, &guest.payload)?;
                write(memory, operation, &guest.operation)
            },
        )?
        .func_wrap(
            WAPC,
            "__guest_response",
            |mut caller: Caller<'_, Guest>, pointer: i32, length: i32| {
                let (memory, guest) = parts(&mut caller)?;
                guest.response = read(memory, pointer, length)?.to_vec();
                Ok(())
            },
        )?
        .func_wrap(
            WAPC,
            "__guest_error",
            |mut caller: Caller<'_, Guest>, pointer: i32, length: i32| {
                let (memory, guest) = parts(&mut caller)?;
                guest.error = Some(read(memory, pointer, length)?.to_vec());
                Ok(())
            },
        )?
        .func_wrap(
            WAPC,
            "__console_log",
            |mut caller: Caller<'_, Guest>, pointer: i32, length: i32| {
                let (memory, guest) = parts(&mut caller)?;
                guest.journal.console(vec![text(memory, pointer, length)?.to_owned()]);
                Ok(())
            },
        )?;
    Ok(())
}

/// The functions by which the guest asks its host.
fn link_host(linker: &mut Linker<Guest>) -> Result<(), LinkerError> {
    linker
        .func_wrap(WAPC, "__host_call", host_call)?
        .func_wrap(
            WAPC,
            "__host_response",
            |mut caller: Caller<'_, Guest>, pointer: i32| {
                let (memory, guest) = parts(&mut caller)?;
                write(memory, pointer, &guest.host_response)
            },
        )?
        .func_wrap(WAPC, "__host_response_len", |caller: Caller<'_, Guest>| {
            size(&caller.data().host_response)
        })?
        .func_wrap(WAPC, "__host_error", |mut caller: Caller<'_, Guest>, pointer: i32| {
            let (memory, guest) = parts(&mut caller)?;
            write(memory, pointer, &guest.host_error)
        })?
        .func_wrap(WAPC, "__host_error_len", |caller: Caller<'_, Guest>| {
            size(&caller.data().host_error)
        })?;
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of waPC's function")]
fn host_call(
    mut caller: Caller<'_, Guest>,
    binding: i32,
    binding_length: i32,
    namespace: i32,
    namespace_length: i32,
    operation: i32,
    operation_length: i32,
    payload: i32,
    payload_length: i32,
) -> Result<i32, Error> {
    let (memory, guest) = parts(&mut caller)?;
    let binding = text(memory, binding, binding_length)?;
    let namespace = text(memory, namespace, namespace_length)?;
    let operation = text(memory, operation, operation_length)?;
    let payload = read(memory, payload, payload_length)?;
    Ok(guest.call_host(binding, namespace, operation, payload))
}

/// The functions of WASI. There are no arguments, no variables and no files but standard output and standard error, both of which
/// are this program's standard error.
fn link_wasi(linker: &mut Linker<Guest>) -> Result<(), LinkerError> {
    linker
        .func_wrap(WASI, "environ_get", |_: Caller<'_, Guest>, _: i32, _: i32| SUCCESS)?
        .func_wrap(
            WASI,
            "environ_sizes_get",
            |mut caller: Caller<'_, Guest>, count: i32, bytes: i32| {
                let (memory, _) = parts(&mut caller)?;
                write(memory, count, &0_u32.to_le_bytes())?;
                write(memory, bytes, &0_u32.to_le_bytes())?;
                Ok(SUCCESS)
            },
        )?
        .func_wrap(
            WASI,
            "random_get",
            |mut caller: Caller<'_, Guest>, pointer: i32, length: i32| {
                let (memory, _) = parts(&mut caller)?;
                // Rust seeds its hash tables with it. The same numbers each time make the same evaluation each time.
                let bytes: Vec<u8> = (0..length.unsigned_abs()).map(|index| index.to_le_bytes()[0]).collect();
                write(memory, pointer, &bytes)?;
                Ok(SUCCESS)
            },
        )?
        .func_wrap(WASI, "fd_write", fd_write)?
        .func_wrap(
            WASI,
            "proc_exit",
            |_: Caller<'_, Guest>, code: i32| -> Result<(), Error> { Err(Error::i32_exit(code)) },
        )?;
    Ok(())
}

fn fd_write(
    mut caller: Caller<'_, Guest>,
    descriptor: i32,
    vectors: i32,
    count: i32,
    written: i32,
) -> Result<i32, Error> {
    let (memory, _) = parts(&mut caller)?;
    if descriptor != 1 && descriptor != 2 {
        return Ok(BAD_FILE_DESCRIPTOR);
    }
    let mut total = 0_u32;
    for index in 0..count {
        let vector = read(memory, vectors.wrapping_add(index.wrapping_mul(8)), 8)?;
        let (pointer, length) = vector.split_at(4);
        let bytes = read(memory, integer(pointer), integer(length))?;
        // There is nobody to tell that standard error is closed.
        _ = io::stderr().write_all(bytes);
        total = total.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }
    write(memory, written, &total.to_le_bytes())?;
    Ok(SUCCESS)
}

fn integer(bytes: &[u8]) -> i32 {
    i32::from_le_bytes(bytes.try_into().unwrap_or_default())
}

/// Returns the guest's memory and state.
fn parts<'a>(caller: &'a mut Caller<'_, Guest>) -> Result<(&'a mut [u8], &'a mut Guest), Error> {
    let memory: Memory = caller
        .get_export("memory")
        .and_then(Extern::into_memory)
        .ok_or_else(|| Error::new("the module exports no memory"))?;
    Ok(memory.data_and_store_mut(caller))
}

fn out_of_bounds() -> Error {
    Error::new("a pointer leads out of the module's memory")
}

fn range(pointer: i32, length: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(pointer.cast_unsigned()).ok()?;
    Some(start..start.checked_add(length)?)
}

fn read(memory: &[u8], pointer: i32, length: i32) -> Result<&[u8], Error> {
    let length = usize::try_from(length.cast_unsigned()).map_err(|_| out_of_bounds())?;
    let range = range(pointer, length).ok_or_else(out_of_bounds)?;
    memory.get(range).ok_or_else(out_of_bounds)
}

fn text(memory: &[u8], pointer: i32, length: i32) -> Result<&str, Error> {
    std::str::from_utf8(read(memory, pointer, length)?).map_err(|_| Error::new("a text of the module is not UTF-8"))
}

fn write(memory: &mut [u8], pointer: i32, bytes: &[u8]) -> Result<(), Error> {
    let range = range(pointer, bytes.len()).ok_or_else(out_of_bounds)?;
    memory.get_mut(range).ok_or_else(out_of_bounds)?.copy_from_slice(bytes);
    Ok(())
}

fn size(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).unwrap_or(i32::MAX)
}
