//! Shows operators what the policy does, without a cluster.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    secret_injector_cli::command::run()
}
