//! The tool `secret-injector`. Cargo builds for a test only the programs of the test's own package.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    secret_injector_cli::command::run()
}
