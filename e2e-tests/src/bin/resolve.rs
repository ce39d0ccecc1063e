//! Shows what a container of an admitted Pod finds: its variables, command and mounts, in JSON; volumes become directories.
#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use e2e_tests::{cluster::Cluster, resolver, review::Review};

/// Does the kubelet's work for one container of a Pod that was admitted
#[derive(Parser)]
struct Cli {
    /// The Pod, as it was admitted, in YAML or JSON; `-` is standard input
    pod: PathBuf,
    /// The container, or init container
    #[arg(long, value_name = "NAME")]
    container: String,
    /// The cluster: Kubernetes objects in one YAML file
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// Where the volumes are written, as DIRECTORY/volumes/NAME; an emptyDir that is there keeps its files
    #[arg(long, value_name = "DIRECTORY")]
    root: PathBuf,
}

fn main() -> ExitCode {
    match resolve(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn resolve(cli: &Cli) -> Result<()> {
    let text = match cli.pod.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?,
        false => std::fs::read_to_string(&cli.pod).with_context(|| format!("cannot read {}", cli.pod.display()))?,
    };
    let pod = Review::from_text(&text)?.request.object.unwrap_or_default();
    let cluster = cli
        .cluster
        .as_ref()
        .map(Cluster::from_file)
        .transpose()?
        .unwrap_or_default();
    let resolved = resolver::resolve(&pod, &cli.container, &cluster, &cli.root)?;
    println!("{}", serde_json::to_string_pretty(&resolved)?);
    Ok(())
}
