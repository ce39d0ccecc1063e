//! When and where something was measured.

use std::{fs, process::Command};

use anyhow::Result;

/// Today, as `YYYY-MM-DD`.
pub fn date() -> Result<String> {
    output("date", &["-u", "+%F"])
}

/// The processor, how many of it, and the system.
pub fn described() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?
                .split_once(": ")
                .map(|(_, model)| model)
        })
        .unwrap_or("unknown processor");
    let count = std::thread::available_parallelism()?;
    let system = output("uname", &["-sm"])?;
    Ok(format!("{count} × {model}, {system}"))
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
