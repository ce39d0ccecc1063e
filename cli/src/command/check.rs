//! `check`: whether settings are valid, and what is unwise in them.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::Console;
use crate::{advice, failure::Failure, module, settings_source::SettingsSource};

/// Checks settings as the policy does, and warns of what is legal and unwise
///
/// With a ClusterAdmissionPolicy or an AdmissionPolicy, its own fields are looked at as well.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The settings, or the policy that has them, also among other objects; `-` is standard input
    settings: PathBuf,
    /// Ends with the status 1 if there is a warning
    #[arg(long)]
    strict: bool,
    /// The policy's module [default: the one in this program, or else policy.wasm]
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(&self, console: &Console) -> Result<ExitCode, Failure> {
        let settings = SettingsSource::read(&self.settings)?;
        settings.validate(&module::load(self.wasm.as_deref())?)?;
        let advice = advice::on(&settings.settings, settings.policy.as_ref());
        let lines = advice
            .iter()
            .map(|one| format!("{} {one}\n", console.out.warning("warning:")));
        console.print(&lines.collect::<String>())?;
        console.print(match advice.len() {
            0 => "valid\n",
            _ => "valid, with warnings\n",
        })?;
        Ok(match self.strict && !advice.is_empty() {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}
