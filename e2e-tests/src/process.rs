//! Running a program to its end.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// What a program came to.
#[derive(Debug)]
pub struct Run {
    /// Whether it was a success.
    pub success: bool,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

/// Runs `command` with `input` on its standard input.
///
/// # Errors
/// Where it does not start, or does not read all of the input.
pub fn run(command: &mut Command, input: &str) -> io::Result<Run> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    Ok(Run {
        success: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
