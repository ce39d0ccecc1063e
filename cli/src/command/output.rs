//! What `preview` prints.

use std::process::ExitCode;

use clap::ValueEnum;
use secret_injector_policy::requests::is_request;
use serde_json::{Value, json};

use super::Console;
use crate::{
    evaluation::Evaluation,
    failure::Failure,
    input::Subject,
    render::{self, Color, Injected},
    yaml,
};

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// The difference, the warnings and the secrets
    Diff,
    /// The Pods as admitted, in YAML
    Yaml,
    /// The Pods as admitted, in JSON: a List if there are several
    Json,
    /// The JSON patches: a list of them, with the Pods, if there are several
    Patch,
    /// The warnings and the secrets
    Summary,
    /// The AdmissionReviews with the responses
    Review,
}

/// What became of a Pod.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The policy never sees the Pod.
    NotReached(String),
    /// The policy answered.
    Evaluated {
        /// The answer.
        evaluation: Box<Evaluation>,
        /// The Pod as admitted.
        after: Value,
    },
}

/// A Pod with what became of it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) subject: Subject,
    pub(super) outcome: Outcome,
    /// What is not known for certain.
    pub(super) notes: Vec<String>,
}

impl Shown {
    pub(super) fn new(subject: Subject, outcome: Outcome) -> Self {
        Self {
            subject,
            outcome,
            notes: Vec::new(),
        }
    }

    fn before(&self) -> &Value {
        self.subject.review.request.object.as_ref().unwrap_or(&Value::Null)
    }

    /// The Pod as admitted; none where it is rejected.
    fn after(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::NotReached(_) => Some(self.before()),
            Outcome::Evaluated { evaluation, after } => evaluation.response.allowed.then_some(after),
        }
    }

    fn evaluation(&self) -> Option<&Evaluation> {
        match &self.outcome {
            Outcome::NotReached(_) => None,
            Outcome::Evaluated { evaluation, .. } => Some(evaluation.as_ref()),
        }
    }

    fn patch(&self) -> Value {
        self.evaluation()
            .map_or_else(|| json!([]), |evaluation| json!(evaluation.response.json_patch()))
    }
}

/// Prints everything, and returns the exit status.
pub(super) fn print(shown: &[Shown], output: Output, webhook: &str, console: &Console) -> Result<ExitCode, Failure> {
    let admitted = || shown.iter().filter(|one| one.after().is_some());
    let text = match output {
        Output::Diff | Output::Summary => people(shown, output, webhook, console.out)?,
        Output::Yaml => {
            let documents: Result<Vec<String>, _> = admitted()
                .map(|one| yaml::to_text(one.after().unwrap_or(&Value::Null), one.subject.review.source.as_ref()))
                .collect();
            documents?.join("---\n")
        }
        Output::Json => {
            let mut pods: Vec<&Value> = admitted().filter_map(Shown::after).collect();
            pretty(match (shown.len(), pods.pop()) {
                (1, pod) => pod.cloned(),
                (_, last) => {
                    pods.extend(last);
                    Some(json!({"apiVersion": "v1", "kind": "List", "items": pods}))
                }
            })?
        }
        Output::Patch => pretty(match shown {
            [one] => one.after().map(|_| one.patch()),
            _ => Some(
                admitted()
                    .map(|one| json!({"object": one.subject.name, "patch": one.patch()}))
                    .collect(),
            ),
        })?,
        Output::Review => {
            let reviews = shown.iter().filter_map(Shown::evaluation);
            let texts: Result<Vec<String>, _> = reviews.map(|one| pretty(Some(one.response.to_review()))).collect();
            texts?.concat()
        }
    };
    console.print(&text)?;
    if !matches!(output, Output::Diff | Output::Summary) {
        for one in shown {
            console.say(&problems(one, webhook, console.err));
        }
    }
    let rejected = shown.len() > admitted().count();
    Ok(if rejected { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn pretty(value: Option<Value>) -> Result<String, serde_json::Error> {
    match value {
        Some(value) => Ok(serde_json::to_string_pretty(&value)? + "\n"),
        None => Ok(String::new()),
    }
}

/// The outputs for people: all about one Pod, then all about the next.
fn people(shown: &[Shown], output: Output, webhook: &str, color: Color) -> Result<String, Failure> {
    let mut texts = Vec::new();
    for one in shown {
        let mut parts = Vec::new();
        if shown.len() > 1 {
            parts.push(color.heading(&format!("==> {}", one.subject.name)) + "\n");
        }
        if output == Output::Diff
            && let Some(after) = one.after()
        {
            parts.push(render::diff(
                one.before(),
                after,
                one.subject.review.source.as_ref(),
                color,
            )?);
        }
        parts.push(problems(one, webhook, color));
        if one.after().is_some() {
            parts.push(render::table(&injected(one), color));
        }
        parts.retain(|part| !part.is_empty());
        if parts.len() == usize::from(shown.len() > 1) {
            parts.push("admitted unchanged: the Pod asks for no secret\n".to_owned());
        }
        // A heading stands right above what it is for.
        let text = match shown.len() {
            1 => parts.join("\n"),
            _ => parts.remove(0) + &parts.join("\n"),
        };
        texts.push(text);
    }
    Ok(texts.join("\n"))
}

/// What somebody has to know of a Pod: why it is rejected, why the policy does not see it, its warnings.
fn problems(shown: &Shown, webhook: &str, color: Color) -> String {
    let mut text = String::new();
    match &shown.outcome {
        Outcome::NotReached(reason) => {
            let message = format!(
                "the {} does not reach the policy {webhook}: {reason}",
                shown.subject.name
            );
            text += &format!("{} {message}\n", color.warning("warning:"));
            if asks(shown.before()) {
                text += "It asks for secrets, and would start without them.\n";
            }
        }
        Outcome::Evaluated { evaluation, .. } => {
            let response = &evaluation.response;
            if !response.allowed {
                let message = format!(
                    "admission webhook \"{webhook}.kubewarden.admission\" denied the request: {}",
                    response.message()
                );
                text += &render::rejection(&message, response.code(), color);
                text.push('\n');
            }
            text += &render::warnings(response.warnings.as_deref().unwrap_or_default(), color);
        }
    }
    for note in &shown.notes {
        text += &format!("{} {note}\n", color.heading("note:"));
    }
    text
}

fn asks(pod: &Value) -> bool {
    let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    let mut keys = annotations.map(|(key, _)| key.as_str());
    keys.any(is_request)
}

fn injected(shown: &Shown) -> Vec<Injected> {
    let annotations = shown
        .evaluation()
        .and_then(|one| one.response.audit_annotations.as_ref());
    annotations
        .and_then(|annotations| {
            let names = [render::INJECTED, render::WOULD_INJECT];
            names.iter().find_map(|name| annotations.get(*name))
        })
        .map(|annotation| render::injected(annotation))
        .unwrap_or_default()
}
