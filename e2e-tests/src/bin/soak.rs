//! Whether memory grows: evaluates different Pods for some minutes, as the policy server does, and watches the process.
//!
//! `make soak` (`TIME=600` seconds). Each Pod goes to a fresh instance, as in the policy server, and to one instance that
//! is kept, as in `kwctl bench`. The exit status is 1 where the memory at the end is more than after all Pods were seen once.
#![forbid(unsafe_code)]

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e_tests::{
    bench::cases::{self, Case},
    host::{Instance, PolicyModule},
    modules,
    requests::{ANNOTATION_PREFIX, MountRequirement, Request},
    review::AdmissionRequest,
};
use serde_json::json;

/// How many Pods there are, each another.
const PODS: usize = 10_000;
/// Larger cases take so long that not all Pods would be seen.
const MAX_KIBIBYTES: usize = 200;
/// How many Pods are evaluated between two looks at the memory.
const EVERY: usize = 500;
/// By how much the memory may differ between two looks: the allocator gives pages back when it likes.
const TOLERANCE: f64 = 1.05;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(600), |argument| argument.parse())?;
    let policy = PolicyModule::from_file(modules::policy()).context("run make policy.wasm first")?;
    let mut cases = cases::all()?;
    cases.retain(|case| json!(case.request).to_string().len() < MAX_KIBIBYTES * 1024);
    let kept: Vec<Instance> = cases
        .iter()
        .map(|case| policy.instantiate(&case.host))
        .collect::<Result<_, _>>()?;
    let mut evaluate = |number: usize| {
        let which = number % cases.len();
        let case = &cases[which];
        let request = request(case, number)?;
        let fresh = policy.validate(&case.host, &request, &case.settings);
        let again = kept[which].validate(&request, &case.settings);
        ensure!(
            fresh.mutated_object == again.mutated_object,
            "the Pod {number} of the case {} gets another answer from an instance that is kept",
            case.name
        );
        anyhow::Ok(fresh.mutated_object.is_some())
    };
    let mutated = (0..PODS).map(&mut evaluate).collect::<Result<Vec<_>>>()?;
    let mutated = mutated.into_iter().filter(|mutated| *mutated).count();
    println!("{PODS} Pods, {mutated} of them mutated: {:.1} MiB", resident()?);
    let looks = watch(Duration::from_secs(seconds), &mut evaluate)?;
    let (first, last) = looks.split_at(looks.len() / 2);
    let (before, after) = (most(first), most(last));
    println!("at most {before:.1} MiB in the first half of the time, {after:.1} MiB in the second");
    ensure!(!last.is_empty() && after <= before * TOLERANCE, "the memory grows");
    Ok(())
}

/// Evaluates Pods for `time`; returns how many MiB the process had at each look.
fn watch(time: Duration, evaluate: &mut impl FnMut(usize) -> Result<bool>) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut looks = Vec::new();
    let mut minutes = 0;
    let mut number = 0;
    while start.elapsed() < time {
        for _ in 0..EVERY {
            evaluate(number % PODS)?;
            number += 1;
        }
        looks.push(resident()?);
        if start.elapsed().as_secs() / 60 > minutes {
            minutes = start.elapsed().as_secs() / 60;
            println!("after {minutes} min, {number} evaluations: {:.1} MiB", resident()?);
        }
    }
    Ok(looks)
}

/// Makes the Pod of a case another one: by its name, by a variable, and by one more secret where the case asks for some.
fn request(case: &Case, number: usize) -> Result<AdmissionRequest> {
    let mut request = case.request.clone();
    let pod = request.object.as_mut().context("the case is no Pod")?;
    pod["metadata"]["name"] = format!("soak-{number}").into();
    let variables = pod["spec"]["containers"][0]["env"].as_array_mut().context("no env")?;
    variables.push(json!({"name": "SOAK", "value": "x".repeat(number % 4096)}));
    if case.asks && case.name.starts_with("flyte-") {
        let more = Request {
            group: format!("soak-{number}"),
            key: "password".to_owned(),
            mount_requirement: MountRequirement::EnvVar,
            ..Request::default()
        };
        pod["metadata"]["annotations"][format!("{ANNOTATION_PREFIX}soak")] = more.encode().into();
    }
    Ok(request)
}

/// Returns how many MiB of memory the process has
/// ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(kibibytes.parse::<f64>()? * 1024.0 / MEBIBYTE)
}

fn most(looks: &[f64]) -> f64 {
    looks.iter().copied().fold(0.0, f64::max)
}
