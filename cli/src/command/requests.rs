//! `encode` and `decode`: Flyte's annotations and readable requests.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::json;

use super::Console;
use crate::{
    failure::Failure,
    input::{Input, Reading},
    requests,
    source::{self, Source},
    yaml,
};

/// Turns readable requests into Flyte's label and annotations
#[derive(Debug, Args)]
pub(super) struct Encode {
    /// A list of requests in YAML or JSON, with the fields group, groupVersion, key, mountRequirement and envVar; `-` is standard input
    #[arg(default_value = "-")]
    requests: PathBuf,
}

impl Encode {
    pub(super) fn run(&self, console: &Console) -> Result<ExitCode, Failure> {
        let source = Source::read(&self.requests)?;
        let mut read = Vec::new();
        for document in source.documents()? {
            let requests = requests::from_document(&document.value);
            read.extend(requests.map_err(|error| Failure::at(source.place(&document), error))?);
        }
        if read.is_empty() {
            return Err(Failure::at(&source.name, "found no request"));
        }
        console.print(&requests::manifest(&read))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Turns Flyte's annotations into readable requests
#[derive(Debug, Args)]
pub(super) struct Decode {
    /// Files with Pods or Pod templates, `-` for standard input, or the values of annotations
    #[arg(required = true)]
    inputs: Vec<String>,
}

impl Decode {
    pub(super) fn run(&self, console: &Console) -> Result<ExitCode, Failure> {
        let (mut decoded, mut without) = (Vec::new(), Vec::new());
        for input in &self.inputs {
            if input != "-" && !Path::new(input).exists() {
                decoded.push(requests::decode(input, input).map_err(|error| {
                    Failure::new(format!(
                        "{error}; there is no file of this name, and so it was read as the value of an annotation"
                    ))
                })?);
                continue;
            }
            for subject in Input::read(&[PathBuf::from(input)], &Reading::default())?.subjects {
                let pod = subject.review.request.object.unwrap_or_default();
                let annotations = requests::annotations(&pod);
                if annotations.is_empty() {
                    without.push(subject.name);
                    continue;
                }
                let place = format!("{}, {}", source::name(Path::new(input)), subject.name);
                for (key, value) in annotations {
                    let request = requests::decode(&key, &value);
                    decoded.push(request.map_err(|error| Failure::at(&place, error))?);
                }
            }
        }
        if decoded.is_empty() {
            let message = format!(
                "{}: found no annotation of Flyte ({}0 and so on); decode the Pod template of a workload, or the Pod that Flyte made",
                without.join(", "),
                requests::ANNOTATION_PREFIX
            );
            return Err(Failure::new(message));
        }
        console.print(&yaml::to_text(&json!(decoded), None)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
