//! The policy beside a webhook in Go, from the bytes of an AdmissionReview to the bytes of its answer: `make bench-go`.
//!
//! Both answer the same review in turns, some milliseconds each, and a ratio is made of two neighbouring turns. What each
//! adds to the Pod is compared first.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    fs,
    hint::black_box,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e_tests::{
    bench::{
        cases::{self, Case},
        kibibytes, machine, median, microseconds, put_between_marks, table,
    },
    host::PolicyModule,
    modules::{self, repository},
    review::{AdmissionRequest, AdmissionResponse},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const TARGET: &str = "bench-go";
/// Those that the webhook in Go knows the manager of.
const CASES: [&str; 4] = ["flyte-1", "flyte-10", "flyte-50", "files-10"];
/// How long a turn is, about.
const TURN: Duration = Duration::from_millis(50);
const TURNS: usize = 41;
/// As many answers make what answers later ones warm.
const WARM: u64 = 3_000;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    api_version: String,
    kind: String,
    request: AdmissionRequest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outgoing {
    api_version: String,
    kind: String,
    response: AdmissionResponse,
}

/// The program that `e2e-tests/go-webhook` is built to.
struct GoWebhook {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl GoWebhook {
    fn start(program: &Path, review: &Path) -> Result<Self> {
        let mut process = Command::new(program)
            .arg(review)
            // The garbage collector's work counts as well: on a thread of its own it would go unseen.
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{}: run make {TARGET}", program.display()))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            anyhow::bail!("no pipes");
        };
        let output = BufReader::new(output);
        Ok(Self { process, input, output })
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        ensure!(answer.ends_with('\n'), "the webhook in Go has ended");
        Ok(answer)
    }

    fn answer(&mut self) -> Result<AdmissionResponse> {
        let answer: Outgoing = serde_json::from_str(&self.ask("answer")?)?;
        Ok(answer.response)
    }

    fn time(&mut self, count: u64) -> Result<Duration> {
        let nanoseconds = self.ask(&count.to_string())?;
        Ok(Duration::from_nanos(nanoseconds.trim_end().parse()?))
    }
}

impl Drop for GoWebhook {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the policy server does with the bytes of a review, the copies that it makes among it: of the settings and the
/// request for the evaluation, of the response, and of the request for each label of its metrics
/// ([evaluation_environment.rs](https://github.com/kubewarden/kubewarden-controller/blob/main/crates/policy-server/src/evaluation/evaluation_environment.rs),
/// [service.rs](https://github.com/kubewarden/kubewarden-controller/blob/main/crates/policy-server/src/api/service.rs)).
fn answer(policy: &PolicyModule, case: &Case, body: &[u8]) -> Result<Vec<u8>> {
    let review: Incoming = serde_json::from_slice(body)?;
    let (request, settings) = black_box((review.request.clone(), case.settings.clone()));
    let response = policy.validate(&case.host, &request, &settings).response;
    let response = black_box(response.clone());
    for _label in ["resource_namespace", "resource_kind", "resource_request_operation"] {
        black_box(review.request.clone());
    }
    Ok(serde_json::to_vec(&Outgoing {
        api_version: review.api_version,
        kind: review.kind,
        response,
    })?)
}

fn time(policy: &PolicyModule, case: &Case, body: &[u8], count: u64) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..count {
        black_box(answer(policy, case, black_box(body))?);
    }
    Ok(start.elapsed())
}

/// The variables, mounts and volumes that a response gives the Pod, but for the names of volumes. The Pod has one container.
fn injected(response: &AdmissionResponse, pod: &Value) -> Result<BTreeSet<String>> {
    ensure!(response.allowed, "{}", response.message());
    let after = response.patched(pod)?;
    let items = |pod: &Value| -> BTreeSet<String> {
        let container = &pod["spec"]["containers"][0];
        let variables = container["env"].as_array().into_iter().flatten().map(Value::to_string);
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        variables
            .chain(mounts.map(|mount| format!("{} {}", mount["mountPath"], mount["readOnly"])))
            .chain(volumes.filter_map(|volume| Some(volume.get("secret")?.to_string())))
            .collect()
    };
    Ok(items(&after).difference(&items(pod)).cloned().collect())
}

/// The row of the table, and what the webhook in Go is made of.
fn measured(policy: &PolicyModule, program: &Path, case: &Case) -> Result<(Vec<String>, String)> {
    let body = serde_json::to_vec(&Incoming {
        api_version: "admission.k8s.io/v1".to_owned(),
        kind: "AdmissionReview".to_owned(),
        request: case.request.clone(),
    })?;
    let review = repository().join("target/go-webhook-review.json");
    fs::write(&review, &body)?;
    let mut go = GoWebhook::start(program, &review)?;
    let pod = case.request.object.as_ref().context("no Pod")?;
    let ours: Outgoing = serde_json::from_slice(&answer(policy, case, &body)?)?;
    let (ours, theirs) = (injected(&ours.response, pod)?, injected(&go.answer()?, pod)?);
    ensure!(ours == theirs, "{}: {ours:#?}\nbut in Go {theirs:#?}", case.name);

    go.time(WARM)?;
    time(policy, case, &body, WARM)?;
    let (mut policy_times, mut go_times, mut ratios) = (vec![], vec![], vec![]);
    let count = |a_call: Duration| (TURN.as_nanos() / a_call.as_nanos().max(1)).clamp(1, 1_000_000) as u64;
    let policy_count = count(time(policy, case, &body, 100)? / 100);
    let go_count = count(go.time(100)? / 100);
    for _ in 0..TURNS {
        let policy_time = time(policy, case, &body, policy_count)?.as_nanos() as f64 / policy_count as f64;
        let go_time = go.time(go_count)?.as_nanos() as f64 / go_count as f64;
        policy_times.push(policy_time);
        go_times.push(go_time);
        ratios.push(policy_time / go_time);
    }
    let row = vec![
        case.about.clone(),
        format!("{:.1}", kibibytes(body.len())),
        microseconds(median(policy_times.into_iter())),
        microseconds(median(go_times.into_iter())),
        format!("{:.2}", median(ratios.into_iter())),
    ];
    Ok((row, go.ask("versions")?.trim_end().to_owned()))
}

fn main() -> Result<()> {
    let program = repository().join("target/go-webhook");
    let policy = PolicyModule::from_file(modules::policy()).context("run make policy.wasm first")?;
    let mut rows = Vec::new();
    let mut versions = String::new();
    for case in cases::all()?.iter().filter(|case| CASES.contains(&case.name.as_str())) {
        let (row, made_of) = measured(&policy, &program, case)?;
        rows.push(row);
        versions = made_of;
    }
    ensure!(rows.len() == CASES.len(), "a case has been renamed");
    let header = ["Request", "KiB", "`policy`, µs", "in Go, µs", "to Go"].map(str::to_owned);
    let report = format!(
        "{}, on {}; {versions}.\n\n{}",
        machine::date()?,
        machine::described()?,
        table(&header, 1, rows.into_iter())
    );
    print!("{report}");
    ensure!(
        cfg!(feature = "jemalloc"),
        "these figures are of another allocator than the policy server's: use make {TARGET}"
    );
    put_between_marks(&repository().join("docs/contributing/benchmarks.md"), TARGET, &report)?;
    Ok(())
}
