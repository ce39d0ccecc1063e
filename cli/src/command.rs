//! The command line.

mod check;
mod from_flyte;
mod output;
mod preview;
mod requests;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{failure::Failure, render::Color};

/// The name under which kubectl finds a plugin.
const PLUGIN: &str = "kubectl-secret_injector";

/// Shows what the policy secret-injector-policy does, without a cluster.
#[derive(Debug, Parser)]
#[command(
    name = "secret-injector",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit status: 0 the Pods are admitted, the settings are valid; 1 a Pod is rejected; 2 the input or the command is wrong."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to use colors
    #[arg(long, global = true, value_enum, default_value_t = When::Auto)]
    color: When,
}

#[derive(Debug, Subcommand)]
enum Command {
    Preview(Box<preview::Preview>),
    Check(check::Check),
    Encode(requests::Encode),
    Decode(requests::Decode),
    FromFlyte(from_flyte::FromFlyte),
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the man page, or writes a page for each command into a directory
    Man {
        /// The directory
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    fn on(self, terminal: bool) -> Color {
        let on = match self {
            Self::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            Self::Always => true,
            Self::Never => false,
        };
        if on { Color::On } else { Color::Off }
    }
}

/// Where text goes, with or without colors.
pub(crate) struct Console {
    out: Color,
    err: Color,
}

impl Console {
    /// Prints to standard output. A reader that has gone away, such as `head`, is no failure.
    fn print(&self, text: &str) -> Result<(), Failure> {
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Prints to standard error.
    fn say(&self, text: &str) {
        // There is nobody to tell that standard error is closed.
        _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Runs the tool with the arguments of the process.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let matches = described(arguments.first()).get_matches_from(&arguments);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let console = Console {
        out: cli.color.on(io::stdout().is_terminal()),
        err: cli.color.on(io::stderr().is_terminal()),
    };
    let done = match cli.command {
        Command::Preview(preview) => preview.run(&console),
        Command::Check(check) => check.run(&console),
        Command::Encode(encode) => encode.run(&console),
        Command::Decode(decode) => decode.run(&console),
        Command::FromFlyte(from_flyte) => from_flyte.run(&console),
        Command::Completions { shell } => completions(shell, &console),
        Command::Man { directory } => man(directory.as_deref(), &console),
    };
    done.unwrap_or_else(|failure| {
        console.say(&format!("{} {failure}\n", console.err.error("error:")));
        ExitCode::from(2)
    })
}

/// The command line, under the name by which it was called.
fn described(program: Option<&OsString>) -> clap::Command {
    let name = program.map(Path::new).and_then(Path::file_stem).unwrap_or_default();
    match name == PLUGIN {
        true => Cli::command().bin_name("kubectl secret-injector"),
        false => Cli::command(),
    }
}

fn completions(shell: Shell, console: &Console) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "secret-injector", &mut text);
    console.print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

fn man(directory: Option<&Path>, console: &Console) -> Result<ExitCode, Failure> {
    match directory {
        Some(directory) => clap_mangen::generate_to(Cli::command(), directory)
            .map_err(|error| Failure::at(directory.display(), error))?,
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text)?;
            console.print(&String::from_utf8_lossy(&text))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
